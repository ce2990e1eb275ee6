"""Those who are told when something has closed: a receiver of webhooks, and an app that takes callbacks.

Callbacks are read from their queue as they lie there and removed afterwards, so that a store that dies
between the two loses none; a message that is read twice is known by its delivery tag.
"""

import base64
import json
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import redis

from tests.chaos.ledger import Ledger
from tests.chaos.load import CALLBACK
from tests.support.receiver import Receiver
from tests.support.valkey import ValkeyServer

__all__ = ["REFUSED", "Told"]

LOOK_EVERY_S = 0.1
INVOKE_QUEUE = "cloudassist.invoke"
REFUSED = "refused: "
"""What a message was answered with begins so if nothing was opened."""


class Told:
    """Counts what was told of each delivery's id."""

    def __init__(self, valkey: ValkeyServer, ledger: Ledger) -> None:
        self.valkey = valkey
        self.ledger = ledger
        self.callbacks: Counter[str] = Counter()
        self.receiver = Receiver()
        self.messages_lost: set[str] = set()
        """Requests that lay in the broker when it was emptied."""
        self._seen: set[str] = set()
        self._failed: Exception | None = None
        self._over = threading.Event()
        self._alone = threading.Lock()
        """What is taken away from the tail of the queue is what was read there."""
        self._thread = threading.Thread(target=self._take_for_ever, daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Raises what went wrong while it looked."""
        self._over.set()
        self._thread.join(10)
        if self._failed is not None:
            raise self._failed

    @property
    def webhooks(self) -> Counter[str]:
        return Counter(self.receiver.ids)

    def empty_broker(self) -> int:
        """Lose every message there is; how many lay in the queue of requests. Callbacks that lay there had
        been taken by the broker: they count as told."""
        with self._alone, closing(self._client()) as client, client.pipeline(transaction=True) as together:
            together.lrange(CALLBACK, 0, -1)
            together.lrange(INVOKE_QUEUE, 0, -1)
            together.hvals("unacked")
            together.flushdb()
            callbacks, requests, unacked, _ = together.execute()
        for text in callbacks:
            self._note(text)
        self.messages_lost |= _request_ids(requests, unacked)
        return len(requests)

    def messages_waiting(self) -> set[str]:
        """Requests that still lie in the broker. One that a worker had taken when it was killed is given to
        another after the broker's visibility timeout, minutes later."""
        with self._alone, closing(self._client()) as client:
            return _request_ids(client.lrange(INVOKE_QUEUE, 0, -1), client.hvals("unacked"))

    def _take_for_ever(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            try:
                self._take()
            except redis.RedisError:
                continue  # the store is away
            except Exception as error:
                self._failed = error
                return

    def _take(self) -> None:
        with self._alone, closing(self._client()) as client:
            while lying := client.lrange(CALLBACK, -100, -1):
                for text in lying:
                    self._note(text)
                client.ltrim(CALLBACK, 0, -len(lying) - 1)

    def _note(self, text: str | bytes) -> None:
        message: dict[str, Any] = json.loads(text)
        tag = message["properties"]["delivery_tag"]
        if tag in self._seen:
            return
        self._seen.add(tag)
        _, kwargs, _ = json.loads(base64.b64decode(message["body"]))
        self.callbacks[message["headers"]["id"]] += 1
        about = kwargs.get("summary", {}).get("InvokeId") or f"{REFUSED}{kwargs.get('error')}"
        self.ledger.told[kwargs["token"]] = about

    def _client(self) -> redis.Redis:
        return redis.Redis.from_url(self.valkey.url(1), decode_responses=True, socket_timeout=10)


def _request_ids(requests: Sequence[Any], unacked: Sequence[Any]) -> set[str]:
    messages = [json.loads(text) for text in requests] + [json.loads(text)[0] for text in unacked]
    return {
        str(message["headers"]["id"])
        for message in messages
        if message.get("headers", {}).get("task") == INVOKE_QUEUE
    }
