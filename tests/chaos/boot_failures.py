"""Row 9: a worker that cannot start. It is tried again, ever less often, and is back once the cause is gone.

Runs in: the chaos run.
"""

import time

import psutil
from daemon_under_test import DaemonUnderTest

from chaos.broken_daemon import STUBS
from chaos.oracle import complaint_about_files, make
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "Workers that cannot start"
DEMAND = "at most 8 starts in 60 s, less than 5 % of a core, the state says so, and healed within 60 s of the cure"
WATCH_SECONDS, MOST_STARTS, MOST_CPU_SHARE = 60.0, 8, 0.05
HEAL_SECONDS = 60.0
WAYS = {"dies while loading": "MoodyTranscriber", "hangs while loading": "StuckTranscriber"}


def run(trial: Trial) -> Tally:
    """With the settings that users have, but for a boot deadline of 5 s and a probe every 10 s."""
    tally = Tally()
    seconds = max(10.0, WATCH_SECONDS * trial.share)
    for number, (way, engine) in enumerate(WAYS.items()):
        home, down = trial.folder / str(number), trial.folder / "down"
        home.mkdir()
        down.touch()
        environment = {
            **STUBS,
            "WHISPER_BACKEND": f"chaos.stub_engines:{engine}",
            "STUB_DOWN": str(down),
            "FAKE_CHUNK_SECONDS": "0.5",
            "STENO_RESTARTS_FIRST_DELAY_SECONDS": "0.25",
            "STENO_RESTARTS_PROBE_SECONDS": "10",
            "STENO_DEADLINES_BOOT_SECONDS": "5",
        }
        daemon = DaemonUnderTest(home, environment)
        daemon.start()
        try:
            one = make(trial.folder / f"{number}.wav", number)
            job_id = daemon.submit(one.path)
            process = psutil.Process(daemon.pid)
            before = process.cpu_times()
            time.sleep(seconds)
            after = process.cpu_times()
            worker = daemon.worker("transcriber")
            share = (after.user + after.system - before.user - before.system) / seconds
            tally.trials += 1
            tally.faults += worker["restarts"]
            tally.expect(worker["restarts"] + 1 <= MOST_STARTS, f"{way}: {worker['restarts'] + 1} starts")
            tally.expect(share < MOST_CPU_SHARE, f"{way}: the supervisor took {share:.1%} of a core")
            tally.expect(worker["state"] != "ready", f"{way}: the worker is {worker['state']}")
            job = daemon.job(job_id)
            waits = job["status"] == "waiting" and job["note"]
            tally.expect(waits, f"{way}: the job is {job['status']}, {job['note']}")
            down.unlink()
            cured = time.monotonic()
            job = daemon.finished(job_id, HEAL_SECONDS)
            tally.recoveries_seconds.append(time.monotonic() - cured)
            if complaint := complaint_about_files(one, job):
                tally.changed += 1
                tally.wrong.append(f"{way}: {complaint}")
        finally:
            daemon.stop()
    return tally
