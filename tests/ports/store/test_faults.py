"""What the store does while its server is killed, stopped, full, forgetful, locked or not there."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from cloudassist_tasks.domain.errors import Broken, Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.invocation import Why
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.notify import Move
from cloudassist_tasks.ports.runs import ClaimWord
from cloudassist_tasks.ports.schedules import OpenedRound
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.events import RedisEvents
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.notify import PubSubNotify
from cloudassist_tasks.store.redis_store import RedisStore
from tests.ports.store.pausing import in_a_hurry
from tests.ports.store.scheduling import key as key_of
from tests.ports.store.scheduling import scheduled
from tests.support.eventually import eventually_async
from tests.support.store import make
from tests.support.store_gate import store_gate
from tests.support.valkey import ValkeyServer


@pytest.fixture
async def own_store(own_server: ValkeyServer) -> AsyncIterator[RedisStore]:
    opened = await RedisStore.open(own_server.url())
    yield opened
    await opened.close()


async def test_nothing_acknowledged_is_lost_when_the_server_is_killed(
    own_server: ValkeyServer, own_store: RedisStore
) -> None:
    await own_store.link.call("CONFIG", "SET", "appendfsync", "always")
    keys_ = await make.opened(own_store, *[f"i-{n}" for n in range(20)])
    held = [await make.launched(own_store, key) for key in keys_[:10]]
    finished = [await make.finish(own_store, each) for each in held[:5]]

    own_server.kill()
    own_server.start()

    assert all(each.moved.done for each in finished)
    invocation = await own_store.invocations.get(keys_[0].invoke_id)
    assert invocation is not None
    assert invocation.tally == {RunStatus.SUCCESS: 5, RunStatus.PENDING: 15}
    assert (await make.finish(own_store, held[5])).moved.done
    assert (await make.claim(own_store, keys_[6], "w-2")).word == ClaimWord.TAKEN


async def test_calls_that_meet_a_restart_go_on_when_the_server_is_back(
    own_server: ValkeyServer, own_store: RedisStore
) -> None:
    keys_ = await make.opened(own_store, *[f"i-{n}" for n in range(40)])
    link = Link(own_server.url(), pauses_s=(0.0, *[0.2] * 300))  # however long the restart takes
    patient = RedisStore(link, own_store.clock, own_store.notify, RedisEvents(link, own_server.url()))
    loop = asyncio.get_running_loop()

    def restart() -> None:
        own_server.stop()
        own_server.start()

    restarting = loop.run_in_executor(None, restart)
    claims = []
    for key in keys_:
        claims.append(await make.claim(patient, key))
    await restarting

    assert {claim.word for claim in claims} == {ClaimWord.HELD}
    run = await own_store.runs.get(keys_[0])
    assert run is not None
    assert run.epoch == 1
    await link.close()


@pytest.mark.parametrize("boot", [False, True])
async def test_a_round_is_opened_once_and_answered_though_the_first_answer_is_lost(
    own_server: ValkeyServer, boot: bool
) -> None:
    with store_gate(own_server, own_server.socket.parent) as gate:
        store = await RedisStore.open(gate.url())
        id_ = await scheduled(store, "i-1", "i-2")

        async def asked() -> OpenedRound | None:
            only, seen, why = (InstanceId("i-1"), ("", "b-1"), Why.BOOT) if boot else (None, None, Why.ASKED)
            return await store.schedules.open_round(
                id_, why=why, batch=50, now_ms=2_000, only=only, boot=seen
            )

        gate.hold_after("open_round")
        asking = asyncio.create_task(asked())
        await asyncio.to_thread(gate.reached)
        gate.cut()
        first = await asking
        second = await asked()

        reserved = [key_of(id_, "i-1", 1)] if boot else [key_of(id_, "i-1", 1), key_of(id_, "i-2", 1)]
        assert first == OpenedRound(number=1, total=len(reserved), reserved=reserved)
        assert second == (None if boot else OpenedRound(number=2, skipped=2, reserved=[]))
        assert await store.schedules.round_count(id_) == (1 if boot else 2)
        await store.close()


async def test_scripts_may_be_flushed_at_any_time(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")

    await store.link.call("SCRIPT", "FLUSH")
    held = await make.launched(store, key)
    await store.link.call("SCRIPT", "FLUSH")
    finished, _ = await asyncio.gather(make.finish(store, held), store.link.call("SCRIPT", "FLUSH"))

    assert finished.closed


async def test_a_full_server_takes_nothing_new_and_finishes_what_is_open(
    own_server: ValkeyServer, own_store: RedisStore
) -> None:
    [key, other] = await make.opened(own_store, "i-1", "i-2")
    held = await make.launched(own_store, key)
    await own_store.link.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
    await own_store.link.call("CONFIG", "SET", "maxmemory", 1)
    fresh = await RedisStore.open(own_server.url())  # has not looked at the memory yet

    with pytest.raises(Refused) as refused:
        await fresh.invocations.open(make.opening("i-1"), now_ms=1_000)
    with pytest.raises(Refused) as by_the_server:
        await own_store.invocations.open(make.opening("i-1"), now_ms=1_000)
    with pytest.raises(Broken, match="out of memory"):
        await own_store.commands.add(make.command(), quota=9)
    finished = await make.finish(own_store, held, output=b"x" * 20_000)
    claim = await make.claim(own_store, other)

    assert (refused.value.kind, by_the_server.value.kind) == (Kind.STORE_FULL, Kind.STORE_FULL)
    assert finished.moved.done
    assert claim.word == ClaimWord.HELD
    await fresh.close()


async def test_a_server_that_does_not_answer_is_named_within_the_timeout(
    own_server: ValkeyServer, own_store: RedisStore
) -> None:
    assert own_server.process is not None
    os.kill(own_server.process.pid, signal.SIGSTOP)

    async with asyncio.timeout(60):
        with in_a_hurry(own_store.link, 0.2):
            results = await asyncio.gather(*[own_store.ping() for _ in range(3)], return_exceptions=True)

    said = f"the store at {own_server.socket} (db 0) cannot be reached: no answer within 0.2 s; is it up?"
    assert [str(result) for result in results] == 3 * [said]
    os.kill(own_server.process.pid, signal.SIGCONT)
    await own_store.ping()


async def test_a_server_that_is_not_there_is_named(unused_port: int) -> None:
    link = Link(f"redis://:hush@127.0.0.1:{unused_port}/3", pauses_s=(0.0, 0.01))

    with pytest.raises(Broken) as broken:
        await link.call("PING")

    assert f"127.0.0.1:{unused_port} (db 3) cannot be reached" in str(broken.value)
    assert "hush" not in str(broken.value)


async def test_a_thousand_callers_wait_for_a_lost_server_together(own_server: ValkeyServer) -> None:
    link = Link(own_server.url(), pauses_s=(0.0, 0.5))
    await link.call("PING")
    own_server.kill()

    async with asyncio.timeout(60):  # one after the other, they would take minutes
        results = await asyncio.gather(*[link.call("PING") for _ in range(1_000)], return_exceptions=True)
    own_server.start()
    again = await asyncio.gather(*[link.call("PING") for _ in range(1_000)])

    assert {type(result) for result in results} == {Broken}
    assert set(again) == {b"PONG"}
    await link.close()


async def test_a_wrong_password_is_said_so_without_showing_it(own_server: ValkeyServer) -> None:
    own_server.client().config_set("requirepass", "right")

    for login, words in (("", "asks for a password"), (":wrong@", "does not accept our name or password")):
        with pytest.raises(Broken, match=words) as broken:
            await Link(own_server.url().replace("unix://", f"unix://{login}")).call("PING")
        assert "wrong" not in str(broken.value)
    right = Link(own_server.url().replace("unix://", "unix://:right@"))
    assert await right.call("PING") == b"PONG"
    await right.close()


# -- wake-ups


async def test_watchers_see_each_move_and_workers_each_stop(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")
    async with store.notify.moves(key.invoke_id) as moves, store.notify.stops(make.worker().id) as stops:
        held = await make.running(store, key)
        await store.invocations.stop_runs(
            key.invoke_id, [key.instance_id], round=0, now_ms=3_000, deadline_ms=9_000
        )
        await make.finish(store, held)

        async with asyncio.timeout(60):
            seen = [await anext(moves) for _ in range(3)]
            told = await anext(stops)

    assert [(move.key, move.status) for move in seen] == [
        (key, RunStatus.RUNNING),
        (key, RunStatus.STOPPING),
        (key, RunStatus.SUCCESS),
    ]
    assert told == key


async def test_a_subscription_comes_back_after_a_restart(own_server: ValkeyServer) -> None:
    store = await RedisStore.open(own_server.url())
    notify = PubSubNotify(own_server.url())
    [key] = await make.opened(store, "i-1")

    async with notify.moves(key.invoke_id) as moves:
        own_server.kill()
        own_server.start()
        waiting = asyncio.ensure_future(anext(moves))

        async def heard() -> bool:
            """What was told before the subscription stood again is told to nobody."""
            await store.link.call("PUBLISH", keys.moves(key.invoke_id), f"{key.run_id} {RunStatus.SUCCESS}")
            await asyncio.wait({waiting}, timeout=0.1)
            return waiting.done()

        await eventually_async(heard, within=30)

    assert await waiting == Move(key, RunStatus.SUCCESS)
    await notify.close()
    await store.close()
