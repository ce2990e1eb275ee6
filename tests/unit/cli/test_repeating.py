"""When something is to run, as the command line has it, in the grammar of Frequency."""

import pytest

from cloudassist_tasks.cli.repeating import Repeating


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("2098-12-31 23:00:00", "at(2098-12-31 23:00:00)"),
        ("2098-12-31 23:00:00 Asia/Shanghai", "at(2098-12-31 23:00:00 Asia/Shanghai)"),
        ("at(2098-12-31 23:00:00)", "at(2098-12-31 23:00:00)"),
        ("2098-12-31T23:00:00", "at(2098-12-31 23:00:00)"),
        ("2098-12-31T23:00:00Z", "at(2098-12-31 23:00:00 UTC)"),
        ("2098-12-31T23:00", "at(2098-12-31T23:00)"),
    ],
)
def test_a_time_may_be_written_as_iso_8601_has_it(given: str, meant: str) -> None:
    assert Repeating(at=given).request(dry_run=False)["frequency"] == meant
