"""The main job, end to end, on this machine: `make demo`.

Starts an sshd of its own on loopback (each of 127.0.0.2 … 127.0.0.6 is an instance) and an installation
in a temporary directory, then types what a user would type. Without root there is no such sshd, and the
instances are this machine itself. Ends with 0 only if every step did what it should and nothing is left.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from tests.support.sshd import Sshd, private_sshd

INSTANCES = [f"i-{number}" for number in range(1, 6)]
CLOUDASSIST = str(Path(sys.executable).with_name("cloudassist"))
ROOT = Path(__file__).parents[2]
VENDOR_SDK = "examples/vendor_sdk.py"
ENDPOINT = "endpoint: http://"
"""What `up` says before the endpoint's address."""

HELLO = """echo "hello from {{ACS::InstanceId}}"
for step in 1 2 3; do echo "step $step of 3"; sleep 1; done
echo "{{greeting}}"
"""


class Demo:
    """One installation in `directory`, and somebody who uses it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {**os.environ, "CLOUDASSIST_DATA_DIR": str(directory / "data")}
        self.endpoint = ""
        """Host and port, once `up` has said it."""

    def type(self, *arguments: str, expect: int = 0, quiet: bool = False) -> str:
        """Run `cloudassist …` as typed; its standard output."""
        shown = " ".join(repr(word) if " " in word or "\n" in word else word for word in arguments)
        say(f"\n$ cloudassist {shown}")
        done = subprocess.run(
            [CLOUDASSIST, *arguments], env=self.environment, stdout=subprocess.PIPE, text=True, timeout=120
        )
        if not quiet:
            sys.stdout.write(done.stdout)
            sys.stdout.flush()
        check(done.returncode == expect, f"exit status {done.returncode}, expected {expect}")
        return done.stdout

    @contextmanager
    def up(self) -> Iterator[None]:
        """`cloudassist up`, from `ready` to the end of all it started."""
        say("\n$ cloudassist up &")
        process = subprocess.Popen(
            [CLOUDASSIST, "up", "--flower-port", "0", "--port", "0"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                say(f"  {line.rstrip()}")
                if line.startswith(ENDPOINT):
                    self.endpoint = line.removeprefix(ENDPOINT).split()[0]
                if line.strip() == "ready":
                    break
            check(process.poll() is None, "`cloudassist up` ended before it was ready")
            yield
        finally:
            say("\n$ kill %1   # SIGTERM: drain, and end everything")
            process.send_signal(signal.SIGTERM)
            rest, _ = process.communicate(timeout=60)
            say("".join(f"  {line}\n" for line in rest.splitlines()).rstrip())

    def register(self, sshd: Sshd | None) -> None:
        if sshd is None:
            for instance_id in INSTANCES:
                self.type("instance", "add", instance_id, "--host", "localhost", "--local")
            return
        rows = ["instance_id,host,port,user,identity,host_key,os_type,name,tags"]
        for number, instance_id in enumerate(INSTANCES, start=2):
            rows.append(
                f"{instance_id},127.0.0.{number},{sshd.port},root,{sshd.identity},{sshd.host_key},"
                f"linux,,env=demo"
            )
        table = self.directory / "instances.csv"
        table.write_text("\n".join(rows) + "\n")
        self.type("instance", "import", str(table))

    def vendors_sdk(self) -> None:
        """A program that knows nothing of us: the vendor's SDK, with our endpoint and a key of ours."""
        key = json.loads(
            self.type("key", "create", "--role", "admin", "--name", "demo", "--json", quiet=True)
        )
        say(f"\n$ ECS_ENDPOINT={self.endpoint} ALIBABA_CLOUD_ACCESS_KEY_ID=… python {VENDOR_SDK}")
        done = subprocess.run(
            [sys.executable, VENDOR_SDK],
            cwd=ROOT,
            env={
                **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
                "ECS_ENDPOINT": self.endpoint,
                "ALIBABA_CLOUD_ACCESS_KEY_ID": key["access_key_id"],
                "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key["access_key_secret"],
            },
            timeout=120,
        )
        check(done.returncode == 0, f"the vendor's SDK ended with exit status {done.returncode}")


def say(text: str) -> None:
    print(text, flush=True)


def check(truth: bool, otherwise: str) -> None:
    if not truth:
        sys.exit(f"the demo failed: {otherwise}")


def processes_of(invoke_id: str) -> list[int]:
    """Processes on this machine that belong to an invocation: they carry its id in their environment."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"CA_RUN_ID={invoke_id}".encode() in environ.read_bytes():
                found.append(int(environ.parent.name))
        except OSError:
            continue
    return found


def play(demo: Demo, sshd: Sshd | None) -> None:
    demo.register(sshd)
    with demo.up():
        demo.type("doctor")
        say("\n# one invocation on five instances")
        demo.type("run", HELLO, "--all", "-p", "greeting=done")
        say("\n# one that would run for five minutes, stopped on all of them")
        invoke_id = demo.type("run", "sleep 300 & sleep 300; wait", "--all", "--detach").strip()
        await_running(demo, invoke_id)
        check(bool(processes_of(invoke_id)), "no process of the invocation runs")
        demo.type("invocation", "stop", invoke_id)
        demo.type("invocation", "show", invoke_id)
        check(processes_of(invoke_id) == [], "processes are left after the stop")
        say("\n# no process of it is left")
        say("\n# the vendor's own SDK, with nothing changed but its endpoint and key")
        demo.vendors_sdk()
        demo.type("invocation", "ls")


def await_running(demo: Demo, invoke_id: str, within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        shown = json.loads(demo.type("invocation", "show", invoke_id, "--json", quiet=True))
        if shown["counts"] == {"Running": len(INSTANCES)}:
            return
    check(False, f"{invoke_id} is not running everywhere within {within_s:.0f} s")


def left_running(directory: Path) -> list[str]:
    """Command lines of processes that name the demo's directory."""
    lines = []
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = cmdline.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(directory) in line and int(cmdline.parent.name) != os.getpid():
            lines.append(line)
    return lines


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="cloudassist-demo-") as name:
        directory = Path(name)
        with private_sshd() if os.geteuid() == 0 else nullcontext() as sshd:
            play(Demo(directory), sshd)
        left = left_running(directory)
        check(left == [], f"left running: {left}")
    say("\nthat was it: everything has ended, nothing is left running")


main()
