"""Row 33: a job is cancelled at every millisecond of its life.

Runs in: the chaos run.
"""

import shutil
import time
from pathlib import Path
from typing import Any

import httpx
from daemon_under_test import DaemonUnderTest

from chaos.daemon.broken_daemon import STUBS
from chaos.daemon.oracle import make
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "Cancel at every millisecond"
DEMAND = (
    "1,000 pairs of submit and cancel, 0 to 50 ms apart: who hears that a job is cancelled finds nobody at work on "
    "it, no spool and no new file; who hears that it is too late finds it done"
)
PAIRS, LONGEST_MS, RETRIED = 1000, 50, 5
CHUNKS = 2
END_SECONDS = 30.0


def run(trial: Trial) -> Tally:
    """One daemon; every fifth cancelled job is tried again at once, and goes its way to the end."""
    tally = Tally(trials=trial.number(PAIRS, least=LONGEST_MS + 1))
    luck = trial.luck()
    home, recordings = trial.folder / "home", trial.folder / "recordings"
    for folder in (home, recordings):
        folder.mkdir()
    sound = make(recordings / "sound.wav", luck.randrange(1 << 30), CHUNKS).path
    daemon = DaemonUnderTest(home, {**STUBS, "STUB_PACE": "0.004", "STENO_OUTPUT_FORMATS": "json"})
    try:
        daemon.start()
        with daemon.client() as client:
            for number in range(tally.trials):
                folder = recordings / str(number)
                folder.mkdir()
                shutil.copy(sound, folder / "a.wav")
                delay_seconds = (number % (LONGEST_MS + 1) + luck.random()) / 1000
                _pair(daemon, client, folder, delay_seconds, tally, retried=number % RETRIED == 0)
                shutil.rmtree(folder)
        tally.expect(not _spools(daemon), f"left in the spool: {_spools(daemon)}")
        tally.expect(daemon.stop() == 0, "the stop was not orderly")
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
    return tally


def _pair(
    daemon: DaemonUnderTest,
    client: httpx.Client,
    folder: Path,
    delay_seconds: float,
    tally: Tally,
    *,
    retried: bool,
) -> None:
    job = client.post("/v1/jobs", json={"path": str(folder / "a.wav")}).raise_for_status().json()
    time.sleep(delay_seconds)
    began = time.monotonic()
    answer = client.post(f"/v1/jobs/{job['id']}/cancel")
    tally.recoveries_seconds.append(time.monotonic() - began)
    tally.faults += 1
    at = f"job {job['id']}, cancelled after {1000 * delay_seconds:.1f} ms"
    if answer.status_code == 409:
        tally.count("too late")
        found = _end(client, job["id"])
        tally.expect(found["status"] == "done", f"{at}: refused, and then {found['status']}")
        tally.lost += not (folder / "a.json").exists()
        return
    tally.count("cancelled")
    tally.expect(answer.json()["status"] == "cancelled", f"{at}: answered with {answer.json()['status']}")
    _at_rest(daemon, client, job["id"], at, tally)
    tally.expect([file.name for file in folder.iterdir()] == ["a.wav"], f"{at}: files are left beside it")
    if retried:
        client.post(f"/v1/jobs/{job['id']}/retry").raise_for_status()
        found = _end(client, job["id"])
        tally.expect(found["status"] == "done", f"{at}, then tried again: {found['status']} {found['error']}")
        tally.count("tried again")


def _at_rest(daemon: DaemonUnderTest, client: httpx.Client, job_id: int, at: str, tally: Tally) -> None:
    tally.expect(not (daemon.home / "spool" / str(job_id)).exists(), f"{at}: its spool is there")
    found = client.get(f"/v1/jobs/{job_id}").json()
    running = [one["id"] for one in client.get("/v1/status").json()["running"]]
    tally.expect(found["status"] == "cancelled", f"{at}: and it is {found['status']}")
    tally.expect(job_id not in running, f"{at}: and it runs")


def _end(client: httpx.Client, job_id: int) -> Any:
    ends_at = time.monotonic() + END_SECONDS
    while time.monotonic() < ends_at:
        job = client.get(f"/v1/jobs/{job_id}").json()
        if job["status"] in ("done", "failed", "cancelled"):
            return job
        time.sleep(0.005)
    raise TimeoutError(f"job {job_id} does not end: {job}")


def _spools(daemon: DaemonUnderTest) -> list[str]:
    return sorted(one.name for one in (daemon.home / "spool").iterdir())
