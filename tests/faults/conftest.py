"""Real processes over one installation; what a test has ended, the next one starts again."""

from tests.processes.conftest import console, crew, home

__all__ = ["console", "crew", "home"]
