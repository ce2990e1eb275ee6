"""Call the helper on a host: build the command line, read the first answer, install what is missing.

One call is one channel. Whoever calls gets the answers' frames, or an error of ours that says what the host
said instead. Calls through sudo are the root side: its helper lies in a base of its own.
"""

import asyncio
import contextlib
import re
import secrets
from dataclasses import replace

from cloudassist_tasks.domain.errors import ErrorCode, LostContact, RunFailed, Unreachable
from cloudassist_tasks.domain.instance import HostFacts
from cloudassist_tasks.domain.schedule.host_zones import zone_said
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.transports.channel import Channel
from cloudassist_tasks.transports.link import Link, Purpose, Side
from cloudassist_tasks.transports.remote import helper_source
from cloudassist_tasks.transports.remote.frames import Frame, FrameReader, Garbled

__all__ = ["READ_BYTES", "Call", "call", "prepare"]

READ_BYTES = 64 * 1024
SUDO = "sudo -n "
ROOT_BASE = "/var/lib/ca"
"""Where root's side lies unless the instance names a base; then beside that, with `-root`."""

NOT_INSTALLED = frozenset({1, 2, 126, 127})
"""Exit statuses of shells that were given a file that is not there, when no answer came."""

_PLAIN = re.compile(r"/[A-Za-z0-9._/@+-]{1,512}")
"""Paths that are one word in every login shell; the installer makes no other."""


class Call:
    """An open channel whose first answer has come."""

    def __init__(self, channel: Channel, reader: FrameReader, frames: list[Frame], link: Link) -> None:
        self.channel = channel
        self.address = link.address
        self.upload_s = link.limits.upload_s
        self._answer_s = link.limits.answer_s
        self._reader = reader
        self._frames = frames

    async def next(self) -> Frame:
        """The next frame. LostContact if the channel ends, or brings what is not the protocol."""
        while not self._frames:
            data = await self.channel.read(READ_BYTES)
            if not data:
                raise LostContact(f"{self.address} closed the channel in the middle of an answer")
            try:
                self._frames += self._reader.feed(data)
            except Garbled as error:
                raise LostContact(f"{self.address} answers what is not our protocol: {error}") from error
        frame = self._frames.pop(0)
        if code := frame.text("err"):
            raise failure_of(code, frame.text("detail"), self.address)
        return frame

    async def rest(self) -> list[Frame]:
        """All frames of an answer that ends soon. Closes the channel."""
        frames: list[Frame] = []
        try:
            async with asyncio.timeout(self._answer_s):
                while not frames or frames[-1].more:
                    frames.append(await self.next())
        except TimeoutError as error:
            raise LostContact(f"{self.address} stopped in the middle of an answer") from error
        finally:
            self.close()
        return frames

    def close(self) -> None:
        self.channel.close()


async def call(link: Link, side: Side, operation: str, *arguments: str, purpose: Purpose) -> Call:
    """Call an operation of the helper; returns when its first answer is there. `arguments` hold `{nonce}`
    where the nonce goes. A helper that is missing or stale is installed, once."""
    facts = await _facts(link, side)
    if facts.helper_version == helper_source.VERSION:
        try:
            return await _ask(link, _command(facts, side, operation), arguments, purpose)
        except _NotInstalled:
            pass
    facts = await prepare(link, side, unlike=facts)
    try:
        return await _ask(link, _command(facts, side, operation), arguments, purpose)
    except _NotInstalled as error:
        raise error.failure from None


async def prepare(link: Link, side: Side, *, unlike: HostFacts | None) -> HostFacts:
    """Install the helper and learn the host's facts. Harmless when many do it at once on one machine.

    `unlike`: facts that are known to be stale; if somebody has replaced them meanwhile, theirs are taken.
    """
    async with link.preparing:
        known = link.facts.get(side)
        if known is not None and unlike is not None and known is not unlike:
            return known
        nonce = _nonce()
        command = helper_source.install_command(nonce, base=_base(link, side))
        channel = await link.open(_as(side, command), Purpose.CONTROL)
        try:
            async with asyncio.timeout(link.limits.upload_s):
                with contextlib.suppress(
                    LostContact
                ):  # a command that ended unread: what it said is read next
                    await channel.write(helper_source.install_input())
                    channel.write_eof()
                frames = await _first(channel, FrameReader(nonce), link, side)
                facts = _facts_of(frames[0], link.address)
        except (TimeoutError, LostContact, Garbled) as error:
            raise _silent(link, f"while the helper was installed ({error})") from error
        except _NotInstalled as error:
            raise error.failure from None
        finally:
            channel.close()
        link.facts[side] = facts
        return facts


def failure_of(code: str, detail: str, address: str) -> RunFailed:
    """What an `err=` of the helper means for the run. Nothing was started by the call that got it."""
    said = f"{code}: {detail}" if detail else code
    if code in ("Truncated", "NotStarted"):
        return LostContact(f"{address} did not get the whole script and started nothing ({said})")
    if code == "SudoNotAvailable":
        return _no_sudo(address)
    info = _REASONS.get(code, "refuses the run; prepare the instance again")
    return RunFailed(RunStatus.ERROR, ErrorCode.EXECUTION_EXCEPTION, f"{address} {info} ({said})")


_REASONS = {
    "NoEnoughSpace": "has no space left for the run; make room on the file system of the helper's files",
    "NoSpaceOrReadOnly": "has no writable place for the helper's files; make room, or register a remote base",
    "Unsupported": "is no system that the helper can work on",
}


class _NotInstalled(Exception):
    """No answer, and an end that looks like a missing helper. `failure`: if installing does not help."""

    def __init__(self, failure: RunFailed) -> None:
        super().__init__(failure.info)
        self.failure = failure


async def _facts(link: Link, side: Side) -> HostFacts:
    """What is known of a side. Root's is guessed from the login's; `prepare` corrects it."""
    if side in link.facts:
        return link.facts[side]
    if side is Side.LOGIN:
        return await prepare(link, side, unlike=None)
    base = _base(link, side) or ROOT_BASE
    path = f"{base}/bin/{helper_source.FILE_NAME}"
    login = link.facts[Side.LOGIN]
    guess = replace(login, base=base, helper_path=path, uid=0, user="root", sudo=False)
    return link.facts.setdefault(side, guess)


async def _ask(link: Link, command: str, arguments: tuple[str, ...], purpose: Purpose) -> Call:
    nonce = _nonce()
    words = " ".join(nonce if word == "{nonce}" else word for word in arguments)
    side = Side.ROOT if command.startswith(SUDO) else Side.LOGIN
    deadline = link.limits.cancel_s if command.endswith(" cancel") else link.limits.answer_s
    channel = await link.open(f"{command} {words}", purpose)
    reader = FrameReader(nonce)
    try:
        async with asyncio.timeout(deadline):
            frames = await _first(channel, reader, link, side)
    except BaseException as error:
        channel.close()
        if isinstance(error, TimeoutError):
            raise _silent(link, f"within {deadline:g} s") from error
        if isinstance(error, Garbled):
            raise _silent(link, f"in our protocol: {error}") from error
        raise
    if frames[0].text("err") == "NotPrepared":
        channel.close()
        raise _NotInstalled(failure_of("NotPrepared", frames[0].text("detail"), link.address))
    if code := frames[0].text("err"):
        channel.close()
        raise failure_of(code, frames[0].text("detail"), link.address)
    return Call(channel, reader, frames, link)


async def _first(channel: Channel, reader: FrameReader, link: Link, side: Side) -> list[Frame]:
    """The first frames of an answer. Raises what the host's silence or noise means."""
    frames: list[Frame] = []
    while not frames:
        data = await channel.read(READ_BYTES)
        if not data:
            status = await channel.exit_status()
            failure = _no_answer(link, side, reader, channel.stderr_tail, status)
            raise _NotInstalled(failure) if status in NOT_INSTALLED else failure
        frames = reader.feed(data)
    return frames


def _no_answer(link: Link, side: Side, reader: FrameReader, stderr: bytes, status: int | None) -> RunFailed:
    said = reader.noise or stderr.decode("utf-8", errors="replace").strip()[:200]
    if side is Side.ROOT and "sudo" in said:
        return _no_sudo(link.address)
    what = f"said: {said}" if said else "said nothing"
    return Unreachable(
        ErrorCode.CLIENT_NOT_RESPONSE,
        f"HostProtocol: {link.address} did not answer as our helper; status {status}, it {what}."
        " Check the login shell, a forced command and what the profile runs",
        retry_helps=False,
    )


def _no_sudo(address: str) -> RunFailed:
    return RunFailed(
        RunStatus.INVALID,
        ErrorCode.USER_OR_PASSWORD_INVALID,
        f"{address} does not let its login user become another user: SudoNotAvailable;"
        " allow it `sudo` without a password, or register the instance with the wanted user",
    )


def _silent(link: Link, what: str) -> Unreachable:
    return Unreachable(
        ErrorCode.CLIENT_NOT_RESPONSE,
        f"{link.address} is connected but does not answer {what}; is the host overloaded or out of memory?",
        retry_helps=True,
    )


def _facts_of(frame: Frame, address: str) -> HostFacts:
    if code := frame.text("err"):
        raise failure_of(code, frame.text("detail"), address)
    return HostFacts(
        base=frame.text("base"),
        helper_path=frame.text("path"),
        helper_version=frame.text("version"),
        shell=frame.text("shell"),
        uid=frame.number("uid"),
        user=frame.text("user"),
        os=frame.text("os") or "Linux",
        sudo=frame.text("sudo") == "yes",
        boot_id=frame.boot_id,
        zone=zone_said(frame.text("zone")),
    )


def _base(link: Link, side: Side) -> str | None:
    base = link.instance.remote_base
    return f"{base}-root" if base and side is Side.ROOT else base


def _command(facts: HostFacts, side: Side, operation: str) -> str:
    return _as(side, f"{_shell(facts.shell)} {_plain(facts.helper_path)} {operation}")


def _as(side: Side, command: str) -> str:
    return SUDO + command if side is Side.ROOT else command


def _plain(path: str) -> str:
    """A path as it may stand in a command line. Facts come from the host and are not trusted."""
    if _PLAIN.fullmatch(path):
        return path
    raise Unreachable(
        ErrorCode.EXECUTION_EXCEPTION,
        "the helper's path on the host is none that we make; prepare the instance again",
        retry_helps=False,
    )


def _shell(shell: str) -> str:
    """`/usr/bin/dash`, or `/usr/bin/busybox sh`."""
    return " ".join((_plain(shell.removesuffix(" sh")), "sh") if shell.endswith(" sh") else (_plain(shell),))


def _nonce() -> str:
    return secrets.token_hex(8)
