"""The Lua files keep to their rules: a signature, keys by number only, no clock, no chance."""

import re
from pathlib import Path

import pytest

import cloudassist_tasks.store
from cloudassist_tasks.store.scripts import script

FOLDER = Path(cloudassist_tasks.store.__path__[0]) / "lua"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.lua"))
PIECES = sorted((FOLDER / "pieces").glob("*.lua"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_begins_with_its_flags_and_its_signature(name: str) -> None:
    shebang, signature, *rest = (FOLDER / f"{name}.lua").read_text("utf-8").splitlines()
    head = " ".join([signature, *rest[:8]])

    assert shebang in ("#!lua", "#!lua flags=allow-oom")
    assert signature.startswith(f"-- {name}(keys=[")
    assert "args=[" in head
    assert "-> " in head


@pytest.mark.parametrize(
    "path", [*PIECES, *(FOLDER / f"{name}.lua" for name in SCRIPTS)], ids=lambda p: p.stem
)
def test_no_script_names_a_key_or_reads_a_clock(path: Path) -> None:
    code = re.sub(r"--.*", "", path.read_text("utf-8"))

    assert "ca:" not in code
    assert not re.search(r"'TIME'|os\.|math\.random", code)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_used(name: str) -> None:
    modules = "".join(path.read_text("utf-8") for path in FOLDER.parent.glob("*.py"))

    assert f'"{name}"' in modules
    assert script(name).text.startswith(b"#!lua")


@pytest.mark.parametrize(
    "name",
    ["claim_run", "commit_launching", "start_run", "record_output", "finish_run", "give_back", "stop_runs",
     "abort_unclaimed", "bury_worker", "beat_worker", "register_worker", "take_from", "reserve_batch"],
)  # fmt: skip
def test_what_ends_open_work_runs_on_a_full_server(name: str) -> None:
    assert script(name).text.startswith(b"#!lua flags=allow-oom\n")
