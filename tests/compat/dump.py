"""Everything that a server holds, as text that stands in the repository, and back.

Bytes that are no UTF-8 become lone surrogates, as Python's own file names do, so nothing is lost. What
belongs to the machine of the recording (directories, port, keys, boot, the time itself) is taken out: names
between `@` stand for it, and times are moved as if the recording had ended a moment ago.
"""

import re
from collections.abc import Mapping
from typing import Any

import redis

__all__ = ["Dump", "dumped", "loaded", "moved", "named", "put_names"]

Dump = dict[str, dict[str, Any]]
"""Key → `type`, `value`, and `ttl_s` where it has one."""

_TIME = re.compile(r"(?<![0-9a-f.])(0{0,2})(1[6-9]\d{11})(?!\d)")
"""Milliseconds since 1970, as all times of the product are; in entries with zeros in front."""


def client_of(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, decode_responses=True, encoding_errors="surrogateescape")


def dumped(url: str) -> Dump:
    """All keys of a database."""
    with client_of(url) as client:
        return {key: _entry(client, key) for key in sorted(client.scan_iter(count=1_000))}


def loaded(url: str, dump: Dump) -> None:
    """Write it into an empty database."""
    with client_of(url) as client:
        for key, entry in dump.items():
            _write(client, key, entry["type"], entry["value"])
            if "ttl_s" in entry:
                client.expire(key, entry["ttl_s"])


def named(dump: Any, names: Mapping[str, str]) -> Any:
    """With a name in place of each text that belongs to the machine."""
    longest_first = sorted(names.items(), key=lambda item: -len(item[1]))

    def change(text: str) -> str:
        for name, meant in longest_first:
            text = text.replace(meant, f"@{name}@")
        return text

    return _each_text(dump, change)


def put_names(dump: Any, names: Mapping[str, str]) -> Any:
    """The inverse."""

    def change(text: str) -> str:
        for name, meant in names.items():
            text = text.replace(f"@{name}@", meant)
        return text

    return _each_text(dump, change)


def moved(dump: Any, by_ms: int) -> Any:
    """With all times so much later."""

    def change(text: str) -> str:
        return _TIME.sub(lambda found: f"{found[1]}{int(found[2]) + by_ms:013d}", text)

    return _each_text(dump, change)


def _each_text(value: Any, change: Any) -> Any:
    match value:
        case str():
            return change(value)
        case list():
            return [_each_text(one, change) for one in value]
        case dict():
            return {change(name): _each_text(one, change) for name, one in value.items()}
        case _:
            return value


def _entry(client: "redis.Redis", key: str) -> dict[str, Any]:
    type_ = str(client.type(key))
    entry: dict[str, Any] = {"type": type_, "value": _read(client, key, type_)}
    ttl_s = int(client.ttl(key))
    return entry | ({"ttl_s": ttl_s} if ttl_s > 0 else {})


def _read(client: Any, key: str, type_: str) -> Any:
    match type_:
        case "string":
            return client.get(key)
        case "hash":
            return dict(sorted(client.hgetall(key).items()))
        case "set":
            return sorted(client.smembers(key))
        case "zset":
            return [[member, _score(score)] for member, score in client.zrange(key, 0, -1, withscores=True)]
        case "list":
            return client.lrange(key, 0, -1)
        case "stream":
            return [[id_, fields] for id_, fields in client.xrange(key)]
    raise AssertionError(f"{key} is a {type_}, which the product does not write")


def _score(score: float) -> str:
    return str(int(score)) if score == int(score) else repr(score)


def _write(client: Any, key: str, type_: str, value: Any) -> None:
    match type_:
        case "string":
            client.set(key, _bytes(value))
        case "hash":
            client.hset(key, mapping={_bytes(name): _bytes(one) for name, one in value.items()})
        case "set":
            client.sadd(key, *map(_bytes, value))
        case "zset":
            client.zadd(key, {_bytes(member): float(score) for member, score in value})
        case "list":
            client.rpush(key, *map(_bytes, value))
        case "stream":
            for id_, fields in value:
                client.xadd(key, {_bytes(name): _bytes(one) for name, one in fields.items()}, id=id_)
        case _:
            raise AssertionError(f"{key}: {type_}")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
