"""The command lines of worker, beat and Flower."""

import sys
from pathlib import Path

import pytest

from cloudassist_tasks.cli.processes import beat_command, flower_command, worker_command
from cloudassist_tasks.config import Settings
from cloudassist_tasks.domain.errors import Refused


def test_a_worker_runs_our_pool_unless_told_otherwise(tmp_path: Path) -> None:
    start = worker_command(Settings(data_dir=tmp_path / "data", concurrency=77))

    assert start.argv[:5] == (sys.executable, "-m", "celery", "-A", "workers.app")
    assert {"--pool=custom", "--concurrency=77"} <= set(start.argv)
    assert start.environment["CELERY_CUSTOM_WORKER_POOL"] == "workers.pools:AsyncioPool"
    assert start.environment["CLOUDASSIST_DATA_DIR"] == str(tmp_path / "data")


def test_a_worker_runs_in_the_data_directory_where_no_module_of_the_users_lies(tmp_path: Path) -> None:
    start = worker_command(Settings(data_dir=tmp_path / "data"))

    assert start.directory == tmp_path / "data"
    assert start.directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_the_stock_pools_can_be_chosen(tmp_path: Path, pool: str) -> None:
    start = worker_command(
        Settings(data_dir=tmp_path), pool, concurrency=3, queues="cloudassist.run.default", name="w1@h"
    )

    wanted = {f"--pool={pool}", "--concurrency=3", "--queues=cloudassist.run.default", "--hostname=w1@h"}
    assert wanted <= set(start.argv)
    assert "CELERY_CUSTOM_WORKER_POOL" not in start.environment


def test_an_unknown_pool_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="asyncio, threads, prefork"):
        worker_command(Settings(data_dir=tmp_path), "gevent")


def test_flowers_password_is_not_among_its_arguments(tmp_path: Path) -> None:
    start = flower_command(
        Settings(data_dir=tmp_path), port=5555, user="admin", password="s3cret", address="127.0.0.1"
    )

    assert not any("s3cret" in argument for argument in start.argv)
    assert start.environment["FLOWER_BASIC_AUTH"] == "admin:s3cret"


def test_beat_is_a_process_of_its_own(tmp_path: Path) -> None:
    assert "beat.app" in beat_command(Settings(data_dir=tmp_path)).argv
