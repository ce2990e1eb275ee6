"""What is to be sent of closed invocations: handed out for a lease, sent, not taken, given up, sent again."""

from cloudassist_tasks.domain.delivery import DeliveryKey
from cloudassist_tasks.ports.outbox import Waiting
from tests.model.world import Trials, World


def remove(world: World, key: DeliveryKey) -> bool:
    world.trials.pop(key, None)
    due, dead = world.outbox.pop(key, None), world.dead_letters.pop(key, None)
    return due is not None or dead is not None


def put(world: World, key: DeliveryKey, *, now_ms: int) -> None:
    world.trials.pop(key, None)
    world.dead_letters.pop(key, None)
    world.outbox[key] = now_ms


def failed(
    world: World, key: DeliveryKey, *, error: str, since_ms: int, next_ms: int | None, now_ms: int
) -> None:
    """`next_ms` None: it is given up. Nothing is done if it was removed meanwhile."""
    if key not in world.outbox:
        return
    before = world.trials.get(key) or Trials(0, since_ms, now_ms, error)
    world.trials[key] = Trials(before.failures + 1, before.since_ms, now_ms, error)
    if next_ms is None:
        del world.outbox[key]
        world.dead_letters[key] = now_ms
    else:
        world.outbox[key] = next_ms


def waiting(world: World, key: DeliveryKey) -> Waiting | None:
    if key not in world.outbox and key not in world.dead_letters:
        return None
    trials = world.trials.get(key) or Trials(0, 0, 0, "")
    return Waiting(
        key=key,
        failures=trials.failures,
        since_ms=trials.since_ms,
        tried_ms=trials.tried_ms,
        next_ms=world.outbox.get(key, 0),
        error=trials.error,
        dead=key in world.dead_letters,
    )
