"""Other lines of the vendor's libraries, as the programs that were written for them: endpoint and key are all
that these are given. Each tells what it was told; `make sdks` makes the environments that they need.
"""

import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cloudassist_tasks import DescribeInvocations, Tag
from tests.support.endpoint import Endpoint, installation, served_installation  # noqa: F401
from tests.support.sdks import unproxied

pytestmark = pytest.mark.xdist_group("sdks")  # one installation for all of them

HERE = Path(__file__).parent
SDKS = HERE.parent.parent / ".sdks"
PYTHON = str(SDKS / "python" / "bin" / "python")
REQUEST_ID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")

LINES = {
    "previous v3": ([PYTHON, "previous_line.py"], "v3", "TeaException"),
    "previous v2": ([PYTHON, "previous_line.py"], "v2", "TeaException"),
    "oldest POST": ([PYTHON, "oldest_line.py"], "POST", "ServerException"),
    "oldest GET": ([PYTHON, "oldest_line.py"], "GET", "ServerException"),
    "node v3": (["node", "node_line.js"], "v3", "ClientError"),
    "node v2": (["node", "node_line.js"], "v2", "ClientError"),
}


@pytest.mark.parametrize("line", LINES)
def test_a_program_for_this_line_runs_describes_stops_and_is_refused(
    served_installation: Endpoint,  # noqa: F811
    line: str,
) -> None:
    program, way, refused = LINES[line]
    home = served_installation.installation
    assert home is not None
    instances = home.add("i-1", "i-2")

    told = _told(served_installation, [*program, way], instances)

    assert told["outputs"] == dict.fromkeys(instances, "hello Jack & Jill 名 *~+/=")
    assert told["exit_codes"] == [0, 0]
    assert told["listed"] == [[True, "Success", 60]]
    assert told["tags"] == {"sdk": line, "empty": ""}
    assert told["stopped"] == ["Terminated"]
    assert REQUEST_ID.fullmatch(told["request_id"])
    unknown, secret = told["unknown_instance"], told["wrong_secret"]
    assert (unknown["class"], unknown["code"], unknown["status"]) == (
        refused,
        "InvalidInstance.NotFound",
        404,
    )
    assert (secret["class"], secret["status"]) == (refused, 400)
    assert "i-nowhere" in unknown["message"]
    if line.startswith("oldest"):  # compares the server's string to sign with its own, and concludes
        assert secret["code"] == "InvalidAccessKeySecret"
    else:
        assert secret["code"] == "SignatureDoesNotMatch"
        assert "server string to sign is:" in secret["message"]
    assert all(REQUEST_ID.fullmatch(one["request_id"]) for one in (unknown, secret))
    kept = home.client.send(DescribeInvocations(tag=[Tag(key="sdk", value=line)], page_size=50))
    assert kept.total_count == (1 if line.startswith(("previous", "node")) else 2)  # nothing ran twice


def _told(endpoint: Endpoint, program: Sequence[str], instances: Sequence[str]) -> Any:
    """What the program printed."""
    assert SDKS.exists(), "the vendor's libraries are missing; `make sdks` installs them"
    address = f"{endpoint.host}:{endpoint.port}"
    with unproxied():
        done = subprocess.run(
            [
                program[0],
                str(HERE / program[1]),
                address,
                endpoint.key.id,
                endpoint.key.secret,
                program[2],
                *instances,
            ],
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
            env={**os.environ, "NODE_PATH": str(SDKS / "node" / "node_modules")},
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
