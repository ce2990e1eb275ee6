"""docs/settings.md has every setting and limit there is, each with its true default."""

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest

from cloudassist_tasks import config
from cloudassist_tasks.cli import session
from cloudassist_tasks.config import Settings
from cloudassist_tasks.domain.errors import Refused
from cloudassist_tasks.domain.limits import Limits

PAGE = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()

SHOWN: Mapping[str, str] = dict(
    re.findall(r"^\| `(CLOUDASSIST_\w+)` \| (?:`(.*?)` )?\| .*\|$", PAGE, re.MULTILINE)
)
"""Variables of the tables that have defaults, with these."""

OF_2026: Mapping[str, str] = dict(re.findall(r"^\| `(\w+)` \| \d+ \| (\d+) \|$", PAGE, re.MULTILINE))


def test_the_page_has_every_setting_and_limit() -> None:
    settings = {f"CLOUDASSIST_{field.name.upper()}" for field in fields(Settings) if field.name != "limits"}
    limits = {f"CLOUDASSIST_LIMIT_{field.name.upper()}" for field in fields(Limits)}

    assert set(SHOWN) == settings | limits


def test_the_defaults_of_the_page_change_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    shown, usual = config.load(SHOWN), config.load({})

    assert shown == usual
    unshown = {name for name, default in SHOWN.items() if not default}
    assert unshown == {
        f"CLOUDASSIST_{field.name.upper()}"
        for field in fields(Settings)
        if str(getattr(usual, field.name)) in ("", "***")
    }


def test_the_numbers_of_2026_are_those_of_the_page(tmp_path: Path) -> None:
    home = {"CLOUDASSIST_DATA_DIR": str(tmp_path)}
    singly = {f"CLOUDASSIST_LIMIT_{name.upper()}": number for name, number in OF_2026.items()}

    assert OF_2026
    assert config.load(home | singly) == config.load({**home, "CLOUDASSIST_LIMITS": "2026"})


@pytest.mark.parametrize(
    "variable",
    [session.URL, session.ACCESS_KEY, session.CA_FILE, "CLOUDASSIST_DEBUG", "CLOUDASSIST_CONFIG"],
)
def test_the_page_names_what_is_no_field(variable: str) -> None:
    assert f"`{variable}`" in PAGE


def test_settings_that_would_be_ignored_are_refused(tmp_path: Path) -> None:
    home = {"CLOUDASSIST_DATA_DIR": str(tmp_path)}

    with pytest.raises(Refused, match="CLOUDASSIST_LIMITS is '2025'; it must be 2026"):
        config.load({**home, "CLOUDASSIST_LIMITS": "2025"})
    (tmp_path / "config.toml").write_text('data_dir = "/elsewhere"\n')
    with pytest.raises(Refused, match="set CLOUDASSIST_DATA_DIR"):
        config.load(home)
