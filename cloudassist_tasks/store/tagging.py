"""Changed tags: an instance's in its document, an invocation's in its header and in what it is found by."""

from collections.abc import Mapping

from cloudassist_tasks.domain.ids import InstanceId, InvokeId
from cloudassist_tasks.store import facets, keys
from cloudassist_tasks.store.instance_records import retagged_instance_doc
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.spec_records import spec_from, tags_doc, with_tags


class RedisTags:
    """`ports.tagging.Tags`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def retag_instance(
        self, instance_id: InstanceId, *, before: Mapping[str, str], after: Mapping[str, str]
    ) -> bool:
        key = keys.instance(instance_id)
        doc = await self._link.call("HGET", key, "doc")
        changed = retagged_instance_doc(doc, before=before, after=after) if doc else None
        return changed is not None and bool(
            await self._link.script(
                "retag_instance", [key, keys.INSTANCE_CHANGES], [doc, changed, instance_id]
            )
        )

    async def retag_invocation(
        self, invoke_id: InvokeId, *, before: Mapping[str, str], after: Mapping[str, str]
    ) -> bool:
        key = keys.header(invoke_id)
        was, blob = await self._link.batch([("HGET", key, "tags"), ("GET", keys.spec(invoke_id))])
        if blob is None or with_tags(spec_from(blob), was).tags != before:
            return False
        old, new = set(facets.of_tags(keys.marks, before)), set(facets.of_tags(keys.marks, after))
        to_set, to_clear = sorted(new - old), sorted(old - new)
        return bool(
            await self._link.script(
                "retag_invocation",
                [key, *to_set, *to_clear],
                [was or b"", tags_doc(after), len(to_set)],
            )
        )
