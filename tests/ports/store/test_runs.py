"""Runs: claims, moves, limits of an instance, what is due and what is overdue."""

import asyncio

from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.status import Phase, RunStatus
from cloudassist_tasks.ports.runs import ClaimWord
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.redis_store import RedisStore
from tests.ports.store.pausing import paused
from tests.support.store import make
from tests.support.valkey import ValkeyServer

S = RunStatus


async def test_a_short_run_costs_three_round_trips_and_closes_its_invocation(store: RedisStore) -> None:
    await store.instances.add([make.instance("i-1", tags={"role": "web"})])
    [first] = await make.opened(store, "i-1")
    await make.finish(store, await make.launched(store, first))  # loads the scripts
    [key] = await make.opened(store, "i-1")
    before = store.link.round_trips

    claim = await make.claim(store, key)
    assert claim.held is not None
    committed = await store.runs.commit_launching(claim.held, boot_id="b", deadline_ms=99_000, now_ms=2_000)
    finished = await make.finish(store, claim.held, output=b"hi\n")

    assert store.link.round_trips - before == 3
    assert claim.instance is not None
    assert claim.instance.tags["role"] == "web"
    assert claim.contact is not None
    assert (claim.contact.finished_runs, claim.contact.active_runs) == (1, 1)
    assert committed.done
    assert finished.moved.done
    assert finished.closed
    run = await store.runs.get(key)
    assert run is not None
    assert (run.status, run.exit_code, run.output_bytes) == (S.SUCCESS, 0, 3)
    assert (run.launch_ms, run.start_ms, run.finish_ms) == (2_000, 2_500, 3_000)
    [output] = await store.runs.output([key])
    assert output.kept() == b"hi\n"
    invocation = await store.invocations.get(key.invoke_id)
    assert invocation is not None
    assert (invocation.tally, invocation.finish_ms) == ({S.SUCCESS: 1}, 3_000)


async def test_of_eight_clients_one_holds_the_run(store: RedisStore, store_server: ValkeyServer) -> None:
    clients = [await RedisStore.open(store_server.url()) for _ in range(8)]
    keys_ = await make.opened(store, *[f"i-{n}" for n in range(20)])

    for key in keys_:
        claims = await asyncio.gather(
            *[make.claim(client, key, f"w-{n}") for n, client in enumerate(clients)]
        )

        words = sorted(claim.word for claim in claims)
        assert words == [ClaimWord.HELD] + 7 * [ClaimWord.TAKEN]

    for client in clients:
        await client.close()


async def test_a_second_claim_finds_the_run_taken_then_final(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")
    held = await make.held(store, key, "w-1")

    second = await make.claim(store, key, "w-2")
    again = await make.claim(store, key, "w-1")
    await make.finish(store, held)
    third = await make.claim(store, key, "w-2")

    assert [second.word, again.word, third.word] == [ClaimWord.TAKEN, ClaimWord.TAKEN, ClaimWord.FINAL]


async def test_what_was_never_opened_is_unknown(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")

    for stranger in (
        RunKey(InvokeId("t-none"), key.instance_id),
        RunKey(key.invoke_id, InstanceId("i-2")),
        RunKey(key.invoke_id, key.instance_id, 1),
    ):
        claim = await make.claim(store, stranger)
        run = await store.runs.get(stranger)

        assert claim.word == ClaimWord.UNKNOWN
        assert run is None


async def test_a_stale_claim_moves_nothing(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")
    stale = await make.running(store, key, "w-1")
    await store.workers.bury(stale.worker, before_ms=9_000, now_ms=9_000)
    fresh = await make.held(store, key, "w-2", now_ms=10_000)

    finished = await make.finish(store, stale)
    output = await store.runs.record_output(stale, BoundedOutput(head=b"x", total=1), now_ms=11_000)
    given_back = await store.runs.give_back(stale, look_at_ms=0, adrift=True, now_ms=11_000)

    assert finished.moved.stale
    assert not finished.moved.done
    assert finished.moved.status == S.RUNNING
    assert output.stale
    assert not given_back
    assert (await make.finish(store, fresh)).moved.done


async def test_a_claim_may_be_forced_from_a_worker_that_seems_alive(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")
    hung = await make.running(store, key, "w-1")

    claim = await make.claim(store, key, "w-2", force=True)

    assert claim.word == ClaimWord.HELD
    assert claim.run is not None
    assert (claim.run.phase, claim.run.epoch, claim.run.deliveries) == (Phase.LAUNCHING, 2, 2)
    moved = await store.runs.started(hung, start_ms=1, now_ms=1)
    assert moved.stale


async def test_a_finished_run_never_moves_again(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")
    held = await make.running(store, key)
    first = await make.finish(store, held)

    second = await make.finish(store, held, Outcome(status=S.FAILED, exit_code=1))

    assert first.closed
    assert (second.moved.done, second.moved.stale, second.closed) == (False, False, False)
    run = await store.runs.get(key)
    assert run is not None
    assert run.status == S.SUCCESS


async def test_an_end_that_is_told_again_since_its_answer_was_lost_gets_the_same_answer(
    store: RedisStore,
) -> None:
    [key] = await make.opened(store, "i-1")
    [waiting] = await make.opened(store, "i-1")
    held = await make.launched(store, key)
    await make.claim(store, waiting, at_once=1)

    first = await make.finish(store, held, now_ms=5_000)
    again = await make.finish(store, held, now_ms=5_000)
    another = await make.finish(store, held, now_ms=5_001)

    assert (first.closed, first.next) == (True, waiting)
    assert again == first
    assert (another.moved.done, another.closed, another.next) == (False, False, None)


async def test_the_eleventh_run_waits_and_gets_the_place_of_the_first_that_ends(store: RedisStore) -> None:
    every = [key for _ in range(4) for key in await make.opened(store, "i-1")]
    held = [await make.held(store, key) for key in every[:2]]

    third = await make.claim(store, every[2], at_once=2, may_wait=1)
    fourth = await make.claim(store, every[3], at_once=2, may_wait=1)
    finished = await make.finish(store, held[0])
    latecomer = await make.claim(store, (await make.opened(store, "i-1"))[0], at_once=2, may_wait=1)
    promised = await make.claim(store, every[2], at_once=2, may_wait=1)

    assert third.word == ClaimWord.WAITS
    assert fourth.word == ClaimWord.REFUSED
    assert fourth.closed
    refused = await store.runs.get(every[3])
    assert refused is not None
    assert (refused.status, refused.error_code) == (S.ABORTED, ErrorCode.TASK_CONCURRENCY_LIMIT)
    assert "i-1" in refused.error_info
    assert finished.next == every[2]
    assert latecomer.word == ClaimWord.WAITS
    assert promised.word == ClaimWord.HELD


async def test_a_promised_run_is_due_soon_should_its_message_be_lost(store: RedisStore) -> None:
    [first, second] = [key for _ in range(2) for key in await make.opened(store, "i-1")]
    held = await make.held(store, first, at_once=1)
    await make.claim(store, second, at_once=1)

    await make.finish(store, held, now_ms=3_000)
    early = await store.runs.take_due(now_ms=3_001, lease_ms=10_000, limit=10)
    late = await store.runs.take_due(now_ms=9_000, lease_ms=10_000, limit=10)
    leased = await store.runs.take_due(now_ms=9_001, lease_ms=10_000, limit=10)

    assert early == ([], [])
    assert late == ([second], [])
    assert leased == ([], [])


async def test_a_run_that_was_let_go_is_collected_and_may_be_hurried(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")
    held = await make.running(store, key)

    given_back = await store.runs.give_back(held, look_at_ms=60_000, adrift=True, now_ms=3_000)
    not_yet = await store.runs.take_due(now_ms=4_000, lease_ms=5_000, limit=10)
    adrift = await store.runs.adrift(key.instance_id)
    hurried = await store.runs.hurry([key], now_ms=5_000)
    now_due = await store.runs.take_due(now_ms=5_000, lease_ms=5_000, limit=10)
    due_to_collect = await store.runs.take_due(now_ms=60_000, lease_ms=5_000, limit=10)
    again = await make.held(store, key, "w-2")
    claimed = await store.runs.take_due(now_ms=999_000, lease_ms=5_000, limit=10)

    assert given_back
    assert not_yet == ([], [])
    assert adrift == [key]
    assert hurried == [key]
    assert now_due == ([key], [])
    assert due_to_collect[1] == [key.instance_id]
    assert again.epoch == 2
    assert claimed == ([], [])
    assert await store.runs.adrift(key.instance_id) == []


async def test_a_run_given_back_before_its_launch_is_published_again(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")
    held = await make.held(store, key)

    await store.runs.give_back(held, look_at_ms=4_000, adrift=True, now_ms=3_000)

    run = await store.runs.get(key)
    assert run is not None
    assert (run.phase, run.worker) == (Phase.QUEUED, None)
    assert await store.runs.take_due(now_ms=4_000, lease_ms=1_000, limit=10) == ([key], [])


async def test_a_run_past_its_deadline_is_given_to_one_caller_per_lease(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")
    held = await make.launched(store, key, now_ms=2_000)  # its deadline is at 62 s

    early = await store.runs.take_overdue(now_ms=61_999, lease_ms=5_000, limit=10)
    taken = [await store.runs.take_overdue(now_ms=62_000, lease_ms=5_000, limit=10) for _ in range(2)]
    later = await store.runs.take_overdue(now_ms=67_000, lease_ms=5_000, limit=10)
    await make.finish(store, held, Outcome(status=S.TIMEOUT))
    ended = await store.runs.take_overdue(now_ms=999_000, lease_ms=5_000, limit=10)

    assert early == []
    assert taken == [[key], []]
    assert later == [key]
    assert ended == []


async def test_a_fence_is_tried_until_the_host_answers(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")
    held = await make.running(store, key)
    await make.finish(store, held, Outcome(status=S.ERROR, error_code=ErrorCode.TERMINATION_EXCEPTION))
    await store.runs.fence_later(key, at_ms=5_000)

    early = await store.runs.take_fences(now_ms=4_999, lease_ms=1_000, limit=10)
    first = await store.runs.take_fences(now_ms=5_000, lease_ms=1_000, limit=10)
    again = await store.runs.take_fences(now_ms=6_000, lease_ms=1_000, limit=10)
    await store.runs.fenced(key, late_result="it had ended with exit code 3")
    done = await store.runs.take_fences(now_ms=99_000, lease_ms=1_000, limit=10)

    assert [early, first, again, done] == [[], [key], [key], []]
    run = await store.runs.get(key)
    assert run is not None
    assert (run.status, run.late_result) == (S.ERROR, "it had ended with exit code 3")


async def test_a_stop_before_the_launch_keeps_it_from_being_committed(store: RedisStore) -> None:
    [key, other] = await make.opened(store, "i-1", "i-2")
    held = await make.held(store, key)
    await store.invocations.mark_stop(key.invoke_id, now_ms=2_500)

    moved = await store.runs.commit_launching(held, boot_id="b", deadline_ms=9_000, now_ms=3_000)
    claim = await make.claim(store, other)

    assert (moved.done, moved.stop_requested, moved.stale) == (False, True, False)
    assert claim.word == ClaimWord.CANCELLED
    assert (await make.finish(store, held, Outcome(status=S.CANCELLED))).closed


async def test_output_is_kept_to_the_byte_and_restored(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")
    held = await make.running(store, key)
    output = BoundedOutput()
    output.add(0, bytes(range(256)) * 400)

    moved = await store.runs.record_output(held, output, now_ms=3_000)

    [restored] = await store.runs.output([key])
    run = await store.runs.get(key)
    assert moved.done
    assert restored == output
    assert run is not None
    assert (run.output_bytes, run.dropped) == (output.total, output.dropped)


async def test_an_output_that_was_overtaken_on_its_way_takes_nothing_back(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")
    held = await make.running(store, key)
    longer, shorter = BoundedOutput(head=b"one two", total=7), BoundedOutput(head=b"one", total=3)

    await store.runs.record_output(held, longer, now_ms=3_000)
    late = await store.runs.record_output(held, shorter, now_ms=4_000)

    run = await store.runs.get(key)
    assert late.done
    assert run is not None
    assert (run.output_bytes, await store.runs.output([key])) == (7, [longer])


async def test_a_claim_whose_answer_was_lost_is_given_back_at_the_next_beat(
    store: RedisStore, store_server: ValkeyServer
) -> None:
    [key] = await make.opened(store, "i-1")
    await store.workers.register(make.worker("w-1"), now_ms=1_000)
    await make.held(store, (await make.opened(store, "i-2"))[0])  # the script is known
    with paused(store_server) as server:
        asking = asyncio.create_task(make.claim(store, key, "w-1"))
        await server.has(connections=1)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    await store.workers.beat(make.worker("w-1").id, now_ms=3_000)

    run = await store.runs.get(key)
    assert run is not None
    assert (run.worker, run.deliveries) == (None, 1)
    assert (await store.runs.take_due(now_ms=3_000, lease_ms=1, limit=9))[0] == [key]
    assert (await make.claim(store, key, "w-2")).word == ClaimWord.HELD


async def test_reading_many_runs_keeps_the_order_asked_for(store: RedisStore) -> None:
    keys_ = await make.opened(store, *[f"i-{n}" for n in range(30)])
    await make.finish(store, await make.launched(store, keys_[7]))
    wanted = [key.instance_id for key in reversed(keys_)]

    runs = await store.runs.get_many(keys_[0].invoke_id, wanted)

    assert [run.key.instance_id for run in runs] == wanted
    assert [run.key for run in runs if run.status == S.SUCCESS] == [keys_[7]]
    assert await store.link.call("EXISTS", keys.run(keys_[0])) == 0
