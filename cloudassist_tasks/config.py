"""Settings: one frozen dataclass per subject, from the environment over an optional TOML file.

Every field of `Settings` has an environment variable, `CLOUDASSIST_<FIELD>`; a limit has
`CLOUDASSIST_LIMIT_<FIELD>`. The TOML file (`CLOUDASSIST_CONFIG`, else `config.toml` in the data
directory) uses the same names in lower case, limits under `[limits]`. The environment wins.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from cloudassist_tasks.domain.access import Role
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.instance import SshEngine
from cloudassist_tasks.domain.limits import LIMITS_2026, Limits
from cloudassist_tasks.domain.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an installation is made of. Build it with `load()`."""

    data_dir: Path
    """Holds the embedded store, its socket, keys and logs; it alone selects an installation."""
    redis_url: str = ""
    """The store: `redis://`, `rediss://`, `unix://` or `redis+sentinel://`. Empty: the embedded one in
    `data_dir`."""
    store_max_mb: int = 0
    """How much memory the embedded store may use, in MiB. 0: half of what the machine has, or the control
    group that the store is started in."""
    broker_url: str = ""
    """Where messages go. Empty: the store's server, the database after the store's (at 15 the one before)."""
    region: str = "default"
    regions: str = ""
    """Regions that callers may name, with commas between them; empty: any name means the one region."""
    account: str = "cloudassist"
    """What `{{ACS::AccountId}}` stands for."""
    quota_zone: str = "UTC"
    """The zone whose days the daily quota counts."""
    ssh_engine: SshEngine = SshEngine.ASYNCSSH
    ssh_keep_s: float = 30.0
    """How long a connection is kept after its last use."""
    ssh_max_connections: int = 5_000
    """Connections that one process holds at most."""
    ssh_connects_at_once: int = 50
    """Connections that one process opens at the same time."""
    allow_local: bool = False
    """Whether instances with the transport `local` may run on this machine."""
    pool: str = "asyncio"
    """The worker pool: asyncio, threads or prefork."""
    concurrency: int = 4_000
    """Runs that one worker process holds at once (asyncio pool)."""
    heartbeat_s: float = 2.0
    lease_s: float = 10.0
    """A worker that has not beaten for so long is taken for dead and its runs are collected."""
    reconcile_s: float = 3.0
    schedule_zone: str = "UTC"
    """The zone of cron expressions that name none; `instance`: that of the instances, read at the opening."""
    late_s: float = 10.0
    """A time of a schedule that no beat has seen for so long is missed; until then its round is only late."""
    boot_look_s: float = 60.0
    """How often instances are looked at that something waits to boot."""
    power_timeout_s: float = 120.0
    """How long an instance's power command may take."""
    events_s: int = 86_400
    """How long events are kept for those who follow them."""
    events_max: int = 500_000
    """How many of them, at most; about 66 bytes of the store's memory each."""
    callback_tasks: str = "*"
    """Names of Celery tasks that callbacks may call, with commas between them; `*` is a wildcard."""
    webhook_hosts: str = ""
    """Hosts that webhooks may be sent to, with commas between them; `*` is a wildcard. Empty: any."""
    webhook_deadline_s: float = 10.0
    """How long a receiver may take to answer."""
    webhook_retry_s: float = 5.0
    """The pause after the first failure of a webhook; doubled each time …"""
    webhook_longest_pause_s: float = 3_600.0
    """… up to this one."""
    webhook_give_up_s: float = 86_400.0
    """A webhook that was not taken for so long is tried no more."""
    broker_role: Role = Role.OPERATOR
    """What `cloudassist.invoke` messages may ask for: admin, operator or viewer."""
    invoke_queues: str = "cloudassist.invoke,celery"
    """Where workers wait for them, with commas between the names. `celery` is where an app that says nothing
    of queues puts them; what is not ours there is put back."""
    secret_key: Secret[str] = field(default_factory=lambda: Secret(""))
    """The master key under which secrets are sealed; several, between commas: the first seals, all open.
    Empty: the file `secret.key` in `data_dir`."""
    audit_days: int = 90
    """How long calls stay on record."""
    audit_records: int = 200_000
    """How many at most: of changes, of reads, and of calls refused to strangers, so many each."""
    log_level: str = "INFO"
    limits: Limits = field(default_factory=Limits)


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process. `Refused(BAD_SETTING)` names the variable and what it may be."""
    environ = os.environ if environ is None else environ
    data_dir = Path(environ.get("CLOUDASSIST_DATA_DIR") or _default_data_dir(environ)).expanduser().absolute()
    file = _read_toml(Path(environ.get("CLOUDASSIST_CONFIG") or data_dir / "config.toml"))
    limits_of_file = file.pop("limits", {})
    if not isinstance(limits_of_file, dict):
        raise Refused(Kind.BAD_SETTING, "[limits] in the configuration file must be a table")

    limits = replace(_limits(environ), **_given(Limits, limits_of_file, environ, "CLOUDASSIST_LIMIT_"))
    return Settings(data_dir=data_dir, limits=limits, **_given(Settings, file, environ, "CLOUDASSIST_"))


def _limits(environ: Mapping[str, str]) -> Limits:
    match environ.get("CLOUDASSIST_LIMITS", ""):
        case "":
            return Limits()
        case "2026":
            return LIMITS_2026
        case other:
            raise Refused(
                Kind.BAD_SETTING,
                f"CLOUDASSIST_LIMITS is {other!r}; it must be 2026, or left out for the classic limits",
            )


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that make a child process load the same installation."""
    given = {"CLOUDASSIST_DATA_DIR": str(settings.data_dir)}
    if settings.redis_url:
        given["CLOUDASSIST_REDIS_URL"] = settings.redis_url
    if settings.broker_url:
        given["CLOUDASSIST_BROKER_URL"] = settings.broker_url
    if settings.allow_local:
        given["CLOUDASSIST_ALLOW_LOCAL"] = "1"
    return given


def _default_data_dir(environ: Mapping[str, str]) -> Path:
    """`$XDG_DATA_HOME/cloudassist`, by the XDG base directory rule."""
    root = environ.get("XDG_DATA_HOME", "")
    home = Path(environ.get("HOME") or Path.home())
    return (Path(root) if root.startswith("/") else home / ".local" / "share") / "cloudassist"


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Refused(Kind.BAD_SETTING, f"cannot read the configuration {path}: {error}") from error


def _given(cls: type, file: Mapping[str, Any], environ: Mapping[str, str], prefix: str) -> dict[str, Any]:
    """The fields that the file or the environment sets, in their types."""
    types = {f.name: f.type for f in fields(cls) if f.name not in ("data_dir", "limits")}
    if "data_dir" in file:
        raise Refused(Kind.BAD_SETTING, "data_dir cannot be set in a file; set CLOUDASSIST_DATA_DIR")
    if unknown := sorted(set(file) - set(types)):
        raise Refused(Kind.BAD_SETTING, f"the configuration file sets {unknown[0]!r}, which is no setting")
    given: dict[str, Any] = {}
    for name, type_ in types.items():
        variable = prefix + name.upper()
        if variable in environ and environ[variable] != "":
            given[name] = _typed(environ[variable], type_, variable)
        elif name in file:
            given[name] = _typed(str(file[name]), type_, name)
    return given


_TRUTH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


_MAY_BE: Mapping[object, str] = {bool: "1 or 0", int: "a whole number", float: "a number of seconds"}


def _typed(text: str, type_: object, name: str) -> Any:
    try:
        if type_ is bool:
            return _TRUTH[text.lower()]
        if type_ is int or type_ is float:
            number = type_(text)
            if number < 0:
                raise ValueError
            return number
        if type_ == Secret[str]:
            return Secret(text)
        if isinstance(type_, type) and issubclass(type_, StrEnum):
            return type_(text)
    except (KeyError, ValueError) as error:
        kind = _MAY_BE.get(type_) or f"one of {', '.join(cast(type[StrEnum], type_))}"
        raise Refused(Kind.BAD_SETTING, f"{name} is {text!r}; it must be {kind}") from error
    return text
