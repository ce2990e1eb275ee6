"""Many runs at one contact, tombstones, and what is thrown away."""

import os
import time
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.remote import NONCE, Host


def age(directory: Path, days: float) -> None:
    then = time.time() - days * 86400
    for file in [*directory.iterdir(), directory]:
        os.utime(file, (then, then))


def test_collect_answers_for_every_run_from_its_offset(host_of_any_shell: Host) -> None:
    host = host_of_any_shell
    over, going, never = host.new_id(), host.new_id(), host.new_id()
    host.launch(over, "echo 0123456789; exit 4")
    host.start(going, "echo on; sleep 60")
    eventually(lambda: b"on" in host.output(going)[0].body)

    frames = host.call("collect", NONCE, over, 8, going, 0, never, 0)
    host.cancel(going)

    by_id = {run_id: [frame for frame in frames if frame["id"] == run_id] for run_id in (over, going, never)}
    assert (by_id[over][-1]["state"], by_id[over][-1]["exit"], by_id[over][-1].body) == ("done", "4", b"89\n")
    assert by_id[going][-1]["state"] == "running"
    assert b"".join(frame.body for frame in by_id[going]) == b"on\n"
    assert by_id[never][-1]["state"] == "absent"
    assert [True] * (len(frames) - 1) + [False] == [bool(frame["more"]) for frame in frames]


def test_ack_takes_only_what_has_a_result(host_of_any_shell: Host) -> None:
    host = host_of_any_shell
    over, going = host.new_id(), host.new_id()
    host.launch(over, "echo out; exit 3")
    host.start(going, "sleep 60")

    answers = host.call("ack", NONCE, over, going, "never-was")

    assert [(over, "1"), (going, "0"), ("never-was", "0")] == [
        (frame["id"], frame["acked"]) for frame in answers
    ]
    tombstone = host.output(over)[-1]
    assert (tombstone["exit"], tombstone["total"], tombstone["gone"]) == ("3", "4", "1")
    assert host.status(going)["state"] == "running"
    assert host.cancel(going)["result"] == "canceled"


def test_old_tombstones_and_uploads_go_young_ones_stay(host_of_any_shell: Host) -> None:
    host = host_of_any_shell
    old, young, old_upload, young_upload = (host.new_id() for _ in range(4))
    for run_id in (old, young):
        host.launch(run_id, "true")
    for run_id in (old_upload, young_upload):
        (host.base / run_id).mkdir()
        (host.base / run_id / "spec.1").write_text("timeout=5\n")
    age(host.base / old, 15)
    age(host.base / old_upload, 3)

    answer = host.call("gc", NONCE, 14)[-1]

    assert (answer["removed"], answer["stale"]) == ("1", "1")
    assert {"bin", "conf", young, young_upload} == {file.name for file in host.base.iterdir()}


def test_ping_counts_what_runs(host: Host) -> None:
    host.launch(host.new_id(), "true")
    before = host.call("ping", NONCE)[-1]
    run_id = host.new_id()
    host.start(run_id, "sleep 60")

    during = host.call("ping", NONCE)[-1]
    host.cancel(run_id)

    assert (before["runs"], during["runs"], during["user"]) == ("0", "1", "root")
    assert before["version"] == host.facts["version"]
