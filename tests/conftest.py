"""What holds for every test."""

import signal

from hypothesis import HealthCheck, settings

# A busy machine is no fault of a rule. Here, before a test is read: `@given` looks when it decorates.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


def pytest_configure() -> None:
    """Ctrl-C interrupts: a shell has the jobs in its background ignore it, and they hand that on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
