"""What to log in with: identity files, the agent's socket, a password by reference.

An instance with an identity is offered that one alone; without one and without a password the workers'
default keys and agent serve, as with ssh itself. No secret ever stands in an error.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from cloudassist_tasks.domain.errors import ErrorCode, Unreachable
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.transports.link import address_of

__all__ = ["Credentials", "credentials_of", "unusable_identity"]

DEFAULT_IDENTITIES = ("id_ed25519", "id_ecdsa", "id_rsa")
"""In ~/.ssh of the worker's user; those that exist are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Ways to log in, to be tried in this order."""

    identities: tuple[Path, ...]
    required: bool
    """The identity was registered: one that cannot be read is an error, not left out."""
    agent: str | None
    """Path of the agent's socket."""
    password: Secret[str] | None

    @property
    def tried(self) -> str:
        """For error texts: what was offered, without any of its content."""
        offered = [f"key {path}" for path in self.identities]
        offered += ["agent"] if self.agent else []
        offered += ["password"] if self.password else []
        return ", ".join(offered) or "nothing: no identity, agent or password"


def credentials_of(instance: Instance) -> Credentials:
    """Unreachable if what is registered cannot be used."""
    password = _password(instance) if instance.password else None
    if instance.identity:
        path = Path(instance.identity).expanduser()
        return Credentials(identities=(path,), required=True, agent=None, password=password)
    if password is not None:
        return Credentials(identities=(), required=False, agent=None, password=password)
    found = (Path("~/.ssh").expanduser() / name for name in DEFAULT_IDENTITIES)
    return Credentials(
        identities=tuple(path for path in found if path.is_file()),
        required=False,
        agent=os.environ.get("SSH_AUTH_SOCK") or None,
        password=None,
    )


def unusable_identity(instance: Instance, path: Path, reason: str) -> Unreachable:
    return _unusable(
        instance, f"identity {path} cannot be used ({reason}); an encrypted one belongs into the agent"
    )


def _password(instance: Instance) -> Secret[str]:
    reference = instance.password or ""
    kind, _, where = reference.partition(":")
    if kind == "env" and where:
        if where not in os.environ:
            raise _unusable(
                instance, f"its password is to be in the worker's environment as {where}: not set"
            )
        return Secret(os.environ[where])
    if kind == "file" and where:
        try:
            return Secret(Path(where).read_text(encoding="utf-8").rstrip("\r\n"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "no text"
            raise _unusable(
                instance, f"its password is to be in the worker's file {where}: {reason}"
            ) from error
    raise _unusable(instance, "its password must be given by reference: env:NAME or file:/path")


def _unusable(instance: Instance, what: str) -> Unreachable:
    info = f"cannot log in to {address_of(instance)}: {what}"
    return Unreachable(ErrorCode.CLIENT_NOT_ONLINE, info, retry_helps=False)
