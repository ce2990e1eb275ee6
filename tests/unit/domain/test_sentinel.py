"""Addresses of servers behind Sentinel."""

import traceback

import pytest

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.sentinel import SentinelAddress, is_sentinel, parse_sentinel

WHOLE = "redis+sentinel://app:p%40ss@one:1,two,[::1]:3/main?db=3&sentinel_password=hush"


def test_an_address_names_the_sentinels_and_what_they_watch() -> None:
    address = parse_sentinel(WHOLE)

    assert address.sentinels == [("one", 1), ("two", 26_379), ("::1", 3)]
    assert (address.name, address.db) == ("main", 3)
    assert address.login == {"username": "app", "password": "p@ss"}
    assert address.sentinels_login == {"password": "hush"}


def test_the_least_that_is_needed_is_a_host_and_a_name() -> None:
    assert parse_sentinel("redis+sentinel://here/main") == SentinelAddress(
        sentinels=[("here", 26_379)], name="main"
    )


def test_another_database_of_the_same_servers_is_written_and_read_again() -> None:
    beside = parse_sentinel(WHOLE).with_db(4)

    assert parse_sentinel(beside.url()) == beside
    assert is_sentinel(beside.url())


def test_neither_a_text_nor_a_repr_shows_a_password() -> None:
    address = parse_sentinel(WHOLE)

    assert str(address) == "main by Sentinel one:1,two:26379,[::1]:3 (db 3)"
    assert "hush" not in repr(address)
    assert "p@ss" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hush@host/0",
        "redis+sentinel://:hush@host",
        "redis+sentinel://:hush@host/",
        "redis+sentinel://:hush@host/main/0",
        "redis+sentinel://:hush@/main",
        "redis+sentinel://:hush@host,/main",
        "redis+sentinel://:hush@host:port/main",
        "redis+sentinel://:hush@host/main?db=x",
        "redis+sentinel://:hush@host/main?socket_timeout=3",
        "redis+sentinel://:hush@host/main#hush",
    ],
)
def test_an_address_that_will_not_do_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_sentinel(url)

    assert refused.value.kind is Kind.BAD_SETTING
    assert "hush" not in "".join(traceback.format_exception(refused.value)).replace(url, "")
