"""Row 8: what hangs is found, what is only slow is left alone, and a machine that slept is no reason to kill.

Runs in: the chaos run.
"""

import os
import signal
import time

from eventually import eventually

from chaos.broken_daemon import broken_daemon, pids_of
from chaos.oracle import complaint_about_files, make
from chaos.tally import Tally
from chaos.trial import Trial
from chaos.worker_chaos import DRAIN_SECONDS, unfinished

TITLE = "Hung or slow"
DEMAND = "20 of 20 hangs found; 0 of 1,000 slow jobs killed; after a sleep of 30 s no worker killed"
HANGS, SLOW, SLEEP_SECONDS = 20, 1_000, 30.0
PROGRESS_SECONDS = 2.0
FOUND_SECONDS = PROGRESS_SECONDS + 2.0
WAYS = {
    "in native code": "fake_engines:HangHoldingGilTranscriber",
    "in Python": "fake_engines:HangForeverTranscriber",
}


def run(trial: Trial) -> Tally:
    """The deadline for progress is 2 s everywhere here."""
    tally = Tally()
    (trial.folder / "recordings").mkdir()
    _hangs(trial, tally)
    _slow(trial, tally)
    _asleep(trial, tally)
    return tally


def _hangs(trial: Trial, tally: Tally) -> None:
    for way, engine in WAYS.items():
        with broken_daemon(
            trial.folder / f"hangs-{way.split()[-1]}",
            WHISPER_BACKEND=engine,
            STENO_CRASHES_TRANSCRIBER_CRASHES_ALLOWED="0",
            STENO_DEADLINES_PROGRESS_SECONDS=str(PROGRESS_SECONDS),
        ) as daemon:
            for number in range(trial.number(HANGS // len(WAYS))):
                daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "ready")
                began = time.monotonic()
                one = make(trial.folder / "recordings" / f"{way}{number}.wav", number)
                job = daemon.finished(daemon.submit(one.path))
                seconds = time.monotonic() - began
                tally.trials += 1
                tally.faults += 1
                tally.recoveries_seconds.append(seconds)
                found = (job["error"] or {}).get("code") == "transcriber_timeout" and seconds < FOUND_SECONDS
                tally.expect(found, f"hung {way}: {job['status']}, {job['error']}, after {seconds:.1f} s")


def _slow(trial: Trial, tally: Tally) -> None:
    """Every chunk takes three quarters of what a hang may take."""
    count = trial.number(SLOW)
    made = [make(trial.folder / "recordings" / f"slow{n}.wav", n, chunks=1 + (n % 2)) for n in range(count)]
    pace = 0.05
    with broken_daemon(
        trial.folder / "slow", STUB_PACE=str(pace), STENO_DEADLINES_PROGRESS_SECONDS=str(4 * pace)
    ) as daemon:
        daemon.wait_for_worker("aligner", lambda worker: worker["state"] == "ready")
        before = pids_of(daemon)
        ids = [daemon.submit(one.path) for one in made]
        eventually(lambda: unfinished(daemon) == 0, DRAIN_SECONDS, "all slow jobs end")
        tally.expect(pids_of(daemon) == before, f"a slow worker was replaced: {before} became {pids_of(daemon)}")
        jobs = {job["id"]: job for job in daemon.jobs()}
    for job_id, one in zip(ids, made, strict=True):
        tally.trials += 1
        if complaint := complaint_about_files(one, jobs[job_id]):
            tally.changed += 1
            tally.wrong.append(complaint)


def _asleep(trial: Trial, tally: Tally) -> None:
    """The supervisor stands still, as a machine that sleeps; its workers go on."""
    with broken_daemon(trial.folder / "asleep", STUB_PACE="0.2") as daemon:
        job_id = daemon.submit(make(trial.folder / "recordings" / "asleep.wav", 7, chunks=40).path)
        daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "busy")
        before = pids_of(daemon)
        os.kill(daemon.pid, signal.SIGSTOP)
        try:
            time.sleep(max(5.0, SLEEP_SECONDS * trial.share))
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
        tally.trials += 1
        tally.expect(daemon.finished(job_id)["status"] == "done", "the job that slept is not done")
        tally.expect(pids_of(daemon) == before, f"a sleep cost a worker: {before} became {pids_of(daemon)}")
