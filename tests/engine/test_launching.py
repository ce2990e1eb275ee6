"""What is refused, and what stands in store and broker once it is not."""

from typing import Any

import pytest

from cloudassist_tasks.domain.errors import Broken, Kind, Refused
from cloudassist_tasks.domain.instance import OsType
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.engine.publish import refill
from tests.support.plane import Console, Installation, ids


async def _opened(console: Console) -> int:
    return len(await console.plane.store.invocations.open_rounds(limit=1_000))


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (Kind.INSTANCE_NOT_FOUND, {"ids": ("i-1", "i-99")}),
        (Kind.TOO_MANY_INSTANCES, {"ids": ("i-1", "i-2"), "max_instances": 1}),
        (Kind.WRONG_OS, {"ids": ("i-1", "i-win")}),
        (Kind.PARAMETER_MISSING, {"script": "echo {{name}}", "parameters_needed": True}),
        (Kind.PARAMETER_DISABLED, {"enable_parameter": False, "parameters": {"name": "x"}}),
        (Kind.CONTENT_TOO_LONG, {"script": "#" * 20_000}),
    ],
)
async def test_a_refused_launch_opens_nothing(
    console: Console, kind: Kind, wanted: dict[str, object]
) -> None:
    await console.register_one("i-win", os_type=OsType.WINDOWS)
    fields = dict(wanted)
    targets = fields.pop("ids", ("i-1",))
    script = fields.pop("script", "true")
    assert isinstance(targets, tuple)
    assert isinstance(script, str)

    with pytest.raises(Refused) as refusal:
        await console.open(script, *targets, **fields)

    assert kind == refusal.value.kind
    assert await _opened(console) == 0
    assert console.home.messages() == []


async def test_the_day_s_quota_refuses_the_next(home: Installation) -> None:
    async with home.console(CLOUDASSIST_LIMIT_INVOCATIONS_PER_DAY="2") as console:
        console.clock.stand_still()  # no midnight comes between
        await console.launch("true")
        await console.launch("true")

        with pytest.raises(Refused) as refusal:
            await console.launch("true")

        assert refusal.value.kind == Kind.INVOCATION_QUOTA
        assert await _opened(console) == 2


async def test_the_same_token_gives_what_it_opened_and_another_request_under_it_is_refused(
    console: Console,
) -> None:
    first = await console.open("true", token="a", request_hash="1")

    again = await console.open("true", token="a", request_hash="1")
    with pytest.raises(Refused) as refusal:
        await console.open("false", token="a", request_hash="2")

    assert (first.invoke_id, True) == (again.invoke_id, again.repeated)
    assert refusal.value.kind == Kind.CLIENT_TOKEN_REUSED
    assert await _opened(console) == 1
    assert len(console.home.messages()) == 1


async def test_a_broker_that_is_away_is_said_and_nothing_is_opened(home: Installation) -> None:
    away = f"redis+socket://{home.directory}/nobody.sock?virtual_host=1"
    async with home.console(CLOUDASSIST_BROKER_URL=away) as console:
        with pytest.raises(Broken) as broken:
            await console.launch("true")

        assert "nobody.sock" in str(broken.value)
        assert await _opened(console) == 0


async def test_120_instances_are_three_batches_of_one_invocation(home: Installation) -> None:
    async with home.console(120) as console:
        opened = await console.open("true", *ids(120))

        invocation = await console.invocation(opened.invoke_id)
        assert (invocation.total, invocation.published, invocation.batches) == (120, 120, 3)
        assert [message.key.instance_id for message in home.messages()] == ids(120)
        assert await console.tally(opened.invoke_id) == {RunStatus.PENDING: 120}


async def test_the_window_never_holds_more_than_200_and_is_filled_as_runs_are_claimed(
    home: Installation,
) -> None:
    async with home.console(320) as console:
        worker = await console.worker()
        opened = await console.open("true", *ids(320))
        published = [message.key for message in home.messages()]
        assert len(published) == 200

        for key in published[:50]:
            held = (
                await console.plane.store.runs.claim(
                    key, worker=worker.id, now_ms=console.clock.now_ms(), at_once=10, may_wait=50
                )
            ).word
            assert held == "held"
            await refill(console.plane, opened.invoke_id)
        at_the_mark = len(home.messages())
        await console.plane.store.runs.claim(
            published[50], worker=worker.id, now_ms=console.clock.now_ms(), at_once=10, may_wait=50
        )
        await refill(console.plane, opened.invoke_id)

        assert at_the_mark == 200
        assert len(home.messages()) == 250
        assert (await console.invocation(opened.invoke_id)).batches == 5


async def test_a_claim_that_leaves_the_window_low_publishes_the_next_batch(home: Installation) -> None:
    limits: dict[str, Any] = {
        "CLOUDASSIST_LIMIT_BATCH": "2",
        "CLOUDASSIST_LIMIT_WINDOW": "4",
        "CLOUDASSIST_LIMIT_WINDOW_LOW": "3",
        "CLOUDASSIST_LIMIT_EXPRESS_INSTANCES": "1",
    }
    async with home.console(9, **limits) as console:
        worker = await console.worker()
        opened = await console.open(home.marking(), *ids(9))
        done: set[str] = set()

        while waiting := [m.key for m in home.messages() if m.key.instance_id not in done]:
            assert len(waiting) <= 4
            await execute(worker, waiting[0])
            done.add(waiting[0].instance_id)
            if len(waiting) == 1 and len(done) < 9:
                await refill(console.plane, opened.invoke_id)

        assert await console.closed(opened.invoke_id) == {RunStatus.SUCCESS: 9}
        assert set(home.marked(opened.invoke_id).values()) == {1}
