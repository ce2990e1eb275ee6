"""Callbacks and webhooks: what may be asked for, and when a failed one is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudassist_tasks.domain.delivery import (
    DEFAULT_QUEUE,
    Callback,
    DeliveryKey,
    DeliveryKind,
    checked_callback,
    checked_webhook,
    pause_s,
    webhook_host,
)
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InvokeId


def test_a_callback_needs_a_task_alone() -> None:
    assert checked_callback({"task": "shop.done"}) == Callback(task="shop.done", queue=DEFAULT_QUEUE)


def test_a_callback_is_kept_as_it_was_given() -> None:
    asked = {"task": "shop.done", "queue": "shop", "kwargs": {"order": 7, "lines": [1, {"é": None}]}}

    callback = checked_callback(asked)

    assert (callback.task, callback.queue, callback.kwargs) == ("shop.done", "shop", asked["kwargs"])
    assert "order" not in repr(callback)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"task": ""},
        {"task": 7},
        {"task": "x" * 256},
        {"task": "shop\ndone"},
        {"task": "shop.done", "queue": 7},
        {"task": "shop.done", "when": "now"},
        {"task": "shop.done", "kwargs": [1]},
        {"task": "shop.done", "kwargs": {"summary": 1}},
        {"task": "shop.done", "kwargs": {"error": 1}},
        {"task": "shop.done", "kwargs": {1: 1}},
        {"task": "shop.done", "kwargs": {"x": float("nan")}},
        {"task": "shop.done", "kwargs": {"x": object()}},
        {"task": "shop.done", "kwargs": {"x": "y" * 9_000}},
        {"task": "cloudassist.invoke"},
        {"task": "celery.map"},
        {"task": "shop.done", "queue": "cloudassist.run.default"},
        {"task": "shop.done", "queue": "unacked_index"},
        {"task": "shop.done", "queue": "_kombu.binding.shop"},
        {"task": "shop.done", "queue": "ca:events"},
    ],
    ids=lambda asked: repr(asked)[:60].partition(" at 0x")[0],
)
def test_what_is_no_callback_is_refused(asked: dict[str, object]) -> None:
    with pytest.raises(Refused) as refusal:
        checked_callback(asked)

    assert refusal.value.kind is Kind.BAD_CALLBACK


def test_the_settings_say_which_tasks_may_be_called() -> None:
    assert checked_callback({"task": "shop.done"}, allowed="mail.*, shop.*")
    with pytest.raises(Refused):
        checked_callback({"task": "shop.done"}, allowed="mail.*")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/x?y=z", "https://hooks.example.com", "http://[::1]:1/"]
)
def test_a_webhook_is_an_http_address(url: str) -> None:
    assert checked_webhook(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "/hook",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://",
        "http://name:word@example.com/",
        "http://example.com:99999/",
        "http://exa mple.com/",
        "http://example.com/\r\nx: y",
        "http://exämple.com/",
        "http://example.com/" + "x" * 2_048,
        "http://[::1/",
    ],
)
def test_what_is_no_webhook_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(Refused) as refusal:
        checked_webhook(url)

    assert refusal.value.kind is Kind.BAD_WEBHOOK
    assert len(url) < 8 or url not in refusal.value.message


def test_the_settings_say_which_hosts_may_be_told() -> None:
    allowed = "hooks.example.com, *.Internal"

    assert checked_webhook("https://HOOKS.example.com/x", allowed=allowed)
    assert checked_webhook("http://a.internal:80/", allowed=allowed)
    for url in ("http://example.com/", "http://169.254.169.254/", "http://hooks.example.com.evil.net/"):
        with pytest.raises(Refused):
            checked_webhook(url, allowed=allowed)


def test_what_is_shown_of_a_webhook_has_no_path() -> None:
    assert webhook_host("https://hooks.example.com:8443/T00/secret?x=y") == "https://hooks.example.com:8443"


@given(failures=st.integers(0, 10_000), chance=st.floats(0, 1))
def test_pauses_grow_up_to_the_longest(failures: int, chance: float) -> None:
    pause = pause_s(failures, first_s=5, longest_s=3_600, chance=chance)

    assert 2.5 <= pause <= 3_600
    assert pause <= pause_s(failures + 1, first_s=5, longest_s=3_600, chance=chance)


@given(kind=st.sampled_from(DeliveryKind), invoke_id=st.from_regex(r"[tf]-[0-9a-f]{32}", fullmatch=True))
def test_a_delivery_is_known_by_its_text(kind: DeliveryKind, invoke_id: str) -> None:
    key = DeliveryKey(kind, InvokeId(invoke_id))

    assert DeliveryKey.parse(str(key)) == key
    assert key.id == f"cb-{invoke_id}"
