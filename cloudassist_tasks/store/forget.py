"""Drop one closed invocation, with its runs, in steps that each leave the rest consistent."""

from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId, RunKey
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.link import Command, Link

CHUNK = 1_000
"""How many runs are dropped in one round trip."""


async def forget_invocation(link: Link, entry: bytes) -> None:
    """First the header goes: from then on nobody sees it. Last the entry: until then it can be repeated."""
    invoke_id = InvokeId(keys.id_of(entry))
    command_id = await link.call("HGET", keys.header(invoke_id), "command_id")
    if command_id is not None:
        listing = keys.command_invocations(CommandId(command_id.decode()))
        await link.call("ZREM", listing, entry)
    await link.call("UNLINK", keys.header(invoke_id), keys.spec(invoke_id), keys.tally(invoke_id))
    while ids := await link.call("ZRANGE", keys.members(invoke_id), 0, CHUNK - 1):
        await link.batch(
            [step for id_ in ids for step in _steps(RunKey(invoke_id, InstanceId(id_.decode())), entry)]
        )
        await link.call("ZREM", keys.members(invoke_id), *ids)
    await link.call("UNLINK", keys.unpublished(invoke_id), keys.unclaimed(invoke_id))
    await link.call("ZREM", keys.INVOCATIONS, entry)


def _steps(key: RunKey, entry: bytes) -> tuple[Command, ...]:
    return (
        ("UNLINK", keys.run(key), keys.output(key)),
        ("ZREM", keys.instance_invocations(key.instance_id), entry),
    )
