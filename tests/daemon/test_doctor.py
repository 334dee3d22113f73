"""`steno doctor` on a home that is well, and on homes that are broken for real, each named with its remedy.

Runs in: the test process; daemons and, where that is the question, the command itself are processes of their own.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from daemon_under_test import DaemonUnderTest, a_daemon
from eventually import eventually
from no_leftovers import lives

from client.doctor.models import model_findings
from client.doctor.run import examine
from ipc.program import ROOT
from ipc.status_views import Finding

FIND_NOTHING_WRONG = Finding(check="transcriber_model", state="ok", what="starter is whole").model_dump_json()


def program(*lines: str) -> Sequence[str]:
    """In place of the workers' own examination of their models."""
    return (sys.executable, "-S", "-c", f"print({chr(10).join(lines)!r})")


def examined(
    environment: Mapping[str, str], model_check: Sequence[str] = program(FIND_NOTHING_WRONG)
) -> list[Finding]:
    """What doctor finds in that environment."""
    outcomes = examine(environment, lambda still_running: None, model_check)
    return [finding for outcome in outcomes for finding in outcome.findings]


def broken(findings: Sequence[Finding]) -> dict[str, Finding]:
    """The broken ones by their check; each says why, and what to do."""
    found = {finding.check: finding for finding in findings if finding.state == "broken"}
    assert all(one.why and one.remedy for one in found.values())
    return found


@pytest.fixture
def home() -> Iterator[dict[str, str]]:
    """The environment of an empty home without a daemon."""
    with tempfile.TemporaryDirectory(prefix="steno-", dir="/tmp") as name:
        yield {**{name: text for name, text in os.environ.items() if name[:6] != "STENO_"}, "STENO_HOME": name}


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonUnderTest]:
    """One that is well, for everybody who does not kill it."""
    with a_daemon() as running:
        for role in ("transcriber", "aligner"):
            running.wait_for_worker(role, lambda worker: worker["state"] == "ready")
        yield running


def test_a_healthy_home_is_called_that_within_ten_seconds(daemon: DaemonUnderTest) -> None:
    began = time.monotonic()
    steno = [sys.executable, "-P", "-m", "client.steno", "doctor"]
    done = subprocess.run(
        [*steno, "--json"], env=daemon.environment, cwd="/", capture_output=True, text=True, timeout=60
    )
    assert time.monotonic() - began < 10.0
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr, told["healthy"]) == (0, "", True), done.stdout + done.stderr
    checks = {one["check"] for one in told["findings"]}
    assert checks >= {"python", "packages", "sqlite", "config", "disk", "daemon", "transcriber", "aligner"}
    assert checks >= {"watch_folder", "queue_file", "spool_folder", "socket_folder", "state_folder"}
    (canary,) = [one for one in told["findings"] if one["check"] == "canary"]
    assert (canary["state"], "× real time): " in canary["what"]) == ("ok", True)


def test_the_daemons_own_environment_decides_and_not_the_shells(daemon: DaemonUnderTest) -> None:
    shell = {"STENO_HOME": str(daemon.home), "PATH": os.environ["PATH"], "STENO_WHATEVER": "1"}
    told = examined(shell)
    assert not broken(told)
    assert not [one for one in told if "STENO_WHATEVER" in one.what]


def test_an_open_socket_folder_and_a_readable_queue_are_broken(daemon: DaemonUnderTest) -> None:
    folder, database = daemon.socket.parent, daemon.home / "state" / "jobs.sqlite3"
    folder.chmod(0o755)
    database.chmod(0o644)
    found = broken(examined(daemon.environment))
    folder.chmod(0o700)
    database.chmod(0o600)
    assert found.keys() == {"socket_folder", "database"}
    assert found["socket_folder"].remedy == f"chmod 700 {folder}"
    assert found["database"].remedy == f"chmod 600 {database}"


def test_a_watched_folder_that_cannot_be_read_is_found_from_inside_the_daemon(daemon: DaemonUnderTest) -> None:
    daemon.inbox.rmdir()
    daemon.inbox.symlink_to(daemon.inbox)  # root, too, cannot open that
    found = broken(examined(daemon.environment))
    daemon.inbox.unlink()
    daemon.inbox.mkdir()
    assert found.keys() == {"watch_folder"}
    assert str(daemon.inbox) in found["watch_folder"].what


@pytest.mark.skipif(os.geteuid() == 0, reason="no mode keeps root out of a folder")
def test_a_watched_folder_without_permission_is_named_with_its_chmod(daemon: DaemonUnderTest) -> None:
    daemon.inbox.chmod(0)
    found = broken(examined(daemon.environment))
    daemon.inbox.chmod(0o755)
    assert f"chmod u+rx {daemon.inbox}" in found["watch_folder"].remedy


def test_a_spool_that_is_no_folder_and_a_queue_that_is_gone_are_found_from_inside(
    daemon: DaemonUnderTest,
) -> None:
    spool, database = daemon.home / "spool", daemon.home / "state" / "jobs.sqlite3"
    spool.rmdir()
    spool.touch()
    database.rename(database.with_name("elsewhere"))
    found = broken(examined(daemon.environment))
    spool.unlink()
    spool.mkdir(mode=0o700)
    database.with_name("elsewhere").rename(database)
    assert {"spool_folder", "queue_file", "canary"} == found.keys()
    assert f"cannot write to {spool}" in found["spool_folder"].what
    assert f"{database} was removed" in found["queue_file"].what


def test_a_queue_that_cannot_be_looked_at_is_no_mistake_of_the_daemon(daemon: DaemonUnderTest) -> None:
    state = daemon.home / "state"
    state.rename(state.with_name("elsewhere"))
    state.symlink_to(state)
    found = broken(examined(daemon.environment))
    state.unlink()
    state.with_name("elsewhere").rename(state)
    assert {"state_folder", "queue_file"} == found.keys()
    assert "symbolic links" in found["queue_file"].what


def test_a_paused_queue_is_only_a_warning(daemon: DaemonUnderTest) -> None:
    daemon.post("/v1/queue/pause")
    told = examined(daemon.environment)
    daemon.post("/v1/queue/resume")
    assert not broken(told)
    assert "steno resume" in [one.remedy for one in told if one.state == "warning"]


def test_broken_workers_are_named_with_their_remedies_and_so_is_the_daemons_own_death() -> None:
    with a_daemon(
        WHISPER_BACKEND="fake_engines:NeedsModelTranscriber",
        ALIGNMENT_BACKEND="fake_engines:SegfaultOnLoadAligner",
        STENO_RESTARTS_DEATHS_ALLOWED="1",
    ) as running:
        for role in ("transcriber", "aligner"):
            running.wait_for_worker(role, lambda worker: worker["state"] == "broken")
        ill = broken(examined(running.environment))
        workers = running.children()
        running.kill()
        dead = broken(examined(running.environment))
        running.socket.unlink()
        gone = broken(examined(running.environment))
        eventually(lambda: not [worker for worker in workers if lives(worker)], 5, "the workers leave")
    assert ill.keys() == {"transcriber", "aligner"}
    assert "needs model small" in ill["transcriber"].what
    assert ill["transcriber"].remedy == "steno models pull small"
    assert "segmentation fault" in ill["aligner"].what
    assert "segment times only" in ill["aligner"].why
    assert ill["aligner"].remedy.startswith("steno restart aligner")
    assert dead.keys() == {"stale_socket", "daemon"}
    assert str(running.socket) in dead["stale_socket"].what
    assert f"dead: pid {running.pid} ended" in dead["daemon"].what
    assert "steno serve" in dead["daemon"].remedy
    assert gone.keys() == {"daemon"}


def test_without_a_daemon_it_says_so_and_looks_at_what_it_can(home: dict[str, str]) -> None:
    (Path(home["STENO_HOME"]) / "Transcribe").symlink_to("Transcribe")
    told = examined(home)
    assert broken(told).keys() == {"daemon", "watch_folder"}
    (unseen,) = [one for one in told if one.check == "workers"]
    assert (unseen.state, "self-test" in unseen.what) == ("warning", True)


def test_a_config_that_is_no_file_gets_another_remedy_than_the_editor(home: dict[str, str]) -> None:
    place = Path(home["STENO_HOME"]) / "config.toml"
    place.mkdir()
    assert broken(examined(home))["config"].remedy == f"mv {place} {place}.old"


def test_a_bad_config_is_named_with_its_key_and_the_rest_is_still_examined(home: dict[str, str]) -> None:
    (Path(home["STENO_HOME"]) / "config.toml").write_text('whisper_backend = "mxl"\n')
    told = examined(home)
    assert "whisper_backend" in broken(told)["config"].what
    assert broken(told)["config"].remedy == "steno config edit"
    assert {"disk", "python", "socket_folder"} <= {one.check for one in told}


def test_a_home_that_cannot_be_looked_at_is_named_alone_and_no_command_ends_in_a_traceback(tmp_path: Path) -> None:
    # No mode keeps root out, and a name that is too long keeps everybody out.
    environment = {**os.environ, "STENO_HOME": str(tmp_path / ("x" * 300))}

    def typed(*words: str) -> subprocess.CompletedProcess[str]:
        steno = [sys.executable, "-P", "-m", "client.steno", *words]
        return subprocess.run(steno, env=environment, cwd="/", capture_output=True, text=True, timeout=60)

    done = typed("doctor", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    found = broken([Finding.model_validate(one) for one in json.loads(done.stdout)["findings"]])
    assert found.keys() == {"home", "config", "daemon"}
    assert "File name too long" in found["home"].what
    assert "cannot be reached" in found["daemon"].what
    asked = typed("status")
    assert (asked.returncode, "Traceback" in asked.stderr) == (69, False)


@pytest.mark.skipif(os.geteuid() == 0, reason="no mode keeps root out of a folder")
@pytest.mark.parametrize("closed", ["", "run", "state"])
def test_a_closed_folder_is_named_with_its_chmod(daemon: DaemonUnderTest, closed: str) -> None:
    folder = daemon.home / closed
    folder.chmod(0)
    found = broken(examined(daemon.environment))
    folder.chmod(0o700)
    assert [one.check for one in found.values() if str(folder) in one.remedy and "chmod" in one.remedy]
    assert not [one for one in found.values() if "mistake" in one.what or "check itself failed" in one.what]


def test_a_full_disk_is_named_with_the_folders_on_it(home: dict[str, str]) -> None:
    found = broken(examined({**home, "STENO_MEDIA_FREE_DISK_FLOOR_MB": "1000000000"}))
    assert "is full" in found["disk"].what
    assert "spool" in found["disk"].what
    assert "free some space" in found["disk"].remedy


def test_what_the_workers_say_of_their_models_is_passed_on(home: dict[str, str]) -> None:
    faults = {
        "transcriber_model": ("small is not on this machine", "steno models pull small"),
        "alignment_model": ("model.safetensors is damaged: wrong hash", "steno models pull --lang en"),
    }
    lines = [
        Finding(check=check, state="broken", what=what, why="no job", remedy=remedy).model_dump_json()
        for check, (what, remedy) in faults.items()
    ]
    found = broken(examined(home, program(*lines)))
    assert {check: (found[check].what, found[check].remedy) for check in faults} == faults


@pytest.mark.parametrize(
    ("check", "why_not"),
    [
        ((sys.executable, "-P", "-m", "workers.no_such_program"), "No module named workers.no_such_program"),
        (program("a traceback, perhaps"), "not understood: a traceback, perhaps"),
        ((sys.executable, "-S", "-c", "import time; time.sleep(60)"), "no answer within 0.5 s"),
        (("/nowhere/python",), "No such file"),
    ],
)
def test_models_that_cannot_be_examined_are_a_warning(check: Sequence[str], why_not: str) -> None:
    patience_seconds = 5.0 if "sleep" not in check[-1] else 0.5
    (found,) = model_findings({"PATH": os.environ["PATH"]}, check, deadline_seconds=patience_seconds)
    assert (found.check, found.state) == ("models", "warning")
    assert why_not in found.what


@pytest.mark.parametrize("words", [("doctor",), ("doctor", "--json"), ("status",)])
def test_a_wrong_python_gets_a_sentence_and_no_traceback(words: tuple[str, ...]) -> None:
    # -S: without its site-packages even our own Python is somebody else's.
    steno = [sys.executable, "-S", "-P", "-m", "client.steno", *words]
    done = subprocess.run(steno, env={"PYTHONPATH": str(ROOT)}, cwd="/", capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    if "--json" in words:
        told = json.loads(done.stdout)
        (found,) = told["findings"]
        assert (told["healthy"], found["check"], found["state"]) == (False, "python", "broken")
        assert found["remedy"]
    else:
        assert "wrong Python" in done.stderr
        assert "typer" in done.stderr


@pytest.mark.parametrize("name", ["python3.10", "python3.9", "python3.8"])
def test_an_old_python_gets_the_same(name: str) -> None:
    old = shutil.which(name)
    if old is None or subprocess.run([old, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip(f"there is no {name} here")
    done = subprocess.run(
        [old, "-m", "client.steno", "doctor"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, "wrong Python" in done.stderr) == (1, True), done.stderr
