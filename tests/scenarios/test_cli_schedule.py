"""`cloudassist run --rate …` and `cloudassist schedule …`; no worker and no beat is up here."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cloudassist_tasks.cli.watch import Watch
from cloudassist_tasks.contract.extensions import RunState
from cloudassist_tasks.domain.ids import InstanceId, InvokeId
from cloudassist_tasks.domain.invocation import Why
from cloudassist_tasks.ports.store import Store
from tests.support.command_line import Installation, installation
from tests.support.etc import PrivateEtc
from tests.support.sshd import private_sshd
from tests.support.store import make
from tests.support.valkey import private_valkey


@pytest.fixture(scope="module")
def home() -> Iterator[Installation]:
    with private_valkey() as server, private_sshd() as sshd:
        servers = {
            "CLOUDASSIST_REDIS_URL": server.url(0),
            "CLOUDASSIST_BROKER_URL": server.broker_url(1),
        }
        with installation(here=True, **servers) as home:
            home.add(sshd, "i-1", "127.0.0.1")
            home.add(sshd, "i-2", "127.0.0.2")
            yield home


def scheduled(home: Installation, *when: str) -> str:
    answer = home("run", "true", "-i", "i-1", "-i", "i-2", *when)
    assert answer.exit == 0, answer.err
    assert "nothing runs yet" in answer.err
    return answer.out.strip()


@pytest.mark.parametrize(
    ("when", "words"),
    [
        (("--cron", "0 0 12 ? * WED"), "at 12:00 on Wednesday, UTC"),
        (("--cron", "0 0 12 ? * WED", "--zone", "Asia/Shanghai"), "at 12:00 on Wednesday, Asia/Shanghai"),
        (("--rate", "20m", "--jitter", "30", "--misfire", "once"), "every 20 minutes"),
        (("--on-next-boot",), "once, when the instance next starts"),
        (("--on-every-boot",), "each time that the instance starts"),
    ],
)
def test_a_schedule_is_made_and_shown_in_words(home: Installation, when: tuple[str, ...], words: str) -> None:
    invoke_id = scheduled(home, *when)

    shown = home("schedule", "show", invoke_id, "--json").json
    listed = home("schedule", "ls", "--json").json

    assert (shown["words"], shown["state"], shown["instances"]) == (words, "active", 2)
    assert bool(shown["next_time"]) == ("boot" not in when[0])
    assert invoke_id in [one["invoke_id"] for one in listed]
    assert words in home("schedule", "show", invoke_id).out


def test_it_is_run_now_paused_resumed_and_stopped(home: Installation) -> None:
    invoke_id = scheduled(home, "--at", "2098-12-31 23:00:00 Asia/Shanghai")

    first, again = home("schedule", "run-now", invoke_id), home("schedule", "run-now", invoke_id)
    history = home("schedule", "history", invoke_id, "--json").json
    paused = home("schedule", "pause", invoke_id)
    state = home("schedule", "show", invoke_id, "--json").json["state"]
    resumed = home("schedule", "resume", invoke_id)
    stopped = home("invocation", "stop", invoke_id)
    over = home("schedule", "run-now", invoke_id)

    assert (first.out, again.out) == ("1\n", "2\n")
    assert [(one["round"], one["why"], one["total"], one["skipped"]) for one in history["rounds"]] == [
        (2, "asked", 0, 2),
        (1, "asked", 2, 0),
    ]
    assert (paused.exit, state) == (0, "paused")
    assert "next at 2098-12-31T15:00:00Z" in resumed.err
    assert stopped.exit == 0
    assert home("schedule", "show", invoke_id, "--json").json["state"] == "closed"
    assert (over.exit, over.err.split(":")[1]) == (2, " InvalidOperation.InvokeAlreadyFinished")


@pytest.mark.parametrize(
    "wrong",
    [
        ("--rate", "20m", "--cron", "0 0 12 ? * WED"),
        ("--rate", "20m", "--dry-run"),
        ("--jitter", "5"),
        ("--rate", "20m", "--wait", "5"),
        ("--rate", "5s"),
        ("--rate", "10s", "--timeout", "60"),
        ("--cron", "0 0 25 ? * *"),
        ("--at", "2020-01-01 00:00:00"),
        ("--rate", "20m", "--misfire", "twice"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_made(home: Installation, wrong: tuple[str, ...]) -> None:
    before = home("schedule", "ls", "--json").json

    answer = home("run", "true", "-i", "i-1", *wrong)

    assert (answer.exit, answer.out) == (2, "")
    assert answer.err.startswith("error: ")
    assert home("schedule", "ls", "--json").json == before


def test_a_schedule_in_the_zone_of_its_instance_says_so(home: Installation, tmp_path: Path) -> None:
    etc = PrivateEtc(tmp_path)
    etc.move_to("Antarctica/Troll")
    noon = ("--cron", "0 0 12 * * ?")
    of_hosts = {"CLOUDASSIST_SCHEDULE_ZONE": "instance"}

    with private_sshd(within=etc.within) as away:
        home.add(away, "i-away", "127.0.0.9")
        prepared = home("instance", "prepare", "i-1", "i-away")
        made = home("run", "true", "-i", "i-away", *noon, environment=of_hosts)
        both = home("run", "true", "-i", "i-away", "-i", "i-1", *noon, environment=of_hosts)

    schedule = home("schedule", "show", made.out.strip()).out
    instance = home("instance", "show", "i-away")
    assert (prepared.exit, made.exit) == (0, 0), made.err
    assert "at 12:00 each day, Antarctica/Troll" in schedule
    assert schedule.split("Time zone")[1].split()[0] == "Antarctica/Troll"
    assert instance.out.split("Time zone")[1].split() == ["Antarctica/Troll"]
    assert home("instance", "show", "i-away", "--json").json["zone"] == "Antarctica/Troll"
    assert (both.exit, both.out) == (2, "")
    assert "InvalidParam.Frequency: a schedule has one time zone, but i-1 is in " in both.err
    assert "i-away in Antarctica/Troll; give a time zone" in both.err


Step = Callable[[Store, InvokeId], Awaitable[object]]


def a_round_that_prints(output: bytes) -> Step:
    """Opened and over."""

    async def step(store: Store, invoke_id: InvokeId) -> None:
        opened = await store.schedules.open_round(invoke_id, why=Why.ASKED, batch=9, now_ms=2_000)
        assert opened is not None
        [key] = opened.reserved
        await make.finish(store, await make.running(store, key), output=output)

    return step


async def an_end(store: Store, invoke_id: InvokeId) -> None:
    await store.schedules.end(invoke_id, now_ms=4_000)
    await store.schedules.end_parts(invoke_id, [InstanceId("i-1")], leave=False, now_ms=4_000)


def before_each_look(monkeypatch: pytest.MonkeyPatch, *steps: Step) -> None:
    """What happens between two looks at the runs."""
    pages, left = Watch.pages, iter(steps)

    async def after_a_step(self: Watch, **how: Any) -> AsyncIterator[Sequence[RunState]]:
        await next(left)(self.session.plane.store, InvokeId(self.invoke_id))
        async for page in pages(self, **how):
            yield page

    monkeypatch.setattr(Watch, "pages", after_a_step)


def test_logs_that_are_followed_show_each_round_from_its_beginning(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke_id = home("run", "true", "-i", "i-1", "--rate", "1d").out.strip()
    rounds = (b"round 1\n", b"round two\n", b"round two\n", b"three", b"4\n")
    before_each_look(monkeypatch, *(a_round_that_prints(output) for output in rounds), an_end)

    followed = home("invocation", "logs", "-f", invoke_id)

    assert followed.out.splitlines() == ["round 1", "round two", "round two", "three", "4"], followed
