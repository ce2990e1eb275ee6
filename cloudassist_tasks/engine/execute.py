"""Carry one run from claimed to ended.

Called by the Celery task of the same name, once per delivery; a delivery may come twice, late or never,
so every step looks before it acts. Nothing here knows Celery, Redis or SSH: they arrive as ports.
Whatever happens on the instance becomes an outcome; only a failure of our own machinery leaves as an
exception, and then the claim is given back and another delivery goes on from where it was. A task that
is revoked while it carries a run takes the same path: only a stop of the invocation ends the run.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import replace
from typing import TypeVar

from cloudassist_tasks.awake import WORTHWHILE_S
from cloudassist_tasks.domain.errors import Broken, ErrorCode, LostContact, RunFailed, Unreachable
from cloudassist_tasks.domain.ids import RunKey
from cloudassist_tasks.domain.instance import Contact, Instance, InstanceStatus
from cloudassist_tasks.domain.invocation import InvocationSpec, Run
from cloudassist_tasks.domain.outcome import Outcome, outcome_of_failure
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.status import Phase, RunStatus
from cloudassist_tasks.engine import publish
from cloudassist_tasks.engine.cancel import cancel, rest_of_output
from cloudassist_tasks.engine.caps import heed_caps
from cloudassist_tasks.engine.close import closed
from cloudassist_tasks.engine.complete import believed, complete, complete_reported
from cloudassist_tasks.engine.delivery_deadline import DeliveryDeadline
from cloudassist_tasks.engine.follow import Follower, LettingGo
from cloudassist_tasks.engine.give_back import hand_over, let_go
from cloudassist_tasks.engine.host_contact import reached
from cloudassist_tasks.engine.insist import insist
from cloudassist_tasks.engine.payload import payload_for
from cloudassist_tasks.engine.worker import Carried, LetGo, Worker
from cloudassist_tasks.logs import bound, log
from cloudassist_tasks.ports.runs import Claim, ClaimWord, Moved
from cloudassist_tasks.ports.transport import Attachment, Host, HostResult, HostState, Reached

T = TypeVar("T")

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 15.0
REATTACH_TRIES = 4
"""How often a launched run is looked for in one go; after that it is let go and looked at later."""
MOST_DELIVERIES = 5
"""A run that a fault of ours keeps from being launched is tried so often."""


async def execute(worker: Worker, key: RunKey) -> None:
    """Claim the run and carry it as far as it goes. Returns when it has ended or was let go."""
    plane, limits = worker.plane, worker.plane.limits
    if worker.draining:
        await plane.dispatch.publish([key], express=True, again=True)  # the message is spent
        return
    claim = await plane.store.runs.claim(
        key,
        worker=worker.id,
        now_ms=plane.clock.now_ms(),
        at_once=limits.instance_runs,
        may_wait=limits.instance_waiting,
    )
    if claim.closed:
        await closed(plane, key.invoke_id, round=key.round)
    elif claim.word in (ClaimWord.REFUSED, ClaimWord.CANCELLED):
        await heed_caps(plane, key.invoke_id, round=key.round)
    if claim.word is not ClaimWord.HELD or claim.held is None:
        log("claim_not_held", logging.DEBUG, run=key.run_id, word=claim.word)
        return
    if claim.unpublished and claim.unclaimed < limits.window_low:
        worker.spawn(publish.refill(plane, key.invoke_id, round=key.round))
    with bound(run=key.run_id, worker=worker.id), worker.carrying(claim.held) as carried:
        execution = _Execution(worker, carried, claim)
        try:
            await execution.carry()
        except asyncio.CancelledError:
            if carried.abandoned:
                return  # the claim goes with the process
            # the task was revoked, which is no stop: the run goes on
            worker.spawn(hand_over(worker, claim.held, adrift=execution.launched, look_in_s=0))
            raise
        except Exception as fault:
            log("run_faulted", logging.ERROR, fault=type(fault).__name__, again_in_s=LONGEST_RETRY_S)
            worker.spawn(execution.after_fault(fault))
            raise


class _Stopped(Exception):
    """A stop came before anything was sent."""


class _Execution:
    """One claim's work: deliver, launch or re-attach, follow, record."""

    def __init__(self, worker: Worker, carried: Carried, claim: Claim) -> None:
        assert claim.run is not None
        self.worker = worker
        self.plane = worker.plane
        self.carried = carried
        self.held = carried.held
        self.run = claim.run
        self.run_id = carried.held.key.run_id
        self.instance = claim.instance
        self.contact = claim.contact or Contact()
        self.launched = claim.run.phase is Phase.LAUNCHING
        self.delivery = DeliveryDeadline(self.plane.limits.delivery_timeout_s, worker.awake.time)
        self.follower = Follower(worker, carried, self._empty_output())
        self.follower.launched_ms = claim.run.launch_ms
        if claim.run.stop_requested:
            carried.stop.set()

    def _empty_output(self) -> BoundedOutput:
        limits = self.plane.limits
        return BoundedOutput(head_limit=limits.output_head_bytes, tail_limit=limits.output_tail_bytes)

    async def carry(self) -> None:
        """Until the run has ended, or somebody else is to go on."""
        try:
            spec, instance = await self._checked()
            if self.launched:
                (self.follower.output,) = await insist(lambda: self.plane.store.runs.output([self.held.key]))
            await self._deliver(spec, instance)
        except _Stopped:
            await complete(self.plane, self.held, Outcome(status=RunStatus.CANCELLED))
        except LettingGo as letting:
            await let_go(self.plane, self.held, letting, launched=self.launched, output=self.follower.output)
        except RunFailed as failure:
            outcome = outcome_of_failure(failure)
            await complete(self.plane, self.held, outcome, output=self.follower.output)

    async def _checked(self) -> tuple[InvocationSpec, Instance]:
        spec = await insist(lambda: self.worker.spec(self.held.key))
        self._heed()
        if spec is None or self.instance is None:
            raise RunFailed(
                RunStatus.ERROR if self.launched else RunStatus.ABORTED,
                ErrorCode.INSTANCE_RELEASED if self.launched else ErrorCode.INSTANCE_NOT_EXISTS,
                f"{self.held.key.instance_id} is no longer registered; add it again and retry",
            )
        if self.instance.status is not InstanceStatus.RUNNING and not self.launched:
            raise RunFailed(
                RunStatus.ABORTED,
                ErrorCode.INSTANCE_NOT_RUNNING,
                f"{self.instance.id} is {self.instance.status}; start it first",
            )
        return spec, self.instance

    # -- reaching the host, again and again

    async def _deliver(self, spec: InvocationSpec, instance: Instance) -> None:
        """Contact the host until the end is recorded. Before the launch: within the delivery deadline;
        after it: a few times, then the run is looked at later."""
        tries, pause_s = 0, FIRST_RETRY_S
        while True:
            tries += 1
            try:
                await self._contact(spec, instance)
                return
            except (Unreachable, LostContact) as fault:
                if self.launched:
                    if tries >= REATTACH_TRIES or not fault.retry_helps:
                        raise LettingGo(LetGo.LONG, LONGEST_RETRY_S) from fault
                else:
                    self.delivery.check(fault, next_in_s=pause_s)
                log("contact_failed", logging.WARNING, code=fault.code, info=fault.info, again_in_s=pause_s)
            await self._pause(pause_s)
            pause_s = min(2 * pause_s, LONGEST_RETRY_S)

    async def _pause(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s) as self.carried.wait:
                await asyncio.Event().wait()
        except TimeoutError:
            self._heed()
        finally:
            self.carried.wait = None

    async def _connected(self, stack: AsyncExitStack, instance: Instance) -> Reached:
        """The host. Waiting for our turn to connect is not the instance's time; one that is gone keeps its
        turn from no other."""
        asked_s = self.worker.awake.time()
        await self._cuttable(self.worker.connecting.acquire(), within_s=None)
        self.delivery.excuse(self.worker.awake.time() - asked_s)
        with ExitStack() as turn:
            turn.callback(self.worker.connecting.release)
            reaching = stack.enter_async_context(
                reached(self.plane, instance, self.contact, on_silence=turn.close)
            )
            left_s = self.delivery.left_s()
            return await self._cuttable(reaching, within_s=None if self.launched else left_s)

    async def _cuttable(self, step: Awaitable[T], *, within_s: float | None) -> T:
        """A step that a stop, a letting go or its deadline may cut short: it sends nothing."""
        try:
            async with asyncio.timeout(within_s) as self.carried.wait:
                return await step
        except TimeoutError:
            self._heed()
            if self.launched:
                raise LostContact(f"{self.held.key.instance_id} was not reached in time") from None
            if self.delivery.left_s() > WORTHWHILE_S:  # it was we who were not awake
                raise LostContact(f"{self.held.key.instance_id} was not listened to") from None
            raise self.delivery.missed(f"{self.held.key.instance_id} does not answer") from None
        finally:
            self.carried.wait = None

    def _heed(self) -> None:
        """Raise what was asked of us while we did something else."""
        if self.carried.let_go is not None:
            raise LettingGo(self.carried.let_go)
        if self.carried.stop.is_set() and not self.launched:
            raise _Stopped

    # -- one contact

    async def _contact(self, spec: InvocationSpec, instance: Instance) -> None:
        payload = payload_for(self.plane, spec, instance)
        async with AsyncExitStack() as stack:
            self._heed()
            with self._on_the_way():
                it = await self._connected(stack, instance)
            self.contact = replace(self.contact, facts=it.facts)
            host = it.host
            if self.launched and self.carried.stop.is_set():
                await self._cancel(spec, host)
                return
            attachment = await self._attach(stack, host, spec)
            stack.callback(setattr, self.carried, "on_stop", None)
            self.carried.on_stop = lambda: self.worker.spawn(self._stop_on_host(host, spec))
            if self.carried.stop.is_set() and self.launched:
                self.carried.on_stop()  # it came while the channel was being opened
            if attachment.greeting.state in (HostState.ABSENT, HostState.PREPARED):
                await self._commit(attachment.greeting.boot_id, spec)
                await attachment.begin(payload)
                log("run_started", host_boot=attachment.greeting.boot_id)
            elif not self.launched:  # an earlier worker got further than the store knows
                try:
                    await self._commit(attachment.greeting.boot_id, spec)
                except _Stopped:
                    await self._cancel(spec, host)
                    return
                attachment = await self._follow_channel(stack, host, spec)
            result = await self.follower.follow(attachment)
            await self._bring_rest(host, spec, result)
            if await self._record(spec, believed(result, self._known, attachment.greeting.boot_id)):
                await attachment.acknowledge()

    async def _attach(self, stack: AsyncExitStack, host: Host, spec: InvocationSpec) -> Attachment:
        """A channel to the run: to follow it if it was launched, else (or if the launch never arrived) to
        launch it."""
        if self.launched:
            attachment = await self._follow_channel(stack, host, spec)
            greeting = attachment.greeting
            if greeting.state not in (HostState.ABSENT, HostState.PREPARED):
                return attachment
            self._check_may_launch_again(greeting.boot_id)
        attachment = await host.launch(self.run_id, user=spec.username)
        stack.push_async_callback(attachment.close)
        if self.launched and attachment.greeting.state not in (HostState.ABSENT, HostState.PREPARED):
            raise LostContact(f"{self.held.key.instance_id} started the run between two looks at it")
        return attachment

    async def _follow_channel(self, stack: AsyncExitStack, host: Host, spec: InvocationSpec) -> Attachment:
        offset = self.follower.output.total
        with self._on_the_way():
            attachment = await host.follow(self.run_id, user=spec.username, offset=offset)
        stack.push_async_callback(attachment.close)
        return attachment

    @contextmanager
    def _on_the_way(self) -> Iterator[None]:
        """What keeps us from a host says nothing of a run that was launched there: a sudo that refuses
        by now, a disk without room for another helper."""
        try:
            yield
        except (Unreachable, LostContact):
            raise
        except RunFailed as fault:
            if not self.launched:
                raise
            raise LostContact(fault.info) from fault

    @property
    def _known(self) -> Run:
        """The run, with the launch that is ours, and a start that we have heard of, whatever the store was
        told."""
        start_ms = self.run.start_ms or self.follower.start_ms
        return replace(self.run, launch_ms=self.follower.launched_ms, start_ms=start_ms)

    def _check_may_launch_again(self, boot_id: str) -> None:
        """The host knows nothing of a run that was, perhaps, launched: only on the same boot, and if it was
        never seen running, is a second launch safe."""
        if boot_id != self.run.boot_id:
            raise RunFailed(
                RunStatus.ERROR,
                ErrorCode.INSTANCE_RESTARTED,
                f"{self.held.key.instance_id} restarted after the script was sent; whether it ran is unknown,"
                " it is not run again",
            )
        if self._known.start_ms:
            raise RunFailed(
                RunStatus.ERROR,
                ErrorCode.EXECUTION_INTERRUPTED,
                f"the record of the run is gone from {self.held.key.instance_id}; its end is unknown",
            )

    async def _commit(self, boot_id: str, spec: InvocationSpec) -> None:
        """From here on a launch may have been sent, on this boot."""
        moved, at_ms = await insist(lambda: self._committed(boot_id, spec))
        if moved.done:
            self.launched = True
            self.run = replace(self.run, phase=Phase.LAUNCHING, boot_id=boot_id)
            self.follower.launched_ms = at_ms
        elif moved.stale:
            raise LettingGo(LetGo.BURIED)
        elif self.launched:
            self.carried.stop.set()
            raise LostContact("a stop came before the script was sent again")
        else:
            raise _Stopped

    async def _committed(self, boot_id: str, spec: InvocationSpec) -> tuple[Moved, int]:
        """What came of it, and when. The time is that of the try: a store that was away takes none of it."""
        now_ms = self.plane.clock.now_ms()
        deadline_ms = now_ms + 1_000 * (spec.timeout_s + self.plane.limits.grace_s)
        moved = await self.plane.store.runs.commit_launching(
            self.held, boot_id=boot_id, deadline_ms=deadline_ms, now_ms=now_ms
        )
        return moved, now_ms

    # -- stopping

    async def _stop_on_host(self, host: Host, spec: InvocationSpec) -> None:
        """Kill the run, or make sure that it cannot start; until the host has said which."""
        pause_s = FIRST_RETRY_S
        while self.carried.on_stop is not None:
            try:
                report = await host.cancel(self.run_id, user=spec.username)
            except RunFailed as fault:
                log("stop_failed", logging.WARNING, info=fault.info, again_in_s=pause_s)
            else:
                if report.result is not None:
                    self.follower.hear_end(believed(report.result, self._known, report.boot_id))
                    return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_RETRY_S)

    async def _cancel(self, spec: InvocationSpec, host: Host) -> None:
        seen = self.follower.output.total
        report = await cancel(self.worker.awake, host, self.run_id, user=spec.username, seen=seen)
        for piece in report.output:
            self.follower.output.add(piece.offset, piece.data)
        if report.result is None:
            raise LostContact(f"{self.held.key.instance_id} has not confirmed the stop yet")
        if await self._record(spec, believed(report.result, self._known, report.boot_id)):
            await host.acknowledge([self.run_id], user=spec.username)

    # -- the end

    async def _bring_rest(self, host: Host, spec: InvocationSpec, result: HostResult) -> None:
        """Where a stop has verified the end on another channel, ours may not have come as far."""
        output = self.follower.output
        if result.total_bytes > output.total:
            for piece in await rest_of_output(
                self.worker.awake, host, self.run_id, user=spec.username, seen=output.total
            ):
                output.add(piece.offset, piece.data)

    async def _record(self, spec: InvocationSpec, result: HostResult) -> bool:
        return await complete_reported(
            self.plane,
            self.held,
            spec,
            result,
            run=self._known,
            output=self.follower.output,
            stop_requested=self.carried.stop.is_set(),
        )

    async def after_fault(self, fault: Exception) -> None:
        """Our own fault: another tries. Not for ever, where nothing else would end the run; a store's absence
        passes."""
        if self.launched or isinstance(fault, Broken) or self.run.deliveries < MOST_DELIVERIES:
            await hand_over(self.worker, self.held, adrift=self.launched, look_in_s=LONGEST_RETRY_S)
            return
        outcome = Outcome(
            status=RunStatus.ERROR,
            error_code=ErrorCode.EXECUTION_EXCEPTION,
            error_info=f"{MOST_DELIVERIES} workers failed to deliver it ({type(fault).__name__});"
            " see `run_faulted` in their logs",
        )
        await complete(self.plane, self.held, outcome)
