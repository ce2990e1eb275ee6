"""The way to the receivers of webhooks."""

from typing import Protocol

from cloudassist_tasks.domain.errors import CloudAssistError


class NotTaken(CloudAssistError):
    """The receiver did not take it. `retry_helps` is False where it said that it never will."""

    def __init__(self, why: str, *, retry_helps: bool = True) -> None:
        super().__init__(why)
        self.retry_helps = retry_helps


class Webhooks(Protocol):
    async def post(self, url: str, body: bytes, *, delivery_id: str, signature: str) -> None:
        """Returns once the receiver has answered that it has it. Redirects are not followed, the body of the
        answer is not read. `NotTaken`, within the deadline."""

    async def close(self) -> None: ...
