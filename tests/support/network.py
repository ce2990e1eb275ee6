"""Network namespaces for a test: the plane in one, hosts in others, and links between them that fail.

    with private_network() as network:                     # skips, or fails in CI, where it is not permitted
        far = network.host()                               # a link of its own; the host is at far.address
        with private_sshd(within=far.command()) as sshd:   # any process, by the words before its command
            instance = sshd.instance("i-far", far.address)
            with home.worker(within=network.plane.command()):
                far.swallow()                              # a black hole; far.heal() ends every fault

Nothing of it is seen by the machine: no name in /run/netns, no device in its own network. A namespace lives
as long as a process in it, and the one that holds it ends with whoever made it, however that one ended.
Store and broker are reached from every namespace by their unix socket.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest

from tests.support.eventually import eventually

__all__ = ["Link", "Namespace", "Network", "private_network", "why_not_permitted"]

TABLE = "inet faults"


class Namespace:
    """A network namespace with nothing but a loopback device."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE)
        try:
            eventually(lambda: self._is_apart() or self._holder.poll() is not None, within=60)
            self.run("ip", "link", "set", "lo", "up")
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Of the process that holds it; `ip link … netns <pid>` names it."""
        return self._holder.pid

    def command(self, *words: str) -> list[str]:
        """The words that run a command in it. The process is the command's own, with its id."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *words]

    def run(self, *words: str, stdin: str = "") -> str:
        """Run a command in it to its end; its output."""
        done = subprocess.run(self.command(*words), input=stdin, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def close(self) -> None:
        """Let go of it; it is gone once the last process in it is."""
        assert self._holder.stdin is not None
        self._holder.stdin.close()
        self._holder.wait(timeout=120)

    def _is_apart(self) -> bool:
        return os.readlink(f"/proc/{self.pid}/ns/net") != os.readlink("/proc/self/ns/net")


class Link:
    """The way from the plane to one host, and what may befall it. A fault lasts until the next, or `heal`."""

    def __init__(self, plane: Namespace, host: Namespace, number: int) -> None:
        self.host = host
        self.address = f"10.203.{number}.2"
        """The host's."""
        self._plane = plane
        self._device = f"host{number}"
        plane.run(
            "ip",
            "link",
            "add",
            self._device,
            "type",
            "veth",
            "peer",
            "name",
            "plane0",
            "netns",
            str(host.pid),
        )
        plane.run("ip", "addr", "add", f"10.203.{number}.1/30", "dev", self._device)
        host.run("ip", "addr", "add", f"{self.address}/30", "dev", "plane0")
        host.run("ip", "link", "set", "plane0", "gso_max_segs", "1", "up")
        plane.run("ip", "link", "set", self._device, "gso_max_segs", "1", "up")  # packets of one segment each

    def command(self, *words: str) -> list[str]:
        """As of its host's namespace."""
        return self.host.command(*words)

    # -- faults

    def swallow(self) -> None:
        """Drop every packet, both ways: a black hole to newcomers, a freeze to those who are connected."""
        self._rule(incoming="counter name hits drop", outgoing="counter name hits drop")

    def refuse(self) -> None:
        """Refuse new connections, as a host does on which nobody listens. Those that are open go on."""
        self._rule(incoming="tcp flags & (syn | ack) == syn counter name hits reject with tcp reset")

    def reset(self, *, after_bytes: int = 0) -> None:
        """Reset what is open, and what is opened, once so many bytes more have come in from the plane."""
        quota = f"quota over {after_bytes} bytes " if after_bytes else ""
        self._rule(incoming=f"meta l4proto tcp {quota}counter name hits reject with tcp reset")

    def unplug(self) -> None:
        """Take the plane's end down: there is no route to the host."""
        self._plane.run("ip", "link", "set", self._device, "down")

    def heal(self) -> None:
        """No fault any more."""
        self._nft(f"table {TABLE}; delete table {TABLE}")
        self._plane.run("ip", "link", "set", self._device, "up")

    def hits(self) -> int:
        """Packets that have met the fault of now."""
        listed = json.loads(self.host.run("nft", "-j", "list", "counter", *TABLE.split(), "hits"))
        return sum(entry["counter"]["packets"] for entry in listed["nftables"] if "counter" in entry)

    def _rule(self, *, incoming: str, outgoing: str = "accept") -> None:
        """In one step: no packet meets half of it."""
        self._nft(
            f"table {TABLE}; delete table {TABLE}; table {TABLE} {{ counter hits {{ }};"
            f" chain incoming {{ type filter hook input priority 0; iif lo accept; {incoming}; }};"
            f" chain outgoing {{ type filter hook output priority 0; oif lo accept; {outgoing}; }}; }}"
        )

    def _nft(self, rules: str) -> None:
        self.host.run("nft", "-f", "-", stdin=rules.replace("; ", "\n") + "\n")


class Network:
    """The plane's namespace and those of its hosts."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._hosts = 0
        self.plane = self._namespace()

    def host(self) -> Link:
        """A further host, with a namespace and a link of its own. 250 at the most."""
        self._hosts += 1
        return Link(self.plane, self._namespace(), self._hosts)

    def _namespace(self) -> Namespace:
        made = Namespace()
        self._stack.callback(made.close)
        return made


@contextmanager
def private_network() -> Iterator[Network]:
    """Namespaces of this test alone, gone at the end. Skips where they are not permitted; in CI it fails."""
    if reason := why_not_permitted():
        if os.environ.get("CI"):
            pytest.fail(f"faults of the network are required in CI: {reason}")
        pytest.skip(reason)
    with ExitStack() as stack:
        yield Network(stack)


def why_not_permitted() -> str:
    """Why this machine can make no network namespaces with links and rules in them; empty if it can."""
    if missing := [tool for tool in ("ip", "nft", "nsenter", "unshare") if not _found(tool)]:
        return f"{missing[0]} is not installed"
    trial: Sequence[str] = ["unshare", "--net", "sh", "-ec"]
    steps = (
        f"ip link add near type veth peer name far; echo 'table {TABLE} {{ counter hits {{ }}; }}' | nft -f -"
    )
    done = subprocess.run([*trial, steps], capture_output=True, text=True, check=False)
    reason = (done.stderr.strip().splitlines() or ["the kernel refuses"])[-1]
    return f"no network namespaces here: {reason}" if done.returncode else ""


def _found(tool: str) -> bool:
    return bool(shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"))
