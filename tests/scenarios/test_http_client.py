"""`Client(url, key)`: the library over the endpoint, against a real one with a worker behind it."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from cloudassist_tasks.client.client import AsyncClient
from cloudassist_tasks.client.door import Client
from cloudassist_tasks.client.invocation import WaitedTooLong
from cloudassist_tasks.contract.commands import DescribeCommands
from cloudassist_tasks.contract.errors import Answered
from cloudassist_tasks.contract.invocations import DescribeInvocations, RunCommand
from cloudassist_tasks.domain.errors import Broken, Kind, Refused
from tests.support.endpoint import Endpoint, installation, served_installation  # noqa: F401


@pytest.fixture
def client(served_installation: Endpoint) -> Iterator[Client]:  # noqa: F811
    """A client that knows an address and a key, nothing else."""
    key = served_installation.key
    with Client(served_installation.url, (key.id, key.secret)) as opened:
        yield opened


def test_a_script_runs_and_its_results_come_as_they_end(
    client: Client,
    served_installation: Endpoint,  # noqa: F811
) -> None:
    assert served_installation.installation is not None
    ids = served_installation.installation.add("i-1", "i-2")

    invocation = client.run("echo hello from {{ACS::InstanceId}}", instances=ids)

    outputs = {run.instance_id: run.output for run in invocation}
    assert outputs == {"i-1": "hello from i-1\n", "i-2": "hello from i-2\n"}
    assert invocation.wait(timeout=120).status == "Success"


def test_waiting_can_be_given_up_and_a_stop_is_seen(
    client: Client,
    served_installation: Endpoint,  # noqa: F811
) -> None:
    assert served_installation.installation is not None
    ids = served_installation.installation.add("i-1")
    invocation = client.run("sleep 600", instances=ids)

    with pytest.raises(WaitedTooLong):
        invocation.wait(timeout=0.3)
    invocation.stop()

    assert invocation.wait(timeout=120).status == "Stopped"


def test_a_refusal_has_its_kind_its_code_and_the_request_id(client: Client) -> None:
    with pytest.raises(Refused) as refused:
        client.run("true", instances=["i-unknown"])

    error = refused.value
    assert isinstance(error, Answered)
    assert (error.kind, error.code, error.status) == (
        Kind.INSTANCE_NOT_FOUND,
        "InvalidInstance.NotFound",
        404,
    )
    assert len(error.request_id) == 36


def test_what_an_operation_answers_is_what_it_answers_in_process(
    client: Client,
    served_installation: Endpoint,  # noqa: F811
) -> None:
    client.create_command(
        "listed", "echo {{name}}", description="héllo 名 *~+/=&", tags={"env": "prod", "e": ""}
    )

    over_http = client.send(DescribeCommands(name="listed"))
    in_process = served_installation.client.send(DescribeCommands(name="listed"))

    assert over_http.commands == in_process.commands
    assert over_http.request_id != ""


def test_many_instances_travel_in_one_call(
    client: Client,
    served_installation: Endpoint,  # noqa: F811
) -> None:
    assert served_installation.installation is not None
    ids = served_installation.installation.add(*[f"i-{number}" for number in range(60)])
    unknown = [f"i-unknown-{number:06}" for number in range(20_000)]

    invocation = client.run("true", instances=ids)

    assert invocation.wait(timeout=120).counts == {"Success": 60}
    with pytest.raises(Refused) as refused:
        client.run("true", instances=unknown)
    assert refused.value.kind is Kind.INSTANCE_NOT_FOUND


def test_a_wrong_secret_or_no_key_at_all_is_refused(served_installation: Endpoint) -> None:  # noqa: F811
    key = served_installation.key

    with Client(served_installation.url, (key.id, "wrong")) as wrong, pytest.raises(Answered) as refused:
        wrong.send(DescribeCommands())
    with pytest.raises(Refused) as no_key:
        Client(served_installation.url)

    assert refused.value.kind is Kind.SIGNATURE_MISMATCH
    assert no_key.value.kind is Kind.BAD_SETTING


def test_what_is_no_endpoint_is_broken_and_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()

        def answer() -> None:
            try:
                while True:
                    connection, _ = listener.accept()
                    connection.recv(65_536)
                    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                    connection.close()
            except OSError:  # the listener was closed
                return

        threading.Thread(target=answer, daemon=True).start()
        with Client(f"http://{host}:{port}", "id:secret") as client, pytest.raises(Broken) as broken:
            client.send(DescribeCommands())
        listener.shutdown(socket.SHUT_RDWR)

    assert f"{host}:{port} cannot be used: what answers does not speak HTTP" in str(broken.value)


async def test_an_answer_that_was_lost_is_asked_for_again_and_nothing_runs_twice(
    served_installation: Endpoint,  # noqa: F811
) -> None:
    """Between client and endpoint stands a relay that loses the first answer."""
    assert served_installation.installation is not None
    (instance_id,) = served_installation.installation.add("i-1")
    lost = 0

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal lost
        there, out = await asyncio.open_connection(served_installation.host, served_installation.port)
        request = await reader.readuntil(b"\r\n\r\n")
        request += await reader.readexactly(int(request.partition(b"content-length: ")[2].split(b"\r")[0]))
        out.write(request)
        answer = await there.readuntil(b"}")
        if not lost:
            lost += 1
        else:
            writer.write(answer)
        writer.close()
        out.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    key = served_installation.key
    before = await _invocations(served_installation)
    request = RunCommand(
        type="RunShellScript",
        command_content="true",
        instance_id=[instance_id],
        region_id="r",
    )

    async with AsyncClient(f"http://127.0.0.1:{port}", (key.id, key.secret)) as client:
        opened = await client.send(request)
    server.close()

    assert lost == 1
    after = await _invocations(served_installation)
    assert after - before == {opened.invoke_id}


async def _invocations(endpoint: Endpoint) -> set[str]:
    key = endpoint.key
    async with AsyncClient(endpoint.url, f"{key.id}:{key.secret}") as client:
        found = await client.send(DescribeInvocations(page_size=50))
    return {item.invoke_id for item in found.invocations}
