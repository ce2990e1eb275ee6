"""Open the control plane of this installation inside this process.

Holds the one import that points upwards: `Client()` without a sender is at home here and needs the whole
product, which is loaded when it is first used; a client with a sender of its own never comes here.
"""

from cloudassist_tasks import config
from cloudassist_tasks.client.sender import Sender


async def in_process_sender() -> Sender:
    """`Refused(BAD_SETTING)`; `Broken` if the store does not answer or cannot be started."""
    from cloudassist_tasks import wiring

    return await wiring.in_process_sender(config.load())
