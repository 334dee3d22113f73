"""What doctor makes of Pythons, packages and SQLites, good and bad. No other Python is started.

Runs in: the test process.
"""

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client import steno
from client.doctor import installation as doctor_installation
from client.machine.specs import installed
from client.terminal import python_check as interpreter
from ipc.status_views import Finding, FindingState


def states(findings: Iterable[Finding]) -> list[FindingState]:
    return [finding.state for finding in findings]


def only(findings: Iterable[Finding], state: FindingState = "broken") -> Finding:
    """The one finding that is not well; it says why, and what to do."""
    (found,) = [finding for finding in findings if finding.state != "ok"]
    assert found.state == state
    assert found.why and found.remedy
    return found


def test_the_verb_has_help_with_examples_and_its_exit_codes() -> None:
    page = CliRunner().invoke(steno.app, ["doctor", "--help"]).output
    assert "steno doctor" in page
    assert "1 a check failed" in page


# --- Python ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "fits"), [((3, 9, 18), 0), ((3, 10, 1), 0), ((3, 11), 1), ((3, 13), 1), ((3, 14), 0)]
)
def test_a_wrong_python_is_called_that(version: tuple[int, ...], fits: bool) -> None:
    found = doctor_installation.python_finding(version, "/usr/bin/python3")
    assert (found.state == "ok") == fits
    if not fits:
        assert "wrong Python: /usr/bin/python3" in found.what
        assert only([found]).remedy


@pytest.mark.parametrize(
    "file",
    [
        "client/terminal/python_check.py",
        "client/steno.py",
        "client/__init__.py",
        "distribution/stenod/__init__.py",
        "distribution/stenod/__main__.py",
    ],
)
def test_an_old_python_can_read_what_tells_it_so(file: str) -> None:
    source = (doctor_installation.ROOT / file).read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 7))


def test_the_remedy_for_a_wrong_python_is_never_the_venv_it_came_from(tmp_path: Path) -> None:
    program = tmp_path / ".venv" / "bin" / "steno"
    assert "install stenod again" in interpreter.remedy(str(tmp_path), "/usr", ("doctor",))
    program.parent.mkdir(parents=True)
    program.touch()
    (tmp_path / "Makefile").touch()
    assert interpreter.remedy(str(tmp_path), "/usr", ("doctor", "-v")) == f"{program} doctor -v"
    assert f"make -C {tmp_path} setup" in interpreter.remedy(str(tmp_path), str(tmp_path / ".venv"), ())


def test_a_package_of_our_name_that_is_not_ours_is_named(tmp_path: Path) -> None:
    ours = {name: doctor_installation.where_is(name) for name in doctor_installation.ROOMS}
    root = doctor_installation.ROOT
    assert states(doctor_installation.shadowing_findings(ours, root)) == ["ok"]
    (tmp_path / "link").symlink_to(root)
    assert states(doctor_installation.shadowing_findings(ours, tmp_path / "link")) == ["ok"], "the same by a link"
    found = only(doctor_installation.shadowing_findings(ours | {"config": tmp_path / "config"}, root))
    assert f"`import config` leads to {tmp_path / 'config'}" in found.what


def test_another_pythons_steno_on_the_path_is_a_warning(tmp_path: Path) -> None:
    script = tmp_path / "steno"
    script.write_text("#!/opt/other/bin/python3\n")
    found = only(doctor_installation.command_findings(script, Path("/venv/bin/python")), "warning")
    assert "/opt/other/bin/python3" in found.what
    script.write_text("#!/venv/bin/python\n")
    assert not list(doctor_installation.command_findings(script, Path("/venv/bin/python")))


@pytest.mark.parametrize(("version", "state"), [((3, 34, 1), "broken"), ((3, 35, 0), "ok"), ((3, 51, 3), "ok")])
def test_an_old_sqlite_is_broken_and_one_with_the_wal_bug_only_noted(version: tuple[int, ...], state: str) -> None:
    found = doctor_installation.sqlite_finding(version)
    assert found.state == state
    assert ("WAL-reset" in found.what) == (version == (3, 35, 0))


# --- packages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("mlx", "0.32.1"),
        ("torch", "2.9.1"),
        ("torch", "2.7.0"),
        ("huggingface-hub", "1.0.0"),
        ("torchcodec", "0.8.1"),
    ],
)
def test_bad_versions_are_known_by_name_and_told_once(name: str, version: str) -> None:
    def there(asked: str) -> str | None:
        return version if asked == name else None

    found = only(doctor_installation.package_findings(there, "make setup"))
    assert found.what == f"{name} {version} is known to fail"


def test_the_installed_packages_are_no_bad_ones() -> None:
    assert states(doctor_installation.package_findings(installed, "make setup")) == ["ok"]
