"""Read the hosts of an OpenSSH client configuration.

As ssh itself does: blocks apply in order and the first value of a keyword wins, so `Host *` at the end
gives defaults. Every alias without a wildcard becomes a host. What would change where a connection goes
and is not supported (Match, ProxyCommand) is refused with its line, never skipped.
"""

import fnmatch
import getpass
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cloudassist_tasks.domain.errors import Kind, Refused

__all__ = ["SshHost", "read_ssh_config"]

MAX_INCLUDES = 16
"""How deep files may include each other. Source: ssh_config(5)."""

MEANT = frozenset(
    ("hostname", "port", "user", "identityfile", "proxyjump", "hostkeyalias", "userknownhostsfile")
)
REFUSED = {
    "match": "write the hosts that it means as Host blocks",
    "proxycommand": "use ProxyJump with a registered or imported instance",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SshHost:
    """One alias with what applies to it."""

    alias: str
    host: str
    port: int = 22
    user: str = ""
    """Empty: as the user who runs ssh."""
    identity: str | None = None
    jump: str | None = None
    key_name: str = ""
    """The name under which its key stands in known_hosts; empty: its host."""
    known_hosts: tuple[str, ...] = ()
    where: str = ""
    """`file:line` of the block that names it."""


@dataclass(frozen=True, slots=True)
class _Setting:
    patterns: tuple[str, ...]
    keyword: str
    value: str
    where: str


def read_ssh_config(path: Path) -> list[SshHost]:
    """All hosts in the order of the file. `Refused(BAD_INSTANCE)` names file and line."""
    lines = list(_settings(path, ("*",), depth=0))
    aliases: dict[str, str] = {}
    for line in lines:
        if line.keyword == "host":
            for alias in line.patterns:
                if not any(character in alias for character in "*?!"):
                    aliases.setdefault(alias, line.where)
    return [_host(alias, where, lines) for alias, where in aliases.items()]


def _settings(path: Path, patterns: tuple[str, ...], depth: int) -> Iterator[_Setting]:
    """Every keyword with the patterns of its block; the lines of included files in their place."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise Refused(Kind.BAD_INSTANCE, f"cannot read {path}: {reason}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"{path.name}:{number}"
        keyword, values = _words(line, where)
        if keyword in REFUSED and values != ["none"]:
            raise Refused(Kind.BAD_INSTANCE, f"{where}: {keyword} is not supported; {REFUSED[keyword]}")
        if keyword == "host":
            patterns = tuple(values)
            yield _Setting(patterns, keyword, "", where)
        elif keyword == "include":
            if depth >= MAX_INCLUDES:
                raise Refused(Kind.BAD_INSTANCE, f"{where}: files include each other without end")
            for name in values:
                yield from _included(path, name, patterns, depth)
        elif keyword in MEANT and values:
            value = " ".join(values) if keyword == "userknownhostsfile" else values[0]
            yield _Setting(patterns, keyword, value, where)


def _included(path: Path, name: str, patterns: tuple[str, ...], depth: int) -> Iterator[_Setting]:
    """The files that an Include means, relative to the including file's directory; none is no error."""
    pattern = Path(name).expanduser()
    root = pattern if pattern.is_absolute() else path.parent / pattern
    for found in sorted(Path(root.anchor).glob(str(root.relative_to(root.anchor)))):
        yield from _settings(found, patterns, depth + 1)


def _words(line: str, where: str) -> tuple[str, list[str]]:
    """Keyword in lower case, and its arguments; `Keyword value` and `Keyword=value` are the same."""
    line = line.strip()
    if not line or line.startswith("#"):
        return "", []
    keyword, _, rest = line.replace("\t", " ").partition(" ")
    if "=" in keyword:
        keyword, _, first = keyword.partition("=")
        rest = f"{first} {rest}"
    rest = rest.strip().removeprefix("=")
    try:
        return keyword.lower(), shlex.split(rest, comments=False, posix=True)
    except ValueError as error:
        raise Refused(Kind.BAD_INSTANCE, f"{where}: a quotation mark is not closed") from error


def _host(alias: str, where: str, lines: list[_Setting]) -> SshHost:
    """What applies to the alias: of each keyword the first one."""
    first: dict[str, _Setting] = {}
    for line in lines:
        if line.keyword != "host" and _applies(line.patterns, alias):
            first.setdefault(line.keyword, line)
    value = {keyword: line.value for keyword, line in first.items()}

    user = value.get("user", "")
    host = _expanded(value.get("hostname", alias), {"h": alias, "n": alias}, first.get("hostname"))
    port = _port(value.get("port", "22"), first.get("port"))
    tokens = {"h": host, "n": alias, "p": str(port), "r": user, "d": str(Path.home()), "u": getpass.getuser()}
    identity = value.get("identityfile")
    if identity is not None and identity != "none":
        identity = _expanded(str(Path(identity).expanduser()), tokens, first["identityfile"])
    known = value.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2")
    return SshHost(
        alias=alias,
        host=host,
        port=port,
        user=user,
        identity=None if identity == "none" else identity,
        jump=_jump(value.get("proxyjump", "none"), first.get("proxyjump")),
        key_name=value.get("hostkeyalias", ""),
        known_hosts=tuple(str(Path(name).expanduser()) for name in known.split() if name != "none"),
        where=where,
    )


def _applies(patterns: tuple[str, ...], alias: str) -> bool:
    """A negated pattern that fits shuts the block out."""
    if any(fnmatch.fnmatchcase(alias, pattern[1:]) for pattern in patterns if pattern.startswith("!")):
        return False
    return any(fnmatch.fnmatchcase(alias, pattern) for pattern in patterns if not pattern.startswith("!"))


def _port(text: str, line: _Setting | None) -> int:
    if text.isdecimal() and 1 <= int(text) <= 65_535:
        return int(text)
    where = line.where if line else ""
    raise Refused(Kind.BAD_INSTANCE, f"{where}: Port {text!r} is not a number from 1 to 65535")


def _jump(text: str, line: _Setting | None) -> str | None:
    """The alias or host to jump through; its user and port are those of its own registration."""
    if text.lower() == "none":
        return None
    if "," in text:
        where = line.where if line else ""
        raise Refused(
            Kind.BAD_INSTANCE,
            f"{where}: ProxyJump names several hosts; give each a ProxyJump to the next instead",
        )
    host = text.removeprefix("ssh://").rpartition("@")[2]
    return host.rpartition(":")[0] or host if host.count(":") == 1 else host


def _expanded(text: str, tokens: Mapping[str, str], line: _Setting | None) -> str:
    """`%h` and the like replaced, in one pass."""
    out, rest = "", text
    while "%" in rest:
        before, _, rest = rest.partition("%")
        token = rest[:1]
        if token != "%" and token not in tokens:
            where = line.where if line else ""
            raise Refused(Kind.BAD_INSTANCE, f"{where}: %{token} is not supported here; write it out")
        out += before + ("%" if token == "%" else tokens[token])
        rest = rest[1:]
    return out + rest
