"""Write what the helper reads after its greeting: header lines, `--`, the script (PROTOCOL.md, launch)."""

import hashlib
from urllib.parse import quote

from cloudassist_tasks.ports.transport import Payload

__all__ = ["encode"]

SCRIPT_PLACE = "{{ACS::ScriptFileName}}"
SCRIPT_MARKER = "%SCRIPT%"
"""Stands for the script's file in the helper's `launcher`; no percent-encoded text can hold it."""

SAFE = "._~/:@,+-"
"""Besides letters and digits, what the protocol leaves as it is in a value."""

LINES_UP_TO_BYTES = 4096
"""A text of at most so many bytes is sent by lines, which costs the host no process."""


def encode(payload: Payload, *, user: str) -> bytes:
    """The bytes to send. `user` is empty where the helper is that user already."""
    script = payload.script.reveal()
    header: dict[str, object] = {
        "len": len(script),
        "timeout": payload.timeout_s,
        "mode": payload.mode.value,
        "head": payload.head_bytes,
        "tail": payload.tail_bytes,
        "sha256": hashlib.sha256(script).hexdigest(),
    }
    if user:
        header["user"] = quote(user, safe=SAFE)
    if payload.cwd:
        header["cwd"] = quote(payload.cwd, safe=SAFE)
    if payload.grace_s:
        header["grace"] = payload.grace_s
    if payload.launcher is not None:
        pieces = payload.launcher.reveal().split(SCRIPT_PLACE)
        header["launcher"] = SCRIPT_MARKER.join(quote(piece, safe=SAFE) for piece in pieces)
    body = script
    if len(script) <= LINES_UP_TO_BYTES and b"\0" not in script:
        body = script if script.endswith(b"\n") else script + b"\n"
        header["lines"] = body.count(b"\n")
        del header["sha256"]  # the count of lines and bytes shows a cut; no process for a sum
    lines = "".join(f"{key}={value}\n" for key, value in header.items())
    return lines.encode("ascii") + b"--\n" + body
