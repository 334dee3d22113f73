"""What `steno doctor` says of the walls around decoders."""

import sys

import pytest

from client.doctor.sandbox import Probed, sandbox_finding, sandbox_findings


def test_walls_that_stand_are_named() -> None:
    found = sandbox_finding(Probed(walls=("limits", "landlock 7", "seccomp"), lacks=(), open=()))
    assert found.state == "ok"
    assert "landlock 7" in found.what


def test_a_wall_that_is_missing_behind_another_is_said_and_no_fault() -> None:
    found = sandbox_finding(Probed(walls=("seccomp",), lacks=("landlock: this kernel has no Landlock",), open=()))
    assert found.state == "ok"
    assert "no Landlock" in found.what


def test_what_stays_open_is_a_warning_with_the_reason() -> None:
    lacks = ("landlock: no", "seccomp: no")
    found = sandbox_finding(Probed(walls=(), lacks=lacks, open=("files", "network")))
    assert found.state == "warning"
    assert "files and network" in found.what and "seccomp: no" in found.what
    assert found.remedy


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has not been tried")
def test_this_machine_shuts_decoders_in() -> None:
    (found,) = sandbox_findings()
    assert found.state == "ok", found


@pytest.mark.parametrize(
    "command", [("/no/such/program",), (sys.executable, "-c", "print(1)"), (sys.executable, "-c", "import none_such")]
)
def test_a_probe_that_says_nothing_of_use_is_a_warning(command: tuple[str, ...]) -> None:
    (found,) = sandbox_findings(command)
    assert (found.check, found.state) == ("sandbox", "warning")


def test_a_probe_that_hangs_is_not_waited_for() -> None:
    (found,) = sandbox_findings((sys.executable, "-c", "import time; time.sleep(60)"), 0.5)
    assert "no answer" in found.what
