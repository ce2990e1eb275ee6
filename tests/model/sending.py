"""What is sent of closed invocations, and events that are followed and dropped, in any order."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from cloudassist_tasks.domain.delivery import DeliveryKey
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.ports.events import OLDEST
from tests.model import outbox
from tests.model.stage import Stage, numbers
from tests.model.world import take

LEASE_MS = 30_000
FOLLOWERS = st.integers(0, 1)


class Sending(Stage):
    def __init__(self) -> None:
        super().__init__()
        self.taken: list[DeliveryKey] = []
        """Whoever took one may be slow: it comes back to deliveries that were removed or forgotten."""
        self.followers = {0: (0, OLDEST), 1: (0, OLDEST)}
        """How many events each has behind it, and its cursor."""

    @precondition(lambda self: self.world.outbox)
    @rule(limit=st.integers(1, 3))
    def take_deliveries(self, limit: int) -> None:
        found = self.do(self.store.outbox.take_due(now_ms=self.now_ms, lease_ms=LEASE_MS, limit=limit))
        expected = take(self.world.outbox, until_ms=self.now_ms, again_ms=self.now_ms + LEASE_MS, limit=limit)
        self.taken += self.same(list(found), expected)

    @precondition(lambda self: self.taken)
    @rule(number=numbers, what=st.sampled_from(["sent", "not taken", "given up", "wanted again"]))
    def a_delivery_is(self, what: str, number: int) -> None:
        key = self.taken[-1 - number % len(self.taken)]
        match what:
            case "sent":
                self.same(self.do(self.store.outbox.remove(key)), outbox.remove(self.world, key))
            case "wanted again":
                self._put(key)
            case _:
                self._fail(key, None if what == "given up" else self.now_ms + 2_000)
        self.same(self.do(self.store.outbox.get(key)), outbox.waiting(self.world, key))

    def _put(self, key: DeliveryKey) -> None:
        """Of what is not forgotten."""
        if key.of in self.world.fanouts:
            self.do(self.store.outbox.put(key, now_ms=self.now_ms))
            outbox.put(self.world, key, now_ms=self.now_ms)

    def _fail(self, key: DeliveryKey, next_ms: int | None) -> None:
        now_ms = self.now_ms
        if next_ms is None:
            step = self.store.outbox.give_up(key, error="away", since_ms=now_ms, now_ms=now_ms)
        else:
            step = self.store.outbox.failed(
                key, error="away", since_ms=now_ms, next_ms=next_ms, now_ms=now_ms
            )
        self.do(step)
        outbox.failed(self.world, key, error="away", since_ms=now_ms, next_ms=next_ms, now_ms=now_ms)

    # -- events

    @rule(who=FOLLOWERS, limit=st.integers(1, 9), kept=st.none() | st.sampled_from([0, 3, 10]))
    def follow_events(self, who: int, limit: int, kept: int | None) -> None:
        """One that missed some is told, and begins anew. All but the newest `kept` are dropped before."""
        if kept is not None:
            self.drop_events(kept)
        behind, cursor = self.followers[who]
        missed = cursor != OLDEST and behind < self.world.dropped_events
        if missed:
            with pytest.raises(Refused) as refused:
                self.do(self.store.events.after(cursor, limit=limit))
            assert refused.value.kind is Kind.EVENTS_EXPIRED
            self.followers[who] = (0, OLDEST)
            return
        happened = self.do(self.store.events.after(cursor, limit=limit))
        behind = max(behind, self.world.dropped_events)
        expected = self.world.told[behind : behind + limit]
        assert [(event.kind, event.status) for event in happened.events] == [
            (kind, status) for kind, _, status in expected
        ]
        self.followers[who] = (behind + len(expected), happened.cursor)

    def drop_events(self, at_most: int) -> None:
        kept = len(self.world.told) - self.world.dropped_events
        found = self.do(self.store.events.trim(before_ms=0, at_most=at_most))
        self.world.dropped_events += self.same(found, max(0, kept - at_most))
