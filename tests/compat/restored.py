"""An installation as a recording left it, a moment later: its hosts are here, its processes are gone."""

import time
from dataclasses import dataclass
from typing import Any

from tests.compat.dump import loaded, moved, put_names
from tests.compat.record import names_of, read, wrapped
from tests.compat.scene import MASTER_KEY, Scene
from tests.support.plane import Installation
from tests.support.receiver import Receiver

__all__ = ["Restored", "restored"]


@dataclass(frozen=True, slots=True)
class Restored:
    home: Installation
    receiver: Receiver
    scene: Scene

    @property
    def settings(self) -> dict[str, str]:
        """Beside the installation's own."""
        return {"CLOUDASSIST_SECRET_KEY": MASTER_KEY, "CLOUDASSIST_BOOT_LOOK_S": "1"}


def restored(home: Installation, recorded: str) -> Restored:
    """Load a version's recording into the empty servers of an installation."""
    receiver, scene = Receiver(), Scene(**read(recorded, "scene"))
    by_ms = int(1_000 * time.time()) - scene.recorded_ms

    def here(part: str) -> Any:
        return moved(put_names(read(recorded, part), names_of(home, receiver)), by_ms)

    loaded(home.valkey.url(0), here("store"))
    loaded(home.valkey.url(1), wrapped(here("broker")))
    return Restored(home, receiver, scene)
