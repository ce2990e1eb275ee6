"""What our processes make of kombu's Redis transport, where it would end a worker."""

import logging
from typing import Any

import kombu

from cloudassist_tasks.tasks import redis_transport
from tests.support.valkey import private_valkey

KOMBU: Any = kombu  # which has no types


def test_a_channel_whose_connection_is_closed_under_it_gives_up_its_messages_quietly() -> None:
    """Found by a storm: the store was killed while a message was not acknowledged, and the worker ended."""
    redis_transport.install()
    with private_valkey() as server:
        connection = KOMBU.Connection(server.broker_url())
        channel = connection.default_channel
        queue = KOMBU.Queue("waiting")(channel)
        connection.Producer().publish("one", routing_key="waiting", declare=[queue])
        message = queue.get(no_ack=False)
        assert message is not None
        server.kill()
        channel._disconnect_pools()
        channel.connection.client = None

        message.ack_log_error(logging.getLogger(__name__), connection.connection_errors)
        connection.maybe_close_channel(channel)

        assert not message.acknowledged


def test_a_message_that_is_taken_from_a_full_broker_is_noted_and_lost_to_nobody() -> None:
    redis_transport.install()
    with private_valkey() as server, KOMBU.Connection(server.broker_url()) as connection:
        channel = connection.default_channel
        queue = KOMBU.Queue("waiting")(channel)
        connection.Producer().publish("one", routing_key="waiting", declare=[queue])
        client = server.client()
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)

        message = queue.get(no_ack=False)
        assert message is not None
        client.config_set("maxmemory", 0)
        message.requeue()
        again = queue.get(no_ack=False)
        again.ack()

        assert again.payload == "one"
        assert (queue.get(), client.hlen("unacked"), client.zcard("unacked_index")) == (None, 0, 0)
        client.close()
