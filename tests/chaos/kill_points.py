"""Row 2: a worker ends, or stands still, at every named place there is.

Runs in: the chaos run.
"""

import os
import signal
from pathlib import Path
from typing import Any, get_args

from eventually import eventually

from chaos.broken_daemon import STUBS, BrokenDaemon, broken_daemon, pids_of
from chaos.oracle import Made, complaint_about_files, make
from chaos.tally import Tally
from chaos.trial import Trial
from ipc.fault_points import WorkerPoint

TITLE = "Named places"
DEMAND = "at least 25 places × {SIGSEGV, SIGKILL, SIGSTOP} × both workers: each ends as the policy says"
HOWS = ("segv", "kill", "stop")

AT_BIRTH = ("worker_spawned", "worker_imported", "engine_chosen", "engine_loaded", "ready_said", "worker_prepared")
AT_THE_END = ("stop_heard",)
WHILE_DECODING = ("recording_opened", "decoding_begun", "pcm_written", "pcm_named")
ONLY_OF = {
    "transcriber": ("batch_begun", "batch_done", "batch_said"),
    "aligner": ("segment_begun", "segment_done"),
}
STRICT = {
    "STENO_DEADLINES_BOOT_SECONDS": "6",
    "STENO_DEADLINES_PROGRESS_SECONDS": "2",
    "STENO_RESTARTS_PROBE_SECONDS": "0.5",
}
END_SECONDS = 60.0


def places_of(role: str) -> list[str]:
    """Those that this worker can come by; decoding is the aligner's only when it upgrades a job."""
    others = {place for other, places in ONLY_OF.items() if other != role for place in places}
    return [place for place in get_args(WorkerPoint) if place not in others]


def run(trial: Trial) -> Tally:
    """One place after the other in one daemon, a job for each; of fewer, a random choice."""
    tally = Tally()
    luck = trial.luck()
    cases = [(role, place, how) for role in ONLY_OF for place in places_of(role) for how in HOWS]
    tally.figures["places"] = str(len(get_args(WorkerPoint)))
    tally.figures["cases there are"] = str(len(cases))
    tally.trials = trial.number(len(cases))
    recordings, down = trial.folder / "recordings", trial.folder / "down"
    recordings.mkdir()
    environment = {**STUBS, **STRICT, "ALIGNMENT_BACKEND": "chaos.stub_engines:MoodyAligner", "STUB_DOWN": str(down)}
    with broken_daemon(trial.folder / "home", **environment) as daemon:
        for number, (role, place, how) in enumerate(luck.sample(cases, tally.trials)):
            one = make(recordings / f"{number}.wav", luck.randrange(1 << 30))
            case = f"{role} at {place}, {how}"
            try:
                if role == "aligner" and place in WHILE_DECODING:
                    job = _upgraded(daemon, one, place, how, down)
                else:
                    job = _done(daemon, one, role, place, how)
            except AssertionError as error:
                tally.lost += 1
                tally.wrong.append(f"{case}: {error}")
                daemon.disarm()
                continue
            tally.faults += 1
            if complaint := complaint_about_files(one, job) if job["status"] == "done" else str(job["error"]):
                tally.changed += 1
                tally.wrong.append(f"{case}: {complaint}")
            deaths = [attempt for attempt in job["attempts"] if attempt["outcome"] != "done"]
            tally.expect(len(deaths) <= 1, f"{case}: charged to the job {len(deaths)} times")
    return tally


def _done(daemon: BrokenDaemon, one: Made, role: str, place: str, how: str) -> dict[str, Any]:
    """The job that was there when it happened, finished."""
    daemon.wait_for_worker(role, lambda worker: worker["state"] == "ready", END_SECONDS)
    trap = daemon.arm(role, place, how)
    if place in AT_BIRTH:
        os.kill(pids_of(daemon)[role], signal.SIGKILL)
        eventually(lambda: not trap.exists(), END_SECONDS, "the next worker walks into it")
    elif place in AT_THE_END:
        assert daemon.post(f"/v1/workers/{role}/unload").is_success
    job = daemon.finished(daemon.submit(one.path), END_SECONDS)
    eventually(lambda: not trap.exists(), END_SECONDS, "it was never struck")
    return job


def _upgraded(daemon: BrokenDaemon, one: Made, place: str, how: str, down: Path) -> dict[str, Any]:
    """A job that was done without words, and has them after all: its aligner had to decode for itself."""
    down.touch()
    daemon.wait_for_worker("aligner", lambda worker: bool(worker["pid"]), END_SECONDS)
    os.kill(pids_of(daemon)["aligner"], signal.SIGKILL)
    daemon.wait_for_worker("aligner", lambda worker: worker["state"] in ("backing_off", "broken"), END_SECONDS)
    job_id = daemon.submit(one.path)
    job = daemon.finished(job_id, END_SECONDS)
    assert job["timing"] == "segment", job
    trap = daemon.arm("aligner", place, how)
    down.unlink()
    eventually(lambda: daemon.job(job_id)["timing"] == "word", END_SECONDS, "it is upgraded")
    assert not trap.exists(), "it was never struck"
    return daemon.job(job_id)
