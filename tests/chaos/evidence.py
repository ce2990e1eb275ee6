"""What the hosts say: the lines that scripts have left, and the processes that are still there. Nothing here
asks the store."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cloudassist_tasks.domain.ids import RunKey
from tests.chaos.recipes import BEGIN, END

__all__ = ["Evidence", "gathered", "left_over"]


@dataclass(slots=True)
class Evidence:
    """By run id."""

    begun: Counter[str] = field(default_factory=Counter)
    """How often its script began."""
    ended: Counter[str] = field(default_factory=Counter)
    """How often it came to its end."""
    began_s: dict[str, float] = field(default_factory=dict)
    """By the machine's uptime."""
    ended_s: dict[str, float] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)
    """Lines that no script of ours can have written, with their file."""

    def most_at_once(self, run_ids: Iterable[str]) -> int:
        """How many of these runs were seen to go on at the same time. Those that left no last line are not
        counted: when they ended is not known here."""
        moments: list[tuple[float, int]] = []
        for run_id in run_ids:
            if run_id in self.ended_s and run_id in self.began_s:
                moments += [(self.began_s[run_id], 1), (self.ended_s[run_id], -1)]
        now = most = 0
        for _, change in sorted(moments):
            now += change
            most = max(most, now)
        return most


def gathered(marks: Path) -> Evidence:
    """All that was written."""
    evidence = Evidence()
    for file in sorted(marks.iterdir()):
        for line in file.read_text(errors="replace").splitlines():
            words = line.split()
            if len(words) != 3 or words[1] not in (BEGIN, END) or _instance_of(words[0]) != file.name:
                evidence.odd.append(f"{file.name}: {line[:200]}")
                continue
            run_id, what, uptime = words
            if what == BEGIN:
                evidence.begun[run_id] += 1
                evidence.began_s[run_id] = float(uptime)
            else:
                evidence.ended[run_id] += 1
                evidence.ended_s[run_id] = float(uptime)
    return evidence


def left_over(bases: Sequence[Path]) -> Mapping[str, Sequence[str]]:
    """Processes that belong to a run, or are a helper's: what each is, by run id (`helper` where none shows).
    sshd and the sessions that are kept open are none of them."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal() or _is_zombie(process):
            continue
        variables = _words(process / "environ")
        command = " ".join(_words(process / "cmdline"))
        run_id = next((word[len("CA_RUN_ID=") :] for word in variables if word.startswith("CA_RUN_ID=")), "")
        helper = any(f"{base}/bin/ca-" in command for base in bases)
        if run_id or helper:
            found[run_id or "helper"].append(f"{process.name} {command[:160]}")
    return found


def _instance_of(run_id: str) -> str:
    try:
        return str(RunKey.parse(run_id).instance_id)
    except ValueError:
        return ""


def _words(file: Path) -> list[str]:
    try:
        return [word.decode(errors="replace") for word in file.read_bytes().split(b"\0") if word]
    except OSError:
        return []


def _is_zombie(process: Path) -> bool:
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (OSError, IndexError):
        return True
