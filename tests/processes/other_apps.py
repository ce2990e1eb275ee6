"""The apps of others that tests start: those in `examples/`, with a broker that can be away."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from celery import Celery

from tests.support.eventually import eventually
from tests.support.plane import Installation
from tests.support.ports import own_port
from tests.support.valkey import ValkeyServer

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
ROOT = EXAMPLES.parent
CELERY = (sys.executable, "-m", "celery")


class Home(Installation):
    """The broker is a server of its own: it can be away while the store is there."""

    broker: ValkeyServer

    def environment(self, **more: str) -> dict[str, str]:
        apart = {
            "CLOUDASSIST_BROKER_URL": self.broker.broker_url(0),
            "CLOUDASSIST_WEBHOOK_RETRY_S": "0.2",
            "CLOUDASSIST_WEBHOOK_LONGEST_PAUSE_S": "0.5",
        }
        return super().environment(**apart, **more)


class Shop:
    """examples/celery_app, with a worker that gets its callbacks."""

    def __init__(self, home: Home, directory: Path, queue: str = "shop") -> None:
        self.database = directory / "shop.db"
        self.app = Celery("test", broker=home.broker.broker_url(0))
        self.environment = {
            **os.environ,
            "SHOP_BROKER": home.broker.broker_url(0),
            "SHOP_DATABASE": str(self.database),
            "PYTHONPATH": str(ROOT),
        }
        self.log = (directory / "shop.log").open("wb")
        self.worker = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "celery",
                "-A",
                "shop",
                "worker",
                "-Q",
                queue,
                "-P",
                "solo",
                "-l",
                "INFO",
            ],
            cwd=EXAMPLES / "celery_app",
            env=self.environment,
            stdout=self.log,
            stderr=self.log,
        )

    def order(self, script: str, *instances: str) -> str:
        """Its number."""
        done = subprocess.run(
            [sys.executable, "shop.py", script, *instances],
            cwd=EXAMPLES / "celery_app",
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def told(self) -> list[tuple[str, str, str]]:
        """Id, number, state of what it was told."""
        if not self.database.exists():
            return []
        with sqlite3.connect(self.database, timeout=10) as told:
            try:
                return list(told.execute("SELECT * FROM told"))
            except sqlite3.OperationalError:  # it has not made the table yet
                return []

    def said(self, words: str) -> int:
        """How often its worker has logged this."""
        return Path(self.log.name).read_text(errors="replace").count(words)

    def close(self) -> None:
        self.worker.terminate()
        self.worker.wait(120)
        self.log.close()
        self.app.close()


class Patching:
    """examples/fastapi_app, in process of the installation's own client; up or down."""

    def __init__(self, home: Home, directory: Path, secret: str) -> None:
        self.port = own_port(self)
        self.url = f"http://127.0.0.1:{self.port}"
        self.directory = directory
        self.environment = {
            **os.environ,
            **home.environment(),
            "WEBHOOK_SECRET": secret,
            "PATCHING_URL": self.url,
            "PATCHING_DATABASE": str(directory / "patching.db"),
            "PYTHONPATH": str(ROOT),
        }

    @contextmanager
    def up(self) -> Iterator[None]:
        log = self.directory / "patching.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "patching:app", "--port", str(self.port)],
                cwd=EXAMPLES / "fastapi_app",
                env=self.environment,
                stdout=out,
                stderr=out,
            )
        try:
            eventually(self._answers, within=30)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(120)
            print(log.read_text(errors="replace"))

    def post(self, path: str, **body: object) -> Any:
        return self._call(path, json.dumps(body).encode())

    def get(self, path: str) -> Any:
        return self._call(path)

    def request(self, path: str, body: bytes, *, signed: str) -> int:
        """The status of a webhook's post."""
        headers = {"x-cloudassist-signature": signed, "x-cloudassist-delivery": "cb-x"}
        try:
            with urlopen(Request(self.url + path, data=body, headers=headers), timeout=10) as answer:
                return int(answer.status)
        except URLError as error:
            return int(getattr(error, "code", 0))

    def _call(self, path: str, body: bytes | None = None) -> Any:
        request = Request(self.url + path, data=body, headers={"content-type": "application/json"})
        with urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    def _answers(self) -> bool:
        try:
            return bool(self.get("/openapi.json"))
        except OSError:
            return False
