"""Row 27: disks of others that die under recordings, at any moment, and come back.

Runs in: the chaos run. With /dev/fuse and root alone: a disk that keeps system calls has no stand-in.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos.daemon.broken_daemon import UNARMED, BrokenDaemon
from chaos.daemon.oracle import complaint_about_files, make
from chaos.disks import dying_disk
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "Foreign disks that die"
DEMAND = (
    "20 deaths of a disk under 5 recordings each, at any moment: good recordings are done within 40 s, submits and "
    "status answer within 10 s, health names the disk; when it is back all is done, each with its own words"
)
DEATHS, ON_THE_DISK, GOOD, GOOD_SECONDS, ANSWER_SECONDS = 20, 5, 3, 40.0, 10.0
BACK_SECONDS = 120.0
PATIENT = {"STENO_DEADLINES_PROGRESS_SECONDS": "10", "STENO_WATCHING_UNREACHABLE_SECONDS": "2"}
"""A worker has to see that its decoder hangs, end it and say so, before it is taken for hung itself."""


def run(trial: Trial) -> Tally:
    """One daemon and one disk for each death."""
    tally = Tally()
    if os.geteuid() != 0 or not Path("/dev/fuse").exists():
        tally.figures["skipped"] = "no FUSE for this user"
        return tally
    luck = trial.luck()
    for number in range(trial.number(DEATHS)):
        folder = trial.folder / f"{number}"
        (folder / "share").mkdir(parents=True)
        (folder / "results").mkdir()
        on_it = [make(folder / "share" / f"{n}.wav", luck.randrange(1 << 30), 4) for n in range(ON_THE_DISK)]
        good = [make(folder / f"good{n}.wav", luck.randrange(1 << 30), 2) for n in range(GOOD)]
        daemon = BrokenDaemon(folder / "home", {"STUB_PACE": "0.1", **UNARMED, **PATIENT})
        with _disk(folder) as (disk, point):
            try:
                daemon.start()
                ids = [daemon.submit(point / one.path.name, output_dir=str(folder / "results")) for one in on_it]
                time.sleep(luck.uniform(0.0, 2.0))
                disk.send_signal(signal.SIGUSR1)
                tally.faults += 1
                began = time.monotonic()
                good_ids = [daemon.submit(one.path) for one in good]
                for one, job_id in zip(good, good_ids, strict=True):
                    job = daemon.finished(job_id, GOOD_SECONDS)
                    complaint = complaint_about_files(one, job)
                    tally.expect(complaint is None, f"a good job: {complaint}")
                tally.recoveries_seconds.append(time.monotonic() - began)
                _ask(daemon, point, tally)
                disk.send_signal(signal.SIGUSR2)
                for job_id in ids:
                    tally.trials += 1
                    job = daemon.finished(job_id, BACK_SECONDS)
                    tally.expect(job["status"] == "done", f"job {job_id} is {job['status']}: {job['error']}")
                tally.expect(daemon.stop() == 0, "the last stop was not orderly")
            finally:
                disk.send_signal(signal.SIGUSR2)
                if daemon.process is not None and daemon.process.poll() is None:
                    daemon.kill()
    return tally


def _ask(daemon: BrokenDaemon, point: Path, tally: Tally) -> None:
    began = time.monotonic()
    answer = daemon.client().post("/v1/jobs", json={"path": str(point / "0.wav")}, timeout=30)
    tally.expect(answer.status_code == 503, f"a submit on the dead disk: {answer.status_code} {answer.text}")
    took = time.monotonic() - began
    tally.expect(took < ANSWER_SECONDS + 2, f"a submit on the dead disk took {took:.1f} s")
    daemon.get("/v1/status")
    health = daemon.client().get("/v1/health", timeout=60).json()
    tally.expect(any(str(point) in words for words in health["warnings"]), f"health says {health}")


@contextmanager
def _disk(folder: Path) -> "Iterator[tuple[subprocess.Popen[str], Path]]":
    point = folder / "mounted"
    point.mkdir()
    command = [sys.executable, str(dying_disk.__file__), str(point), str(folder / "share")]
    disk = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert disk.stdout is not None
    try:
        assert disk.stdout.readline().strip() == "mounted"
        yield disk, point
    finally:
        disk.terminate()
        disk.wait(timeout=20)
