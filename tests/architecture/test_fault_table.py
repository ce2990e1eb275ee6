"""What `docs/reliability.md` says is tested, is: each test that its tables name exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE.read_text())))
FAULTS = sorted((ROOT / "tests" / "faults").glob("test_*.py"))


def functions_in(path: Path) -> set[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, functions)}


@pytest.mark.parametrize(("path", "name"), NAMED, ids=lambda part: part)
def test_a_test_that_the_fault_table_names_exists(path: str, name: str) -> None:
    assert name in functions_in(ROOT / path)


@pytest.mark.parametrize("path", FAULTS, ids=lambda path: path.name)
def test_a_file_of_faults_stands_in_the_table(path: Path) -> None:
    assert str(path.relative_to(ROOT)) in {named for named, _ in NAMED}
