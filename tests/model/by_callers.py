"""What callers do, in any order: open, open again by the same token, stop, watch, forget."""

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from cloudassist_tasks.domain.caps import NO_CAPS, Caps, Share
from cloudassist_tasks.domain.errors import ErrorCode, Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RoundKey
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.invocations import Opened, Opening, Stopped
from tests.model import calls
from tests.model.stage import HOUR_MS, INSTANCES, Stage, numbers, some_instances
from tests.support.store import make

WINDOW, LOW, BATCH = 3, 2, 2
DAILY_QUOTA = 7
GRACE_MS = 60_000

caps = st.builds(
    Caps,
    max_concurrency=st.none() | st.builds(Share, st.integers(1, 4)) | st.just(Share(30, percent=True)),
    max_errors=st.none() | st.builds(Share, st.integers(0, 3)) | st.just(Share(30, percent=True)),
)
tight_caps = st.builds(
    Caps,
    max_concurrency=st.none() | st.builds(Share, st.integers(1, 2)),
    max_errors=st.builds(Share, st.integers(0, 1)),
)
tokens = st.sampled_from(["", "", "token-1", "token-2"])


class Callers(Stage):
    def __init__(self) -> None:
        super().__init__()
        self.opened: list[Opening] = []
        self.kept_command = make.command()
        self.do(self.store.commands.add(self.kept_command, quota=9))

    def open_(self, opening: Opening) -> Opened | Kind:
        """Ask both."""
        try:
            expected: Opened | Kind = calls.open_(self.world, opening, now_ms=self.now_ms)
        except Refused as refused:
            expected = refused.kind
        try:
            found: Opened | Kind = self.do(self.store.invocations.open(opening, now_ms=self.now_ms))
        except Refused as refused:
            found = refused.kind
        self.opened.append(opening)
        self.note_new_runs()
        return self.same(found, expected)

    def open_and_publish(self, opening: Opening) -> None:
        """Who opens one alone may die before it publishes: what is left is for reconcile."""
        opened = self.open_(opening)
        if isinstance(opened, Opened) and len(opening.members) > 1:
            self.reserve(RoundKey(opened.invoke_id))

    @initialize(capped=tight_caps)
    def open_two(self, capped: Caps) -> None:
        """There is always something to do; on the same instances, so that runs wait for each other."""
        self.open_once(INSTANCES, NO_CAPS, True, True, "")
        self.open_once(INSTANCES, capped, False, True, "token-1")

    @precondition(lambda self: self.world.opened_today <= DAILY_QUOTA)
    @rule(members=some_instances, capped=caps, kept=st.booleans(), told=st.booleans(), token=tokens)
    def open_one(self, members: list[InstanceId], capped: Caps, kept: bool, told: bool, token: str) -> None:
        self.open_once(members, capped, kept, told, token)

    def open_once(self, members: list[InstanceId], capped: Caps, kept: bool, told: bool, token: str) -> None:
        spec = make.spec(
            self.kept_command if kept else make.command(kept=False),
            id=self.new_id(),
            caps=capped,
            webhook="http://127.0.0.1:9/" if told else "",
            created_ms=self.now_ms,
        )
        self.open_and_publish(
            make.opening(*members, spec=spec, token=token, request_hash=f"{members}", daily_quota=DAILY_QUOTA)
        )

    @precondition(lambda self: any(opening.token for opening in self.opened))
    @rule(number=numbers, same=st.booleans())
    def call_again(self, number: int, same: bool) -> None:
        """The answer was lost, or somebody uses the token for something else."""
        named = [opening for opening in self.opened if opening.token]
        earlier = named[-1 - number % len(named)]
        again = replace(earlier, spec=replace(earlier.spec, id=self.new_id(), created_ms=self.now_ms))
        self.open_(again if same else replace(again, request_hash="another"))

    @rule(
        number=numbers,
        some=some_instances,
        how=st.sampled_from(["some", "all", "its caller dies", "they are given up"]),
    )
    def stop_runs(self, number: int, some: list[InstanceId], how: str) -> None:
        of = self.round_of(number)
        if how == "they are given up":
            self.abort(of, some, NOT_DELIVERED)
            return
        if how != "some":
            self.stop_marked(of.invoke_id)
        if how != "its caller dies":
            self.stop(of, some if how == "some" else INSTANCES)

    def stop_marked(self, invoke_id: InvokeId) -> None:
        if invoke_id not in self.world.wholes:
            found = self.do(self.store.invocations.mark_stop(invoke_id, now_ms=self.now_ms))
            self.same(found, calls.mark_stop(self.world, invoke_id, now_ms=self.now_ms))

    def stop(self, of: RoundKey, some: list[InstanceId]) -> Stopped:
        deadline_ms = self.now_ms + GRACE_MS
        expected = calls.stop_runs(self.world, of, some, now_ms=self.now_ms, deadline_ms=deadline_ms)
        found = self.do(
            self.store.invocations.stop_runs(
                of.invoke_id, some, round=of.round, now_ms=self.now_ms, deadline_ms=deadline_ms
            )
        )
        return self.same(found, expected)

    def abort(self, of: RoundKey, some: list[InstanceId], outcome: Outcome) -> None:
        found = self.do(
            self.store.invocations.abort_unclaimed(
                of.invoke_id, some, round=of.round, outcome=outcome, now_ms=self.now_ms
            )
        )
        expected = calls.abort_unclaimed(self.world, of, some, outcome=outcome, now_ms=self.now_ms)
        self.same(found, expected)

    @precondition(lambda self: any(one.unpublished for one in self.world.fanouts.values()))
    @rule(number=numbers)
    def publish_more(self, number: int) -> None:
        waiting = [of for of, one in self.world.fanouts.items() if one.unpublished]
        self.reserve(waiting[-1 - number % len(waiting)])

    def reserve(self, of: RoundKey) -> None:
        found = self.do(
            self.store.invocations.reserve(
                of.invoke_id, round=of.round, batch=BATCH, window=WINDOW, low=LOW, now_ms=self.now_ms
            )
        )
        expected = calls.reserve(self.world, of, batch=BATCH, window=WINDOW, low=LOW, now_ms=self.now_ms)
        self.same(list(found), list(expected))

    @precondition(lambda self: any(one.finish_ms for one in self.world.fanouts.values()))
    @rule(age_ms=st.sampled_from([0, HOUR_MS, 25 * HOUR_MS]), limit=st.integers(1, 3))
    def forget(self, age_ms: int, limit: int) -> None:
        before_ms = self.now_ms - age_ms
        found = self.do(self.store.invocations.forget_older_than(before_ms, limit=limit))
        self.same(found, calls.forget_older_than(self.world, before_ms, limit=limit))


NOT_DELIVERED = Outcome(
    status=RunStatus.ABORTED, error_code=ErrorCode.DELIVERY_TIMEOUT, error_info="nobody took it"
)
