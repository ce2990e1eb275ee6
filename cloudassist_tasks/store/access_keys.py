"""Access keys: a hash for each, and a listing."""

import json
from collections.abc import Sequence

from cloudassist_tasks.domain.access import Policy, Role
from cloudassist_tasks.domain.access_key import AccessKey, AccessKeyId
from cloudassist_tasks.domain.errors import Broken, Kind, Refused
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.hashes import Hash, hash_of
from cloudassist_tasks.store.link import Link
from cloudassist_tasks.store.pages import CHUNK, read_page


class RedisAccessKeys:
    """`ports.access_keys.AccessKeys`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def add(self, key: AccessKey) -> None:
        await self._link.script(
            "add_access_key",
            [keys.access_key(key.id), keys.ACCESS_KEYS],
            [
                keys.entry(key.created_ms, key.id),
                *("doc", _doc(key), "sealed", key.sealed, "disabled", int(key.disabled)),
            ],
        )

    async def get(self, key_id: AccessKeyId) -> AccessKey | None:
        return _key(key_id, hash_of(await self._link.call("HGETALL", keys.access_key(key_id))))

    async def all(self) -> Sequence[AccessKey]:
        every: list[AccessKey] = []
        cursor = ""
        while True:
            page = await read_page(
                self._link,
                keys.ACCESS_KEYS,
                self._load,
                where=lambda _: True,
                limit=CHUNK,
                cursor=cursor,
                skip=0,
                count=False,
            )
            every += page.items
            cursor = page.cursor
            if not cursor:
                return every

    async def set_disabled(self, key_id: AccessKeyId, disabled: bool) -> None:
        _check(key_id, await self._change(key_id, "disabled", int(disabled)))

    async def rotate(self, key_id: AccessKeyId, sealed: bytes, *, earlier_until_ms: int, now_ms: int) -> None:
        done = await self._link.script(
            "rotate_access_key", [keys.access_key(key_id)], [sealed, earlier_until_ms, now_ms]
        )
        _check(key_id, bool(done))

    async def reseal(self, key: AccessKey, *, sealed: bytes, earlier: bytes) -> bool:
        return bool(
            await self._link.script(
                "reseal_access_key", [keys.access_key(key.id)], [key.sealed, key.earlier, sealed, earlier]
            )
        )

    async def used(self, key_id: AccessKeyId, *, now_ms: int) -> None:
        await self._change(key_id, "used", now_ms)

    async def remove(self, key_id: AccessKeyId) -> None:
        done = await self._link.script("remove_access_key", [keys.access_key(key_id), keys.ACCESS_KEYS], [])
        _check(key_id, bool(done))

    async def _change(self, key_id: AccessKeyId, field: str, value: int) -> bool:
        return bool(await self._link.script("change_access_key", [keys.access_key(key_id)], [field, value]))

    async def _load(self, entries: Sequence[bytes]) -> Sequence[AccessKey | None]:
        ids = [AccessKeyId(keys.id_of(entry)) for entry in entries]
        replies = await self._link.batch([("HGETALL", keys.access_key(id_)) for id_ in ids])
        return [_key(id_, hash_of(reply)) for id_, reply in zip(ids, replies, strict=True)]


def not_found(key_id: str) -> Refused:
    """There is no such access key."""
    return Refused(Kind.ACCESS_KEY_NOT_FOUND, f"no access key {key_id[:64]}; see `cloudassist key ls`")


def _check(key_id: AccessKeyId, done: bool) -> None:
    if not done:
        raise not_found(key_id)


def _doc(key: AccessKey) -> str:
    """What never changes."""
    return json.dumps(
        {
            "name": key.name,
            "role": key.role.value,
            "actions": list(key.policy.actions),
            "instance_tags": dict(key.policy.instance_tags),
            "users": list(key.policy.users),
            "created_ms": key.created_ms,
        },
        separators=(",", ":"),
    )


def _key(key_id: AccessKeyId, hash_: Hash) -> AccessKey | None:
    if not hash_:
        return None
    try:
        doc = json.loads(hash_[b"doc"])
        return AccessKey(
            id=key_id,
            sealed=hash_[b"sealed"],
            role=Role(doc["role"]),
            policy=Policy(
                actions=tuple(doc["actions"]),
                instance_tags=dict(doc["instance_tags"]),
                users=tuple(doc["users"]),
            ),
            name=doc["name"],
            disabled=hash_[b"disabled"] != b"0",
            created_ms=doc["created_ms"],
            used_ms=int(hash_.get(b"used", 0)),
            rotated_ms=int(hash_.get(b"rotated", 0)),
            earlier=hash_.get(b"earlier", b""),
            earlier_until_ms=int(hash_.get(b"earlier_until", 0)),
        )
    except (KeyError, TypeError, ValueError) as error:  # better no key than one with another policy
        raise Broken(f"what the store holds of access key {key_id} makes no sense; remove the key") from error
