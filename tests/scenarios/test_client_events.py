"""The Python client follows what happens, in this process and over HTTP, from a cursor and without a gap."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from cloudassist_tasks import AsyncClient, Client, DescribeEvents, Refused, WaitedTooLong, describe_error
from tests.support.endpoint import Endpoint, installation, served_installation  # noqa: F401
from tests.support.installation import Installation


@pytest.fixture(params=["in process", "over HTTP"])
def client(request: pytest.FixtureRequest, served_installation: Endpoint) -> Iterator[Client]:  # noqa: F811
    assert served_installation.installation is not None
    served_installation.installation.add("i-1", "i-2")
    if request.param == "in process":
        yield served_installation.client
    else:
        key = served_installation.key
        with Client(served_installation.url, (key.id, key.secret)) as client:
            yield client


def test_a_follower_sees_each_state_of_each_run_once(client: Client) -> None:
    cursor = client.events_cursor()
    invocation = client.run("echo ok", instances=["i-1", "i-2"])

    seen = []
    for event in client.events(cursor, invoke_id=invocation.id):
        assert type(event.status) is str
        seen.append((event.kind, event.instance_id, event.status, event.ended))
        if event.kind == "closed":
            break

    assert seen[0] == ("opened", "", "", False)
    assert seen[-1] == ("closed", "", "", True)
    for instance_id in ("i-1", "i-2"):
        states = [(status, ended) for kind, of, status, ended in seen if of == instance_id]
        assert states in (
            [("Running", False), ("Success", True)],
            [("Success", True)],
        )  # it may be that quick


def test_a_follower_goes_on_where_it_was(client: Client) -> None:
    cursor = client.events_cursor()
    invocation = client.run("echo ok", instances=["i-1"])
    invocation.wait(120)

    seen = []
    while "closed" not in seen:
        event = next(client.events(cursor))  # a follower that is restarted after each event
        seen.append(event.kind)
        cursor = event.cursor

    assert seen in (["opened", "run", "closed"], ["opened", "run", "run", "closed"])


def test_who_begins_now_hears_what_comes(client: Client) -> None:
    first: list[str] = []
    events = client.events()
    listener = threading.Thread(target=lambda: first.append(next(events).invoke_id))
    before = client.events_cursor()
    listener.start()

    ids = []
    while listener.is_alive():  # it may not have begun yet when the first one is opened
        ids.append(client.run("true", instances=["i-1"]).id)
        client.wait(ids[-1], timeout=120)
        listener.join(0.05)

    assert first[0] in ids
    assert before < client.events_cursor()


def test_a_wait_that_is_too_long_says_so(client: Client) -> None:
    invocation = client.run("sleep 600", instances=["i-1"], timeout=600)

    with pytest.raises(WaitedTooLong):
        client.wait(invocation.id, timeout=0.2)

    invocation.stop()
    assert client.wait(invocation.id, timeout=120).status == "Stopped"


def test_what_is_no_cursor_is_refused(client: Client) -> None:
    with pytest.raises(Refused) as refusal:
        next(client.events("yesterday"))

    assert describe_error(refusal.value).startswith("InvalidCursor.Malformed")


def test_events_come_in_pages_too(client: Client) -> None:
    cursor = client.events_cursor()
    invocation = client.run("true", instances=["i-1"])
    invocation.wait(120)

    first = client.send(DescribeEvents(after=cursor, limit=2))
    rest = client.send(DescribeEvents(after=first.cursor))
    none = client.send(DescribeEvents(after=rest.cursor, within=1))

    kinds = [event.kind for event in (*first.events, *rest.events)]
    assert kinds in (["opened", "run", "closed"], ["opened", "run", "run", "closed"])
    assert (list(none.events), none.cursor) == ([], rest.cursor)


async def test_many_follow_at_once(installation: Installation) -> None:  # noqa: F811
    installation.add("i-1")
    async with AsyncClient() as client:
        cursor = await client.events_cursor()

        async def closed() -> str:
            async for event in client.events(cursor):
                if event.kind == "closed":
                    return event.invoke_id
            raise AssertionError("events never end")

        following = [asyncio.create_task(closed()) for _ in range(20)]
        invocation = await client.run("true", instances=["i-1"])
        async with asyncio.timeout(30):
            heard = await asyncio.gather(*following)

    assert set(heard) == {invocation.id}
