"""How large a run is, and how long."""

from dataclasses import dataclass

from tests.chaos.recipes import RECIPES

__all__ = ["Plan", "long", "short"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that decides a run, beside chance that no seed rules: the machine's."""

    seed: int
    form: str
    """The arguments, beside the seed, that make such a run again."""
    storm_s: float
    loopback: int = 200
    machines: int = 4
    workers: int = 4
    beats: int = 3
    runs_per_s: float = 6.0
    most_open: int = 400
    rate: float = 1.0
    """Faults, against the usual number."""
    slower: float = 1.3
    """It may last so many times longer on a machine where workers start slowly."""
    grace_s: int = 60
    namespaces: bool = True

    @property
    def calm_s(self) -> float:
        """All must be final by then: the longest timeout, the grace, and as much again for a busy machine."""
        return max(recipe.timeout_s for recipe in RECIPES.values()) + self.grace_s + 60


def long(seed: int, minutes: float) -> Plan:
    """As `make chaos` runs it: `minutes` in all, of which the last few are the calm."""
    return Plan(seed=seed, form=f"--minutes {minutes:g}", storm_s=max(30.0, 60 * minutes - 180))


def short(seed: int) -> Plan:
    """As the tests run it."""
    return Plan(
        seed=seed,
        form="--short",
        storm_s=40,
        loopback=50,
        machines=2,
        workers=3,
        beats=2,
        runs_per_s=5,
        most_open=200,
        slower=2.5,
        grace_s=40,
    )
