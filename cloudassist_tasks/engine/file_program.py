"""The program that puts a file in its place on a host: shell text, with the content behind it.

It is carried out as any script is. The content stands behind the text as it is, any bytes, and is taken
from there by its offset; the shell has ended before it would read it.
"""

import hashlib
import secrets
import shlex
from importlib import resources
from typing import Final

from cloudassist_tasks.domain.file import FileSpec

TEXT: Final[str] = "".join(
    line
    for line in resources.files(__package__).joinpath("file_program.sh").read_text().splitlines(keepends=True)
    if line.strip() and not line.startswith("#")
)
"""The program itself; a host's shell has no use for the remarks."""


def file_program(file: FileSpec) -> bytes:
    """The whole program. Each call gives the private directory another name, which nobody can guess."""
    content = file.content.reveal()
    variables = {
        "size": len(content),
        "sha256": _sha256(content),
        "cksum": posix_cksum(content),
        "dir": file.target_dir,
        "name": file.name,
        "owner": file.owner,
        "group": file.group,
        "mode": file.mode,
        "overwrite": "true" if file.overwrite else "false",
        "temp": f".ca-{secrets.token_hex(12)}.",
    }
    assignments = "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in variables.items())
    rest = f"{assignments}{TEXT}".encode()
    begin = "#!/bin/sh\nskip={:<6}\n"  # a fixed width, so that the number can count its own line
    skip = len(begin.format(0)) + len(rest) + 1
    return begin.format(skip).encode() + rest + content


def posix_cksum(content: bytes) -> int:
    """What `cksum` prints, on hosts without a better sum. Source: POSIX, cksum."""
    crc = 0
    length, tail = len(content), bytearray()
    while length:
        tail.append(length & 0xFF)
        length >>= 8
    for byte in content + bytes(tail):
        crc = ((crc << 8) & 0xFFFFFFFF) ^ _CRC[(crc >> 24) ^ byte]
    return crc ^ 0xFFFFFFFF


def _crc_of(byte: int) -> int:
    crc = byte << 24
    for _ in range(8):
        crc = ((crc << 1) ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc


_CRC: Final = tuple(_crc_of(byte) for byte in range(256))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
