"""Read the instances of a file: CSV, or an OpenSSH client configuration.

Everything is checked before anything is registered; each fault names its line and, in CSV, its column.
"""

import csv
import getpass
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cloudassist_tasks.cli.errors import BadRoster, Fault
from cloudassist_tasks.cli.host_key import KnownKey, best_of, known_keys, parse_host_key
from cloudassist_tasks.cli.ssh_config import SshHost, read_ssh_config
from cloudassist_tasks.domain.errors import Refused
from cloudassist_tasks.domain.ids import INSTANCE_ID, InstanceId
from cloudassist_tasks.domain.instance import Instance, OsType
from cloudassist_tasks.domain.limits import CLASSIC
from cloudassist_tasks.domain.registration import checked_instance
from cloudassist_tasks.domain.tags import checked_tags, tag_pairs

__all__ = ["COLUMNS", "BadRoster", "Fault", "check_jumps", "read_roster"]

COLUMNS = ("instance_id", "host", "port", "user", "identity", "host_key", "os_type", "name", "tags")
"""Of the CSV form, in this order where there is no header. All but the first two may be empty."""


def read_roster(path: Path, text: str) -> list[Instance]:
    """The instances of a file, all of them checked. `path` names it in faults and resolves relative ones."""
    instances = _read_ssh_config(path) if looks_like_ssh_config(text) else read_csv(path.name, text)
    if not instances:
        raise BadRoster([Fault(path.name, "no instance stands in it")])
    return instances


def looks_like_ssh_config(text: str) -> bool:
    """Whether its first line that says something is one of ssh_config: a keyword and a blank, no commas."""
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    keyword = re.match(r"[A-Za-z]+(?=[ \t=])", first)
    return keyword is not None and "," not in first.split()[0]


# -- CSV


def read_csv(name: str, text: str) -> list[Instance]:
    """The rows as instances. `BadRoster` holds every fault of the file."""
    faults: list[Fault] = []
    instances: dict[str, tuple[int, Instance]] = {}
    for line, row in _rows(name, text, faults):
        instance = _instance(name, line, row, faults)
        if instance is None:
            continue
        if instance.id in instances:
            earlier = instances[instance.id][0]
            faults.append(_at(name, line, "instance_id", f"{instance.id} stands in line {earlier} already"))
        instances.setdefault(instance.id, (line, instance))
    if faults:
        raise BadRoster(faults)
    return [instance for _, instance in instances.values()]


def _rows(name: str, text: str, faults: list[Fault]) -> Iterable[tuple[int, Mapping[str, str]]]:
    """Line and cells by column. A header may leave out columns and put them in another order."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    columns: Sequence[str] = COLUMNS
    first = True
    try:
        for cells in reader:
            line = reader.line_num
            cells = [cell.strip() for cell in cells]
            if not any(cells) or cells[0].startswith("#"):
                continue
            if first and cells[0].lower() == COLUMNS[0]:
                columns = [cell.lower() for cell in cells]
                faults.extend(_header_faults(name, line, columns))
            elif len(cells) > len(columns):
                faults.append(Fault(f"{name}:{line}", f"{len(cells)} columns, expected {len(columns)}"))
            else:
                yield line, dict(zip(columns, cells, strict=False))
            first = False
    except csv.Error as error:
        faults.append(Fault(f"{name}:{reader.line_num}", f"this is no CSV ({error})"))


def _header_faults(name: str, line: int, columns: Sequence[str]) -> Iterable[Fault]:
    for column in columns:
        if column not in COLUMNS:
            yield Fault(f"{name}:{line}", f"unknown column {column!r}; known are {','.join(COLUMNS)}")
    if len(set(columns)) < len(columns):
        yield Fault(f"{name}:{line}", "a column stands twice in the header")
    if "host" not in columns:
        yield Fault(f"{name}:{line}", "the column host is missing")


def _instance(name: str, line: int, row: Mapping[str, str], faults: list[Fault]) -> Instance | None:
    """The row as an instance; None, with its faults told, where a cell is wrong."""
    before = len(faults)

    def cell(column: str, read: Callable[[str], object]) -> object:
        try:
            return read(row.get(column, ""))
        except Refused as refused:
            faults.append(_at(name, line, column, refused.message))
        except ValueError as error:
            faults.append(_at(name, line, column, str(error)))
        return None

    values = {column: cell(column, read) for column, read in _READERS.items()}
    if len(faults) > before:
        return None
    fields = {_FIELDS.get(column, column): value for column, value in values.items() if value is not None}
    try:
        return checked_instance(Instance(**fields))  # type: ignore[arg-type]  # readers give their field's type
    except Refused as refused:
        faults.append(Fault(f"{name}:{line}", refused.message))
        return None


def _at(name: str, line: int, column: str, what: str) -> Fault:
    return Fault(f"{name}:{line}: {column}", what)


def _id(text: str) -> InstanceId:
    if not INSTANCE_ID.fullmatch(text):
        raise ValueError(
            f"{text!r} is no instance id: 1 to 64 letters, digits, '.', '_' or '-', a letter or digit first"
            if text
            else "is empty; every row needs an id"
        )
    return InstanceId(text)


def _host(text: str) -> str:
    if not text:
        raise ValueError("is empty; every row needs a host name or address")
    if any(character.isspace() for character in text) or text.startswith("-"):
        raise ValueError(f"{text!r} is no host name or address")
    return text


def _port(text: str) -> int | None:
    if text and not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65_535):
        raise ValueError(f"{text!r} is not a number from 1 to 65535")
    return int(text) if text else None


def _os_type(text: str) -> OsType | None:
    if text and text.lower() not in list(OsType):
        raise ValueError(f"{text!r} is not one of {', '.join(OsType)}")
    return OsType(text.lower()) if text else None


_READERS: Mapping[str, Callable[[str], object]] = {
    "instance_id": _id,
    "host": _host,
    "port": _port,
    "user": lambda text: text or None,
    "identity": lambda text: str(Path(text).expanduser()) if text else None,
    "host_key": lambda text: parse_host_key(text) if text else None,
    "os_type": _os_type,
    "name": lambda text: text or None,
    "tags": lambda text: checked_tags(tag_pairs(text), CLASSIC) if text else None,
}
_FIELDS = {"instance_id": "id"}


# -- OpenSSH client configuration


def _read_ssh_config(path: Path) -> list[Instance]:
    try:
        hosts = read_ssh_config(path)
    except Refused as refused:
        where, _, what = refused.message.partition(": ")
        raise BadRoster([Fault(where, what)]) from refused
    faults = [
        Fault(host.where, f"{host.alias!r} is no instance id: use letters, digits, '.', '_' and '-'")
        for host in hosts
        if not INSTANCE_ID.fullmatch(host.alias)
    ]
    if faults:
        raise BadRoster(faults)
    known = _Known()
    return [_checked(_with_known_key(_as_instance(host), host, known), host) for host in hosts]


def _checked(instance: Instance, host: SshHost) -> Instance:
    try:
        return checked_instance(instance)
    except Refused as refused:
        raise BadRoster([Fault(host.where, refused.message)]) from refused


def _as_instance(host: SshHost) -> Instance:
    return Instance(
        id=InstanceId(host.alias),
        host=host.host,
        port=host.port,
        identity=host.identity,
        user=host.user or getpass.getuser(),
        jump=InstanceId(host.jump) if host.jump else None,
    )


def _with_known_key(instance: Instance, host: SshHost, known: "_Known") -> Instance:
    """With the key that the user's known_hosts has of it, if there is one."""
    name, port = (host.key_name, 22) if host.key_name else (host.host, host.port)
    keys = [line.key for path in host.known_hosts for line in known.lines(path) if line.is_of(name, port)]
    return replace(instance, host_key=best_of(keys)) if keys else instance


class _Known:
    """known_hosts files, each read once."""

    def __init__(self) -> None:
        self._files: dict[str, list[KnownKey]] = {}

    def lines(self, path: str) -> list[KnownKey]:
        if path not in self._files:
            try:
                self._files[path] = list(known_keys(Path(path).read_text(errors="replace").splitlines()))
            except OSError:  # nothing is known there; the instance is then told to have no key
                self._files[path] = []
        return self._files[path]


def check_jumps(instances: Sequence[Instance], registered: Callable[[str], bool]) -> None:
    """Every jump is in the file or registered. `BadRoster` names those that are neither."""
    own = {instance.id for instance in instances}
    faults = [
        Fault(instance.id, f"ProxyJump {instance.jump} is no instance; register or import it as well")
        for instance in instances
        if instance.jump and instance.jump not in own and not registered(instance.jump)
    ]
    if faults:
        raise BadRoster(faults)
