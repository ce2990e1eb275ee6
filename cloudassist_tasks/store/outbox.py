"""What is still to be sent of closed invocations: a sorted set of what is due, one of what was given up, and
a small hash about each delivery that has failed."""

from collections.abc import Sequence

from cloudassist_tasks.domain.delivery import DeliveryKey, DeliveryKind
from cloudassist_tasks.ports.outbox import Waiting
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.hashes import hash_of
from cloudassist_tasks.store.link import Link, Word

CHUNK = 1_000

_KINDS = frozenset(DeliveryKind)


class RedisOutbox:
    """`ports.outbox.Outbox`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def take_due(self, *, now_ms: int, lease_ms: int, limit: int) -> Sequence[DeliveryKey]:
        taken = await self._link.script("take_from", [keys.OUTBOX], [now_ms, now_ms + lease_ms, limit])
        return _known(taken)

    async def remove(self, key: DeliveryKey) -> bool:
        return bool(await self._link.script("drop_delivery", _keys(key), [str(key)]))

    async def put(self, key: DeliveryKey, *, now_ms: int) -> None:
        await self._link.script("put_delivery", _keys(key), [str(key), now_ms])

    async def failed(self, key: DeliveryKey, *, error: str, since_ms: int, next_ms: int, now_ms: int) -> None:
        args: list[Word] = [str(key), error, since_ms, now_ms, next_ms, 0]
        await self._link.script("fail_delivery", _keys(key), args)

    async def give_up(self, key: DeliveryKey, *, error: str, since_ms: int, now_ms: int) -> None:
        args: list[Word] = [str(key), error, since_ms, now_ms, now_ms, 1]
        await self._link.script("fail_delivery", _keys(key), args)

    async def get(self, key: DeliveryKey) -> Waiting | None:
        due, dead, about = await self._link.batch(
            [
                ("ZSCORE", keys.OUTBOX, str(key)),
                ("ZSCORE", keys.DEAD_LETTERS, str(key)),
                ("HGETALL", keys.delivery(key)),
            ]
        )
        if due is None and dead is None:
            return None
        return _waiting(key, about, next_ms=int(float(due or 0)), dead=due is None)

    async def waiting(
        self, kind: DeliveryKind, *, dead: bool, limit: int, start: int = 0
    ) -> Sequence[Waiting]:
        """Read in chunks: both kinds stand in one set."""
        listing = keys.DEAD_LETTERS if dead else keys.OUTBOX
        found: list[tuple[DeliveryKey, int]] = []
        at = 0
        while len(found) < start + limit:
            flat = await self._link.call("ZRANGE", listing, at, at + CHUNK - 1, "WITHSCORES")
            scores = hash_of(flat)
            found += [
                (key, int(float(scores[str(key).encode()])))
                for key in _known(list(scores))
                if key.kind is kind
            ]
            at += CHUNK
            if len(scores) < CHUNK:
                break
        page = found[start : start + limit]
        about = await self._link.batch([("HGETALL", keys.delivery(key)) for key, _ in page])
        return [
            _waiting(key, flat, next_ms=0 if dead else score, dead=dead)
            for (key, score), flat in zip(page, about, strict=True)
        ]

    async def webhook_secret(self) -> bytes | None:
        found: bytes | None = await self._link.call("GET", keys.WEBHOOK_SECRET)
        return found

    async def keep_webhook_secret(self, sealed: bytes, *, instead_of: bytes | None) -> bytes:
        kept: bytes = await self._link.script(
            "replace_value", [keys.WEBHOOK_SECRET], [instead_of or b"", sealed]
        )
        return kept


def _known(members: Sequence[bytes]) -> list[DeliveryKey]:
    """Without kinds that only newer releases know: those deliver them."""
    texts = (member.decode() for member in members)
    return [DeliveryKey.parse(text) for text in texts if text.partition(".")[0] in _KINDS]


def _keys(key: DeliveryKey) -> list[str]:
    return [keys.OUTBOX, keys.DEAD_LETTERS, keys.delivery(key)]


def _waiting(key: DeliveryKey, flat: Sequence[bytes], *, next_ms: int, dead: bool) -> Waiting:
    about = hash_of(flat)
    return Waiting(
        key=key,
        failures=int(about.get(b"failures", 0)),
        since_ms=int(about.get(b"since_ms", 0)),
        tried_ms=int(about.get(b"tried_ms", 0)),
        next_ms=next_ms,
        error=about.get(b"error", b"").decode("utf-8", "replace"),
        dead=dead,
    )
