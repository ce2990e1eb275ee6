"""Set, remove and list the tags of things that are there already."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from cloudassist_tasks.contract.tagging import (
    ListTagResources,
    ListTagResourcesResult,
    TagFilterItem,
    TagResourceItem,
    TagResources,
    TagResourcesResult,
    UntagResources,
    UntagResourcesResult,
)
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.limits import Limits
from cloudassist_tasks.domain.pagination import position_of, token_for
from cloudassist_tasks.domain.tags import tags_match
from cloudassist_tasks.domain.text import some_of
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.anew import until_made
from cloudassist_tasks.operations.registry import implements
from cloudassist_tasks.operations.tagged import ResourceType, Tags, page_of, resource_type, retag, tags_of
from cloudassist_tasks.operations.values import filter_of
from cloudassist_tasks.operations.values import tags_of as tags_given

KEY_CHARS = 128
"""Source: TagResources, Tag.N.Key. (Elsewhere a key has half of that.)"""

VALUES_PER_FILTER = 20
LISTED_AT_ONCE = 50


@implements(TagResources)
async def tag_resources(plane: Plane, request: TagResources) -> TagResourcesResult:
    limits, type_, ids = _long_keys(plane.limits), *_resources(plane, request)
    if not request.tag:
        raise Refused(Kind.MISSING_VALUE, "Tag is missing; give one or more", about="Tag")
    given = tags_given(request.tag, limits)
    for id_, tags in (await _known(plane, type_, ids)).items():  # refused before any is changed
        _with(tags, given, id_, limits)
    for id_ in ids:
        await _change(plane, type_, id_, partial(_with, given=given, id_=id_, limits=limits))
    return TagResourcesResult()


@implements(UntagResources)
async def untag_resources(plane: Plane, request: UntagResources) -> UntagResourcesResult:
    type_, ids = _resources(plane, request)
    keys = frozenset(request.tag_key)
    if keys and request.all:
        raise Refused(Kind.TAGS_AND_ALL, "TagKey and All were both given; keep one of them")
    if not keys and not request.all:
        raise Refused(Kind.MISSING_VALUE, "TagKey is missing; name tags, or give All", about="Tag")
    if len(request.tag_key) > plane.limits.tags_per_call:
        raise Refused(
            Kind.TOO_MANY_TAGS, f"{len(request.tag_key)} tags, the limit is {plane.limits.tags_per_call}"
        )
    await _known(plane, type_, ids)
    for id_ in ids:
        await _change(plane, type_, id_, lambda tags: _without(tags, keys, everything=bool(request.all)))
    return UntagResourcesResult()


@implements(ListTagResources)
async def list_tag_resources(plane: Plane, request: ListTagResources) -> ListTagResourcesResult:
    type_ = resource_type(request.resource_type)
    wanted = filter_of(request.tag, _long_keys(plane.limits))
    fits = _fits(request.tag_filter)
    if not (request.resource_id or wanted or request.tag_filter):
        raise Refused(
            Kind.NEITHER_TAGS_NOR_RESOURCES, "neither ResourceId nor Tag was given; give one of them"
        )
    if request.resource_id:
        known = await tags_of(plane, type_, _ids(plane, request.resource_id))
        chosen = [(id_, tags) for id_, tags in known.items() if tags_match(wanted, tags) and fits(tags)]
        return ListTagResourcesResult(tag_resources=_items(type_, chosen))
    page = await page_of(
        plane,
        type_,
        {**dict.fromkeys(one.tag_key for one in request.tag_filter), **wanted},
        fits,
        position=position_of(request.next_token) if request.next_token else "",
        limit=LISTED_AT_ONCE,
    )
    return ListTagResourcesResult(
        tag_resources=_items(type_, page.items), next_token=token_for(page.position)
    )


# -- what is named


def _resources(plane: Plane, request: TagResources | UntagResources) -> tuple[ResourceType, Sequence[str]]:
    type_ = resource_type(request.resource_type)
    if not request.resource_id:
        raise Refused(Kind.MISSING_VALUE, "ResourceId is missing; give one or more", about="ResourceId")
    return type_, _ids(plane, request.resource_id)


def _ids(plane: Plane, given: Sequence[str]) -> Sequence[str]:
    ids = list(dict.fromkeys(given))
    if len(ids) > plane.limits.resources_per_call:
        raise Refused(
            Kind.TOO_MANY_RESOURCES,
            f"{len(ids)} ids, the limit of one call is {plane.limits.resources_per_call}; make several calls",
        )
    return ids


async def _known(plane: Plane, type_: ResourceType, ids: Sequence[str]) -> Mapping[str, Tags]:
    """All of them. `Refused(RESOURCE_NOT_FOUND)`."""
    known = await tags_of(plane, type_, ids)
    if unknown := [id_[:64] for id_ in ids if id_ not in known]:
        raise Refused(Kind.RESOURCE_NOT_FOUND, f"no {type_} {some_of(unknown)}; look at the ids and the type")
    return known


def _long_keys(limits: Limits) -> Limits:
    return replace(limits, tag_key_chars=KEY_CHARS)


# -- changing


async def _change(plane: Plane, type_: ResourceType, id_: str, change: Callable[[Tags], Tags]) -> None:
    async def attempt() -> bool:
        before = (await _known(plane, type_, [id_]))[id_]
        after = change(before)
        return after == before or await retag(plane, type_, id_, before=before, after=after)

    await until_made(f"the tags of {id_} are", attempt)


def _with(tags: Tags, given: Tags, id_: str, limits: Limits) -> Tags:
    """`Refused(TAG_QUOTA)`."""
    after = {**tags, **given}
    if len(after) > limits.tags_per_resource:
        raise Refused(
            Kind.TAG_QUOTA, f"{id_} would have {len(after)} tags, the limit is {limits.tags_per_resource}"
        )
    return after


def _without(tags: Tags, keys: frozenset[str], *, everything: bool) -> Tags:
    return {} if everything else {key: value for key, value in tags.items() if key not in keys}


# -- listing


def _fits(filters: Sequence[TagFilterItem]) -> Callable[[Tags], bool]:
    """`Refused` BAD_TAG_FILTER, TOO_MANY_TAG_VALUES."""
    for one in filters:
        if not one.tag_key:
            raise Refused(Kind.BAD_TAG_FILTER, "a TagFilter has no TagKey; give one")
        if len(one.tag_values) > VALUES_PER_FILTER:
            raise Refused(
                Kind.TOO_MANY_TAG_VALUES,
                f"a TagFilter has {len(one.tag_values)} values, the limit is {VALUES_PER_FILTER}",
            )
    return lambda tags: all(
        one.tag_key in tags and (not one.tag_values or tags[one.tag_key] in one.tag_values) for one in filters
    )


def _items(type_: ResourceType, found: Sequence[tuple[str, Tags]]) -> Sequence[TagResourceItem]:
    return tuple(
        TagResourceItem(resource_type=type_, resource_id=id_, tag_key=key, tag_value=value)
        for id_, tags in found
        for key, value in tags.items()
    )
