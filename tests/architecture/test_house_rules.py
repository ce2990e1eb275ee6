"""Names that say nothing, and words that do not belong into the product."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("cloudassist_tasks", "workers", "beat")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

EMPTY_NAMES = {"utils", "helpers", "manager", "common", "base", "misc"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_opens_with_its_reason(module: Path) -> None:
    text = module.read_text()

    if text.strip():
        assert ast.get_docstring(ast.parse(text)), f"{module} has no docstring"


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [module for module in MODULES if module.stem in EMPTY_NAMES] == []


def test_every_lua_script_begins_with_its_signature() -> None:
    scripts = sorted((ROOT / "cloudassist_tasks" / "store" / "lua").glob("*.lua"))

    unsigned = [path.name for path in scripts if f"-- {path.stem}(keys=[" not in path.read_text()]

    assert scripts
    assert unsigned == []
