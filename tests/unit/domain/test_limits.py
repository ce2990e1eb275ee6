"""The limits: the numbers that the product promises, and settings that cannot hold together."""

from dataclasses import fields, replace

import pytest

from cloudassist_tasks.domain.errors import Kind
from cloudassist_tasks.domain.limits import CLASSIC, LIMITS_2026, Limits
from tests.unit.domain.refusals import refused


@pytest.mark.parametrize(
    ("name", "classic", "today"),
    [
        ("content_bytes", 16_384, 24_576),
        ("name_chars", 128, 128),
        ("description_chars", 512, 512),
        ("working_dir_chars", 200, 200),
        ("username_chars", 255, 255),
        ("launcher_bytes", 1_024, 1_024),
        ("timeout_default_s", 60, 60),
        ("timeout_min_s", 10, 10),
        ("timeout_max_s", 86_400, 86_400),
        ("commands", 100, 500),
        ("parameter_names", 20, 20),
        ("parameter_values", 20, 10),
        ("parameter_name_bytes", 64, 64),
        ("invocations_per_day", 5_000, 5_000),
        ("instances_per_call", 50, 100),
        ("max_instances", 100_000, 100_000),
        ("instances_per_stop", 50, 50),
        ("client_token_chars", 64, 64),
        ("client_token_s", 86_400, 86_400),
        ("file_bytes", 32_768, 32_768),
        ("tags_per_call", 20, 20),
        ("resource_tags_per_call", 10, 10),
        ("period_min_s", 10, 10),
        ("rate_min_s", 10, 60),
        ("rate_max_s", 366 * 86_400, 7 * 86_400),
        ("output_head_bytes", 6_144, 6_144),
        ("output_tail_bytes", 18_432, 18_432),
        ("batch", 50, 50),
        ("window", 200, 200),
        ("window_low", 150, 150),
        ("instance_runs", 10, 10),
        ("instance_waiting", 50, 50),
        ("delivery_timeout_s", 60, 60),
        ("grace_s", 60, 60),
        ("max_queue_s", 86_400, 86_400),
        ("follow_max_s", 600, 600),
        ("retention_s", 2_419_200, 2_419_200),
    ],
)
def test_each_limit_has_its_number(name: str, classic: int, today: int) -> None:
    assert classic == getattr(CLASSIC, name)
    assert today == getattr(LIMITS_2026, name)


def test_every_limit_can_be_set() -> None:
    raised = replace(CLASSIC, instances_per_call=200, timeout_max_s=7 * 86_400)

    assert raised.instances_per_call == 200
    assert all(isinstance(getattr(raised, field.name), int) for field in fields(raised))


@pytest.mark.parametrize(
    "setting",
    [
        {"batch": 0},
        {"window_low": 0},
        {"grace_s": -1},
        {"commands": -5},
        {"timeout_default_s": 5},
        {"timeout_default_s": 90_000},
        {"window": 100},
        {"batch": 52},
    ],
)
def test_settings_that_cannot_hold_together_are_refused(setting: dict[str, int]) -> None:
    with refused(Kind.BAD_SETTING, naming=next(iter(setting))):
        replace(CLASSIC, **setting)


@pytest.mark.parametrize("setting", [{"grace_s": 0}, {"instance_waiting": 0}, {"batch": 51}])
def test_settings_at_their_edge_are_allowed(setting: dict[str, int]) -> None:
    assert Limits(**setting) != CLASSIC
