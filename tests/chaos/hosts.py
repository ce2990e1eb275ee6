"""The hosts: hundreds of addresses of one sshd, and a few machines with networks of their own; and how to
break the way to them.

Packets are dropped or rejected by sets of the packet filter whose elements the kernel forgets by itself, so
nothing stays broken by a storm that ends early.
"""

import asyncio
import random
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cloudassist_tasks.domain.instance import Instance
from tests.support.eventually import eventually
from tests.support.machine import Machine
from tests.support.processes import end
from tests.support.sshd import Sshd, private_sshd

__all__ = ["Hosts", "hosts"]

RULES = """
table inet chaos {
  set dropped { type ipv4_addr; flags timeout; }
  set rejected { type ipv4_addr; flags timeout; }
  chain out {
    type filter hook output priority 0;
    ip daddr @dropped drop
    ip saddr @dropped drop
    ip protocol tcp ip daddr @rejected reject with tcp reset
  }
}
"""


ALIVE = {"ClientAliveInterval": "15", "ClientAliveCountMax": "3"}
"""A session whose client is gone without a word is ended by sshd after 45 s; without this it, and the helper
that waits in it for a script, would stay for as long as the kernel keeps silent connections: two hours."""


class Hosts:
    """All of them, by instance id."""

    def __init__(self, sshd: Sshd, loopback: int, machines: Sequence[Machine]) -> None:
        self.sshd = sshd
        self.machines = {str(machine.id): machine for machine in machines}
        self.addresses = {f"i-{n}": f"127.1.{n // 250}.{n % 250 + 1}" for n in range(1, loopback + 1)}

    @property
    def loopback(self) -> Sequence[str]:
        return list(self.addresses)

    def instances(self) -> Sequence[Instance]:
        """As they are registered."""
        simple = [self.sshd.instance(id, host) for id, host in self.addresses.items()]
        return [*simple, *(machine.instance() for machine in self.machines.values())]

    def address_of(self, instance_id: str) -> str:
        machine = self.machines.get(instance_id)
        return machine.address if machine else self.addresses[instance_id]

    def base_of(self, instance_id: str) -> Path:
        """Where the helper keeps the records of its runs."""
        machine = self.machines.get(instance_id)
        return machine.base if machine else self.sshd.base

    def drop(self, instance_id: str, lasts_s: float) -> None:
        """No packet to it or from it, for so long."""
        self._add("dropped", instance_id, lasts_s)

    def reject(self, instance_id: str, lasts_s: float) -> None:
        """Whatever is sent to it is answered by a reset, for so long."""
        self._add("rejected", instance_id, lasts_s)

    def cut_sessions(self, chance: random.Random, share: float) -> int:
        """End some of the established sessions on the side of the big sshd; how many."""
        pids = self.sshd.connection_pids()
        chosen = [pid for pid in pids if chance.random() < share]
        end(chosen, signal.SIGKILL)
        return len(chosen)

    def kill_sshd(self) -> None:
        """The listener is gone; its sessions go on."""
        process = self.sshd.process
        if process is not None:
            process.kill()
            process.wait()
            self.sshd.process = None

    def supervisor_of(self, run_id: str, instance_id: str) -> int:
        """The process id of a run's supervisor as this process sees it; 0: not to be had."""
        if instance_id in self.machines:
            return 0  # its processes have other numbers here
        try:
            words = (self.base_of(instance_id) / run_id / "started").read_text().split()
            return int(words[1])
        except (OSError, IndexError, ValueError):
            return 0

    async def reboot(self, instance_id: str, off_s: float) -> None:
        machine = self.machines[instance_id]
        machine.cut_power()
        await asyncio.sleep(off_s)
        await asyncio.to_thread(machine.boot)

    def heal(self) -> None:
        """Every way is open again."""
        if self.machines:
            for name in ("dropped", "rejected"):
                _nft(f"flush set inet chaos {name}")
            for machine in self.machines.values():
                machine.link_up()
        if self.sshd.process is None:
            self.sshd.start()

    def _add(self, name: str, instance_id: str, lasts_s: float) -> None:
        lasts_ms = max(1, int(1_000 * lasts_s))
        _nft(f"add element inet chaos {name} {{ {self.address_of(instance_id)} timeout {lasts_ms}ms }}")


@contextmanager
def hosts(directory: Path, *, loopback: int, machines: int, namespaces: bool) -> Iterator[Hosts]:
    """All switched on; gone at the end."""
    made = [Machine(directory, number, ALIVE) for number in range(1, machines + 1)] if namespaces else []
    try:
        if namespaces:
            _nft(RULES)
        for machine in made:
            machine.plug_in()
            machine.boot()
        with private_sshd(MaxStartups="1000:30:2000", LogLevel="ERROR", **ALIVE) as sshd:
            yield Hosts(sshd, loopback, made)
    finally:
        for machine in made:
            machine.unplug()
        if made:
            eventually(lambda: not _links(), within=60)


def _links() -> list[str]:
    """Cables that are still there."""
    shown = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    return [line for line in shown.splitlines() if " ca" in line]


def _nft(text: str) -> None:
    subprocess.run(["nft", "-f", "-"], input=text.encode(), check=True)
