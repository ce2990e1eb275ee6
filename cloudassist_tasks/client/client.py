"""The Python client: any operation, and the few calls that a person wants.

`AsyncClient` is the core. `Client` is its door for programs that are not asynchronous: the same names,
the same words, no logic of its own.
"""

import asyncio
import base64
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from cloudassist_tasks.client.http import HttpSender, KeyGiven
from cloudassist_tasks.client.invocation import AsyncInvocation
from cloudassist_tasks.client.sender import Sender
from cloudassist_tasks.client.summary import Summary
from cloudassist_tasks.contract.commands import CreateCommand
from cloudassist_tasks.contract.events import DescribeEvents, Event
from cloudassist_tasks.contract.extensions import (
    DescribeRegistrations,
    RegistrationItem,
    SelectInstances,
)
from cloudassist_tasks.contract.files import SendFile
from cloudassist_tasks.contract.invocations import InvokeCommand, RunCommand
from cloudassist_tasks.contract.operation import Operation, R
from cloudassist_tasks.contract.operation import tags as wire_tags
from cloudassist_tasks.domain.parameters import has_placeholders

SHELL = "RunShellScript"


class AsyncClient:
    """Talks to an endpoint (`AsyncClient("http://host:8080", (id, secret))`), or, without a URL, to the
    control plane of this installation inside this process.

    That installation is the one that the environment selects (`CLOUDASSIST_DATA_DIR`, …); it is opened on
    the first call, on the event loop that runs then. Close the client, or use it as a context manager.
    """

    def __init__(
        self,
        url: str | None = None,
        key: KeyGiven | None = None,
        *,
        ca_file: str | Path | None = None,
        sender: Sender | None = None,
    ) -> None:
        """key: an access key, as `(id, secret)` or `"id:secret"`. ca_file: PEM of the authority of the
        endpoint's certificate, where the system does not know it. sender: another way to the control plane;
        closed with the client. `Refused(BAD_SETTING)`."""
        self._remote = HttpSender(url, key, ca_file=ca_file) if url is not None else None
        self._sender = self._remote or sender
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._opened()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connections. Invocations go on. The next call opens them again."""
        async with self._opening:
            sender, self._sender = self._sender, self._remote
        if sender is not None:
            await sender.close()

    async def send(self, operation: Operation[R]) -> R:
        """The result of any operation. Raises `Refused` (nothing was done) or `Broken` (try again later)."""
        return await (await self._opened()).send(operation)

    # -- what a person wants

    async def run(
        self,
        script: str | bytes,
        *,
        instances: Sequence[str] = (),
        tags: Mapping[str, str] | None = None,
        name: str | Sequence[str] = (),
        all: bool = False,  # noqa: A002 - reads as it is meant: run(…, all=True)
        type: str = SHELL,
        timeout: int | None = None,
        user: str | None = None,
        cwd: str | None = None,
        parameters: Mapping[str, object] | None = None,
        enable_parameter: bool | None = None,
        launcher: str | None = None,
        termination_mode: str | None = None,
        command_name: str | None = None,
        description: str | None = None,
        keep: bool = False,
        invocation_tags: Mapping[str, str] | None = None,
        max_concurrency: int | str | None = None,
        max_errors: int | str | None = None,
        callback: Mapping[str, object] | None = None,
        webhook: str | None = None,
        token: str | None = None,
    ) -> AsyncInvocation:
        """Run a script on instances: named ones, or those that fit `tags`, `name` (with `*`), or `all`.

        timeout: seconds for each run; 60 if left out. user, cwd: root and its home if left out.
        parameters: values for the script's `{{name}}`; they are enabled if the script holds any `{{…}}`
        (`enable_parameter` decides otherwise). keep: keep the script as a command too, as `command_name`.
        max_concurrency: `10` or `"10%"` of the instances at once, no more. max_errors: so many may fail; one
        more, and what has not begun never does (Cancelled, MaxErrorsExceeded).
        callback: `{"task": …, "queue": …, "kwargs": {…}}`, a Celery task that is sent the summary at the
        close; webhook: a URL to which it is posted.
        token: the same token and words give the first invocation again; nothing runs twice.

        Raises `Refused` with nothing started, `Broken` if store or broker are away.
        """
        content = script.encode() if isinstance(script, str) else script
        enabled = has_placeholders(content) if enable_parameter is None else enable_parameter
        request = RunCommand(
            type=type,
            command_content=base64.b64encode(content).decode(),
            content_encoding="Base64",
            instance_id=await self._chosen(instances, tags, name, all),
            name=command_name,
            description=description,
            timeout=timeout,
            username=user,
            working_dir=cwd,
            enable_parameter=enabled,
            parameters=parameters,
            launcher=launcher,
            termination_mode=termination_mode,
            keep_command=keep,
            tag=wire_tags(invocation_tags),
            client_token=token,
            max_concurrency=_share(max_concurrency),
            max_errors=_share(max_errors),
            callback=callback,
            webhook=webhook,
        )
        opened = await self.send(request)
        return await self.invocation(opened.invoke_id)

    async def invoke(
        self,
        command_id: str,
        *,
        instances: Sequence[str] = (),
        tags: Mapping[str, str] | None = None,
        name: str | Sequence[str] = (),
        all: bool = False,  # noqa: A002 - as in run
        timeout: int | None = None,
        user: str | None = None,
        cwd: str | None = None,
        parameters: Mapping[str, object] | None = None,
        launcher: str | None = None,
        termination_mode: str | None = None,
        invocation_tags: Mapping[str, str] | None = None,
        max_concurrency: int | str | None = None,
        max_errors: int | str | None = None,
        callback: Mapping[str, object] | None = None,
        webhook: str | None = None,
        token: str | None = None,
    ) -> AsyncInvocation:
        """Run a kept command. What is left out is the command's own; the rest as in `run`."""
        request = InvokeCommand(
            command_id=command_id,
            instance_id=await self._chosen(instances, tags, name, all),
            timeout=timeout,
            username=user,
            working_dir=cwd,
            parameters=parameters,
            launcher=launcher,
            termination_mode=termination_mode,
            tag=wire_tags(invocation_tags),
            client_token=token,
            max_concurrency=_share(max_concurrency),
            max_errors=_share(max_errors),
            callback=callback,
            webhook=webhook,
        )
        opened = await self.send(request)
        return await self.invocation(opened.invoke_id)

    async def send_file(
        self,
        content: str | bytes,
        directory: str,
        file_name: str,
        *,
        instances: Sequence[str] = (),
        tags: Mapping[str, str] | None = None,
        name: str | Sequence[str] = (),
        all: bool = False,  # noqa: A002 - as in run
        owner: str | None = None,
        group: str | None = None,
        mode: str | None = None,
        overwrite: bool = False,
        timeout: int | None = None,
        description: str | None = None,
        invocation_tags: Mapping[str, str] | None = None,
        max_concurrency: int | str | None = None,
        max_errors: int | str | None = None,
        callback: Mapping[str, object] | None = None,
        webhook: str | None = None,
        token: str | None = None,
    ) -> AsyncInvocation:
        """Put a file into a directory of instances, chosen as in `run`. It appears there as a whole or not
        at all; where its name is taken it is refused (FileAlreadyExists), unless `overwrite`.

        content: 1 to 24,576 bytes. owner, group: root if left out. mode: octal, `0644` if left out.
        The rest as in `run`.
        """
        data = content.encode() if isinstance(content, str) else content
        request = SendFile(
            name=file_name,
            content=base64.b64encode(data).decode(),
            content_type="Base64",
            target_dir=directory,
            instance_id=await self._chosen(instances, tags, name, all),
            file_owner=owner,
            file_group=group,
            file_mode=mode,
            overwrite=overwrite,
            timeout=timeout,
            description=description,
            tag=wire_tags(invocation_tags),
            client_token=token,
            max_concurrency=_share(max_concurrency),
            max_errors=_share(max_errors),
            callback=callback,
            webhook=webhook,
        )
        return await self.invocation((await self.send(request)).invoke_id)

    async def create_command(
        self,
        name: str,
        script: str | bytes,
        *,
        type: str = SHELL,
        description: str | None = None,
        timeout: int | None = None,
        cwd: str | None = None,
        enable_parameter: bool | None = None,
        launcher: str | None = None,
        tags: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> str:
        """Keep a script as a command; its id. Parameters are enabled if the script holds `{{…}}`."""
        content = script.encode() if isinstance(script, str) else script
        made = await self.send(
            CreateCommand(
                name=name,
                type=type,
                command_content=base64.b64encode(content).decode(),
                content_encoding="Base64",
                description=description,
                timeout=timeout,
                working_dir=cwd,
                enable_parameter=has_placeholders(content) if enable_parameter is None else enable_parameter,
                launcher=launcher,
                tag=wire_tags(tags),
                client_token=token,
            )
        )
        return made.command_id

    async def wait(self, invoke_id: str, timeout: float | None = None) -> Summary:
        """Until every run of an invocation has ended. `WaitedTooLong` after `timeout` seconds; it goes on."""
        return await (await self.invocation(invoke_id)).wait(timeout)

    async def events(
        self, after: str | None = None, *, invoke_id: str | None = None
    ) -> AsyncGenerator[Event, None]:
        """What has happened behind a cursor (of an event, or of `events_cursor`), and what happens then, one
        after the other and without a gap; `"0"`: whatever is still kept; None: from now on. Never ends by
        itself.

        `Refused(EVENTS_EXPIRED)` if some of it is no longer kept; `Broken` when the way breaks: go on from
        the cursor of the last event that you have dealt with."""
        async for event in (await self._opened()).events(after, invoke_id=invoke_id):
            yield event

    async def events_cursor(self) -> str:
        """Where the events stand now: ask before you begin what you want to follow."""
        return (await self.send(DescribeEvents())).cursor

    async def invocation(self, invoke_id: str) -> AsyncInvocation:
        """An invocation by its id; whether there is one shows when it is first asked."""
        return AsyncInvocation(await self._opened(), invoke_id)

    async def instances(
        self,
        ids: Sequence[str] = (),
        *,
        tags: Mapping[str, str] | None = None,
        name: str | Sequence[str] = (),
    ) -> list[RegistrationItem]:
        """Instances as they were registered, with their last contact; all of them if nothing is given."""
        found: list[RegistrationItem] = []
        token: str | None = None
        while token != "":
            page = await self.send(
                DescribeRegistrations(
                    instance_id=ids, name=_names(name), tag=wire_tags(tags), next_token=token
                )
            )
            found += page.registrations
            token = page.next_token
        return found

    async def _chosen(
        self,
        instances: Sequence[str],
        tags: Mapping[str, str] | None,
        name: str | Sequence[str],
        everything: bool,
    ) -> Sequence[str]:
        if instances and not (tags or name or everything):
            return tuple(instances)
        selection = SelectInstances(
            instance_id=tuple(instances), tag=wire_tags(tags), name=_names(name), all=everything
        )
        return (await self.send(selection)).instance_id

    async def _opened(self) -> Sender:
        async with self._opening:
            if self._sender is None:
                from cloudassist_tasks.client.opening import in_process_sender

                self._sender = await in_process_sender()
            return self._sender


def _names(name: str | Sequence[str]) -> Sequence[str]:
    return (name,) if isinstance(name, str) else tuple(name)


def _share(value: int | str | None) -> str | None:
    """As it travels."""
    return None if value is None else str(value)
