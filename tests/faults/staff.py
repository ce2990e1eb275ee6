"""One real worker process at a time, with the settings that a test wants; the next test may keep it."""

from collections.abc import Sequence
from contextlib import ExitStack

from tests.support.celery_worker import CeleryWorker
from tests.support.plane import Installation

__all__ = ["IMPATIENT", "Staff"]

IMPATIENT = {"CLOUDASSIST_LIMIT_DELIVERY_TIMEOUT_S": "8", "CLOUDASSIST_LIMIT_GRACE_S": "1"}
"""Hosts that cannot be had are given up soon, but not before a new worker has reached one that can."""


class Staff:
    """Whoever carries out the runs of a module."""

    def __init__(self, home: Installation, within: Sequence[str] = ()) -> None:
        self._home = home
        self._within = within
        self._stack = ExitStack()
        self._settings: dict[str, str] = {}
        self._worker: CeleryWorker | None = None

    def worker(self, **settings: str) -> CeleryWorker:
        """The one that runs with these settings; started in place of any other."""
        if self._worker is None or self._worker.process.poll() is not None or self._settings != settings:
            self.close()
            made = self._home.worker("custom", concurrency=200, within=self._within, **settings)
            self._worker = self._stack.enter_context(made)
            self._settings = settings
        return self._worker

    def close(self) -> None:
        self._stack.close()
        self._worker = None
