"""The way to the server: what leaves together, who is cancelled, other addresses, forks and the end."""

import asyncio
import gc
import os
import ssl
import time
import traceback
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cloudassist_tasks.domain.errors import Broken, Kind, Refused
from cloudassist_tasks.store.link import MAX_CONNECTIONS, Link
from tests.ports.store.pausing import in_a_hurry, paused
from tests.support.valkey import ValkeyServer, private_valkey


@pytest.fixture
async def link(store_server: ValkeyServer) -> AsyncIterator[Link]:
    opened = Link(store_server.url(), answer_within_s=60)
    await opened.call("FLUSHDB")
    yield opened
    await opened.close()


async def test_many_callers_share_few_connections_and_each_gets_its_own_answer(
    link: Link, store_server: ValkeyServer
) -> None:
    async def ask(n: int) -> list[bytes]:
        return [await link.call("ECHO", f"{n}.{step}") for step in range(5)]

    answers = await asyncio.gather(*[ask(n) for n in range(500)])

    assert answers == [[f"{n}.{step}".encode() for step in range(5)] for n in range(500)]
    names = [each["name"] for each in store_server.client().client_list()]
    assert 1 <= names.count("cloudassist-store") <= MAX_CONNECTIONS


async def test_one_connection_serves_callers_that_come_as_it_is_let_go(store_server: ValkeyServer) -> None:
    link = Link(store_server.url(), max_connections=1)

    async def ask(n: int) -> list[bytes]:
        return [await link.call("ECHO", f"{n}.{step}") for step in range(20)]

    async with asyncio.timeout(60):
        answers = [await ask(0), *await asyncio.gather(*[ask(n) for n in range(1, 50)])]

    assert answers == [[f"{n}.{step}".encode() for step in range(20)] for n in range(50)]
    await link.close()


async def test_closing_before_a_command_has_left_tells_its_caller(store_server: ValkeyServer) -> None:
    link = Link(store_server.url())
    asking = asyncio.gather(*[link.call("PING") for _ in range(3)], return_exceptions=True)
    await asyncio.sleep(0)  # they have asked; nothing has left

    await link.close()

    async with asyncio.timeout(60):
        assert {type(answer) for answer in await asking} == {Broken}


async def test_callers_on_other_connections_go_on_while_one_waits(
    link: Link, store_server: ValkeyServer
) -> None:
    with paused(store_server) as server:
        writing = asyncio.create_task(link.call("INCR", "k"))
        await server.has(connections=1)

        async with asyncio.timeout(30):  # less than the server pauses
            read = await asyncio.gather(*[link.call("ECHO", str(n)) for n in range(200)])

        assert read == [str(n).encode() for n in range(200)]
        assert not writing.done()
    assert await writing == 1


async def test_a_refused_command_does_not_touch_what_left_with_it(link: Link) -> None:
    await link.call("SET", "text", "x")

    *good, bad, worse = await asyncio.gather(
        link.batch([("SET", "a", 1), ("INCR", "a")]),
        link.call("GET", "text"),
        link.call("INCR", "text"),
        link.batch([("INCR", "a"), ("NOSUCH",)]),
        return_exceptions=True,
    )

    assert good == [[b"OK", 2], b"x"]
    assert isinstance(bad, Broken)
    assert str(bad).endswith("refused a command: ERR value is not an integer or out of range")
    assert isinstance(worse, Broken)
    assert "refused a command: ERR unknown command" in str(worse)
    assert await link.call("GET", "a") == b"3"


async def test_the_answer_to_a_cancelled_caller_reaches_nobody_else(
    link: Link, store_server: ValkeyServer
) -> None:
    with paused(store_server) as server:
        asking = [asyncio.create_task(link.call("INCRBY", f"k{n}", n + 1)) for n in range(40)]
        await server.has(connections=1)
        for n in range(0, 40, 2):
            asking[n].cancel()
        await asyncio.wait(asking[::2])
        later = asyncio.create_task(link.call("INCRBY", "later", 1_000))
        await server.has(connections=2)

    assert [await each for each in asking[1::2]] == list(range(2, 41, 2))
    assert all(each.cancelled() for each in asking[::2])
    assert await later == 1_000
    echoes = await asyncio.gather(*[link.call("ECHO", str(n)) for n in range(100)])
    assert echoes == [str(n).encode() for n in range(100)]


async def test_a_caller_cancelled_before_its_turn_sends_nothing(link: Link) -> None:
    first = asyncio.create_task(link.call("INCR", "k"))
    second = asyncio.create_task(link.call("INCR", "k"))
    second.cancel()

    await asyncio.gather(first, second, return_exceptions=True)

    assert await link.call("GET", "k") == b"1"


async def test_an_answer_that_came_too_late_reaches_nobody(store_server: ValkeyServer) -> None:
    link = Link(store_server.url())
    await link.call("SET", "k", 5)
    with paused(store_server), in_a_hurry(link, 0.2), pytest.raises(Broken, match=r"no answer within 0\.2 s"):
        await link.call("INCRBY", "k", 2)
    other = Link(store_server.url())

    answers = [await link.call("ECHO", "next"), *await link.batch([("ECHO", "a"), ("ECHO", "b")])]

    assert answers == [b"next", b"a", b"b"]
    assert int(await other.call("GET", "k")) in (5, 7)  # the caller was told that nobody knows
    await link.close()
    await other.close()


async def test_an_answer_that_came_while_we_were_stopped_counts(store_server: ValkeyServer) -> None:
    """The server answers after 0.1 s; when we look, our time is over."""
    link = Link(store_server.url())
    await link.call("PING")
    with in_a_hurry(link, 0.5):
        asked = asyncio.create_task(link.call("BLPOP", "nothing", 0.1))
        asyncio.get_running_loop().call_later(0.05, time.sleep, 2)

        assert await asked is None
    await link.close()


async def test_closing_ends_the_wait_and_the_link_can_be_used_again(store_server: ValkeyServer) -> None:
    link = Link(store_server.url(), answer_within_s=60)
    with paused(store_server) as server:
        asking = asyncio.create_task(link.call("INCR", "k"))
        await server.has(connections=1)
        await link.close()
        with pytest.raises(Broken, match="closed"):
            await asking

    assert await link.call("PING") == b"PONG"
    await link.close()


def test_an_event_loop_that_ends_in_the_middle_leaves_no_warning(store_server: ValkeyServer) -> None:
    async def work() -> None:
        link = Link(store_server.url(), answer_within_s=60)
        await asyncio.gather(*[link.call("ECHO", str(n)) for n in range(20)])
        with paused(store_server) as server:
            asking = asyncio.create_task(link.call("INCR", "k"))
            await server.has(connections=1)
            asking.cancel()
            await link.close()

    gc.collect()  # what other tests have left is theirs
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        asyncio.run(work())
        gc.collect()

    assert [str(each.message) for each in said] == []


async def test_a_forked_child_has_a_link_of_its_own_and_its_parent_s_goes_on(
    link: Link, store_server: ValkeyServer
) -> None:
    await asyncio.gather(*[link.call("ECHO", str(n)) for n in range(50)])

    async def childs_work() -> None:
        own = Link(store_server.url())
        answers = await asyncio.gather(*[own.call("ECHO", f"c{n}") for n in range(50)])
        assert answers == [f"c{n}".encode() for n in range(50)]
        await own.close()

    child = os.fork()
    if child == 0:
        try:
            asyncio.run(childs_work())
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    parents = await asyncio.gather(*[link.call("ECHO", f"p{n}") for n in range(200)])
    _, status = await asyncio.to_thread(os.waitpid, child, 0)

    assert parents == [f"p{n}".encode() for n in range(200)]
    assert os.waitstatus_to_exitcode(status) == 0


# -- addresses


async def test_a_server_on_tcp_takes_name_and_password(unused_port: int) -> None:
    with private_valkey() as server:
        server.client().config_set("port", unused_port)
        server.client().acl_setuser("app", enabled=True, passwords=["+hush"], keys="*", categories=["+@all"])
        right = Link(f"redis://app:hush@127.0.0.1:{unused_port}/3")
        wrong = Link(f"redis://app:quiet@127.0.0.1:{unused_port}/3")

        await right.call("SET", "k", "v")
        with pytest.raises(Broken, match="does not accept our name or password") as broken:
            await wrong.call("PING")

        assert server.client(db=3).get("k") == "v"
        assert str(right.address) == f"127.0.0.1:{unused_port} (db 3)"
        assert "quiet" not in "".join(traceback.format_exception(broken.value))
        await right.close()


async def test_a_server_behind_tls_is_reached_if_its_certificate_is_right(
    store_server: ValkeyServer, tmp_path: Path
) -> None:
    certificate, key = _certificate(tmp_path)
    async with _tls_front(store_server, certificate, key) as port:
        trusting = Link(f"rediss://localhost:{port}/0?ssl_ca_certs={certificate}")
        doubting = Link(f"rediss://localhost:{port}/0", pauses_s=())

        answers = await asyncio.gather(*[trusting.call("ECHO", str(n)) for n in range(50)])
        with pytest.raises(Broken, match="certificate verify failed"):
            await doubting.call("PING")

        assert answers == [str(n).encode() for n in range(50)]
        await trusting.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hush@host",
        "unix://",
        "redis://:hush@host:port/0",
        "redis://:hush@host/0?no_such_option=1",
        "redis://:hush@host/0?socket_timeout=hush",
    ],
)
def test_a_url_that_will_not_do_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(Refused) as refused:
        Link(url)

    assert refused.value.kind == Kind.BAD_SETTING
    assert "hush" not in "".join(traceback.format_exception(refused.value)).replace(url, "")


async def test_options_in_the_url_do_not_change_how_answers_look(store_server: ValkeyServer) -> None:
    link = Link(store_server.url() + "&protocol=3&decode_responses=1&max_connections=1")

    await link.batch([("DEL", "h"), ("HSET", "h", "field", "value")])

    assert await link.call("HGETALL", "h") == [b"field", b"value"]
    await link.close()


def _certificate(directory: Path) -> tuple[Path, Path]:
    """Of localhost, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "certificate.pem", directory / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    paths[1].write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    return paths


@asynccontextmanager
async def _tls_front(server: ValkeyServer, certificate: Path, key: Path) -> AsyncIterator[int]:
    """A TLS end in front of the server, as managed ones have it: Valkey's own is not in every binary."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # one side has hung up
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(server.socket)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as front:
        yield int(front.sockets[0].getsockname()[1])
