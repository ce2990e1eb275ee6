"""One run's way through the store."""

from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.store import ClaimWord
from cloudassist_tasks.store.redis_store import RedisStore
from tests.support.store import make


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
    assert committed.done
    assert finished.moved.done
    assert finished.closed
    run = await store.runs.get(key)
    assert run is not None
    assert (
        run.status, run.exit_code, run.output_bytes, run.start_ms, run.finish_ms,
    ) == (RunStatus.SUCCESS, 0, 3, 2_500, 3_000)  # fmt: skip
    [output] = await store.runs.output([key])
    assert output.kept() == b"hi\n"
    invocation = await store.invocations.get(key.invoke_id)
    assert invocation is not None
    assert invocation.tally == {RunStatus.SUCCESS: 1}
    assert invocation.finish_ms == 3_000


async def test_a_second_claim_finds_the_run_taken_then_final(store: RedisStore) -> None:
    [key] = await make.opened(store, "i-1")
    held = await make.held(store, key, "w-1")

    second = await make.claim(store, key, "w-2")
    await make.finish(store, held)
    third = await make.claim(store, key, "w-2")

    assert second.word == ClaimWord.TAKEN
    assert third.word == ClaimWord.FINAL
