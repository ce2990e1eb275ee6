"""Callers that err, repeat themselves or overdo it, over real HTTP: hosts did what the answers say."""

import asyncio
import base64
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import patch

import pytest

from cloudassist_tasks import runtime
from cloudassist_tasks.client.door import Client
from cloudassist_tasks.contract.invocations import RunCommand, StopInvocation
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.store import keys
from tests.faults.staff import Staff
from tests.support.endpoint import AccessKey, Endpoint, served
from tests.support.eventually import eventually_async
from tests.support.plane import Console, Installation, ids
from tests.support.raw_http import Raw, call, raw, signed

AT_ONCE = 16


@pytest.fixture(scope="module")
def staff(home: Installation) -> Iterator[Staff]:
    made = Staff(home)
    yield made
    made.close()


@pytest.fixture(scope="module")
def endpoint(home: Installation) -> Iterator[Endpoint]:
    variables = home.environment()
    with patch.dict(os.environ, variables), Client() as client, served(variables, client) as made:
        yield made
    runtime.close()


@pytest.fixture
async def console(home: Installation, staff: Staff) -> AsyncIterator[Console]:
    """Three instances and a worker."""
    staff.worker()
    async with home.console(3, emptied=False) as opened:
        yield opened


def run_command(home: Installation, **more: str) -> dict[str, str]:
    """A request that would be carried out, on `i-1` to `i-3`."""
    content = base64.b64encode(home.marking().encode()).decode()
    wanted = {"Type": "RunShellScript", "CommandContent": content, "ContentEncoding": "Base64"}
    members = {f"InstanceId.{n}": name for n, name in enumerate(ids(3), 1)}
    return {**wanted, **members, "EnableParameter": "true", **more}


def at_once(ask: Any) -> list[Raw]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [answer.result() for answer in [pool.submit(ask) for _ in range(AT_ONCE)]]


async def ran_once(console: Console, invoke_id: str) -> None:
    assert await console.closed(InvokeId(invoke_id), within=60) == {RunStatus.SUCCESS: 3}
    assert console.home.marked(invoke_id) == dict.fromkeys(ids(3), 1)


# -- the same again


async def test_the_same_client_token_concurrently_opens_one_invocation_that_runs_once(
    console: Console, home: Installation, endpoint: Endpoint
) -> None:
    request = run_command(home, ClientToken="one-of-many")

    answers = await asyncio.to_thread(at_once, lambda: call(endpoint, "RunCommand", request, as_form=True))
    after = await asyncio.to_thread(call, endpoint, "RunCommand", request, as_form=True)

    assert {answer.status for answer in [*answers, after]} == {200}
    [invoke_id] = {answer.json["InvokeId"] for answer in [*answers, after]}
    await ran_once(console, invoke_id)


async def test_a_replayed_nonce_runs_nothing_a_second_time(
    console: Console, home: Installation, endpoint: Endpoint
) -> None:
    request = signed(endpoint, "RunCommand", run_command(home), key=endpoint.key, as_form=True)

    answers = await asyncio.to_thread(at_once, lambda: raw(endpoint, request))

    [taken] = [answer for answer in answers if answer.status == 200]
    assert Counter(answer.status for answer in answers) == {200: 1, 400: AT_ONCE - 1}
    assert {answer.code for answer in answers if answer is not taken} == {"SignatureNonceUsed"}
    await ran_once(console, taken.json["InvokeId"])


# -- what cannot be right


def _unknown_action(endpoint: Endpoint, request: Mapping[str, str]) -> Raw:
    return call(endpoint, "RunCommandTwice", request)


def _bad_base64(endpoint: Endpoint, request: Mapping[str, str]) -> Raw:
    return call(endpoint, "RunCommand", {**request, "CommandContent": "ZWNobyBvaw=!"})


def _wrong_signature(endpoint: Endpoint, request: Mapping[str, str]) -> Raw:
    return call(endpoint, "RunCommand", request, key=AccessKey(endpoint.key.id, "guesswork"))


def _slow_clock(endpoint: Endpoint, request: Mapping[str, str]) -> Raw:
    return raw(endpoint, signed(endpoint, "RunCommand", request, key=endpoint.key, ahead_s=-16 * 60))


def _fast_clock(endpoint: Endpoint, request: Mapping[str, str]) -> Raw:
    return raw(endpoint, signed(endpoint, "RunCommand", request, key=endpoint.key, ahead_s=16 * 60))


@pytest.mark.parametrize(
    ("ask", "status", "code"),
    [
        (_unknown_action, 404, "InvalidAction.NotFound"),
        (_bad_base64, 400, "CmdContent.DecodeError"),
        (_wrong_signature, 400, "SignatureDoesNotMatch"),
        (_slow_clock, 400, "InvalidTimeStamp.Expired"),
        (_fast_clock, 400, "InvalidTimeStamp.Expired"),
    ],
    ids=["unknown action", "bad Base64", "wrong signature", "slow clock", "fast clock"],
)
async def test_a_faulty_request_is_refused_and_opens_nothing(
    console: Console, home: Installation, endpoint: Endpoint, ask: Any, status: int, code: str
) -> None:
    before = await _invocations(console)

    answer = await asyncio.to_thread(ask, endpoint, run_command(home))
    after = await _invocations(console)
    mended = await asyncio.to_thread(call, endpoint, "RunCommand", run_command(home))

    assert (answer.status, answer.code) == (status, code)
    assert after == before
    assert await _invocations(console) == before + 1
    await ran_once(console, mended.json["InvokeId"])


async def _invocations(console: Console) -> int:
    """How many were ever opened."""
    client = console.home.valkey.client()
    try:
        return int(client.zcard(keys.INVOCATIONS))
    finally:
        client.close()


# -- much


@pytest.mark.parametrize("as_form", [False, True], ids=["query", "form"])
async def test_a_128_kb_request_is_run_once(
    console: Console, home: Installation, endpoint: Endpoint, as_form: bool
) -> None:
    """In the query it is one request line of 128 KB."""
    request = run_command(home, Padding="*" * (128 * 1_024 // 3))

    answer = await asyncio.to_thread(call, endpoint, "RunCommand", request, as_form=as_form)

    assert answer.status == 200, answer.body[:300]
    await ran_once(console, answer.json["InvokeId"])


async def test_10000_instances_are_one_call_one_invocation_and_one_stop(
    home: Installation, staff: Staff, endpoint: Endpoint
) -> None:
    """What began before the stop ran once; what had not begun never will; the tally holds all of them."""
    staff.worker()
    async with home.console(10_000, emptied=False) as console:
        key = (endpoint.key.id, endpoint.key.secret)
        with Client(endpoint.url, key) as client:
            request = RunCommand(
                type="RunShellScript",
                command_content=home.marking(),
                instance_id=ids(10_000),
                enable_parameter=True,
            )
            invoke_id = InvokeId((await asyncio.to_thread(client.send, request)).invoke_id)

            async def some_have_run() -> bool:
                return (await console.tally(invoke_id)).get(RunStatus.SUCCESS, 0) >= 20

            await eventually_async(some_have_run, within=60)
            await asyncio.to_thread(client.send, StopInvocation(invoke_id=invoke_id))

        tally = await console.closed(invoke_id, within=120)
        assert sum(tally.values()) == 10_000
        assert set(tally) <= {RunStatus.SUCCESS, RunStatus.TERMINATED, RunStatus.CANCELLED}
        assert tally[RunStatus.CANCELLED] > 5_000
        marked = home.marked(invoke_id)
        began = tally[RunStatus.SUCCESS] + tally.get(RunStatus.TERMINATED, 0)
        assert set(marked.values()) == {1}
        assert tally[RunStatus.SUCCESS] <= len(marked) <= began
