"""What was signed once is taken once."""

from typing import Protocol


class Nonces(Protocol):
    async def first_use(self, key_id: str, nonce: str, *, keep_ms: int) -> bool:
        """Whether a key has not used this nonce within the last `keep_ms`; from here on it has. True for one
        caller, of all processes."""
