"""What a user would pick instead: `xargs -P50 ssh`, on the same hosts in the same minute.

The stock OpenSSH client, told no more than which key to use and which host key to expect. Its default key
exchange of today is post-quantum and costs it some 70 ms of CPU; ours negotiates curve25519, so both stand
in the table.
"""

import resource
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from cloudassist_tasks.domain.instance import Instance
from tests.support.sshd import Sshd

__all__ = ["KEY_EXCHANGES", "xargs_ssh"]

AT_ONCE = 50

KEY_EXCHANGES = {"curve25519": ["-o", "KexAlgorithms=curve25519-sha256"], "default kex": []}
"""By the name in our tables: what `ssh` is told."""


def xargs_ssh(sshd: Sshd, instances: Sequence[Instance], key_exchange: str) -> dict[str, float]:
    """Run `echo ok` on each; wall time, and CPU of xargs and the ssh processes, per host."""
    command = [
        *("xargs", f"-P{AT_ONCE}", "-I{}"),
        *("ssh", "-F", "none", "-p", str(sshd.port), "-i", sshd.identity, "-l", instances[0].user),
        *("-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes"),
        *("-o", f"UserKnownHostsFile={_known_hosts(sshd)}", *KEY_EXCHANGES[key_exchange]),
        *("{}", "echo ok"),
    ]
    hosts = "".join(f"{instance.host}\n" for instance in instances)
    cpu_before, begin = _children_cpu_s(), time.perf_counter()
    answer = subprocess.run(command, input=hosts.encode(), stdout=subprocess.PIPE, check=True)
    wall_s = time.perf_counter() - begin
    if answer.stdout.count(b"ok\n") != len(instances):
        raise RuntimeError(f"ssh reached {answer.stdout.count(b'ok')} of {len(instances)} hosts")
    return {"wall_s": wall_s, "cpu_ms_per_run": 1_000 * (_children_cpu_s() - cpu_before) / len(instances)}


def _known_hosts(sshd: Sshd) -> Path:
    """One line is good for all of the addresses."""
    path = sshd.directory / "known_hosts"
    path.write_text(f"* {sshd.host_key}\n")
    return path


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
