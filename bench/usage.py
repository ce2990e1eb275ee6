"""What a process uses, as the kernel counts it: CPU, memory, threads. Linux's /proc."""

import os
import time
from pathlib import Path

__all__ = ["cpu_s", "machine", "memory_available_mib", "reference_ms", "rss_mib", "threads"]

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_s(pid: int) -> float:
    """User and system seconds of a process, all threads; without its children."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def rss_mib(pid: int) -> float:
    """Memory that is resident, shared pages included."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_MIB


def threads(pid: int) -> int:
    return int(_stat(pid)[17])


def memory_available_mib() -> float:
    """What may still be taken without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/meminfo has no MemAvailable")


def machine() -> dict[str, object]:
    """What the figures are measured on, and how busy it is with other things."""
    names = os.uname()
    load = os.getloadavg()
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * _PAGE_MIB / 1024, 1),
        "kernel": names.release,
        "load": round(load[0], 2),
        "reference_ms": reference_ms(),
    }


def reference_ms() -> float:
    """CPU that a fixed piece of Python takes now: some 40 ms on the quiet machine of docs/benchmarks.md. More
    means that others use the caches and the core's second half, and that every CPU figure is too high."""
    begin, total = time.process_time(), 0
    for number in range(1_000_000):
        total += number
    return round(1_000 * (time.process_time() - begin), 1)


def _stat(pid: int) -> list[str]:
    """The fields after the command's name: the first is the state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
