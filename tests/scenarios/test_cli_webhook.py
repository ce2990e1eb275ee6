"""`cloudassist webhook …`: what was not taken is listed, sent again, removed; no worker is up here."""

from collections.abc import Iterator

import pytest

from tests.support.command_line import Installation, installation
from tests.support.sshd import private_sshd
from tests.support.valkey import private_valkey

URL = "http://127.0.0.1:9/T00/s3cret"


@pytest.fixture(scope="module")
def home() -> Iterator[Installation]:
    with private_valkey() as server, private_sshd() as sshd:
        servers = {
            "CLOUDASSIST_REDIS_URL": server.url(0),
            "CLOUDASSIST_BROKER_URL": server.broker_url(1),
        }
        with installation(here=True, **servers) as home:
            home.add(sshd, "i-1", "127.0.0.1")
            yield home


def closed(home: Installation) -> str:
    """An invocation that was stopped before it began."""
    invoke_id = home("run", "true", "-i", "i-1", "--webhook", URL, "--detach").out.strip()
    assert home("invocation", "stop", invoke_id).exit == 0
    return invoke_id


def test_what_waits_is_listed_shown_resent_and_removed(home: Installation) -> None:
    invoke_id = closed(home)

    listed = home("webhook", "ls", "--json").json
    shown = home("webhook", "show", invoke_id)
    resent = home("webhook", "resend", invoke_id)
    removed = home("webhook", "rm", invoke_id)
    again = home("webhook", "rm", invoke_id)

    [item] = [each for each in listed if each["invoke_id"] == invoke_id]
    assert (item["state"], item["failures"], item["receiver"]) == ("waiting", 0, "http://127.0.0.1:9")
    assert shown.exit == 0
    assert "s3cret" not in shown.out + shown.err
    assert (resent.exit, resent.err) == (0, f"due again: {invoke_id}\n")
    assert (removed.exit, removed.err) == (0, f"removed: {invoke_id}\n")
    assert again.exit == 2
    assert again.err.startswith("error: InvalidWebhook.NotFound: ")


def test_nothing_dead_is_nothing_to_send(home: Installation) -> None:
    assert home("webhook", "ls", "--dead", "--json").json == []
    assert home("webhook", "resend", "--all").err == "there is none\n"
    assert home("webhook", "resend").err.startswith("error: MissingParameter: ")
    assert home("webhook", "show", "t-none").err.startswith("error: InvalidWebhook.NotFound: ")


def test_the_secret_is_the_same_until_it_is_rotated(home: Installation) -> None:
    first, second = home("webhook", "secret").out, home("webhook", "secret").out
    rotated = home("webhook", "secret", "--rotate").out

    assert len(first.strip()) == 43
    assert first == second != rotated


def test_a_webhook_that_will_not_do_is_refused_before_anything_runs(home: Installation) -> None:
    done = home("run", "true", "-i", "i-1", "--webhook", "ftp://example.com/", "--detach")

    assert (done.exit, done.out) == (2, "")
    assert done.err.startswith("error: InvalidParameter.Webhook: the webhook's URL cannot be used: ")
