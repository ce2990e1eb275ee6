"""The real helper, installed and called on this machine without SSH: frames, channels, processes."""

import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from cloudassist_tasks.transports.remote.helper_source import install_command, install_input

__all__ = [
    "Channel",
    "Frame",
    "Host",
    "busybox_applets",
    "encoded",
    "install",
    "joined",
    "payload",
    "prepared",
    "toolbox",
    "union",
]

NONCE = "n0nce"
STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LONG_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One line of an answer and the bytes that follow it."""

    facts: dict[str, str]
    body: bytes = b""

    def __getitem__(self, key: str) -> str:
        return self.facts.get(key, "")


class Channel:
    """A helper process that is attached to us, as to an SSH channel."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environment),
            start_new_session=True,
        )
        self._unread = b""

    def __enter__(self) -> "Channel":
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def let_go(self) -> None:
        """End our side, as a client does that leaves, or a connection that drops."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass

    def frame(self, within: float = LONG_S) -> Frame:
        """The next one."""
        deadline = time.monotonic() + within
        while b"\n" not in self._unread:
            self._read_more(deadline)
        line, self._unread = self._unread.split(b"\n", 1)
        mark, nonce, *pairs = line.decode().split(" ")
        assert [mark, nonce] == ["CA1", NONCE], line
        facts = dict(pair.split("=", 1) for pair in pairs)
        length = int(facts["out"])
        while len(self._unread) < length:
            self._read_more(deadline)
        body, self._unread = self._unread[:length], self._unread[length:]
        return Frame(facts=facts, body=body)

    def frames(self, within: float = LONG_S) -> list[Frame]:
        """All up to the last of the answer."""
        answer = [self.frame(within)]
        while answer[-1]["more"]:
            answer.append(self.frame(within))
        return answer

    def ended(self, within: float = LONG_S) -> int:
        return self.process.wait(within)

    def _read_more(self, deadline: float) -> None:
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        poll = select.poll()  # select() knows no descriptor above 1,023, and hundreds of runs have more
        poll.register(descriptor, select.POLLIN)
        ready = poll.poll(max(0.0, deadline - time.monotonic()) * 1_000)
        data = os.read(descriptor, 65536) if ready else b""
        if not data:
            raise AssertionError(f"no frame, {'the end' if ready else 'silence'}; unread: {self._unread!r}")
        self._unread += data


@dataclass(kw_only=True)
class Host:
    """A base directory of this machine with the helper in it."""

    base: Path
    spool: Path
    command: list[str]
    """Shell and helper, with a prefix that changes the user where there is one."""
    environment: dict[str, str]
    facts: dict[str, str] = field(default_factory=dict)
    """What `prepare` answered."""

    def new_id(self) -> str:
        return f"t-{uuid.uuid4().hex[:12]}"

    def channel(self, *arguments: object) -> Channel:
        return Channel([*self.command, *map(str, arguments)], self.environment)

    def call(self, *arguments: object) -> list[Frame]:
        with self.channel(*arguments) as channel:
            return channel.frames()

    def launch(self, run_id: str, script: str | bytes, **spec: object) -> list[Frame]:
        """Launch and follow to the end; the frames after the greeting."""
        with self.launched(run_id, script, **spec) as channel:
            return channel.frames()

    def ended(self, run_id: str, script: str | bytes, **spec: object) -> Frame:
        """Launch and follow; the last frame, with all of the output: a slow run's comes in earlier ones."""
        frames = self.launch(run_id, script, **spec)
        return Frame(facts=frames[-1].facts, body=joined(frames))

    def launched(self, run_id: str, script: str | bytes, **spec: object) -> Channel:
        """Launch; the channel, its greeting read and the payload sent."""
        channel = self.channel("launch", run_id, NONCE)
        greeting = channel.frame()
        assert greeting["more"], greeting
        channel.send(payload(script, **spec))
        return channel

    def start(self, run_id: str, script: str | bytes, **spec: object) -> None:
        """Launch and let go once the script has started."""
        with self.launched(run_id, script, **spec) as channel:
            frame = channel.frame()
            assert frame["started"], frame

    def status(self, run_id: str) -> Frame:
        return self.call("status", run_id, NONCE)[-1]

    def cancel(self, run_id: str) -> Frame:
        return self.call("cancel", run_id, NONCE)[-1]

    def output(self, run_id: str, begin: int = 0) -> list[Frame]:
        return self.call("output", run_id, NONCE, begin)

    def identity(self, run_id: str, name: str) -> int:
        """The process id in a file of the run: `started` (supervisor), `child`, `leader`."""
        return int((self.base / run_id / name).read_text().split()[1])

    def processes(self) -> list[int]:
        """What runs on behalf of this host: its helpers, and what works in its spool."""
        marks = (str(self.base).encode(), str(self.spool).encode())
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if any(mark in command for mark in marks) and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        return found

    def remove(self) -> None:
        """End what is left of the host, by process id, and delete it."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for directory in (self.base, self.spool):
            shutil.rmtree(directory, ignore_errors=True)


def joined(frames: Sequence[Frame]) -> bytes:
    """The output in them, one after the other."""
    return b"".join(frame.body for frame in frames)


def union(frames: Sequence[Frame], size: int, begin: int = 0) -> bytes:
    """So many bytes of the stream from `begin` on, each frame's in its place; zeros where none has any."""
    whole = bytearray(size)
    for frame in frames:
        start = int(frame["from"] or 0) - begin
        low, high = max(0, start), min(size, start + len(frame.body))
        if low < high:
            whole[low:high] = frame.body[low - start : high - start]
    return bytes(whole)


def payload(script: str | bytes, **spec: object) -> bytes:
    """The header and the script: `text=True` sends it by lines, everything else is a key of the spec."""
    data = script if isinstance(script, bytes) else script.encode()
    by_lines = spec.pop("text", False)
    header = "".join(f"{key}={value}\n" for key, value in spec.items()) + f"len={len(data)}\n"
    if by_lines:
        data = data if data.endswith(b"\n") else data + b"\n"
        header += f"lines={data.count(bytes([10]))}\n"
    return f"{header}--\n".encode() + data


def encoded(value: str) -> str:
    """As the protocol wants a value."""
    return quote(value, safe="/:@,+-._~")


def install(
    *,
    base: Path | None,
    shell: str | None,
    environment: Mapping[str, str],
    prefix: Sequence[str] = (),
    text: bytes | None = None,
) -> Frame:
    """Run the installer as a login shell would; its answer."""
    command = install_command(NONCE, base=str(base) if base else None, shell=shell)
    done = subprocess.run(
        [*prefix, "/bin/sh", "-c", command],
        input=install_input() if text is None else text,
        stdout=subprocess.PIPE,
        env=dict(environment),
        check=False,
    )
    line = done.stdout.decode().splitlines()[-1].split(" ")
    return Frame(facts=dict(pair.split("=", 1) for pair in line[2:]))


@contextmanager
def prepared(
    shell: str | None = None,
    *,
    path: str = STANDARD_PATH,
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    base: Path | None = None,
) -> Iterator[Host]:
    """A host of its own; removed at the end."""
    scratch = Path(tempfile.mkdtemp(prefix="ca-test-"))
    scratch.chmod(0o777 if prefix else 0o711)
    variables = {"PATH": path, "HOME": "/root", "LANG": "C.UTF-8", **(environment or {})}
    base = base or scratch / "base"
    facts = install(base=base, shell=shell, environment=variables, prefix=prefix).facts
    assert "err" not in facts, facts
    command = [*prefix, *facts["shell"].replace("%20", " ").split(), facts["path"]]
    host = Host(base=base, spool=Path(facts["spool"]), command=command, environment=variables, facts=facts)
    try:
        yield host
    finally:
        host.remove()
        shutil.rmtree(scratch, ignore_errors=True)


TOOLS = (
    "cat chmod chown cp dd env find grep head id kill ln ls mkdir mkfifo mv rm sed sha256sum sleep tail"
    " tr true uname wc"
)


def busybox_applets(directory: Path) -> str:
    """A PATH on which every tool of the helper is busybox."""
    directory.mkdir()
    busybox = shutil.which("busybox")
    assert busybox, "these tests need busybox"
    applets = subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, check=True).stdout.decode().split()
    for tool in [*TOOLS.split(), "setsid", "sh", "pgrep"]:
        if tool in applets:
            (directory / tool).symlink_to(busybox)
    return f"{directory}:{STANDARD_PATH}"


def toolbox(directory: Path, *more: str) -> str:
    """A PATH with the helper's tools and `more` alone (its name keeps the helper from adding to it)."""
    place = directory / "sbin"
    place.mkdir(parents=True)
    directory.chmod(0o711)
    for tool in [*TOOLS.split(), "sh", "dash", *more]:
        found = shutil.which(tool, path=STANDARD_PATH)
        assert found, f"these tests need {tool}"
        (place / tool).symlink_to(found)
    return str(place)
