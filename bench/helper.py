"""What a launch of the helper costs on the host, beside a plain `sh -c 'sh -c true; :'`.

Part of `make bench`; no SSH in it. The CPU is user and system time of the whole tree,
orphans included: a measuring process is their subreaper and waits for every one. The
kinds are interleaved, so that a busy minute of the machine meets all of them.

    python -m bench.helper [--rounds N] [--json]
"""

import argparse
import ctypes
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cloudassist_tasks.transports.remote.helper_source import install_command, install_input

CPU_TARGET_MS = 15.0
"""CPU of one launch of `true` under dash, at most, where the plain command takes `CPU_OF_PLAIN_MS`."""

CPU_OF_PLAIN_MS = 1.8
CPU_TARGET_RATIO = round(CPU_TARGET_MS / CPU_OF_PLAIN_MS, 1)
"""The same target as a ratio to the plain command of the same run: machines differ by the hour."""

_PR_SET_CHILD_SUBREAPER = 36
_PAYLOAD = b"timeout=60\nlines=1\nlen=4\n--\ntrue\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run: milliseconds until its last frame, and of CPU until its last process ended."""

    wall_ms: float
    cpu_ms: float


def measure(rounds: int = 60) -> dict[str, object]:
    """Figures by kind: `plain`, and the helper under each shell that this machine has."""
    _become_subreaper()
    scratch = Path(tempfile.mkdtemp(prefix="ca-bench-"))
    shells = {
        name: f"{path}{rest}"
        for name, rest in (("dash", ""), ("bash", ""), ("busybox", " sh"))
        if (path := shutil.which(name))
    }
    spools: list[str] = []
    try:
        commands: dict[str, list[str]] = {"plain": ["sh", "-c", "sh -c true; :"]}
        for name, shell in shells.items():
            facts = _install(scratch / name, shell)
            spools.append(facts["spool"])
            commands[name] = [*shell.split(), facts["path"], "launch"]
        samples: dict[str, list[Sample]] = {kind: [] for kind in commands}
        for number in range(rounds):
            for kind, command in commands.items():
                arguments = [] if kind == "plain" else [f"r{number}", "n"]
                samples[kind].append(_sample([*command, *arguments]))
        kinds = {kind: _summary(of_kind[2:] or of_kind) for kind, of_kind in samples.items()}
        for figures in kinds.values():
            figures["cpu_to_plain"] = round(figures["cpu_ms_median"] / kinds["plain"]["cpu_ms_median"], 1)
        return {"name": "helper", "rounds": rounds, "target_cpu_to_plain": CPU_TARGET_RATIO, "kinds": kinds}
    finally:
        for directory in [str(scratch), *spools]:
            shutil.rmtree(directory, ignore_errors=True)


def _install(base: Path, shell: str) -> dict[str, str]:
    command = install_command("n", base=str(base), shell=shell)
    answer = subprocess.run(
        ["/bin/sh", "-c", command], input=install_input(), stdout=subprocess.PIPE, check=True
    )
    return dict(word.split("=", 1) for word in answer.stdout.decode().split()[2:])


def _sample(command: list[str]) -> Sample:
    cpu_before, begin = _cpu_of_children_s(), time.perf_counter()
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None
    assert process.stdout is not None
    if "launch" in command:
        process.stdin.write(_PAYLOAD)
        process.stdin.flush()
    answer = _last_frame(process.stdout) if "launch" in command else process.stdout.read()
    wall_s = time.perf_counter() - begin
    if "launch" in command:
        process.stdin.write(b"ack\n")
    process.stdin.close()
    process.stdout.read()
    process.wait()
    _reap_orphans()
    assert command[0] == "sh" or b"result=exited exit=0" in answer, answer
    return Sample(wall_ms=wall_s * 1000, cpu_ms=(_cpu_of_children_s() - cpu_before) * 1000)


def _last_frame(answers: IO[bytes]) -> bytes:
    """The head of the frame that ends the run; the helper waits for our word after it."""
    while head := answers.readline():
        fields = dict(word.split(b"=", 1) for word in head.split()[2:])
        answers.read(int(fields[b"out"]))
        if b"more" not in fields:
            return head
    raise RuntimeError("the helper's answer has no last frame")


def _become_subreaper() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _reap_orphans() -> None:
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def _cpu_of_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _summary(samples: list[Sample]) -> dict[str, float]:
    figures: dict[str, float] = {"n": len(samples)}
    for field in ("wall_ms", "cpu_ms"):
        values = [getattr(sample, field) for sample in samples]
        tenths = statistics.quantiles(values, n=10)
        figures |= {
            f"{field}_median": round(statistics.median(values), 2),
            f"{field}_p10": round(tenths[0], 2),
            f"{field}_p90": round(tenths[-1], 2),
        }
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = measure(arguments.rounds)
    if arguments.json:
        json.dump(figures, sys.stdout, indent=2)
        print()
        return
    print(f"{'kind':10}{'CPU ms':>9}{'p10':>7}{'p90':>7}{'ratio':>7}{'wall ms':>10}{'p10':>7}{'p90':>7}")
    kinds = figures["kinds"]
    assert isinstance(kinds, dict)
    for kind, row in kinds.items():
        print(
            f"{kind:10}{row['cpu_ms_median']:9.1f}{row['cpu_ms_p10']:7.1f}{row['cpu_ms_p90']:7.1f}"
            f"{row['cpu_to_plain']:7.1f}"
            f"{row['wall_ms_median']:10.1f}{row['wall_ms_p10']:7.1f}{row['wall_ms_p90']:7.1f}"
        )


if __name__ == "__main__":
    main()
