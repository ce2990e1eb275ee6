"""Hold what the hosts say against what the plane says, and both against what was asked for and acknowledged.

Every sentence that must hold after any storm is one check here. An end that a fault explains is told apart by
what the storm has noted of that run and that instance, never by looking away.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cloudassist_tasks.domain.ids import InvokeId, RoundKey, RunKey
from cloudassist_tasks.domain.invocation import Invocation, Run
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.status import FINAL
from tests.chaos.ends import Ends
from tests.chaos.evidence import Evidence
from tests.chaos.ledger import Asked, Kind, Ledger
from tests.chaos.receiving import REFUSED
from tests.chaos.recipes import RECIPES, Recipe
from tests.chaos.records import Records

__all__ = ["SLOW_FOR_MS", "Offence", "Verdict", "Wrong"]

LATE_S = 60
"""Beyond timeout and grace, and the time that the plane was away meanwhile."""

NO_ANSWER = "no answer within "
"""What a caller is told who has waited for nothing."""

SLOW_FOR_MS = 20_000
"""A process that had no turn says so when it has one again."""

NEARBY_MS = 3_000
"""A process that comes and goes is looked at once a second."""

MOST_TIMES_TOLD = 5
"""Told again is told by one that was killed before it noted that it had; not by so many."""

SOME_MESSAGES = 4
"""If none of so many was answered, nobody answers."""


class Wrong(StrEnum):
    """What must not be, in the order of the report."""

    DOUBLED = "doubled"
    """Began, or was opened, twice."""
    LOST = "lost"
    """Acknowledged, and not there; or nobody was told; or not on record."""
    STUCK = "stuck"
    """Did not end in time."""
    WRONG_TALLY = "wrong tallies"
    UNTRUE = "untrue ends"
    """The store says what did not happen on the host, or nothing explains why it ended so."""
    ORPHAN = "orphan processes"
    CRASHED = "crashed processes"
    """Ended, or would not end, without the storm."""


@dataclass(frozen=True, slots=True)
class Offence:
    wrong: Wrong
    about: str
    """A run's id, an invocation's, a process."""
    why: str
    record: str = ""


@dataclass(slots=True, kw_only=True)
class Verdict:
    """Everything that is held against each other."""

    ledger: Ledger
    records: Records
    evidence: Evidence
    webhooks: Counter[str]
    callbacks: Counter[str]
    """How often each was told, by the id of the delivery."""
    ends: Ends
    files: Path
    outputs: Mapping[RunKey, BoundedOutput]
    grace_s: int
    away: Sequence[tuple[int, int]] = ()
    """From when to when, in ms, a call could not be answered: the store or the endpoint was down."""
    logged: Set[str] = frozenset()
    """What was opened by calls whose audit record stands in the log of their process: the store was away."""
    messages_explained: Set[str] = frozenset()
    """Tokens of messages that the storm took, or that lie in the broker still."""
    workers_killed: int = 0

    def offences(self) -> Sequence[Offence]:
        """All of them."""
        return [
            *self._acknowledged(),
            *self._runs(),
            *self._tallies(),
            *self._caps(),
            *self._told(),
            *self._evidence(),
        ]

    def asked_of(self, invoke_id: InvokeId) -> Asked | None:
        """Who has asked for an invocation: by its id, or by the token that its callback carries."""
        if found := self._by_id.get(invoke_id):
            return found
        invocation = self.records.wholes[invoke_id]
        if invocation.spec.callback is not None:
            return self._by_token.get(str(invocation.spec.callback.kwargs.get("token")))
        return None

    @property
    def _by_id(self) -> Mapping[str, Asked]:
        return self.ledger.by_invoke_id()

    @property
    def _by_token(self) -> Mapping[str, Asked]:
        return {asked.token: asked for asked in self.ledger.entries}

    # -- what was acknowledged is there, once

    def _acknowledged(self) -> Iterator[Offence]:
        for asked in self.ledger.entries:
            if asked.refused and not self._rightly_refused(asked):
                yield Offence(Wrong.LOST, asked.token, f"refused: {asked.refused}", repr(asked))
            elif not asked.invoke_id and not asked.refused and asked.kind is not Kind.MESSAGE:
                yield Offence(Wrong.LOST, asked.token, "was never answered", repr(asked))
            for stop in asked.stops:
                if not stop.acknowledged_ms and not stop.too_late:
                    yield Offence(Wrong.LOST, asked.token, "its stop was never answered", repr(asked))
            for other in asked.others:
                yield Offence(Wrong.DOUBLED, other, f"one token gave {asked.invoke_id}, too", repr(asked))
            if not asked.invoke_id:
                continue
            whole = self.records.wholes.get(InvokeId(asked.invoke_id))
            if whole is None:
                yield Offence(Wrong.LOST, asked.invoke_id, "acknowledged, not in the store", repr(asked))
            elif asked.kind is not Kind.RETRY and whole.total != len(asked.members):
                yield Offence(Wrong.LOST, asked.invoke_id, f"{whole.total} runs of {len(asked.members)}")
            if asked.invoke_id not in self.records.audited | self.logged:
                yield Offence(Wrong.LOST, asked.invoke_id, "acknowledged, not in the audit", repr(asked))
        yield from self._opened_twice()

    def _rightly_refused(self, asked: Asked) -> bool:
        """A retry of what has not failed; or one that met a plane that was away, or had no turn to answer."""
        if asked.in_doubt:
            slow_ms = self.ends.slow_ms if NO_ANSWER in asked.refused else ()
            return any(
                from_ms - NEARBY_MS <= asked.answered_ms and until_ms + NEARBY_MS >= asked.asked_ms
                for from_ms, until_ms in [*self.away, *((at_ms - SLOW_FOR_MS, at_ms) for at_ms in slow_ms)]
            )
        return asked.rightly

    def _opened_twice(self) -> Iterator[Offence]:
        """One call, one invocation: also where the call was never answered."""
        by_token = Counter(
            str(whole.spec.callback.kwargs.get("token"))
            for whole in self.records.wholes.values()
            if whole.spec.callback is not None and whole.spec.retry_of is None
        )
        for token, opened in by_token.items():
            if opened > 1:
                yield Offence(Wrong.DOUBLED, token, f"opened {opened} invocations")
        in_doubt = Counter(asked.first for asked in self.ledger.entries if asked.in_doubt)
        for invoke_id, whole in self.records.wholes.items():
            if self.asked_of(invoke_id) is not None:
                continue
            if whole.spec.retry_of is None or not in_doubt[whole.spec.retry_of]:
                yield Offence(Wrong.DOUBLED, invoke_id, "opened, and nobody was told", repr(whole))
            else:
                in_doubt[whole.spec.retry_of] -= 1

    # -- each run

    def _runs(self) -> Iterator[Offence]:
        asked_of = {invoke_id: self.asked_of(invoke_id) for invoke_id in self.records.wholes}
        for key, run in self.records.runs.items():
            invocation = self.records.rounds[key.of]
            yield from self._run(run, invocation, asked_of[key.invoke_id])

    def _run(self, run: Run, invocation: Invocation, asked: Asked | None) -> Iterator[Offence]:
        key, evidence = run.key, self.evidence
        if evidence.begun[key.run_id] > 1:
            yield Offence(Wrong.DOUBLED, key.run_id, f"began {evidence.begun[key.run_id]} times", repr(run))
        if run.status not in FINAL:
            yield Offence(Wrong.STUCK, key.run_id, f"is {run.status} at the end", repr(run))
            return
        if (late_s := self._late_s(run, invocation)) > 0:
            yield Offence(Wrong.STUCK, key.run_id, f"ended {late_s:.0f} s too late", repr(run))
        if (ends := self.records.ends[key]) != 1:
            yield Offence(Wrong.UNTRUE, key.run_id, f"{ends} events tell of its end", repr(run))
        if invocation.spec.file is not None:
            why = self.ends.of_file(run, asked, self._file_arrived(run, asked))
        else:
            why = self.ends.of_script(
                run,
                asked,
                self._recipe(invocation, asked),
                begun=evidence.begun[key.run_id],
                ended=evidence.ended[key.run_id],
                output=self.outputs.get(key),
            )
        if why:
            yield Offence(Wrong.UNTRUE, key.run_id, why, repr(run))

    def _late_s(self, run: Run, invocation: Invocation) -> float:
        """By how much it ended too late; from its launch on."""
        if not run.launch_ms:
            return 0.0
        away_s = self.ends.away_ms(run.launch_ms, run.update_ms) / 1_000
        allowed_s = invocation.spec.timeout_s + self.grace_s + LATE_S + away_s
        return (run.update_ms - run.launch_ms) / 1_000 - allowed_s

    def _recipe(self, invocation: Invocation, asked: Asked | None) -> Recipe | None:
        if asked is not None:
            return RECIPES.get(asked.recipe)
        first = invocation.spec.retry_of
        return self._recipe_of_first(first) if first else None

    def _recipe_of_first(self, invoke_id: InvokeId) -> Recipe | None:
        """A retry that was never answered runs what the first one ran."""
        first = self.asked_of(invoke_id)
        return RECIPES.get(first.recipe) if first else None

    def _file_arrived(self, run: Run, asked: Asked | None) -> bool | None:
        """None: nobody knows what was sent."""
        if asked is None:
            return None
        try:
            return (self.files / run.key.instance_id / asked.token).read_text() == asked.token
        except OSError:
            return False

    # -- tallies and caps

    def _tallies(self) -> Iterator[Offence]:
        folds: dict[RoundKey, Counter[str]] = {of: Counter() for of in self.records.rounds}
        for key, run in self.records.runs.items():
            folds[key.of][run.status] += 1
        for of, invocation in self.records.rounds.items():
            tally = Counter({str(status): n for status, n in invocation.tally.items() if n})
            if tally != folds[of] or sum(tally.values()) != invocation.total:
                yield Offence(Wrong.WRONG_TALLY, str(of), f"{dict(tally)}, but {dict(folds[of])}")
            closes = self.records.closes[of]
            if invocation.finish_ms and closes != (1 if invocation.total else 0):
                yield Offence(Wrong.WRONG_TALLY, str(of), f"{closes} events tell of its close")
            if not invocation.finish_ms and invocation.total:
                yield Offence(Wrong.STUCK, str(of), f"open at the end: {dict(tally)}")
        for invoke_id, fold in self.records.folds.items():
            whole = self.records.wholes[invoke_id]
            if (tally := Counter({s: n for s, n in whole.tally.items() if n})) != fold:
                yield Offence(Wrong.WRONG_TALLY, invoke_id, f"{dict(tally)}, but {dict(fold)}")
            if not whole.finish_ms:
                yield Offence(Wrong.STUCK, invoke_id, f"a schedule that does not close: {dict(tally)}")

    def _caps(self) -> Iterator[Offence]:
        for asked in self.ledger.acknowledged:
            if asked.at_once:
                run_ids = [RunKey(InvokeId(asked.invoke_id), one).run_id for one in asked.members]  # type: ignore[arg-type]
                if (most := self.evidence.most_at_once(run_ids)) > asked.at_once:
                    why = f"{most} ran at once, {asked.at_once} were allowed"
                    yield Offence(Wrong.DOUBLED, asked.invoke_id, why, repr(asked))

    # -- who was to be told

    def _told(self) -> Iterator[Offence]:
        for id_, times in [*self.webhooks.items(), *self.callbacks.items()]:
            if times > MOST_TIMES_TOLD:
                yield Offence(Wrong.DOUBLED, id_, f"was told {times} times")
        for of, invocation in self.records.rounds.items():
            if not invocation.finish_ms or invocation.spec.retry_of is not None:
                continue
            id_ = f"cb-{of.invoke_id}-{of.round}" if of.round else f"cb-{of.invoke_id}"
            if invocation.spec.webhook and not self.webhooks[id_]:
                yield Offence(Wrong.LOST, str(of), "its webhook was never called")
            if invocation.spec.callback is not None and not self.callbacks[id_]:
                yield Offence(Wrong.LOST, str(of), "its callback was never sent")
        messages = [asked.token for asked in self.ledger.entries if asked.kind is Kind.MESSAGE]
        for token in messages:
            if (about := self.ledger.told.get(token, "")).startswith(REFUSED):
                yield Offence(Wrong.LOST, token, about)
        silent = self.unanswered_messages()
        unheard = [token for token in messages if token not in self.messages_explained]
        if len(silent) > self.workers_killed or (
            len(silent) == len(unheard) and len(silent) >= SOME_MESSAGES
        ):
            yield Offence(
                Wrong.LOST, silent[0], f"{len(silent)} of {len(messages)} messages were not answered"
            )

    def unanswered_messages(self) -> Sequence[str]:
        """Requests through the broker of which nothing was heard, though it was not emptied over them and
        they lie there no more: Celery can lose one between taking it and noting that it has. Nobody had
        acknowledged them."""
        return [
            asked.token
            for asked in self.ledger.entries
            if asked.kind is Kind.MESSAGE
            and asked.token not in self.ledger.told.keys() | self.messages_explained
        ]

    # -- what nobody has asked for

    def _evidence(self) -> Iterator[Offence]:
        known = {key.run_id for key in self.records.runs}
        for run_id in self.evidence.begun.keys() - known:
            yield Offence(Wrong.UNTRUE, run_id, "ran on a host, and the store does not know it")
        for line in self.evidence.odd:
            yield Offence(Wrong.UNTRUE, line, "a line of evidence that no script writes")
