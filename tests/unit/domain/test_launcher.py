"""Launchers."""

import pytest

from cloudassist_tasks.domain.errors import Kind
from cloudassist_tasks.domain.launcher import SCRIPT_MARKER, Launcher, parsed_launcher
from tests.unit.domain.refusals import refused


@pytest.mark.parametrize(
    ("text", "line", "ext"),
    [
        ("bash {{ACS::ScriptFileName}}", f"bash {SCRIPT_MARKER}", ""),
        ('python3 -u {{ACS::ScriptFileName|Ext(".py")}}', f"python3 -u {SCRIPT_MARKER}", ".py"),
        ("pwsh {{ACS::ScriptFileName|Ext(.ps1)}} -x", f"pwsh {SCRIPT_MARKER} -x", ".ps1"),
        ("pwsh {{ ACS :: ScriptFileName | Ext( 'ps1' ) }}", f"pwsh {SCRIPT_MARKER}", ".ps1"),
        (
            'cp {{ACS::ScriptFileName}} x; y {{ACS::ScriptFileName|Ext(".y")}}',
            f"cp {SCRIPT_MARKER} x; y {SCRIPT_MARKER}",
            ".y",
        ),
        ("awk '{{print}}' {{ACS::ScriptFileName}}", f"awk '{{{{print}}}}' {SCRIPT_MARKER}", ""),
    ],
)
def test_the_place_of_the_script_and_its_extension_are_found(text: str, line: str, ext: str) -> None:
    assert Launcher(line=line, ext=ext) == parsed_launcher(text)


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_launcher_is_none(text: str) -> None:
    assert parsed_launcher(text) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("x" * 1_025, Kind.LAUNCHER_TOO_LONG),
        ("\u00e9" * 513, Kind.LAUNCHER_TOO_LONG),
        ("python3", Kind.BAD_VALUE),
        ("{{ACS::InstanceId}} {{ACS::ScriptFileName}}", Kind.BAD_VALUE),
        ("{{ACS::ScriptFileName|Ext(\".py')}}", Kind.BAD_VALUE),
        ("{{ACS::ScriptFileName|Ext(../x)}}", Kind.BAD_VALUE),
        ("{{ACS::ScriptFileName|Ext(a)}} {{ACS::ScriptFileName|Ext(b)}}", Kind.BAD_VALUE),
        ("sh {{ACS::ScriptFileName}}\nreboot", Kind.BAD_VALUE),
    ],
)
def test_a_launcher_that_cannot_work_is_refused(text: str, kind: Kind) -> None:
    with refused(kind):
        parsed_launcher(text)
