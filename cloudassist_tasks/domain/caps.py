"""How much of an invocation may run at once, and after how many failures it goes no further.

Both are a number or a share of its instances, and ours: the vendor has no parameter for them, so its
clients send them as tags of the invocation. The store keeps to them; what they mean is settled here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cloudassist_tasks.domain.errors import ErrorCode, Kind, Refused
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.status import RunStatus

MAX_CONCURRENCY_TAG = "cloudassist:max-concurrency"
MAX_ERRORS_TAG = "cloudassist:max-errors"

_SHARE = re.compile(r"([0-9]{1,9})(%?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Share:
    """So many instances, or so many per cent of them."""

    amount: int
    percent: bool = False

    def __str__(self) -> str:
        return f"{self.amount}%" if self.percent else str(self.amount)

    def of(self, total: int) -> int:
        """How many of `total` instances that is; a part of one counts as one."""
        return -(-total * self.amount // 100) if self.percent else self.amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """None: as many as there are."""

    max_concurrency: Share | None = None
    """Runs that may be in hand at once: with a worker or on their way to one, waiting for their instance, or
    going on there."""
    max_errors: Share | None = None
    """Runs that may fail. The next one that fails keeps all that have not begun from beginning; what has
    begun goes on to its end. 0: the first one does."""

    def at_once(self, total: int) -> int | None:
        """Of an invocation on `total` instances."""
        return self.max_concurrency.of(total) if self.max_concurrency else None

    def errors(self, total: int) -> int | None:
        """Of an invocation on `total` instances."""
        return self.max_errors.of(total) if self.max_errors else None


NO_CAPS = Caps()


def checked_share(name: str, text: str, *, least: int) -> Share:
    """`10` or `10%`, at least `least` and at most 100%. `Refused(BAD_VALUE)`. `name`: what it was given
    as."""
    match = _SHARE.fullmatch(text)
    share = Share(int(match[1]), percent=bool(match[2])) if match else None
    if share is None or share.amount < least or (share.percent and share.amount > 100):
        raise Refused(
            Kind.BAD_VALUE,
            f"{name} {text[:40]!r} must be a number of instances, {least} or more, or a share of them from"
            f" {least}% to 100%, without a fraction",
        )
    return share


def checked_caps(max_concurrency: str | None, max_errors: str | None, tags: Mapping[str, str]) -> Caps:
    """As given by name, or else by tag. `Refused(BAD_VALUE)`."""
    return Caps(
        max_concurrency=_given("MaxConcurrency", max_concurrency, MAX_CONCURRENCY_TAG, tags, least=1),
        max_errors=_given("MaxErrors", max_errors, MAX_ERRORS_TAG, tags, least=0),
    )


def _given(name: str, value: str | None, tag: str, tags: Mapping[str, str], *, least: int) -> Share | None:
    if value is not None:
        return checked_share(name, value, least=least)
    return checked_share(f"the tag {tag}", tags[tag], least=least) if tag in tags else None


def outcome_of_halt(allowed: int) -> Outcome:
    """The end of a run that did not begin because one more than the allowed number of runs had failed."""
    failed = "1 run" if allowed == 0 else f"{allowed + 1} runs"
    return Outcome(
        status=RunStatus.CANCELLED,
        error_code=ErrorCode.MAX_ERRORS_EXCEEDED,
        error_info=f"not begun: {failed} of the invocation had failed and no more than {allowed} may; see why"
        " they failed, then run it here",
    )
