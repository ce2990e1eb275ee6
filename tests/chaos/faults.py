"""What goes wrong, and when: a schedule drawn from a seed, the same for the same seed.

Pure: `tests/chaos/storm.py` carries it out. Whom a fault meets is drawn too (`whom`, a share of those that
there are at that moment), since nobody knows beforehand which processes will be alive.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Fault", "FaultKind", "drawn"]


class FaultKind(StrEnum):
    WORKER_KILLED = "worker killed"
    WORKER_FROZEN = "worker frozen, then thawed"
    WORKER_DRAINED = "worker ended by SIGTERM"
    WORKERS_REPLACED = "all workers replaced, one after the other"
    MESSAGES_DOUBLED = "messages delivered again"
    BROKER_EMPTIED = "broker's database emptied"
    STORE_KILLED = "store killed and started again"
    SCRIPTS_FORGOTTEN = "store's scripts forgotten"
    BEAT_KILLED = "beat killed"
    BEAT_FROZEN = "beat frozen, then thawed"
    ENDPOINT_KILLED = "endpoint killed"
    SESSIONS_CUT = "SSH sessions cut"
    SSHD_KILLED = "sshd killed and started again"
    SUPERVISOR_KILLED = "helper's supervisor of a run killed"
    HOST_DROPPED = "packets to a host dropped"
    HOST_REJECTED = "connections to a host rejected"
    LINK_DOWN = "a host's link taken down"
    HOST_REBOOTED = "host rebooted"


K = FaultKind

NEEDS_NAMESPACES = frozenset({K.HOST_DROPPED, K.HOST_REJECTED, K.LINK_DOWN, K.HOST_REBOOTED})

KILLS_PER_MINUTE = 26.0

PER_MINUTE: Mapping[FaultKind, float] = {
    K.WORKER_KILLED: KILLS_PER_MINUTE,
    K.WORKER_FROZEN: 1.2,
    K.WORKER_DRAINED: 1.5,
    K.WORKERS_REPLACED: 0.2,
    K.MESSAGES_DOUBLED: 4.0,
    K.BROKER_EMPTIED: 1.0,
    K.STORE_KILLED: 0.8,
    K.SCRIPTS_FORGOTTEN: 0.5,
    K.BEAT_KILLED: 1.0,
    K.BEAT_FROZEN: 0.5,
    K.ENDPOINT_KILLED: 0.7,
    K.SESSIONS_CUT: 2.0,
    K.SSHD_KILLED: 0.7,
    K.SUPERVISOR_KILLED: 1.5,
    K.HOST_DROPPED: 1.5,
    K.HOST_REJECTED: 1.5,
    K.LINK_DOWN: 1.0,
    K.HOST_REBOOTED: 1.0,
}
"""How often, on average. Workers die the most: they carry the runs."""

LASTS_S: Mapping[FaultKind, tuple[float, float]] = {
    K.WORKER_FROZEN: (5, 40),
    K.BEAT_FROZEN: (5, 25),
    K.STORE_KILLED: (0, 3),
    K.ENDPOINT_KILLED: (0, 2),
    K.SSHD_KILLED: (0, 4),
    K.HOST_DROPPED: (2, 30),
    K.HOST_REJECTED: (2, 15),
    K.LINK_DOWN: (2, 15),
    K.HOST_REBOOTED: (1, 6),
}
"""From when to when it is over, in seconds; what is not here is over at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    at_s: float
    """From the beginning of the storm."""
    kind: FaultKind
    whom: float
    """Which of those that there are: 0 to 1, without 1."""
    lasts_s: float = 0.0


def drawn(seed: int, *, storm_s: float, rate: float = 1.0, namespaces: bool = True) -> Sequence[Fault]:
    """The faults of a storm in the order of time; `rate` times as many as usual."""
    chance = random.Random(f"faults {seed}")
    found: list[Fault] = []
    for kind, per_minute in PER_MINUTE.items():
        if kind in NEEDS_NAMESPACES and not namespaces:
            continue
        at_s = 0.0
        while True:
            at_s += chance.expovariate(per_minute * rate / 60)
            if at_s >= storm_s:
                break
            lasts_s = chance.uniform(*LASTS_S.get(kind, (0, 0)))
            fault = Fault(at_s=at_s, kind=kind, whom=chance.random(), lasts_s=min(lasts_s, storm_s - at_s))
            found.append(fault)
    return sorted(found, key=lambda fault: fault.at_s)
