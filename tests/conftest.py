"""What holds for every test."""

import signal


def pytest_configure() -> None:
    """Ctrl-C interrupts: a shell has the jobs in its background ignore it, and they hand that on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
