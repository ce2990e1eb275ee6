"""R7: a script, its parameters and a file stand in the store and on their hosts, and nowhere else."""

import base64
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from cloudassist_tasks.domain.status import RunStatus
from tests.processes.conftest import Crew
from tests.support.eventually import eventually
from tests.support.gates import until
from tests.support.plane import Console, Installation

SCRIPT_MARK, VALUE_MARK, FILE_MARK = "ScriptMark7f3a91", "ValueMark52c08e", "FileMark90d1b7"
MARKS = (SCRIPT_MARK, VALUE_MARK, FILE_MARK)


def _in_clear(text: str) -> list[str]:
    """The text, and what stands in it in Base64, as message bodies do."""
    decoded = [text]
    for piece in re.findall(r"[A-Za-z0-9+/=]{16,}", text):
        try:
            decoded.append(base64.b64decode(piece).decode(errors="replace"))
        except ValueError:
            pass  # not Base64
    return decoded


def _marks_in(text: str) -> list[str]:
    return [mark for mark in MARKS if any(mark in one for one in _in_clear(text))]


def _dump(client: "redis.Redis") -> str:
    """Everything that a database holds, as text."""
    readers: dict[str, Any] = {
        "string": client.get,
        "list": lambda key: client.lrange(key, 0, -1),
        "set": client.smembers,
        "hash": client.hgetall,
        "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        "none": lambda key: "",  # gone since it was listed
    }
    keys: list[Any] = client.keys("*")
    return "\n".join(f"{key} {readers[str(client.type(key))](key)}" for key in keys)


def _arguments() -> str:
    """What `ps` shows of every process, with the environment of none."""
    return subprocess.run(["ps", "-eww", "-o", "args="], capture_output=True, text=True, check=True).stdout


@contextmanager
def _all_published(client: "redis.Redis") -> Iterator[list[str]]:
    """What is sent over pub/sub: Celery's events and control, our wake-ups."""
    heard: list[str] = []
    pubsub = client.pubsub()  # type: ignore[no-untyped-call]
    pubsub.psubscribe(**{"*": lambda message: heard.append(str(message))})
    thread = pubsub.run_in_thread(sleep_time=0.05, daemon=True)
    try:
        yield heard
    finally:
        thread.stop()
        thread.join(timeout=5)
        pubsub.close()


async def test_a_secret_is_in_no_message_log_event_error_or_argument(
    console: Console, home: Installation, crew: Crew
) -> None:
    gate = home.directory / "secret"
    script = home.marking(f"# {SCRIPT_MARK}\n: '{{{{word}}}}'\n{until(gate)}")
    fields: dict[str, Any] = {"parameters": {"word": VALUE_MARK}}
    broker = home.valkey.client(1)
    with home.beat() as beat, _all_published(broker) as heard:
        crew.none()  # messages wait where they can be read
        (good,) = await console.launch(script, "i-1", **fields)
        (bad,) = await console.launch(script, "i-2", username="nobody-there", **fields)
        (stopped,) = await console.launch(script, "i-3", **fields)
        (launched,) = await console.launch(script, "i-4", launcher="sh {{ACS::ScriptFileName}}", **fields)
        (file,) = await console.send_file(FILE_MARK, home.directory, "i-5")
        (taken,) = await console.send_file(FILE_MARK, home.directory, "i-6", name="marks")
        dumps = [_dump(broker)]
        worker = crew.another()
        for key in (good, stopped, launched):
            await console.reaches(key, RunStatus.RUNNING)
        arguments = _arguments()
        await console.stop(stopped.invoke_id)
        gate.touch()
        every = (good, bad, stopped, launched, file, taken)
        for key in every:
            await console.closed(key.invoke_id)
        dumps.append(_dump(broker))
        eventually(lambda: "task-succeeded" in "".join(_in_clear("".join(heard))))
        assert beat.poll() is None
    logs = worker.log + "".join(file.read_text() for file in home.directory.glob("beat-*.log"))
    errors = [str(await console.run(key)) for key in every]
    opened = [await console.invocation(key.invoke_id) for key in (good, file)]
    broker.close()

    assert _marks_in("\n".join(dumps)) == []
    assert _marks_in("\n".join(heard)) == []
    assert _marks_in(arguments) == []
    assert _marks_in(logs) == []
    assert _marks_in("\n".join(errors)) == []
    assert _marks_in(repr(opened)) == []
    assert (await console.run(good)).status == RunStatus.SUCCESS
    assert (await console.run(bad)).status == RunStatus.INVALID
    assert (await console.run(file)).status == RunStatus.SUCCESS
