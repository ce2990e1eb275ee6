"""What is recorded: an installation in the midst of its work, with a run in each phase and state.

Real calls make most of it, as callers do. Where a worker would pass through a phase in no time, the steps of
the store that it makes are made here, up to that phase.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celery import Celery

from cloudassist_tasks.contract.commands import CreateCommand
from cloudassist_tasks.contract.files import SendFile
from cloudassist_tasks.contract.invocations import InvokeCommand, RunCommand, StopInvocation
from cloudassist_tasks.contract.keys import CreateAccessKey
from cloudassist_tasks.contract.operation import Tag
from cloudassist_tasks.contract.power import RebootInstance
from cloudassist_tasks.contract.schedules import PauseSchedule
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.deliver import deliver_due
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.engine.fire import fire_due
from cloudassist_tasks.engine.worker import Worker
from cloudassist_tasks.operations.handling import handle
from cloudassist_tasks.ports.runs import Claim, Held
from cloudassist_tasks.tasks.enqueue import enqueue
from tests.support.eventually import eventually_async
from tests.support.plane import Console

__all__ = ["BOOT", "CALLBACK", "MASTER_KEY", "WITH_TOKEN", "Scene", "play"]

MASTER_KEY = "of-a-recording-and-of-nothing-else-0123456789"
INSTANCES = 10
EVERY_10_S = 10_000
CALLBACK = {"task": "shop.done", "queue": "shop", "kwargs": {"order": 7}}
BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def asked(name: str, script: str, *ids: str, **fields: Any) -> RunCommand:
    """Run a script on these instances."""
    return RunCommand(
        type="RunShellScript",
        command_content=script,
        enable_parameter=True,
        instance_id=ids,
        name=name,
        **fields,
    )


WITH_TOKEN = asked("with-token", "echo ok\n", "i-1", client_token="a-token")
"""Asked again, it opens nothing: in the recording stands what the first call opened."""


@dataclass(slots=True)
class Scene:
    """What the recording calls its parts."""

    recorded_ms: int = 0
    command_id: str = ""
    key_id: str = ""
    key_secret: str = ""
    message_id: str = "asked-by-another-app"
    invoke_ids: dict[str, str] = field(default_factory=dict)


class _Play:
    def __init__(self, console: Console, worker: Worker, receiver_url: str) -> None:
        self.console = console
        self.plane = console.plane
        self.store = console.plane.store
        self.worker = worker
        self.receiver_url = receiver_url
        self.scene = Scene()

    @property
    def now_ms(self) -> int:
        return self.console.clock.now_ms()

    # -- calls

    async def run(self, name: str, *ids: str, script: str = "echo ok", **fields: Any) -> list[RunKey]:
        """A RunCommand that is known as `name` from here on."""
        request = asked(name, self.console.home.marking(script), *ids, **fields)
        opened = await handle(self.plane, request, LOCAL)
        self.scene.invoke_ids[name] = opened.invoke_id
        return [RunKey(InvokeId(opened.invoke_id), InstanceId(one)) for one in ids]

    async def carried_out(self, keys: Sequence[RunKey]) -> None:
        for key in keys:
            await execute(self.worker, key)

    # -- steps that a worker makes

    async def claimed(self, key: RunKey, *, at_once: int = 10) -> Claim:
        return await self.store.runs.claim(
            key, worker=self.worker.id, now_ms=self.now_ms, at_once=at_once, may_wait=50
        )

    async def launching(self, key: RunKey) -> Held:
        claim = await self.claimed(key)
        assert claim.held is not None
        moved = await self.store.runs.commit_launching(
            claim.held, boot_id=BOOT, deadline_ms=self.now_ms + 120_000, now_ms=self.now_ms
        )
        assert moved.done
        return claim.held

    async def running(self, key: RunKey) -> Held:
        held = await self.launching(key)
        assert (await self.store.runs.started(held, start_ms=self.now_ms, now_ms=self.now_ms)).done
        output = BoundedOutput(head=b"so far\n", total=7)
        assert (await self.store.runs.record_output(held, output, now_ms=self.now_ms)).done
        return held

    # -- the parts

    async def registrations(self) -> None:
        note = self.console.home.marks / "rebooted"
        await self.console.register(INSTANCES, tags={"env": "prod"})
        await self.console.register_one(
            "i-10", "127.0.9.1", name="web", power_commands={"reboot": f"echo once >> {note}"}
        )
        made = await handle(
            self.plane,
            CreateAccessKey(role="operator", name="recorded", policy_tag=[Tag(key="env", value="prod")]),
            LOCAL,
        )
        self.scene.key_id, self.scene.key_secret = made.access_key_id, made.access_key_secret
        assert await self.store.nonces.first_use(made.access_key_id, "a-nonce", keep_ms=900_000)
        kept = CreateCommand(
            name="kept",
            type="RunShellScript",
            command_content="echo {{greeting}}",
            content_encoding="PlainText",
            enable_parameter=True,
            description="said to everybody",
            tag=[Tag(key="team", value="blue")],
        )
        self.scene.command_id = (await handle(self.plane, kept, LOCAL)).command_id

    async def ended(self) -> None:
        invoke = InvokeCommand(
            command_id=self.scene.command_id, instance_id=["i-1"], parameters={"greeting": "hello"}
        )
        invoked = await handle(self.plane, invoke, LOCAL)
        self.scene.invoke_ids["invoked"] = invoked.invoke_id
        await self.carried_out([RunKey(InvokeId(invoked.invoke_id), InstanceId("i-1"))])
        token = await handle(self.plane, WITH_TOKEN, LOCAL)
        self.scene.invoke_ids["with-token"] = token.invoke_id
        await self.carried_out([RunKey(InvokeId(token.invoke_id), InstanceId("i-1"))])
        tag = [Tag(key="team", value="blue")]
        keys = await self.run("ended", "i-1", "i-2", tag=tag, webhook=self.receiver_url)
        await self.carried_out(keys)
        await self.carried_out(await self.run("failed", "i-1", script="exit 3"))
        sent = SendFile(
            name="motd",
            content="hello\n",
            target_dir=str(self.console.home.directory),
            instance_id=["i-2"],
            overwrite=True,
        )
        file = await handle(self.plane, sent, LOCAL)
        self.scene.invoke_ids["file"] = file.invoke_id
        await self.carried_out([RunKey(InvokeId(file.invoke_id), InstanceId("i-2"))])
        told = await self.run("told", "i-2", callback=CALLBACK)
        await self.carried_out(told)
        await deliver_due(self.worker)  # publishes the callback; nobody takes the webhook
        await eventually_async(self._delivered)
        await self.carried_out(await self.run("untold", "i-2", callback=CALLBACK, webhook=self.receiver_url))
        given_up = (await self.run("given-up", "i-2"))[0]
        held = await self.running(given_up)
        await self._give_up(given_up, held)

    async def _delivered(self) -> bool:
        return not self.worker.delivering

    async def _give_up(self, key: RunKey, held: Held) -> None:
        outcome = Outcome(
            status=RunStatus.ERROR, error_code=ErrorCode.EXECUTION_INTERRUPTED, error_info="it was silent"
        )
        await self.store.runs.fence_later(key, at_ms=self.now_ms + 1_000)
        finished = await self.store.runs.finish(
            held,
            outcome,
            output=BoundedOutput(head=b"so far\n", total=7),
            start_ms=self.now_ms,
            finish_ms=self.now_ms,
            now_ms=self.now_ms,
        )
        assert finished.moved.done

    async def open(self) -> None:
        await self.run("queued", "i-3")
        await self.run("capped", "i-3", "i-4", "i-5", max_concurrency="1", max_errors="1")
        await self.claimed((await self.run("claimed", "i-6"))[0])
        await self.launching((await self.run("launching", "i-6"))[0])
        await self.running((await self.run("running", "i-6"))[0])
        stopping = (await self.run("stopping", "i-7"))[0]
        await self.running(stopping)
        await handle(self.plane, StopInvocation(invoke_id=stopping.invoke_id), LOCAL)
        adrift = (await self.run("adrift", "i-7"))[0]
        held = await self.running(adrift)
        assert await self.store.runs.give_back(
            held, look_at_ms=self.now_ms + 5_000, adrift=True, now_ms=self.now_ms
        )
        waiting = (await self.run("waiting", "i-6"))[0]
        await self.claimed(waiting, at_once=3)

    async def repeating(self) -> None:
        every = (await self.run("schedule", "i-8", frequency="rate(10s)", timeout=10))[0]
        self.console.clock.ahead_ms += EVERY_10_S
        await fire_due(self.worker)
        await execute(self.worker, RunKey(every.invoke_id, every.instance_id, 1))
        self.console.clock.ahead_ms += EVERY_10_S
        await fire_due(self.worker)
        paused = await self.run("paused", "i-8", frequency="0 0 12 * * ?", zone="Europe/Berlin", jitter=30)
        await handle(self.plane, PauseSchedule(invoke_id=paused[0].invoke_id), LOCAL)
        await self.run("boot", "i-9", repeat_mode="NextRebootOnly")

    async def messages(self) -> None:
        """Those of the runs are in the queues already, and a callback."""
        await handle(self.plane, RebootInstance(instance_id="i-10"), LOCAL)
        await self.plane.dispatch.publish_collect([InstanceId("i-7")])
        await self.plane.dispatch.publish_prepare([InstanceId("i-4")])
        large = [f"i-{n}" for n in range(1, 7)]
        await self.run("large", *large)  # not for the express lane
        app = Celery("shop", broker=self.console.home.valkey.broker_url(1), set_as_current=False)
        request = asked("asked", self.console.home.marking("echo ok"), "i-5")
        await asyncio.to_thread(enqueue, app, request, callback=CALLBACK, task_id=self.scene.message_id)
        app.close()

    async def finish(self) -> Scene:
        """Once what is written in the background is written."""
        calls = len(self.scene.invoke_ids) + 5

        async def written() -> bool:
            page = await self.store.audit.page(where=lambda _: True, limit=1_000)
            return len(page.records) >= calls

        await eventually_async(written)
        self.scene.recorded_ms = self.now_ms
        return self.scene


async def play(console: Console, worker: Worker, receiver_url: str) -> Scene:
    """Bring the installation of the console there. `receiver_url`: where nobody listens yet."""
    it = _Play(console, worker, receiver_url)
    await it.registrations()
    await it.ended()
    await it.open()
    await it.repeating()
    await it.messages()
    return await it.finish()
