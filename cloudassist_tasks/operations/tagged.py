"""What carries tags, by the vendor's word for its type: the tags, how they change, who has some."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId
from cloudassist_tasks.domain.invocation import InvocationKind
from cloudassist_tasks.domain.selector import natural_order
from cloudassist_tasks.domain.tags import TagFilter, tags_match
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.ports.listing import CommandFilter, InvocationFilter


class ResourceType(StrEnum):
    COMMAND = "command"
    """Kept ones."""
    INVOCATION = "invocation"
    """Of scripts and of files."""
    INSTANCE = "instance"


Tags = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedPage:
    items: Sequence[tuple[str, Tags]]
    """Ids with their tags."""
    position: str
    """Where the next page begins; empty: there is none."""


def resource_type(name: str) -> ResourceType:
    """`Refused(RESOURCE_TYPE_NOT_FOUND)`."""
    try:
        return ResourceType(name)
    except ValueError:
        raise Refused(
            Kind.RESOURCE_TYPE_NOT_FOUND,
            f"ResourceType {name[:40]!r} has no tags here; there are {', '.join(ResourceType)}",
        ) from None


async def tags_of(plane: Plane, type_: ResourceType, ids: Sequence[str]) -> Mapping[str, Tags]:
    """Of those that exist."""
    match type_:
        case ResourceType.COMMAND:
            commands = await asyncio.gather(*(plane.store.commands.get(CommandId(id_)) for id_ in ids))
            return {one.id: one.tags for one in commands if one is not None and one.kept}
        case ResourceType.INVOCATION:
            found = await asyncio.gather(*(plane.store.invocations.get(InvokeId(id_)) for id_ in ids))
            return {one.spec.id: one.spec.tags for one in found if one is not None}
        case ResourceType.INSTANCE:
            instances = await plane.store.instances.get_many([InstanceId(id_) for id_ in ids])
            return {one.id: one.tags for one in instances.values()}
        case _:
            assert_never(type_)


async def retag(plane: Plane, type_: ResourceType, id_: str, *, before: Tags, after: Tags) -> bool:
    """False: the tags are no longer `before`, or the thing is gone."""
    match type_:
        case ResourceType.COMMAND:
            command = await plane.store.commands.get(CommandId(id_))
            return (
                command is not None
                and command.tags == before
                and await plane.store.commands.replace(replace(command, tags=after), instead_of=command)
            )
        case ResourceType.INVOCATION:
            return await plane.store.tags.retag_invocation(InvokeId(id_), before=before, after=after)
        case ResourceType.INSTANCE:
            return await plane.store.tags.retag_instance(InstanceId(id_), before=before, after=after)
        case _:
            assert_never(type_)


async def page_of(
    plane: Plane,
    type_: ResourceType,
    wanted: TagFilter,
    fits: Callable[[Tags], bool],
    *,
    position: str,
    limit: int,
) -> TaggedPage:
    """Those that have the tags, and `fits`. A page may come short and still have a position."""
    match type_:
        case ResourceType.COMMAND:
            page = await plane.store.commands.page(CommandFilter(tags=wanted), limit=limit, cursor=position)
            items = [(one.id, one.tags) for one in page.items if fits(one.tags)]
            return TaggedPage(items=items, position=page.cursor)
        case ResourceType.INVOCATION:
            return await _invocations(plane, wanted, fits, position, limit)
        case ResourceType.INSTANCE:
            return await _instances(plane, wanted, fits, position, limit)
        case _:
            assert_never(type_)


async def _invocations(
    plane: Plane, wanted: TagFilter, fits: Callable[[Tags], bool], position: str, limit: int
) -> TaggedPage:
    """First those of scripts, then those of files."""
    word, _, cursor = position.partition(":")
    kind = InvocationKind(word) if word in set(InvocationKind) else InvocationKind.COMMAND
    page = await plane.store.invocations.page(
        InvocationFilter(kind=kind, tags=wanted), limit=limit, cursor=cursor
    )
    behind = f"{kind}:{page.cursor}" if page.cursor else ""
    if not behind and kind is InvocationKind.COMMAND:
        behind = f"{InvocationKind.FILE}:"
    items = [(one.spec.id, one.spec.tags) for one in page.items if fits(one.spec.tags)]
    return TaggedPage(items=items, position=behind)


async def _instances(
    plane: Plane, wanted: TagFilter, fits: Callable[[Tags], bool], position: str, limit: int
) -> TaggedPage:
    found = [
        one
        for one in await plane.store.instances.all()
        if tags_match(wanted, one.tags)
        and fits(one.tags)
        and (not position or natural_order(one.id) > natural_order(position))
    ]
    shown = sorted(found, key=lambda one: natural_order(one.id))[:limit]
    behind = shown[-1].id if len(found) > limit else ""
    return TaggedPage(items=[(one.id, one.tags) for one in shown], position=behind)
