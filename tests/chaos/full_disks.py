"""Row 12: no space, and disks that fail. Nothing is called done that is not, and work goes on by itself.

Runs in: the chaos run. Needs a system that lets us mount a small tmpfs, and strace.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from eventually import eventually

from chaos.broken_daemon import STRACE, BrokenDaemon, broken_daemon
from chaos.oracle import Made, complaint_about_files, make
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "Full and failing disks"
DEMAND = "no room for results, queue or spool; EIO and ENOSPC at the n-th call: no false `done`, goes on by itself"
FIRST = 30
BALLAST_ROUNDS = 5
CALLS = {
    "fdatasync,fsync": ("EIO",),
    "pwrite64,write": ("ENOSPC", "EIO"),
    "rename,renameat,renameat2": ("EIO", "ENOSPC"),
}
HEAL_SECONDS = 90.0


def run(trial: Trial) -> Tally:
    """What needs more rights than we have is said, and counts as wrong: a proof with a hole is none."""
    tally = Tally()
    luck = trial.luck()
    place = trial.folder / "recordings"
    place.mkdir()
    for number in range(trial.number(BALLAST_ROUNDS)):
        made = [make(place / f"out{number}-{n}.wav", luck.randrange(1 << 30)) for n in range(3)]
        _no_room_for_results(trial.folder / f"out{number}", made, tally)
        made = [make(place / f"home{number}-{n}.wav", luck.randrange(1 << 30)) for n in range(3)]
        _no_room_for_the_queue(trial.folder / f"home{number}", made, tally)
    cases = [(calls, error, n) for calls, errors in CALLS.items() for error in errors for n in range(1, FIRST + 1)]
    for calls, error, number in luck.sample(cases, trial.number(len(cases))):
        made = [make(place / f"{error}{len(calls)}-{number}-{n}.wav", number + n) for n in range(2)]
        _failing_call(trial.folder / "failing", f"{calls}:error={error}:when={number}", made, tally)
        shutil.rmtree(trial.folder / "failing")
    return tally


@contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own."""
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    """Takes all the space there is."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


def _no_room_for_results(place: Path, made: list[Made], tally: Tally) -> None:
    with small_disk(place / "results", 2) as results, broken_daemon(place / "home") as daemon:
        ballast = fill(results)
        ids = [daemon.submit(one.path, output_dir=str(results)) for one in made]
        for job_id in ids:
            eventually(lambda job_id=job_id: daemon.job(job_id)["note"], 30, "the job says why it waits")
            status = daemon.job(job_id)["status"]
            tally.expect(status == "waiting", f"without room the job is {status}")
        tally.faults += 1
        ballast.unlink()
        _all_done(daemon, ids, made, tally)


def _no_room_for_the_queue(place: Path, made: list[Made], tally: Tally) -> None:
    with small_disk(place, 16) as home, broken_daemon(home, STENO_MEDIA_FREE_DISK_FLOOR_MB="1") as daemon:
        ballast = fill(home)
        tally.faults += 1
        refused = 0
        for one in made:
            answer = daemon.post("/v1/jobs", {"path": str(one.path)})
            refused += not answer.is_success
            says_why = answer.is_success or answer.json()["code"] == "disk_full"
            tally.expect(says_why, f"refused with {answer.text[:200]}")
        ballast.unlink()
        before = int(tally.figures.get("submits refused while full", "0"))
        tally.figures["submits refused while full"] = str(before + refused)
        _all_done(daemon, [daemon.submit(one.path) for one in made], made, tally)


def _failing_call(place: Path, injection: str, made: list[Made], tally: Tally) -> None:
    """One call fails, once; nobody comes to help."""
    place.mkdir()
    daemon = BrokenDaemon(place / "home", {})
    daemon.command = [*STRACE, "-e", f"inject={injection}", *daemon.command]
    tally.trials += 1
    tally.faults += 1
    daemon.launch()
    assert daemon.process is not None
    try:
        began, ids = time.monotonic(), []
        deadline = began + HEAL_SECONDS
        while len(ids) < len(made) and time.monotonic() < deadline:
            if daemon.process.poll() is not None:
                # It could not even start, and said so: a service manager starts it again.
                daemon.launch()
            try:
                answer = daemon.post("/v1/jobs", {"path": str(made[len(ids)].path)})
                if answer.is_success:
                    ids.append(int(answer.json()["id"]))
                    continue
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        if tally.expect(len(ids) == len(made), f"{injection}: only {len(ids)} of {len(made)} were ever taken"):
            _all_done(daemon, ids, made, tally)
        tally.recoveries_seconds.append(time.monotonic() - began)
    finally:
        if daemon.process.poll() is None:
            daemon.stop()


def _all_done(daemon: BrokenDaemon, ids: list[int], made: list[Made], tally: Tally) -> None:
    for job_id, one in zip(ids, made, strict=True):
        tally.trials += 1
        job = daemon.finished(job_id, HEAL_SECONDS)
        if job["status"] != "done":
            tally.lost += 1
            tally.wrong.append(f"{one.path.name} is {job['status']}: {job['error']}")
        elif complaint := complaint_about_files(one, job):
            tally.changed += 1
            tally.wrong.append(complaint)
