"""A launcher: the command line that starts a script in place of its own interpreter.

`{{ACS::ScriptFileName}}` stands for the path of the saved script; `{{ACS::ScriptFileName|Ext(".py")}}`
also gives the file that extension (the quotes may be left out). Source: Launcher of the vendor's API.
"""

import re
from dataclasses import dataclass

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.limits import CLASSIC, Limits
from cloudassist_tasks.domain.text import check_visible

SCRIPT_MARKER = "{{ACS::ScriptFileName}}"
"""What stands in a parsed line where the path of the script belongs."""

_BUILT_IN = re.compile(r"\{\{\s*ACS\s*::\s*([^{}]*?)\s*\}\}")
_SCRIPT_FILE = re.compile(
    r"""ScriptFileName
    (?: \s*\|\s* Ext \s*\(\s* (?P<quote>["']?) (?P<ext>\.?[A-Za-z0-9_-]{1,16}) (?P=quote) \s*\) )?""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launcher:
    """A parsed launcher."""

    line: str
    """The command line, with `SCRIPT_MARKER` for the path of the script."""
    ext: str = ""
    """Extension of the script's file, `.py`; empty: whatever the host chooses."""


def parsed_launcher(text: str, limits: Limits = CLASSIC) -> Launcher | None:
    """The launcher that `text` describes; None for an empty one.

    `Refused` LAUNCHER_TOO_LONG, BAD_VALUE (another `{{ACS::…}}`, two extensions, no script, control
    characters)."""
    if not text.strip():
        return None
    size = len(text.encode(errors="surrogatepass"))
    if size > limits.launcher_bytes:
        raise Refused(
            Kind.LAUNCHER_TOO_LONG, f"Launcher has {size} bytes, the limit is {limits.launcher_bytes}"
        )
    check_visible("Launcher", text, Kind.BAD_VALUE)
    extensions: list[str] = []

    def marker(found: re.Match[str]) -> str:
        extensions.append(_extension(found[1]))
        return SCRIPT_MARKER

    line = _BUILT_IN.sub(marker, text)
    if not extensions:
        raise Refused(
            Kind.BAD_VALUE, f"Launcher does not say where the script goes; put {SCRIPT_MARKER} into it"
        )
    named = sorted({ext for ext in extensions if ext})
    if len(named) > 1:
        raise Refused(
            Kind.BAD_VALUE, f"Launcher gives the script the extensions {' and '.join(named)}; keep one"
        )
    return Launcher(line=line, ext="".join(named))


def _extension(inner: str) -> str:
    found = _SCRIPT_FILE.fullmatch(inner)
    if not found:
        raise Refused(
            Kind.BAD_VALUE,
            f'Launcher may hold {SCRIPT_MARKER} or {{{{ACS::ScriptFileName|Ext(".py")}}}}, and no other'
            " {{ACS::…}}",
        )
    ext: str = found["ext"] or ""
    return f".{ext.removeprefix('.')}" if ext else ""
