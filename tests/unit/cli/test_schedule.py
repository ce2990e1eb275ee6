"""`cloudassist schedule next`: words and times, and what is wrong with an expression."""

import json
from pathlib import Path

import pytest

from cloudassist_tasks.cli.app import run_command

AFTER = ["--after", "2026-01-01T00:00:00Z"]


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLOUDASSIST_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("CLOUDASSIST_LIMITS", raising=False)


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run_command(["schedule", "next", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_next_times_are_shown_in_words_and_by_both_clocks(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = asked(capsys, "0 15 10 L * ? Asia/Shanghai", "--count", "2", *AFTER)

    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "at 10:15 on the last day of each month, Asia/Shanghai",
        "TIME                  LOCAL",
        "2026-01-31T02:15:00Z  2026-01-31T10:15:00+08:00",
        "2026-02-28T02:15:00Z  2026-02-28T10:15:00+08:00",
    ]


def test_json_is_a_list_of_times(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = asked(capsys, "0 0 12 * * ?", "--zone", "Europe/Berlin", "--json", *AFTER)

    assert code == 0
    assert json.loads(out) == [f"2026-01-0{day}T11:00:00Z" for day in range(1, 6)]


def test_a_rate_counts_from_its_creation(capsys: pytest.CaptureFixture[str]) -> None:
    created = ["--created", "2025-12-31T23:59:30"]

    _, out, _ = asked(capsys, "rate(1m)", "--json", "--count", "1", *created, *AFTER)

    assert json.loads(out) == ["2026-01-01T00:00:30Z"]


def test_the_end_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = asked(capsys, "at(2026-06-01 10:00:00)", *AFTER)

    assert code == 0
    assert "once, at 2026-06-01 10:00:00, UTC" in out
    assert err == "there are no more\n"


def test_without_a_time_it_is_now(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = asked(capsys, "0 * * * * ?", "--json", "--count", "1")

    assert code == 0
    assert json.loads(out)[0].endswith(":00Z")


@pytest.mark.parametrize(
    ("arguments", "naming"),
    [
        (["0 99 * * * ?"], "InvalidParam.Frequency: the minute field is '99'"),
        (["rate(20m)", "--timeout", "1300"], "give a Timeout of at most 1200"),
        (["0 0 12 * * ? 2025", *AFTER], "no time to come"),
        (["0 0 12 * * ?", "--zone", "CST"], "Area/City"),
        (["rate(5s)"], "a rate may be every 10 seconds"),
        (["rate(1m)", "--after", "soon"], "2026-01-01T00:00:00Z"),
        (["rate(1m)", "--created", "2130-01-01"], "1970 to 2099"),
    ],
)
def test_what_is_wrong_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], naming: str
) -> None:
    code, out, err = asked(capsys, *arguments)

    assert (code, out) == (2, "")
    assert naming in err
    assert len(err.splitlines()) == 1


def test_the_limits_are_those_of_the_installation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDASSIST_LIMITS", "2026")

    code, _, err = asked(capsys, "rate(30s)")

    assert code == 2
    assert "a rate may be every minute to every 7 days" in err


def test_the_zone_that_is_set_is_the_one_of_an_expression_without_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDASSIST_SCHEDULE_ZONE", "Asia/Shanghai")

    assert "at 12:00 each day, Asia/Shanghai" in asked(capsys, "0 0 12 * * ?")[1]
    assert "at 12:00 each day, UTC" in asked(capsys, "0 0 12 * * ?", "--zone", "UTC")[1]


def test_the_zone_of_instances_is_not_guessed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDASSIST_SCHEDULE_ZONE", "instance")

    code, out, err = asked(capsys, "0 0 12 * * ?")

    assert (code, out) == (2, "")
    assert "--zone" in err
    assert asked(capsys, "0 0 12 * * ? UTC")[0] == asked(capsys, "rate(20m)")[0] == 0
