"""Open the control plane of this installation inside this process. Loads the whole product: only on use."""

from cloudassist_tasks import config
from cloudassist_tasks.client.sender import Sender


async def in_process_sender() -> Sender:
    """`Refused(BAD_SETTING)`; `Broken` if the store does not answer or cannot be started."""
    from cloudassist_tasks import wiring

    return await wiring.in_process_sender(config.load())
