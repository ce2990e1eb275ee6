"""The power state of instances, and the last action of each: fields of the instance's hash."""

import secrets
from collections.abc import Mapping, Sequence

from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import InstanceStatus
from cloudassist_tasks.domain.power import Passage, PowerAction, PowerKey, PowerRecord
from cloudassist_tasks.ports.power import PowerBegun
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.link import Link

_FIELDS = ("power_id", "power_action", "power_asked_ms", "power_ended_ms", "power_error", "power_force")


class RedisPowerRecords:
    """`ports.power.PowerRecords`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def begin(
        self, instance_id: InstanceId, record: PowerRecord, passage: Passage, *, due_ms: int
    ) -> PowerBegun:
        word, *status = await self._link.script(
            "begin_power",
            [keys.instance(instance_id), keys.POWER_DUE, keys.INSTANCE_CHANGES],
            [
                record.id,
                record.action,
                passage.needs,
                passage.during,
                int(record.force),
                record.asked_ms,
                due_ms,
                _member(PowerKey(instance_id=instance_id, power_id=record.id)),
                instance_id,
            ],
        )
        return PowerBegun(done=word == b"begun", status=status[0].decode() if status else "")

    async def take(self, key: PowerKey, *, due_ms: int) -> PowerRecord | None:
        taken = await self._link.script(
            "take_power",
            [keys.instance(key.instance_id), keys.POWER_DUE],
            [key.power_id, secrets.token_hex(8), due_ms, _member(key)],
        )
        return (await self.last([key.instance_id])).get(key.instance_id) if taken else None

    async def end(
        self, key: PowerKey, status: InstanceStatus, *, error: str, now_ms: int, unless_at_it: bool = False
    ) -> bool:
        return bool(
            await self._link.script(
                "end_power",
                [keys.instance(key.instance_id), keys.POWER_DUE, keys.INSTANCE_CHANGES],
                [key.power_id, status, error, now_ms, _member(key), key.instance_id, int(unless_at_it)],
            )
        )

    async def see_running(self, instance_id: InstanceId, *, ended_before_ms: int) -> bool:
        return bool(
            await self._link.script(
                "see_running",
                [keys.instance(instance_id), keys.INSTANCE_CHANGES],
                [ended_before_ms, instance_id],
            )
        )

    async def overdue(self, *, now_ms: int, limit: int) -> Sequence[PowerKey]:
        members = await self._link.call(
            "ZRANGE", keys.POWER_DUE, "-inf", now_ms, "BYSCORE", "LIMIT", 0, limit
        )
        return [_key(member.decode()) for member in members]

    async def last(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, PowerRecord]:
        replies = await self._link.batch([("HMGET", keys.instance(id_), *_FIELDS) for id_ in ids])
        return {
            id_: _record(*[(value or b"").decode() for value in values])
            for id_, values in zip(ids, replies, strict=True)
            if values[0]
        }


def _record(id_: str, action: str, asked_ms: str, ended_ms: str, error: str, force: str) -> PowerRecord:
    return PowerRecord(
        id=id_,
        action=PowerAction(action),
        asked_ms=int(asked_ms or 0),
        ended_ms=int(ended_ms or 0),
        error=error,
        force=force == "1",
    )


def _member(key: PowerKey) -> str:
    return f"{key.power_id}.{key.instance_id}"


def _key(member: str) -> PowerKey:
    """A power id holds no dot; an instance id may."""
    power_id, _, instance_id = member.partition(".")
    return PowerKey(instance_id=InstanceId(instance_id), power_id=power_id)
