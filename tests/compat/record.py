"""Record what this version writes, for this version and the next to be tested with.

    python -m tests.compat.record

writes `tests/compat/<version>/`: `store.json` and `broker.json` (all keys), `scene.json` (what is what).
Commit them with the change that made a new recording necessary; `CONTRIBUTING.md` says when that is.
"""

import asyncio
import base64
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.compat.dump import Dump, dumped, named
from tests.compat.scene import BOOT, MASTER_KEY, play
from tests.support.plane import Installation, private_installation
from tests.support.receiver import Receiver

__all__ = ["HERE", "RECORDED", "VERSION", "names_of", "opened", "read", "record", "wrapped"]

HERE = Path(__file__).parent
VERSION = version("cloudassist")
RECORDED = sorted(path.parent.name for path in HERE.glob("*/scene.json"))
"""Versions of which there is a recording."""


def names_of(home: Installation, receiver: Receiver) -> dict[str, str]:
    """What belongs to a machine and an installation, and is called by a name in a recording."""
    return {
        "HOME": str(home.directory),
        "SSHD": str(home.sshd.directory),
        "PORT": f'"port":{home.sshd.port},',
        "HOST_KEY": home.sshd.host_key,
        "RECEIVER": receiver.url,
        "BOOT": BOOT,
    }


async def record(home: Installation) -> dict[str, Any]:
    """The three parts of a recording, made anew on an empty installation."""
    receiver = Receiver()
    async with home.console(0, CLOUDASSIST_SECRET_KEY=MASTER_KEY, CLOUDASSIST_LATE_S="600") as console:
        worker = await console.worker()
        scene = await play(console, worker, receiver.url)
        names = names_of(home, receiver)
        store = named(dumped(home.valkey.url(0)), names)
        broker = named(opened(dumped(home.valkey.url(1))), names)
    return {"scene": asdict(scene), "store": store, "broker": broker}


def opened(broker: Dump) -> Dump:
    """With messages as they are, in place of their text: bodies can be read, and names put into them."""
    return {key: {**entry, "value": _each(entry, _opened_message)} for key, entry in broker.items()}


def wrapped(broker: Dump) -> Dump:
    """The inverse: as they stand in the broker."""
    return {key: {**entry, "value": _each(entry, _wrapped_message)} for key, entry in broker.items()}


def _each(entry: dict[str, Any], change: Any) -> Any:
    return [change(one) for one in entry["value"]] if entry["type"] == "list" else entry["value"]


def _opened_message(text: str) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(text)
    assert message["properties"]["body_encoding"] == "base64"
    headers = {**message["headers"], "origin": "gen1@recording"}  # which process of which machine
    return {**message, "headers": headers, "body": base64.b64decode(message["body"]).decode()}


def _wrapped_message(message: dict[str, Any]) -> str:
    return json.dumps({**message, "body": base64.b64encode(message["body"].encode()).decode()})


def read(recorded: str, part: str) -> Any:
    """A part of a recording."""
    return json.loads((HERE / recorded / f"{part}.json").read_text())


def main() -> None:
    with private_installation() as home:
        recording = asyncio.run(record(home))
    folder = HERE / VERSION
    folder.mkdir(exist_ok=True)
    for part, content in recording.items():
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=True)
        (folder / f"{part}.json").write_text(text + "\n")
    print(f"recorded {VERSION}: {len(recording['store'])} keys")


if __name__ == "__main__":
    main()
