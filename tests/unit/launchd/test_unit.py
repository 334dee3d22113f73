"""What systemd is given, by its own rules of quoting."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sample_installation import sample_installation

from launchd.installation import STOP_SECONDS
from launchd.refusal import ServiceRefused
from launchd.systemd import command_line, quoted, unit_file
from supervisor.daemon import LONGEST_STOP_SECONDS

ANALYZE = shutil.which("systemd-analyze")


def settings(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("plain", '"plain"'),
        ("a b", '"a b"'),
        ("100%", '"100%%"'),
        (r"back\slash", r'"back\\slash"'),
        ('say "x"', r'"say \"x\""'),
        ("two\nlines", r'"two\nlines"'),
        ("it's $HOME", '"it\'s $HOME"'),
    ],
)
def test_a_word_is_quoted_so_that_systemd_reads_it_back(word: str, written: str) -> None:
    assert quoted(word) == written


def test_a_dollar_in_the_programs_path_is_no_variable() -> None:
    assert command_line(("/v/python", "-P")) == '"/v/python" "-P"'
    assert command_line(("/$v/python", "-P")) == ':"/$v/python" "-P"'


def test_the_daemon_comes_back_and_has_time_to_stop() -> None:
    unit = settings(unit_file(sample_installation("linux")))
    assert unit["ExecStart"].endswith('"-P" "-m" "stenod" "-m" "supervisor"'), (
        "the journal turns itself over: not quiet"
    )
    assert (unit["Restart"], unit["KillMode"], unit["OOMPolicy"]) == ("on-failure", "mixed", "continue")
    assert int(unit["TimeoutStopSec"]) == STOP_SECONDS > LONGEST_STOP_SECONDS + 2
    assert unit["StartLimitIntervalSec"] == "0"
    assert unit["RestartSec"] == "200ms", "a crash costs less than two seconds"


@pytest.mark.parametrize(
    ("exit_code", "result", "pauses"),
    [
        ("exited", "exit-code", True),
        ("exited", "success", False),
        ("killed", "signal", False),
        ("dumped", "watchdog", False),
    ],
)
def test_only_a_daemon_that_cannot_start_waits_before_it_is_started_again(
    exit_code: str, result: str, pauses: bool, tmp_path: Path
) -> None:
    sleep = tmp_path / "sleep"
    sleep.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/slept\n')
    sleep.chmod(0o755)
    command = settings(unit_file(sample_installation("linux")))["ExecStopPost"]
    assert command.startswith('-:"/bin/sh" "-c" '), "its own failure is ignored, and the shell reads its variables"
    subprocess.run(
        shlex.split(command.removeprefix("-:")),
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "EXIT_CODE": exit_code, "SERVICE_RESULT": result},
        check=False,
        timeout=20,
    )
    slept = tmp_path / "slept"
    assert (slept.read_text().strip() if slept.exists() else None) == ("10" if pauses else None)


def test_a_machines_unit_runs_as_a_person_and_a_users_asks_for_nothing_that_needs_root() -> None:
    own, machine = (settings(unit_file(sample_installation("linux", is_system=one))) for one in (False, True))
    assert (own.get("User"), own["WantedBy"]) == (None, "default.target")
    assert (machine["User"], machine["WantedBy"]) == ("anna", "multi-user.target")
    assert not [name for name in own if name.startswith(("Protect", "Private", "ReadWrite"))]


def test_a_program_that_systemd_would_not_start_is_refused() -> None:
    for name in ("it's", 'a "b"', "a\\b"):
        with pytest.raises(ServiceRefused, match="quotes or backslashes"):
            sample_installation("linux", interpreter=Path(f"/{name}/python"))


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not on this machine")
@pytest.mark.parametrize("scope", ["--user", "--system"])
def test_systemd_itself_finds_nothing_to_say(scope: str, tmp_path: Path) -> None:
    assert ANALYZE is not None
    folder = tmp_path / "50% of $HOME; ü"
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    installation = sample_installation(
        "linux", is_system=scope == "--system", interpreter=folder / "python", STENO_PROMPT='100% "a"\nb \\ $c'
    )
    unit = tmp_path / installation.unit
    unit.write_text(unit_file(installation))
    checked = subprocess.run(
        [ANALYZE, "verify", scope, "--man=no", str(unit)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    complaints = [line for line in checked.stderr.splitlines() if line.startswith(installation.unit)]
    assert (checked.returncode, complaints) == (0, []), checked.stderr
