"""Fault points do nothing in any life but that of a chaos run, and there exactly what they were told.

Runs in: the test process.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from daemon_under_test import MEMO, DaemonUnderTest, a_daemon

from ipc import failpoints as fault_points
from ipc.failpoints import ARMED_BY, FAULTS, POINTS_OF, armed_points
from launchd.environment import carried_environment

REACH_ALL = """
from ipc.failpoints import POINTS_OF, hit
for points in POINTS_OF.values():
    for point in points:
        hit(point)
print("alive")
"""


def reach_all(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A process of its own that comes by every point, as the supervisor."""
    without = {name: value for name, value in os.environ.items() if name != ARMED_BY}
    return subprocess.run(
        [sys.executable, "-c", REACH_ALL], env=without | environment, capture_output=True, text=True, timeout=30
    )


def traps_in(folder: Path) -> dict[str, Path]:
    """A trap in wait for every process, at every point, in every way."""
    folder.mkdir()
    traps = {
        f"{process}.{point}={how}": folder / f"{process}.{point}.{how}"
        for process, points in POINTS_OF.items()
        for point in points
        for how in FAULTS
    }
    for trap in traps.values():
        trap.touch()
    return traps


def told(traps: dict[str, Path]) -> str:
    return " ".join(f"{place}:{trap}" for place, trap in traps.items())


def test_without_the_variable_hit_has_an_empty_body() -> None:
    assert ARMED_BY not in os.environ
    code = fault_points.hit.__code__
    assert code.co_names == (), "it looks nothing up and calls nothing"
    assert set(code.co_consts) <= {fault_points.hit.__doc__, None}
    assert fault_points.ARMED == {}


@pytest.mark.parametrize("environment", [{}, {ARMED_BY: ""}, {ARMED_BY: "  "}])
def test_without_the_variable_no_trap_is_ever_struck(environment: dict[str, str], tmp_path: Path) -> None:
    traps = traps_in(tmp_path / "traps")
    assert reach_all(environment).stdout == "alive\n"
    assert all(trap.exists() for trap in traps.values())


def test_what_is_armed_strikes_once_and_only_where_its_trap_lies(tmp_path: Path) -> None:
    trap, other = tmp_path / "trap", tmp_path / "other"
    armed = {ARMED_BY: f"supervisor.job_stored=kill:{trap} transcriber.batch_begun=kill:{other}"}
    assert reach_all(armed).stdout == "alive\n", "no trap lies there yet"
    trap.touch()
    other.touch()
    assert reach_all(armed).returncode == -signal.SIGKILL
    assert not trap.exists()
    assert reach_all(armed).stdout == "alive\n", "it has struck, and the other is another process's"
    assert other.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        "nonsense",
        "supervisor.job_stored",
        "supervisor.job_stored=kill",
        "supervisor.job_stored=kill:",
        "supervisor.job_stored=melt:/trap",
        "supervisor.job_lost=kill:/trap",
        "supervisr.job_stored=kill:/trap",
        "supervisor.batch_begun=kill:/trap",
        "transcriber.batch_begun=kill:/trap aligner.nowhere=kill:/trap",
    ],
)
def test_a_wrongly_written_variable_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"is not `process\.place=how:file`"):
        armed_points(wrong, "supervisor")
    refused = reach_all({ARMED_BY: wrong})
    assert refused.returncode != 0
    assert ARMED_BY in refused.stderr


def test_what_a_user_writes_into_his_files_arms_nothing(tmp_path: Path) -> None:
    traps = traps_in(tmp_path / "traps")
    with a_daemon() as daemon:
        assert daemon.stop() == 0
        Path(daemon.home / ".env.pipeline").write_text(f"{ARMED_BY}={told(traps)}\nSTENO_{ARMED_BY}={told(traps)}\n")
        daemon.start()
        job = daemon.finished(daemon.submit(Path(shutil.copy(MEMO, daemon.home / "memo.flac"))))
        assert (job["status"], job["timing"]) == ("done", "word")
    assert all(trap.exists() for trap in traps.values())


def test_a_config_file_that_names_the_variable_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'{ARMED_BY} = "supervisor.job_stored=kill:/trap"\n')
    daemon = DaemonUnderTest(tmp_path, {})
    daemon.launch()
    assert daemon.process is not None
    assert daemon.process.wait(30) not in (0, -signal.SIGKILL)
    assert ARMED_BY in daemon.log.read_text()


def test_a_service_that_is_installed_does_not_take_the_variable_along(tmp_path: Path) -> None:
    carried = carried_environment({ARMED_BY: "supervisor.job_stored=kill:/trap"}, tmp_path, tmp_path)
    assert carried.variables == {}
