"""Output while the script runs: seen soon, bounded, resumable, and of no consequence to the script."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.gates import until
from tests.support.remote import NONCE, Channel, Frame, Host, joined, union


def next_output(channel: Channel) -> Frame:
    while not (frame := channel.frame()).body:
        pass
    return frame


def frames_until(channel: Channel, end: bytes) -> list[Frame]:
    """The next ones, up to that with whose output they end so."""
    frames = [channel.frame()]
    while not joined(frames).endswith(end):
        frames.append(channel.frame())
    return frames


def streaming(host: Host) -> set[str]:
    """Commands that work for a channel: launchers, their `tail` and `dd`; not supervisors and scripts."""
    found = set()
    for pid in host.processes():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        except OSError:  # gone since it was listed
            continue
        if "supervise" not in words and not any("/script." in word for word in words):
            found.add(" ".join(words))
    return {command for command in found if "count=128" not in command}


def test_output_arrives_while_the_script_still_runs(host_of_any_shell: Host) -> None:
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    go, over = host.base / "go", host.base / "over"
    script = f"echo first; {until(go)}; echo second; {until(over)}"

    with host.launched(run_id, script) as channel:
        started = channel.frame()
        first = next_output(channel)
        go.touch()
        second = next_output(channel)
        state = host.status(run_id)["state"]
        over.touch()
        end = channel.frames()[-1]

    assert (started["state"], started["started"]) == ("running", "1")
    assert [(frame.body, frame["from"]) for frame in (first, second)] == [
        (b"first\n", "0"),
        (b"second\n", "6"),
    ]
    assert state == "running"
    assert (end["state"], end["result"], end["from"], end.body) == ("done", "exited", "13", b"")


def test_many_small_writes_are_followed_from_segment_to_segment(host_of_any_shell: Host) -> None:
    """A segment ends after 128 reads: a line at a time crosses several."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    count = "i=0; while [ $i -lt 140 ]; do echo $i; i=$((i+1)); sleep 0.005; done"
    go, over = host.base / "go", host.base / "over"
    script = f"{count}; {until(go)}; echo last; {until(over)}"
    whole = "".join(f"{number}\n" for number in range(140)).encode() + b"last\n"

    with host.launched(run_id, script) as channel:
        frames = frames_until(channel, b"139\n")
        go.touch()
        frames += frames_until(channel, b"last\n")
        over.touch()
        frames += channel.frames()

    before_the_end = [frame for frame in frames if frame["state"] == "running"]
    assert whole == union(before_the_end, len(whole))
    assert whole == joined(frames)


def test_follow_begins_at_any_offset_and_sees_the_end(host_of_any_shell: Host) -> None:
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    go = host.base / "go"
    host.start(run_id, f"echo 0123456789; {until(go)}; echo end; exit 3")
    eventually(lambda: host.output(run_id)[0].body == b"0123456789\n")

    with host.channel("follow", run_id, NONCE, 4) as one, host.channel("follow", run_id, NONCE, 0) as two:
        greeting = one.frame()
        parts = [next_output(one), next_output(two)]
        go.touch()
        rests = [channel.frames() for channel in (one, two)]

    assert (greeting["state"], greeting["more"]) == ("running", "1")
    assert [part.body for part in parts] == [b"456789\n", b"0123456789\n"]
    assert [(rest[-1]["result"], rest[-1]["exit"]) for rest in rests] == [("exited", "3")] * 2
    assert [joined(rest) for rest in rests] == [b"end\n"] * 2


def test_follow_of_what_has_ended_or_never_was(host: Host) -> None:
    over = host.new_id()
    host.launch(over, "echo all; exit 2")

    ended, never = host.call("follow", over, NONCE, 1), host.call("follow", host.new_id(), NONCE, 0)

    assert [(frame["exit"], frame.body) for frame in ended] == [("2", b""), ("2", b"ll\n")]
    assert [frame["state"] for frame in never] == ["absent"]


def test_letting_go_leaves_the_run_and_nothing_of_ours(host_of_any_shell: Host) -> None:
    """The end of the client's input ends launcher, tail and dd; the run does not notice."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    go = host.base / "go"
    with host.launched(run_id, f"echo one; {until(go)}; echo two") as channel:
        next_output(channel)
        attached = streaming(host)
        channel.let_go()
        left = channel.frames()[-1]
        code = channel.ended()
        eventually(lambda: not streaming(host))
        go.touch()

    assert attached
    assert (left["state"], left["left"], left["from"]) == ("running", "1", "4")
    assert code == 0
    eventually(lambda: host.status(run_id)["state"] == "done")
    assert host.output(run_id)[-1].body == b"one\ntwo\n"
    assert not [file.name for file in (host.spool / run_id).iterdir() if "." in file.name]


def test_a_client_that_stops_reading_does_not_stop_the_script(host: Host) -> None:
    run_id = host.new_id()
    with host.launched(
        run_id, "i=0; while [ $i -lt 60 ]; do head -c 100000 /dev/zero; sleep 0.02; i=$((i+1)); done; exit 9"
    ):
        eventually(lambda: host.status(run_id)["state"] == "done", within=20)

    assert (host.status(run_id)["exit"], host.status(run_id)["total"]) == ("9", "6000000")


def test_a_held_quiet_run_wakes_no_shell(host: Host) -> None:
    """Held runs cost nothing in shell: launcher and supervisor switch no context while nothing happens."""
    run_id = host.new_id()
    with host.launched(run_id, "echo on; sleep 60") as channel:
        next_output(channel)
        waits = dict.fromkeys([channel.process.pid, host.identity(run_id, "started")], 0)  # not looked yet
        eventually(lambda: settled(waits), within=10, every=1.5)
        channel.let_go()
        channel.ended()
    host.cancel(run_id)


def switches(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


def settled(waits: dict[int, int]) -> bool:
    """Whether none of them has run since the last look."""
    now = {pid: switches(pid) for pid in waits}
    quiet = now == waits
    waits.update(now)
    return quiet


def test_endless_output_is_bounded_on_the_channel_and_in_the_spool(host: Host) -> None:
    """Fault 34: `yes` until its timeout; head and tail exact, about `tail` bytes a second on the way."""
    run_id = host.new_id()

    frames = host.launch(run_id, "yes 0123456", timeout=3)

    end, total = frames[-1], int(frames[-1]["total"])
    lasted_s = (int(end["end_cs"]) - int(end["start_cs"])) // 100
    sent = sum(len(frame.body) for frame in frames)
    assert end["result"] == "timeout"
    assert total > 1_000_000
    assert sent <= 6144 + 18432 * (lasted_s + 3)
    assert union(frames, 6144) == b"0123456\n" * 768
    shift = (total - 18432) % 8
    assert union(frames, 18432, total - 18432) == (b"0123456\n" * 2400)[shift : shift + 18432]
    assert sum(file.stat().st_blocks for file in (host.spool / run_id).iterdir()) * 512 < 2_600_000


def test_two_hundred_runs_at_once_all_end_right(host: Host) -> None:
    """Load: each with its own output and exit code; some are held, some short, some time out."""
    numbers = range(200)

    def run(number: int) -> Frame:
        pause = "sleep 1" if number % 3 == 0 else ":"
        script = f"echo run {number}; {pause}; exit {number % 100}"
        if number % 20 == 0:
            return host.launch(f"load-{number}", "echo long; sleep 300", timeout=20)[-1]
        return host.launch(f"load-{number}", script, text=True)[-1]

    with ThreadPoolExecutor(200) as threads:
        ends = list(threads.map(run, numbers))
    pairs = [word for number in numbers for word in (f"load-{number}", 0)]
    collected = host.call("collect", NONCE, *pairs)

    for number, end in zip(numbers, ends, strict=True):
        assert ("timeout" if number % 20 == 0 else "exited") == end["result"]
        if number % 20:
            assert str(number % 100) == end["exit"]
    assert [f"load-{number}" for number in numbers] == [frame["id"] for frame in collected]
    wanted = [f"run {number}\n" if number % 20 else "long\n" for number in numbers]
    assert wanted == [frame.body.decode() for frame in collected]
    assert host.call("ping", NONCE)[-1]["runs"] == "0"
