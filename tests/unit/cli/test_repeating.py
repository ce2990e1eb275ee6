"""When something is to run, as the command line has it, in the grammar of Frequency."""

import pytest

from cloudassist_tasks.cli.errors import BadUsage
from cloudassist_tasks.cli.repeating import Repeating


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("2098-12-31 23:00:00", "at(2098-12-31 23:00:00)"),
        ("2098-12-31 23:00:00 Asia/Shanghai", "at(2098-12-31 23:00:00 Asia/Shanghai)"),
        ("at(2098-12-31 23:00:00)", "at(2098-12-31 23:00:00)"),
        ("2098-12-31T23:00:00", "at(2098-12-31 23:00:00)"),
        ("2098-12-31T23:00:00Z", "at(2098-12-31 23:00:00 UTC)"),
        ("2098-12-31T23:00:00 Asia/Shanghai", "at(2098-12-31 23:00:00 Asia/Shanghai)"),
        ("2098-12-31 23:00:00 GMT+8:00", "at(2098-12-31 23:00:00 GMT+8:00)"),
        ("2098-12-31T23:00", "at(2098-12-31 23:00:00)"),
        ("2098-12-31T23:00Z", "at(2098-12-31 23:00:00 UTC)"),
        ("2098-12-31T23:00:00+08:00", "at(2098-12-31 15:00:00 UTC)"),
        ("2098-12-31 23:00:00+08:00", "at(2098-12-31 15:00:00 UTC)"),
        ("2098-12-31T23:00:00-01:30", "at(2099-01-01 00:30:00 UTC)"),
        ("2098-12-31T23:00:00.999Z", "at(2098-12-31 23:00:00 UTC)"),
        ("2098-12-31", "at(2098-12-31 00:00:00)"),
    ],
)
def test_a_time_may_be_written_as_iso_8601_has_it(given: str, meant: str) -> None:
    assert Repeating(at=given).request(dry_run=False)["frequency"] == meant


@pytest.mark.parametrize(
    "given",
    [
        "tomorrow",
        "23:00",
        "2098-13-31T23:00:00Z",
        "2098-12-31T23:00:00+08:00 UTC",
        "9999-12-31T23:00-08:00",
        " ",
    ],
)
def test_what_is_no_time_is_refused_by_the_option_that_was_given(given: str) -> None:
    with pytest.raises(
        BadUsage, match=r"^--at .* is no time; write it as 2026-12-31T23:00:00\+08:00"
    ) as refused:
        Repeating(at=given).request(dry_run=False)

    assert "at(" not in str(refused.value)
