"""The parts of the benchmark, and how each is asked for less of itself."""

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from typing import Any

__all__ = ["PARTS", "measure"]

PARTS: Mapping[str, Mapping[str, object]] = {
    "helper": {"rounds": 20},
    "launch": {"rounds": 15, "connects": 5},
    "store": {},
    "listing": {"invocations": 10_000},
    "fanout": {"quick": True},
    "latency": {"quick": True},
    "held": {"quick": True},
    "pool": {"quick": True},
    "endpoint": {"quick": True},
    "beats": {"quick": True},
    "recovery": {"deaths": 1, "losses": 1, "busy_losses": 0, "rounds": 1},
}
"""In the order of their running: each is a module with `measure() -> dict`, and what `--quick` gives it."""


def measure(name: str, *, quick: bool) -> dict[str, Any]:
    """A part's figures. It runs in a process of its own: none measures what another has left."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure, name, PARTS[name] if quick else {}).result()


def _measure(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = import_module(f"bench.{name}").measure(**options)
    return found
