"""What doctor makes of facts: devices, disks, folders, workers, canaries; how it looks and shows. No daemon.

Runs in: the test process.
"""

import io
import os
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from client.doctor import daemon as doctor_daemon
from client.doctor import disk_and_memory as doctor_headroom
from client.doctor import folders as doctor_folders
from client.doctor import service as doctor_service
from client.doctor import workers as doctor_workers
from client.doctor.check import Check, ok
from client.doctor.page import doctor_page
from client.doctor.run import Outcome, side_by_side
from client.doctor.watches import shell_view
from client.machine.service import find_service
from client.terminal import python_check
from config.engines import EngineChoice
from config.places import find_places
from ipc.status_views import CanaryView, Finding, FindingState, HealthView, LastDeath, WorkerView
from launchd.state import ServiceState
from supervisor.health.self_check import watch_finding
from supervisor.watch.access_check import permission_hint

AT = "2026-01-02T03:04:05.000+00:00"
NOW = datetime.fromisoformat(AT).astimezone(UTC)
CHOICE = EngineChoice("mlx", "a:B", "whisperx", "c:D", "whisperx", "e:F")


def states(findings: Iterable[Finding]) -> list[FindingState]:
    return [finding.state for finding in findings]


def only(findings: Iterable[Finding], state: FindingState = "broken") -> Finding:
    """The one finding that is not well; it says why, and what to do."""
    (found,) = [finding for finding in findings if finding.state != "ok"]
    assert found.state == state
    assert found.why and found.remedy
    return found


def worker(**facts: object) -> WorkerView:
    known = {"role": "aligner", "engine": "whisperx", "model": "m", "device": "cpu", "state": "ready", "pid": 7}
    return WorkerView.model_validate(known | {"restarts": 0, "last_death": None} | facts)


# --- machine -----------------------------------------------------------------------------------------------------


def test_an_intel_python_on_a_mac_is_named_before_anything_is_loaded() -> None:
    what, why = python_check.trouble((3, 12, 1), "/v/python", (), is_translated=True) or ("", "")
    assert "/v/python runs as an Intel program" in what and "Apple silicon" in why
    assert python_check.trouble((3, 12, 1), "/v/python", ()) is None


def test_a_cpu_on_a_mac_is_named_and_nothing_of_it_elsewhere() -> None:
    slow = [worker(role="transcriber")]
    assert "CPU" in only(doctor_workers.device_findings(slow, None, "darwin", "arm64"), "warning").what
    assert not list(doctor_workers.device_findings(slow, None, "linux", "x86_64"))
    metal = [worker(role="transcriber", engine="mlx", device="metal"), worker()]
    assert not list(doctor_workers.device_findings(metal, None, "darwin", "arm64"))


@pytest.mark.parametrize(
    ("free_mb", "files", "state"),
    [(0, None, "broken"), (499, 9, "broken"), (9000, 0, "broken"), (501, 9, "warning"), (9000, None, "ok")],
)
def test_a_full_disk_is_broken_and_a_fuller_one_a_warning(free_mb: int, files: int | None, state: str) -> None:
    disk = doctor_headroom.Disk(("spool", "model cache"), Path("/my disk"), free_mb * 1_000_000, files)
    (found,) = doctor_headroom.disk_findings([disk], 500)
    assert found.state == state
    assert "/my disk (spool, model cache)" in found.what
    assert state == "ok" or "'/my disk'" in found.remedy


def test_each_disk_is_counted_once_by_whatever_of_it_exists(tmp_path: Path) -> None:
    (disk,) = doctor_headroom.find_disks({"spool": tmp_path / "not" / "yet", "state": tmp_path})
    assert disk.holds == ("spool", "state")
    assert disk.place == tmp_path


def test_workers_that_fill_the_memory_are_a_warning() -> None:
    large = [worker(footprint_bytes=7_000_000_000)]
    assert "7.0 GB" in only(doctor_headroom.memory_findings(8_000_000_000, large), "warning").what
    assert states(doctor_headroom.memory_findings(8_000_000_000, [])) == ["ok"]
    assert states(doctor_headroom.memory_findings(2_000_000_000, [])) == ["warning"]


# --- folders -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o710, 0o400])
def test_a_folder_that_is_not_private_names_its_chmod(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    folder.chmod(mode)
    found = doctor_folders.folder_finding("socket_folder", folder, os.geteuid())
    assert only([found]).remedy == f"chmod 700 '{folder}'"
    folder.chmod(0o700)
    assert doctor_folders.folder_finding("socket_folder", folder, os.geteuid()).state == "ok"


def test_files_links_loops_and_foreign_owners_in_place_of_folders_are_broken(tmp_path: Path) -> None:
    uid, link, loop, file = os.geteuid(), tmp_path / "link", tmp_path / "loop", tmp_path / "file"
    link.symlink_to(tmp_path)
    loop.symlink_to(loop)
    file.touch()
    assert "but a link" in only([doctor_folders.folder_finding("state_folder", link, uid)]).what
    assert "Too many levels" in only([doctor_folders.folder_finding("log_folder", loop)]).what
    assert "not a folder" in only([doctor_folders.folder_finding("log_folder", file)]).what
    assert "Not a directory" in only([doctor_folders.folder_finding("state_folder", file / "in", uid)]).what
    assert f"you are {uid + 1}" in only([doctor_folders.folder_finding("state_folder", tmp_path, uid + 1)]).what


def test_a_socket_path_that_is_too_long_and_a_runtime_folder_that_is_not_there_are_broken(tmp_path: Path) -> None:
    assert "bytes" in only(doctor_folders.socket_path_findings(Path("/" + "x" * 103))).what
    assert not list(doctor_folders.socket_path_findings(Path("/" + "x" * 102)))
    gone = {"XDG_RUNTIME_DIR": str(tmp_path / "gone")}
    assert "XDG_RUNTIME_DIR" in only(doctor_folders.session_findings(gone)).what
    assert not list(doctor_folders.session_findings(gone | {"STENO_HOME": "/x"}))


def test_a_home_that_is_no_folder_is_broken(tmp_path: Path) -> None:
    def home(**environment: str) -> Finding:
        return doctor_folders.home_finding(environment, find_places({"STENO_HOME": "/x"}), os.geteuid())

    file = tmp_path / "file"
    file.touch()
    assert "no folder" in only([home(HOME=str(file))]).what
    assert "STENO_HOME" in only([home(STENO_HOME=str(file))]).what
    assert home(STENO_HOME=str(tmp_path / "new")).state == "ok"
    nobody = doctor_folders.home_finding({}, find_places({"STENO_HOME": "/x"}), 2**31 - 7)
    assert "HOME is not set" in only([nobody]).what


def test_a_folder_that_cannot_be_created_is_broken_before_the_daemon_tries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "not" / "yet"
    assert doctor_folders.folder_finding("spool_folder", place).state == "ok"
    # No mode keeps root out.
    monkeypatch.setattr(os, "access", lambda path, mode: not (path == tmp_path and mode & os.W_OK))
    uid, homes = os.geteuid(), {"STENO_HOME": str(tmp_path / "new")}
    for found in (
        doctor_folders.folder_finding("spool_folder", place),
        doctor_folders.folder_finding("state_folder", place, uid),
        doctor_folders.home_finding(homes, find_places(homes), uid),
        *shell_view(place, is_made_at_start=True),
    ):
        assert f"cannot be created: {tmp_path} cannot be written" in only([found]).what
        assert f"chmod u+wx {tmp_path}" in found.remedy


# --- daemon, workers, canary -------------------------------------------------------------------------------------


def absence(**facts: object) -> doctor_daemon.Absence:
    known: dict[str, object] = {"socket": "/s", "refusal": "no", "is_stale": False, "last_pid": 7, "is_alive": False}
    known |= {"hidden": None, "ended_in_order": False, "last_words": None}
    return doctor_daemon.Absence(**(known | facts))  # type: ignore[arg-type]


def test_a_dead_daemon_a_silent_one_a_stopped_one_and_none_at_all_are_told_apart() -> None:
    def told(**facts: object) -> list[tuple[str, str]]:
        found = list(doctor_daemon.absence_findings(absence(**facts), has_service=False))
        assert all("steno serve" in one.remedy for one in found)
        return [(one.check, one.what) for one in found]

    (dead,) = told(last_words="error disk_failed")
    assert dead == (
        "daemon",
        "the daemon is dead: pid 7 ended without a message in its log; the log ends: error disk_failed",
    )
    stale, _ = told(is_stale=True)
    assert stale[0] == "stale_socket"
    assert "is running (pid 7) but does not answer" in told(is_alive=True, is_stale=True)[0][1]
    assert "stopped normally" in told(ended_in_order=True)[0][1]
    assert "never been started" in told(last_pid=None)[0][1]
    (service,) = doctor_daemon.absence_findings(absence(), has_service=True)
    assert service.remedy == "steno service restart"
    hidden = only(
        doctor_daemon.absence_findings(absence(hidden="Permission denied", last_pid=None), has_service=False)
    )
    assert "cannot be reached: Permission denied" in hidden.what


def test_a_broken_worker_tells_how_it_died_and_what_brings_it_back() -> None:
    death = LastDeath(
        signal="SIGSEGV", exit_code=-11, reason="segmentation fault while aligning", during_job=1, at=AT
    )
    broken = worker(state="broken", last_death=death)
    found = only(doctor_workers.worker_findings([broken], CHOICE, "/logs/crashes", NOW))
    assert "segmentation fault while aligning" in found.what
    assert "/logs/crashes" in found.why
    assert found.remedy.startswith("steno restart aligner")
    refused = worker(state="broken", note="model.bin has another sha256: install it again")
    told = only(doctor_workers.worker_findings([refused], CHOICE, "/", NOW))
    assert told.remedy == "do that, then `steno restart aligner`"
    hungry = worker(state="broken", note="needs model small: run `steno models pull small`")
    assert only(doctor_workers.worker_findings([hungry], CHOICE, "/", NOW)).remedy == "steno models pull small"


def test_a_fallback_that_stands_in_is_a_warning_and_no_aligner_on_purpose_is_none() -> None:
    stand_in = worker(role="transcriber", engine="whisperx")
    found = only(doctor_workers.worker_findings([stand_in, worker()], CHOICE, "/", NOW), "warning")
    assert "replaces mlx" in found.what


def test_the_canary_tells_its_speed_as_progress_does() -> None:
    def found(**facts: object) -> Finding:
        canary = {"healthy": True, "detail": "all 12 words timed", "at": AT, "audio_seconds": 4.0, "words": 12}
        view = None if facts.get("none") else CanaryView.model_validate(canary | facts)
        return doctor_workers.canary_finding(
            HealthView(healthy=True, transcriber="ready", aligner="ready", canary=view)
        )

    quick = found(transcribe_seconds=0.5, align_seconds=0.5)
    assert (quick.state, quick.what) == ("ok", "4.0 s of speech in 1.0 s (4× real time): all 12 words timed")
    assert only([found(transcribe_seconds=32.0)], "warning").what.startswith("4.0 s of speech in 32.0 s (0.12×")
    assert found(transcribe_seconds=29.0).state == "ok"
    assert "no words" in only([found(healthy=False, detail="no words")]).what
    assert only([found(none=True)], "warning")
    assert found(detail="the transcriber is busy").state == "ok"


def test_a_service_that_is_not_kept_is_broken_and_a_daemon_beside_it_a_warning() -> None:
    def told(pid: int | None, daemon: int | None, loaded: bool = True, current: bool = True) -> FindingState:
        state = ServiceState("[Service]", loaded, "running", pid, "exit code 78")
        return doctor_service.service_finding("the service dev.stenod", state, current, daemon).state

    assert told(7, 7) == "ok"
    assert told(7, 7, current=False) == "warning"
    assert told(None, 8) == "warning"
    assert told(None, 8, loaded=False) == told(None, None) == "broken"


def test_a_service_whose_manager_cannot_be_asked_is_a_warning_and_none_at_all_is_fine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("STENO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert not doctor_service.is_installed()
    assert not list(doctor_service.look_at_service(None))
    assert states(doctor_service.look_at_service(7)) == ["ok"], "started by hand"
    unit = find_service(sys.platform, is_system=False).definition_file
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\n", encoding="utf-8")
    assert doctor_service.is_installed()
    monkeypatch.setenv("PATH", str(tmp_path))  # where there is no service manager
    found = only(doctor_service.look_at_service(None), "warning")
    assert "cannot be asked" in found.what
    assert found.remedy


@dataclass(frozen=True)
class Probe:
    path: str
    state: str
    note: str


@pytest.mark.parametrize("state", ["offline", "needs_permission", "not_writable", "timed_out"])
@pytest.mark.parametrize("platform", ["darwin", "linux"])
def test_every_trouble_of_a_watched_folder_has_a_remedy(state: str, platform: str) -> None:
    probe = Probe("/Users/me/Documents", state, f"Operation not permitted: {permission_hint(platform)}")
    found = only([watch_finding(probe, platform)])  # type: ignore[arg-type]
    assert "/Users/me/Documents" in found.what
    assert "Operation not permitted" in found.what
    assert "Full Disk Access" not in found.what
    if (state, platform) == ("needs_permission", "darwin"):
        assert "Full Disk Access → +" in found.remedy


# --- checks and the page ------------------------------------------------------------------------------------------


def test_a_check_that_hangs_or_breaks_is_a_finding_and_delays_no_other() -> None:
    never = threading.Event()
    heard: list[Sequence[str]] = []

    def explode() -> list[Finding]:
        raise ZeroDivisionError("so it goes")

    def hang() -> list[Finding]:
        never.wait()
        return []

    began = time.monotonic()
    checks = [
        Check("a", "hanging", hang, deadline_seconds=0.2),
        Check("a", "quick", lambda: [ok("quick", "fine")]),
        Check("b", "explosive", explode),
    ]
    hung, quick, exploded = side_by_side(checks, heard.append)
    never.set()
    assert time.monotonic() - began < 2.0
    assert "no answer within 0.2 s" in only(hung.findings).what
    assert quick.findings[0].what == "fine"
    assert "ZeroDivisionError: so it goes" in only(exploded.findings).what
    assert heard[-1] == ("hanging",)


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("verbose", [False, True])
def test_the_page_spells_out_what_is_broken_and_fits(width: int, verbose: bool) -> None:
    evil = "/x/\x1b]0;owned\x07\u202egnp" + "/long" * 30
    findings = (
        Finding(check="fine", state="ok", what="all well", why="only if asked"),
        Finding(check="meh", state="warning", what="hm", why="because", remedy="do less"),
        Finding(check="bad", state="broken", what=evil, why="it hurts", remedy="chmod 700 there"),
    )
    page = io.StringIO()
    console = Console(file=page, width=width, markup=False, highlight=False, emoji=False, color_system=None)
    console.print(doctor_page([Outcome("One", findings[:1]), Outcome("Two", findings[1:])], verbose))
    told = page.getvalue()
    assert max(len(line) for line in told.splitlines()) <= width
    assert not set(told) & set("\x1b\x07\u202e")
    assert "it hurts" in told and "→ chmod 700 there" in told and "→ do less" in told
    assert ("only if asked" in told) == ("because" in told) == verbose
    assert "1 of 3 checks failed, 1 warning" in told


def test_the_page_sums_up_in_plain_words() -> None:
    def summary(*states: FindingState) -> str:
        page = io.StringIO()
        findings = tuple(Finding(check="c", state=state, what="w") for state in states)
        Console(file=page, width=80).print(doctor_page([Outcome("One", findings)], False))
        return page.getvalue().splitlines()[-1]

    assert summary("ok", "ok") == "All 2 checks passed"
    assert summary("ok", "warning") == "No check failed; 1 warning in 2 checks"
    assert summary("broken", "broken", "ok") == "2 of 3 checks failed, 0 warnings"
