"""The `PowerSwitch` port: an owner's command line, run by `/bin/sh` on the worker's own machine."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping

from cloudassist_tasks.ports.power import CommandEnd

KEPT_BYTES = 4_096
"""Of what a command says, the end is looked at."""
SAID_CHARS = 200
LAST_WORDS_S = 0.5
"""How long the output of a command that has ended is waited for."""
WITHHELD = "CLOUDASSIST_"
"""Our own settings (they may hold the store's password) are not for the command."""


class ShellSwitch:
    """`ports.power.PowerSwitch`."""

    async def run(self, command: str, environment: Mapping[str, str], *, within_s: float) -> CommandEnd:
        """In a session of its own, without input."""
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**_inherited(), **environment},
            start_new_session=True,
        )
        assert process.stdout is not None
        said = bytearray()
        reading = asyncio.ensure_future(_read(process.stdout, said))
        try:
            async with asyncio.timeout(within_s):
                await process.wait()
        except TimeoutError:
            pass  # told by the exit code, unless it had ended while we were stopped
        finally:
            if process.returncode is None:
                _kill(process.pid)
                await process.wait()
            # what it left behind may go on and hold its output open: that is its owner's business
            await asyncio.wait([reading], timeout=LAST_WORDS_S)
            reading.cancel()
        killed = process.returncode is None or process.returncode < 0
        return CommandEnd(exit_code=None if killed else process.returncode, said=_last_line(bytes(said)))


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(WITHHELD)}


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


async def _read(stream: asyncio.StreamReader, said: bytearray) -> None:
    while piece := await stream.read(KEPT_BYTES):
        said += piece
        del said[:-KEPT_BYTES]


def _last_line(said: bytes) -> str:
    lines = said.decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return "".join(char if char.isprintable() else " " for char in last)[:SAID_CHARS]
