"""`cloudassist doctor`: would a run work? One line per part, and the next step where it would not."""

import asyncio
import os
import platform
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.util import find_spec

import typer

from cloudassist_tasks import config, runtime
from cloudassist_tasks.cli import options
from cloudassist_tasks.cli.exits import Exit
from cloudassist_tasks.cli.render import document, line
from cloudassist_tasks.cli.session import Session, live_workers
from cloudassist_tasks.config import Settings
from cloudassist_tasks.contract.extensions import DescribeRegistrations, ProbeInstances
from cloudassist_tasks.domain.errors import CloudAssistError
from cloudassist_tasks.ports.store import MAKE_ROOM

LEAST_STORE = 7
LEAST_PYTHON = (3, 11)
MOST_SKEW_S = 5.0
MIB = 1024 * 1024
SAMPLE = 5
"""Instances that are probed."""


class Word(StrEnum):
    OK = "ok"
    ADVICE = "advice"
    """A run would work; something may be better."""
    FAULT = "FAULT"
    """A run would not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look has shown."""

    part: str
    word: Word
    what: str
    next_step: str = ""


def doctor(as_json: options.Json = False) -> None:
    """Say what is wrong and the next step. Exits 0 when a run would work."""
    findings = _on_this_machine()
    try:
        settings = config.load()
    except CloudAssistError as error:
        findings.append(Finding("settings", Word.FAULT, str(error), "correct it"))
    else:
        findings += [Finding("settings", Word.OK, f"data directory {settings.data_dir}"), _data_dir(settings)]
        findings += _of_servers(settings)
    works = all(finding.word is not Word.FAULT for finding in findings)
    if as_json:
        document({"works": works, "findings": [_json(finding) for finding in findings]})
    else:
        for finding in findings:
            line(f"{finding.word:<6}  {finding.part:<10}  {finding.what}")
            if finding.next_step:
                line(f"{'':20}→ {finding.next_step}")
        line("a run would work" if works else "a run would not work")
    raise typer.Exit(Exit.SUCCESS if works else Exit.SOME_FAILED)


def _json(finding: Finding) -> dict[str, str]:
    return {
        "part": finding.part,
        "word": finding.word.lower(),
        "what": finding.what,
        "next_step": finding.next_step,
    }


def _on_this_machine() -> list[Finding]:
    findings = [Finding("python", Word.OK, f"{platform.python_version()} ({sys.executable})")]
    if sys.version_info < LEAST_PYTHON:
        findings = [Finding("python", Word.FAULT, platform.python_version(), "install Python 3.11 or newer")]
    for engine in ("asyncssh", "paramiko"):
        if find_spec(engine) is None:
            step = f"install {engine} into this Python"
            findings.append(Finding("ssh", Word.FAULT, f"the engine {engine} is missing", step))
        else:
            findings.append(Finding("ssh", Word.OK, f"the engine {engine} is there"))
    return findings


def _data_dir(settings: Settings) -> Finding:
    path = settings.data_dir
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        step = "make it writable, or set CLOUDASSIST_DATA_DIR"
        return Finding("data", Word.FAULT, f"{path} cannot be written: {error.strerror}", step)
    if path.stat().st_mode & 0o077 and path.stat().st_uid == os.geteuid():
        return Finding("data", Word.ADVICE, f"{path} is open to other users", f"chmod 700 {path}")
    return Finding("data", Word.OK, f"{path} can be written")


def _of_servers(settings: Settings) -> list[Finding]:
    """The rest needs the store; without it there is one finding."""
    from cloudassist_tasks import wiring  # loads celery and the adapters: not for `--help`

    with ExitStack() as ending:
        try:
            servers = wiring.find_servers(settings)
            ending.callback(servers.release)
            ending.callback(runtime.close)
            plane = runtime.await_(wiring.open_plane(replace(settings, allow_local=True), servers))
        except CloudAssistError as error:
            return [
                Finding("store", Word.FAULT, str(error), "everything else needs it: put this right first")
            ]
        ending.callback(lambda: runtime.await_(plane.close()))
        session = Session(wiring.sender_of(plane), plane)
        facts = runtime.await_(plane.store.facts())
        full = runtime.await_(plane.store.is_full())
        findings = [_version(facts), _persistence(facts), _memory(facts, full=full), _clock(session)]
        for part, look in (
            ("broker", _broker),
            ("workers", _workers),
            ("beat", _beat),
            ("instances", _instances),
        ):
            findings.append(runtime.await_(_looked(part, look, session)))
        return findings


async def _looked(part: str, look: Callable[[Session], Awaitable[Finding]], session: Session) -> Finding:
    try:
        async with asyncio.timeout(20):
            return await look(session)
    except CloudAssistError as error:
        return Finding(part, Word.FAULT, str(error))
    except TimeoutError:
        return Finding(part, Word.FAULT, "does not answer within 20 s")


def _version(facts: Mapping[str, str]) -> Finding:
    name = facts.get("server_name") or "redis"
    version = facts.get("valkey_version") or facts.get("redis_version") or "0"
    if int(facts.get("redis_version", "0").split(".")[0]) < LEAST_STORE:
        step = f"use Valkey, or Redis {LEAST_STORE} or newer"
        return Finding("store", Word.FAULT, f"{name} {version} is too old", step)
    return Finding("store", Word.OK, f"{name} {version} answers")


def _persistence(facts: Mapping[str, str]) -> Finding:
    if facts.get("aof_enabled") != "1":
        return Finding(
            "storage",
            Word.ADVICE,
            "the append-only file is off: a crash of the store may lose invocations",
            "set `appendonly yes` on the server",
        )
    if "appendfsync" not in facts:
        return Finding(
            "storage",
            Word.ADVICE,
            "the append-only file is on; `appendfsync` cannot be asked: the server hides its settings",
            "ask whoever runs it; docs/operations.md says what each value may lose",
        )
    if (flushed := facts["appendfsync"]) != "always":
        return Finding(
            "storage",
            Word.ADVICE,
            f"`appendfsync` is {flushed}: a crash of the store may lose its last moments",
            "set `appendfsync always` on the server, or see docs/operations.md",
        )
    return Finding("storage", Word.OK, "the append-only file is on")


def _memory(facts: Mapping[str, str], *, full: bool) -> Finding:
    used, limit = (int(facts.get(name, 0)) for name in ("used_memory", "maxmemory"))
    policy = facts.get("maxmemory_policy", "noeviction")
    taken = f"{used / MIB:,.0f} of {limit / MIB:,.0f} MiB are used"
    if full:
        return Finding("memory", Word.FAULT, f"{taken}: new work is refused", MAKE_ROOM)
    if not limit:
        return Finding(
            "memory",
            Word.ADVICE,
            f"{used / MIB:,.0f} MiB are used, without a limit: where the machine has no more, it is killed",
            "set `maxmemory` on the server, with `maxmemory-policy noeviction`",
        )
    if policy != "noeviction":
        return Finding(
            "memory",
            Word.ADVICE,
            f"`maxmemory-policy` is {policy}: a store that is full drops what it has acknowledged",
            "set `maxmemory-policy noeviction` on the server",
        )
    return Finding("memory", Word.OK, taken)


def _clock(session: Session) -> Finding:
    skew_s = abs(session.plane.clock.now_ms() / 1000 - time.time())
    if skew_s > MOST_SKEW_S:
        what = f"this machine's clock is {skew_s:,.0f} s away from the store's"
        return Finding("clock", Word.ADVICE, what, "the store's counts; set the clocks by NTP")
    return Finding("clock", Word.OK, f"within {skew_s:.1f} s of the store's")


async def _broker(session: Session) -> Finding:
    waiting = await session.plane.dispatch.waiting()
    return Finding("broker", Word.OK, f"answers; {waiting:,} messages wait")


async def _workers(session: Session) -> Finding:
    found = await live_workers(session.plane)
    if not found:
        return Finding(
            "workers", Word.FAULT, "none is up", "start one: `cloudassist up` or `cloudassist worker`"
        )
    hosts = ", ".join(sorted({one.host for one in found}))
    held = sum(one.claims for one in found)
    return Finding("workers", Word.OK, f"{len(found)} up on {hosts}; they hold {held:,} runs")


async def _beat(session: Session) -> Finding:
    if await live_workers(session.plane, "beat"):
        return Finding("beat", Word.OK, "is up")
    step = "schedules need one: `cloudassist up` or `cloudassist beat`"
    return Finding("beat", Word.ADVICE, "none is up", step)


async def _instances(session: Session) -> Finding:
    answer = await session.send(DescribeRegistrations(max_results=SAMPLE))
    if not answer.registrations:
        step = "register one: `cloudassist instance add i-1 --host …`"
        return Finding("instances", Word.ADVICE, "none is registered", step)
    ids = [item.registration.instance_id for item in answer.registrations]
    probed = (await session.send(ProbeInstances(instance_id=ids, within=8))).registrations
    bad = [item for item in probed if item.contact.client_status != "online"]
    total = f"{answer.total_count:,} registered; " if answer.total_count else ""
    if not bad:
        return Finding("instances", Word.OK, f"{total}{len(ids)} asked, all can be reached")
    first = bad[0]
    what = f"{total}{len(bad)} of {len(ids)} asked cannot be reached: {first.contact.last_error}"
    word = Word.FAULT if len(bad) == len(ids) else Word.ADVICE
    return Finding(
        "instances", word, what, f"see `cloudassist instance probe {first.registration.instance_id}`"
    )
