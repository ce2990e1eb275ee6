"""The example for users of the vendor's SDK does what it says, with endpoint and key and nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.endpoint import Endpoint, installation, served_installation  # noqa: F401
from tests.support.sdks import unproxied

pytestmark = pytest.mark.xdist_group("sdks")  # one installation for all of them

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "vendor_sdk.py"
IDS = ("i-1", "i-2", "i-3")
SENT = Path("/tmp/vendor-sdk")
"""Where the example's file goes on its instances."""


def test_the_example_runs_stops_sends_and_reads_back(served_installation: Endpoint) -> None:  # noqa: F811
    home = served_installation.installation
    assert home is not None
    home.add(*IDS)
    with unproxied():
        environment = {
            "PATH": os.environ["PATH"],
            "ECS_ENDPOINT": f"{served_installation.host}:{served_installation.port}",
            "ALIBABA_CLOUD_ACCESS_KEY_ID": served_installation.key.id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": served_installation.key.secret,
        }

    try:
        done = subprocess.run(
            [sys.executable, str(EXAMPLE)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=environment,
        )
    finally:
        shutil.rmtree(SENT, ignore_errors=True)

    assert (done.returncode, done.stderr) == (0, "")
    print(done.stdout)
    lines = [line.split(" ", 2) for line in done.stdout.splitlines()]
    ran, begun, stopped, sent, read = (sorted(lines[start : start + 3]) for start in range(0, 15, 3))
    assert ran == [[id, "Success", f"hello, from {id}"] for id in IDS]
    assert {status for _, status, _ in begun} <= {"Running", "Pending"}
    assert {status for _, status, _ in stopped} <= {"Terminated", "Cancelled"}
    assert sent == [[id, "Success", ""] for id in IDS]
    assert read == [[id, "Success", f"a note in a file, from {id}"] for id in IDS]
    assert len(EXAMPLE.read_text().splitlines()) <= 30
