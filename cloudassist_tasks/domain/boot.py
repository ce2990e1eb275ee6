"""The boots of a host, and which of them came after something was asked for.

A host names its boot by an id, another one after each, and says how long it has been up. Two ids that differ
show that there was a boot between, the time shows when: so nobody needs to have looked before.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What a host says of its boot, asked now."""

    id: str
    up_ms: int
    """How long before the answer it began, by the host's monotonic clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownBoot:
    """Up to which boot of a member a schedule is done."""

    word: str
    """As it stands in the store; whoever writes another names this one. An id, or `@<ms>`: none was seen
    since it was asked for then, or empty: since the schedule was opened (`-`: the same, in older stores)."""

    @property
    def id(self) -> str:
        """Empty: none was seen so far."""
        return "" if self.word[:1] in ("@", "-") else self.word

    def asked_ms(self, opened_ms: int) -> int:
        """Since when boots count, while none was seen."""
        return int(self.word[1:]) if self.word.startswith("@") else opened_ms


def began_after(
    boot: Boot, since_ms: int, *, now_ms: int, earlier_id: str = "", earlier_seen_ms: int = 0
) -> bool:
    """Whether the host has booted after that time. `earlier_id`: the boot that it was last seen in, and when.

    One that was in another boot at a moment at which it claims to have been up already counts its time from
    something else (a container, a machine restored from an image): then the ids are believed."""
    began_ms = now_ms - boot.up_ms
    claims_too_much = earlier_id not in ("", boot.id) and began_ms < earlier_seen_ms
    return claims_too_much or began_ms > since_ms
