"""Whatever is sent to the endpoint: an answer comes, it is JSON, and it is no failure of ours.

`CLOUDASSIST_FUZZ_REQUESTS` says how many requests are sent (3,000).
"""

import asyncio
import os
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cloudassist_tasks.contract.catalogue import OPERATIONS
from cloudassist_tasks.contract.wire import fields_of
from tests.parity.requests import RIGHT, request, with_ids
from tests.parity.world import SWITCHED, add_instances, make_things
from tests.support.endpoint import Endpoint, endpoint_alone  # noqa: F401
from tests.support.fuzzing import Asked, Seen, check, each_parameter, requests, send
from tests.support.signed import SignedCaller

REQUESTS = int(os.environ.get("CLOUDASSIST_FUZZ_REQUESTS", "3000"))


@pytest.fixture(scope="module")
def ids(endpoint_alone: Endpoint) -> Mapping[str, str]:  # noqa: F811 - the fixture
    """Things of every sort, by the names that requests have for them."""
    asyncio.run(add_instances(endpoint_alone.client))
    return make_things(endpoint_alone.client)


@pytest.fixture(scope="module")
def caller(endpoint_alone: Endpoint) -> Iterator[SignedCaller]:  # noqa: F811 - the fixture
    """An admin of the vendor's clients."""
    with SignedCaller(endpoint_alone) as opened:
        yield opened


def test_no_request_breaks_the_endpoint(
    endpoint_alone: Endpoint,  # noqa: F811 - the fixture
    caller: SignedCaller,
    ids: Mapping[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen = Seen()
    right = {action: with_ids(request(action, {}), ids) for action in RIGHT}
    known = ["i-1", "i-2", *SWITCHED, *ids.values()]

    wanted = requests(known, right)

    @settings(
        max_examples=REQUESTS,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def ask(data: st.DataObject) -> None:
        asked = data.draw(wanted)
        reply = send(caller, asked)
        seen.add(asked, reply)
        check(asked, reply)

    for asked in each_parameter(right):
        reply = send(caller, asked)
        seen.add(asked, reply)
        check(asked, reply)
    ask()

    with capsys.disabled():
        print(f"\nfuzz: {seen}")
    assert seen.actions >= set(OPERATIONS)
    for action, operation in OPERATIONS.items():
        wires = {name.partition(".")[0] for name in seen.names[action]}
        assert {one.wire for one in fields_of(operation)} <= wires, action
    assert max(seen.statuses) < 500
    assert "call_failed" not in endpoint_alone.log_text()
    assert send(caller, Asked("DescribeRegions", {}, "POST", "v3")).status == 200
