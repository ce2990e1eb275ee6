"""Say what a run was and what came of it, and keep what is needed to find the cause of what went wrong."""

import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cloudassist_tasks.domain.errors import ErrorCode
from tests.chaos.crew import Crew, Job
from tests.chaos.ledger import Kind, Ledger
from tests.chaos.plan import Plan
from tests.chaos.receiving import Told
from tests.chaos.records import Records
from tests.chaos.storm import Storm
from tests.chaos.verdict import Offence, Wrong
from tests.chaos.watch import Watch

__all__ = ["Report"]

SHOWN = 25
"""Offenders of one kind that are shown; the rest are counted."""
LOGGED = 20
"""Offenders whose lines in the logs are kept."""
NOTES_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    plan: Plan
    took_s: float
    calm_s: float
    ledger: Ledger
    records: Records
    storm: Storm
    told: Told
    watch: Watch
    crew: Crew
    offences: Sequence[Offence]
    notes: Sequence[str]

    @property
    def clean(self) -> bool:
        return not self.offences

    def text(self) -> str:
        return "\n".join(self._lines()) + "\n"

    def save(self, results: Path) -> Path:
        """The text, and what the logs say of the offenders."""
        folder = results / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-seed-{self.plan.seed}"
        folder.mkdir(parents=True)
        (folder / "report.txt").write_text(self.text())
        runs = sorted(repr(run) for run in self.records.runs.values())
        (folder / "runs.txt").write_text("\n".join(runs) + "\n")
        (folder / "faults.txt").write_text("\n".join(self.storm.journal) + "\n")
        for number, offence in enumerate(self.offences[:LOGGED], start=1):
            lines = self._logged(offence.about)
            (folder / f"offender-{number}.log").write_text(f"{offence}\n\n" + "".join(lines))
        shutil.make_archive(str(folder / "logs"), "gztar", self.crew.directory)
        return folder

    def _logged(self, about: str) -> Sequence[str]:
        """What all processes have said of the invocation, by the time."""
        invoke_id = about.partition(".")[0]
        found: list[str] = []
        for one in self.crew.members:
            for line in one.log.read_text(errors="replace").splitlines():
                if invoke_id in line:
                    found.append(f"{line} [{one.name}]\n")
        return sorted(found)

    def _lines(self) -> Iterator[str]:
        plan, injected = self.plan, self.storm.injected
        yield f"chaos: seed {plan.seed}, {plan.storm_s:.0f} s of storm, {self.took_s:.0f} s in all"
        apart = plan.machines if plan.namespaces else 0
        yield f"  {plan.workers} workers, {plan.beats} beats, an endpoint"
        yield f"  {plan.loopback} instances on loopback, {apart} in namespaces of their own"
        yield f"  calm, everything final and told {self.calm_s:.0f} s after the last fault"
        yield ""
        runs, wholes = len(self.records.runs), len(self.records.wholes)
        yield f"runs started      {runs:>7,}   (most open at once: {self.watch.most_open:,})"
        yield f"invocations       {wholes:>7,}   acknowledged: {len(self.ledger.acknowledged):,}"
        for kind in Kind:
            entries = [asked for asked in self.ledger.entries if asked.kind is kind]
            doubt = sum(asked.tries > 1 for asked in entries)
            yield f"  {kind:<22}{len(entries):>7,}   asked again or twice: {doubt:,}"
        yield ""
        yield f"faults injected   {sum(injected.values()):>7,}"
        for fault, times in sorted(injected.items(), key=lambda item: -item[1]):
            yield f"  {fault:<48}{times:>6,}"
        if over := self.storm.passed_over:
            yield f"passed over, for want of anybody to meet or of time: {sum(over.values()):,}"
        for fault, times in sorted(over.items(), key=lambda item: -item[1]):
            yield f"  {fault:<48}{times:>6,}"
        started = Counter(one.job for one in self.crew.members)
        yield "processes started " + ", ".join(f"{job} {started[job]:,}" for job in Job)
        yield f"  gave up before they worked: {len(self.crew.not_started()):,}"
        yield ""
        yield "runs by final state"
        states = Counter(run.status for run in self.records.runs.values())
        for status, number in states.most_common():
            yield f"  {status:<22}{number:>7,}"
        codes = Counter(run.error_code for run in self.records.runs.values() if run.error_code)
        for code, number in codes.most_common():
            yield f"    {code:<30}{number:>7,}"
        never = sum(
            run.error_code == ErrorCode.DELIVERY_TIMEOUT and run.launch_ms > 0
            for run in self.records.runs.values()
        )
        yield f"  not sent in time, since each worker that meant to was killed: {never:,}"
        yield from self._told()
        yield ""
        counted = Counter(offence.wrong for offence in self.offences)
        for wrong in Wrong:
            yield f"{wrong:<20}{counted[wrong]:>5,}"
        yield from self._offenders()
        yield ""
        verdict = "clean" if self.clean else "FAILED"
        yield f"{verdict}; to replay: python -m tests.chaos --seed {plan.seed} {plan.form}"

    def _told(self) -> Iterator[str]:
        webhooks, callbacks = self.told.webhooks, self.told.callbacks
        again = sum(count - 1 for told in (webhooks, callbacks) for count in told.values())
        yield ""
        yield f"webhooks {len(webhooks):,}, callbacks {len(callbacks):,}; told again, same id: {again:,}"
        missed = sum(one.count for several in self.records.missed.values() for one in several)
        rounds = sum(of.round > 0 for of in self.records.rounds)
        yield f"rounds {rounds:,}; times missed while nobody beat: {missed:,}"

    def _offenders(self) -> Iterator[str]:
        for wrong in Wrong:
            those = [offence for offence in self.offences if offence.wrong is wrong]
            for offence in those[:SHOWN]:
                yield f"  {wrong}: {offence.about}: {offence.why}"
                if offence.record:
                    yield f"      {offence.record[:600]}"
            if len(those) > SHOWN:
                yield f"  {wrong}: and {len(those) - SHOWN:,} more"
        for note in self.notes[:NOTES_SHOWN]:
            yield f"  note: {note}"
