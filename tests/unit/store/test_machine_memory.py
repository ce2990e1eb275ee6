"""How much memory there is: the machine's, or less where a control group says so."""

import os
from pathlib import Path

import pytest

from cloudassist_tasks.store.machine_memory import memory_of_machine

MIB = 1024**2
WHOLE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, WHOLE),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, WHOLE),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{64 * MIB}\n"}, 64 * MIB),
        (
            {
                "proc/self/cgroup": "0::/system.slice/ca.service\n",
                "sys/fs/cgroup/system.slice/memory.max": f"{32 * MIB}\n",
                "sys/fs/cgroup/system.slice/ca.service/memory.max": f"{48 * MIB}\n",
            },
            32 * MIB,
        ),
        (
            {
                "proc/self/cgroup": "9:cpu,memory:/docker/ab\n0::/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{16 * MIB}\n",
            },
            16 * MIB,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            WHOLE,
        ),
    ],
    ids=["no groups", "no limit", "container", "service", "version 1, container", "version 1, no limit"],
)
def test_the_smallest_limit_counts(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    assert memory_of_machine(written(tmp_path, files)) == expected
