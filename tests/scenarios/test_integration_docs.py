"""docs/integration.md does what it says: each Python block is run as it stands, with our addresses."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from cloudassist_tasks import DescribeInvocations
from cloudassist_tasks.contract.callbacks import InvocationSummary
from cloudassist_tasks.contract.webhooks import signature, verified
from cloudassist_tasks.contract.wire import fields_of
from tests.support.endpoint import Endpoint, installation, served_installation  # noqa: F401
from tests.support.eventually import eventually
from tests.support.installation import Installation

PAGE = (Path(__file__).parent.parent.parent / "docs" / "integration.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def web(served_installation: Endpoint) -> Endpoint:  # noqa: F811
    assert served_installation.installation is not None
    served_installation.installation.add("web-1")
    return served_installation


def run(block: str, endpoint: Endpoint) -> dict[str, Any]:
    """The block's names after it ran."""
    assert endpoint.installation is not None
    code = (
        block.replace("redis://127.0.0.1:6379/1", endpoint.installation.server.broker_url(1))
        .replace("http://127.0.0.1:8080", endpoint.url)
        .replace("CA…:…", f"{endpoint.key.id}:{endpoint.key.secret}")
    )
    names: dict[str, Any] = {}
    exec(compile(code, "docs/integration.md", "exec"), names)  # noqa: S102
    return names


def block_with(words: str) -> str:
    [block] = [str(block) for block in BLOCKS if words in block]
    return block


def opened(endpoint: Endpoint) -> set[str]:
    return {
        str(item.invoke_id) for item in endpoint.client.send(DescribeInvocations(max_results=50)).invocations
    }


def callbacks(installation: Installation) -> int:  # noqa: F811
    return int(installation.server.client(1).llen("shop"))


@pytest.mark.parametrize("words", ["app.send_task(", "enqueue("])
def test_a_message_opens_an_invocation_and_is_called_back(web: Endpoint, words: str) -> None:
    assert web.installation is not None
    before, waiting = opened(web), callbacks(web.installation)

    run(block_with(words), web)

    eventually(lambda: len(opened(web) - before) == 1, within=20)
    installed = web.installation
    eventually(lambda: callbacks(installed) == waiting + 1, within=20)


def test_the_callback_is_a_task_that_drops_what_it_knows(
    web: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    names = run(block_with("def done("), web)
    app: Celery = names["app"]

    for _ in range(2):
        app.tasks["shop.done"].apply(
            kwargs={"order": 7, "summary": {"InvocationStatus": "Success"}}, task_id="cb-t-1"
        )

    assert capsys.readouterr().out == "7 Success\n"


def test_the_signature_is_checked_as_shown(web: Endpoint) -> None:
    is_ours = run(block_with("def is_ours("), web)["is_ours"]
    now_s = int(time.time())

    for at_s, body in ((now_s, b"{}"), (now_s - 3_600, b"{}"), (now_s, b"{} ")):
        signed = signature("s3cret", b"{}", at_s=at_s)
        ours = verified("s3cret", body, signed, now_s=now_s)
        assert is_ours("s3cret", body, signed) == ours == (at_s == now_s and body == b"{}")


def test_events_are_followed_to_the_close(web: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    names = run(block_with("client.events("), web)

    lines = [line.split()[1:] for line in capsys.readouterr().out.splitlines()]
    invoke_id = names["invocation"].id
    ours = [line for line in lines if line[1] == invoke_id]
    assert ours[0] == ["opened", invoke_id]
    assert ours[-2:] == [["run", invoke_id, "web-1", "Success"], ["closed", invoke_id]]


def test_the_end_is_waited_for(web: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    run(block_with("client.wait("), web)

    said = capsys.readouterr().out
    assert said.startswith("Success ")
    assert "load average" in said


def test_the_summary_is_as_shown(web: Endpoint) -> None:
    shown = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    assert re.findall(r'"(\w+)":', re.sub(r"\{[^{}]*\}", "{}", shown[1][1:])) == [
        field.wire for field in fields_of(InvocationSummary)
    ]
