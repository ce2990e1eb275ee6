"""ClientTokens as scripts keep them: with the step that the call stands for, or not at all."""

from cloudassist_tasks.domain.errors import Kind, Refused


def proof(token: str, request_hash: str) -> str:
    """What must be the same for a repetition, as a script takes it; empty: there is no token."""
    return f"={request_hash}" if token else ""


def token_reused() -> Refused:
    """It stands for another request."""
    return Refused(
        Kind.CLIENT_TOKEN_REUSED,
        "this ClientToken was used for another request; use a new one for a new request",
    )
