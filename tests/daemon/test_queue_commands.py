"""Forget, backup, restore, check and who did it, as the owner has them: a real daemon and the real command."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from daemon_under_test import MEMO, DaemonUnderTest, a_daemon
from eventually import eventually


def steno(daemon: DaemonUnderTest, *words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-P", "-m", "client.steno"]
    return subprocess.run(
        [*program, *words], env=daemon.environment, capture_output=True, text=True, timeout=60, check=False
    )


def events(daemon: DaemonUnderTest, name: str) -> list[dict[str, Any]]:
    lines = (daemon.home / "logs" / "stenod.log").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == name]


def request(daemon: DaemonUnderTest, method: str, path: str, **more: Any) -> httpx.Response:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(daemon.socket)), base_url="http://steno") as client:
        return client.request(method, path, timeout=30, **more)


def test_a_forgotten_job_is_gone_with_its_words_and_its_files_stay() -> None:
    with a_daemon() as daemon:
        job = daemon.finished(daemon.submit(daemon.own(MEMO)))
        text = daemon.transcript(job)["text"].encode()
        state = [daemon.home / "state" / name for name in ("jobs.sqlite3", "jobs.sqlite3-wal")]
        assert any(text[:20] in file.read_bytes() for file in state)
        done = steno(daemon, "forget", str(job["id"]))
        assert (done.returncode, done.stdout) == (0, f"job {job['id']} forgotten\n")
        assert request(daemon, "GET", f"/v1/jobs/{job['id']}").status_code == 404
        assert request(daemon, "DELETE", f"/v1/jobs/{job['id']}").json()["code"] == "no_such_job"
        assert not any(text[:20] in file.read_bytes() for file in state)
        assert all(Path(file).exists() for file in job["outputs"].values())
        assert not list((daemon.home / "spool").glob("[0-9]*"))


def test_a_job_that_waits_or_runs_is_not_forgotten_before_it_is_cancelled() -> None:
    with a_daemon() as daemon:
        request(daemon, "POST", "/v1/queue/pause")
        job_id = daemon.submit(daemon.own(MEMO))
        refused = request(daemon, "DELETE", f"/v1/jobs/{job_id}")
        assert (refused.status_code, refused.json()["code"]) == (409, "not_finished")
        assert f"steno cancel {job_id}" in refused.json()["hint"]
        request(daemon, "POST", f"/v1/jobs/{job_id}/cancel")
        assert request(daemon, "DELETE", f"/v1/jobs/{job_id}").status_code == 204


def test_a_recording_of_a_watched_folder_whose_job_is_forgotten_is_not_taken_once_more() -> None:
    with a_daemon() as daemon:
        daemon.inbox.mkdir(exist_ok=True)
        (daemon.inbox / "memo.flac").write_bytes(MEMO.read_bytes())
        eventually(lambda: [job["status"] for job in daemon.get("/v1/jobs")] == ["done"], 60, "it is done")
        assert steno(daemon, "forget", "1").returncode == 0
        (daemon.inbox / "second.flac").write_bytes(MEMO.read_bytes() + b"\0")
        eventually(lambda: [job["status"] for job in daemon.get("/v1/jobs")] == ["done"], 60, "the next one is done")
        assert [Path(job["path"]).name for job in daemon.get("/v1/jobs")] == ["second.flac"]


def test_backup_restore_and_check_tell_one_story(tmp_path: Path) -> None:
    backup = tmp_path / "queue.sqlite3"
    with a_daemon() as daemon:
        job = daemon.finished(daemon.submit(daemon.own(MEMO)))
        assert "1 job, 2 results: no problem" in steno(daemon, "check").stdout
        assert steno(daemon, "backup", str(backup)).returncode == 0
        assert steno(daemon, "restore", str(backup)).returncode == 2, "not under a living daemon"
        steno(daemon, "forget", str(job["id"]))
        Path(job["outputs"]["srt"]).unlink()
        daemon.stop()
        told = json.loads(steno(daemon, "restore", str(backup), "--json").stdout)
        assert (told["jobs"], Path(told["set_aside"]).exists()) == (1, True)
        found = steno(daemon, "check", "--json")
        assert [one["check"] for one in json.loads(found.stdout)["irregularities"]] == ["result_missing"]
        assert found.returncode == 1
        daemon.start()
        assert daemon.job(job["id"])["status"] == "done"
        assert daemon.transcript(job)["text"]


def test_who_did_it_is_in_the_log() -> None:
    with a_daemon() as daemon:
        watched = daemon.home / "more"
        watched.mkdir()
        asked: dict[str, Callable[[], Any]] = {
            "queue_paused": lambda: steno(daemon, "pause"),
            "queue_resumed": lambda: request(daemon, "POST", "/v1/queue/resume"),
            "worker_restarted": lambda: request(daemon, "POST", "/v1/workers/transcriber/restart"),
            "worker_unloaded": lambda: request(daemon, "POST", "/v1/workers/aligner/unload"),
            "watch_asked_for": lambda: request(daemon, "POST", "/v1/watches", json={"path": str(watched)}),
            "watch_given_up": lambda: request(daemon, "DELETE", "/v1/watches", params={"path": str(watched)}),
            "reload_asked": lambda: request(daemon, "POST", "/v1/reload"),
        }
        for name, ask in asked.items():
            ask()
            (told,) = events(daemon, name)
            assert told["uid"] == os.getuid() and told["pid"] > 0, name
            if name != "queue_paused":
                assert told["pid"] == os.getpid() and told["command"], name
        paused = events(daemon, "queue_paused")[0]
        assert paused["pid"] != os.getpid()
        assert request(daemon, "POST", "/v1/jobs/7/cancel").status_code == 404
        assert not events(daemon, "cancel_asked"), "what was refused was not done"


@pytest.mark.parametrize("what", ["home", "config.toml", "logs"])
def test_a_home_that_others_may_write_is_refused_with_the_command_that_mends_it(what: str) -> None:
    with a_daemon() as daemon:
        daemon.stop()
        place = daemon.home if what == "home" else daemon.home / what
        if what == "config.toml":
            place.write_text("")
        before = place.stat().st_mode
        place.chmod(0o777)
        daemon.launch()
        assert daemon.process is not None
        assert daemon.process.wait(30) == os.EX_NOPERM
        said = daemon.log.read_text()
        assert f"{place} may be written by everybody (mode 0777" in said and f"chmod go-w {place}" in said
        examined = json.loads(steno(daemon, "doctor", "--json").stdout)["findings"]
        (finding,) = [one for one in examined if one["check"] == "ownership"]
        assert (finding["state"], finding["remedy"]) == ("broken", f"chmod go-w {place}")
        place.chmod(before)
        daemon.start()


def test_a_submit_whose_answer_is_lost_with_the_daemon_is_one_job() -> None:
    """The daemon is killed once the job is stored, before it has answered; it is started again at once."""
    with a_daemon() as daemon:
        daemon.stop()
        (daemon.home / "fault").touch()
        daemon.environment["STENOD_FAULTS"] = f"supervisor.job_stored=kill:{daemon.home / 'fault'}"
        recording = daemon.own(MEMO)
        daemon.start()
        process = daemon.process
        assert process is not None

        def start_again() -> None:
            process.wait(60)
            daemon.start()

        starting = threading.Thread(target=start_again)
        starting.start()
        done = steno(daemon, "submit", str(recording), "--json")
        starting.join()
        assert done.returncode == 0, done.stderr
        assert [job["id"] for job in daemon.get("/v1/jobs")] == [json.loads(done.stdout)["id"]]


def test_no_process_is_left_of_the_program_that_handles_the_file(tmp_path: Path) -> None:
    with a_daemon() as daemon:
        steno(daemon, "backup", str(tmp_path / "b"))
        steno(daemon, "check")
    assert not [one for one in psutil.process_iter(["cmdline"]) if str(daemon.home) in str(one.info["cmdline"])]
