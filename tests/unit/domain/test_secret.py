"""A secret shows itself to nobody who did not ask."""

from cloudassist_tasks.domain.secret import Secret


def test_a_secret_is_never_shown() -> None:
    secret = Secret("hunter2")

    assert f"{secret} {secret!r} {secret!s}" == "*** *** ***"
    assert "hunter2" not in repr({"password": secret})
    assert secret.reveal() == "hunter2"


def test_secrets_compare_by_what_they_hold() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert hash(Secret("a")) == hash(Secret("a"))
