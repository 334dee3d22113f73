"""Row 12: no space, and disks that fail. Nothing is called done that is not, and work goes on by itself.

Runs in: the chaos run. Needs a system that lets us mount a small tmpfs, and strace; what it lacks is said.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
from eventually import eventually

from chaos.daemon.broken_daemon import UNARMED, BrokenDaemon, broken_daemon
from chaos.daemon.oracle import Made, complaint_about_files, make
from chaos.disks.failing_calls import Failure, failing, make_well, struck, tracer_of, under_strace
from chaos.lanes import LANES, side_by_side
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "Full and failing disks"
DEMAND = (
    "no room for results, queue, spool or log; EIO and ENOSPC at the n-th call: no false `done`, goes on by itself"
)
FIRST = 30
BALLAST_ROUNDS = 5
ONE_IN_STARTS = 5
"""One case in five begins with the daemon's first call; the others with those of one that runs."""
CALLS = {
    "fdatasync,fsync": ("EIO",),
    "pwrite64,write": ("ENOSPC", "EIO"),
    "rename,renameat,renameat2": ("EIO", "ENOSPC"),
}
JOBS_A_ROUND = 3
MOST_JOBS_A_CASE = 12
"""Handed over one by one until something has failed; a thread that gets to no n-th call by then has none."""
SLOW = {**UNARMED, "STENO_DEADLINES_PROGRESS_SECONDS": "30"}
"""Every call goes through strace; hangs have a row of their own."""
HEAL_SECONDS = 300.0
NOTE_SECONDS = 120.0
STRIKE_SECONDS = 10.0
REFUSED_START = (os.EX_DATAERR, os.EX_IOERR, os.EX_CANTCREAT)


def run(trial: Trial) -> Tally:
    """Where the machine lets us neither mount nor trace, the row says so, and proves nothing of that kind."""
    tally = Tally()
    luck = trial.luck()
    rounds = range(trial.number(BALLAST_ROUNDS))
    if may_mount():
        cases = [
            partial(kind, trial.folder / f"{kind.__name__}{number}", luck.randrange(1 << 30))
            for number in rounds
            for kind in (_no_room_for_results, _no_room_for_anything_of_ours)
        ]
        side_by_side(cases, lambda case, counts: case(counts), tally)
    else:
        tally.figures["not tried"] = "small disks: this machine lets us mount none"
    if shutil.which("strace") is None:
        tally.figures["not tried here"] = "failing calls: there is no strace"
        return tally
    failures = [
        Failure(calls, error, n) for calls, errors in CALLS.items() for error in errors for n in range(1, FIRST + 1)
    ]
    drawn = luck.sample(failures, trial.number(len(failures), least=5))
    lanes = [
        partial(_failing_disk, trial.folder / f"lane{n}", drawn[n::LANES], luck.randrange(1 << 30))
        for n in range(min(LANES, len(drawn)))
    ]
    side_by_side(lanes, lambda lane, counts: lane(counts), tally)
    failed = int(tally.figures.get("calls that failed", "0"))
    # Of a look's few cases, all may be numbers that no thread gets to.
    if len(drawn) == len(failures):
        tally.expect(failed * 4 >= len(drawn), f"only {failed} of {len(drawn)} calls failed: what does strace do?")
    return tally


# --- no room -------------------------------------------------------------------------------------------------------


def may_mount() -> bool:
    """Whether this machine lets us."""
    with tempfile.TemporaryDirectory() as place:
        asked = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], stderr=subprocess.DEVNULL, check=False)
        if asked.returncode == 0:
            subprocess.run(["umount", place], check=True)
        return asked.returncode == 0


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


def _recordings(place: Path, seed: int, count: int = JOBS_A_ROUND) -> list[Made]:
    place.mkdir(parents=True)
    return [make(place / f"{number}.wav", seed + number) for number in range(count)]


def _no_room_for_results(place: Path, seed: int, tally: Tally) -> None:
    made = _recordings(place / "recordings", seed)
    with small_disk(place / "results", 2) as results, broken_daemon(place / "home", **SLOW) as daemon:
        ballast = fill(results)
        ids = [daemon.submit(one.path, output_dir=str(results)) for one in made]
        for job_id in ids:
            eventually(lambda job_id=job_id: daemon.job(job_id)["note"], NOTE_SECONDS, "the job says why it waits")
            status = daemon.job(job_id)["status"]
            tally.expect(status != "done", f"without room the job is {status}")
        tally.faults += 1
        _room_again(daemon, ballast, ids, made, tally)


def _no_room_for_anything_of_ours(place: Path, seed: int, tally: Tally) -> None:
    """Queue, spool, log and what the system keeps of stderr are all on the one full disk."""
    made = _recordings(place / "recordings", seed)
    with (
        small_disk(place / "disk", 16) as disk,
        broken_daemon(disk / "home", STENO_MEDIA_FREE_DISK_FLOOR_MB="1", **SLOW) as daemon,
    ):
        ballast = fill(disk)
        tally.faults += 1
        taken = {}
        for one in made:
            answer = daemon.post("/v1/jobs", {"path": str(one.path)})
            if answer.is_success:
                taken[int(answer.json()["id"])] = one
            else:
                tally.count("submits refused while full")
                tally.expect(answer.json()["code"] == "disk_full", f"refused with {answer.text[:200]}")
        tally.expect(daemon.get("/v1/status")["queue"]["running"] == 0, "a job runs on a disk without room")
        for one in made:
            if one not in taken.values():
                _room_for(daemon, ballast, one, taken)
        _room_again(daemon, ballast, list(taken), list(taken.values()), tally)


def _room_for(daemon: BrokenDaemon, ballast: Path, one: Made, taken: dict[int, Made]) -> None:
    ballast.unlink(missing_ok=True)
    taken[daemon.submit(one.path)] = one


def _room_again(daemon: BrokenDaemon, ballast: Path, ids: Sequence[int], made: Sequence[Made], tally: Tally) -> None:
    began = time.monotonic()
    ballast.unlink(missing_ok=True)
    _all_done(daemon, ids, made, tally)
    tally.recoveries_seconds.append(time.monotonic() - began)


# --- failing calls -------------------------------------------------------------------------------------------------


def _failing_disk(place: Path, failures: Sequence[Failure], seed: int, tally: Tally) -> None:
    """One daemon for most of them: it has to outlive each."""
    place.mkdir()
    with broken_daemon(place / "home", **SLOW) as daemon:
        for number, failure in enumerate(failures):
            recordings = place / str(number)
            made = _recordings(recordings, seed + number * 1000, MOST_JOBS_A_CASE)
            if number % ONE_IN_STARTS == 0:
                _failing_start(recordings, failure, made, tally)
            else:
                _failing_work(daemon, recordings, failure, made, tally)
            shutil.rmtree(recordings)


def _failing_work(daemon: BrokenDaemon, place: Path, failure: Failure, made: list[Made], tally: Tally) -> None:
    listing, ids = place / "calls", list[int]()
    with failing(daemon, failure, listing):
        while len(ids) < len(made) and not struck(listing):
            job_id = _submit(daemon, made[len(ids)], failure, tally, listing)
            if job_id is None:
                break
            ids.append(job_id)
            _wait_for_a_strike(daemon, listing, job_id)
    began = time.monotonic()
    tally.faults += struck(listing)
    tally.count("calls that failed" if struck(listing) else "cases without an n-th call")
    one_more = _submit(daemon, made[len(ids) % len(made)], failure, tally) if len(ids) < len(made) else None
    if one_more is not None:
        ids.append(one_more)
    _all_done(daemon, ids, made[: len(ids)], tally, str(failure))
    if struck(listing):
        tally.recoveries_seconds.append(time.monotonic() - began)


def _failing_start(place: Path, failure: Failure, made: list[Made], tally: Tally) -> None:
    """The first calls of its life; a start that is refused is one for the service manager, and well the next time."""
    listing, ids = place / "calls", list[int]()
    daemon = BrokenDaemon(place / "home", SLOW)
    usual, daemon.command = daemon.command, under_strace(daemon, failure, listing)
    daemon.launch()
    assert daemon.process is not None
    began = time.monotonic()
    try:
        for one in made[:2]:
            while (job_id := _try_to_submit(daemon, one)) is None:
                code = daemon.process.poll()
                if code is not None:
                    tally.count("starts refused")
                    tally.expect(
                        code in REFUSED_START, f"{failure}: the start ended with {code}: {_last_words(daemon)}"
                    )
                    daemon.command = usual
                    daemon.launch()
                elif struck(listing) and tracer_of(daemon.pid):
                    make_well(daemon.pid)
                if not tally.expect(time.monotonic() - began < HEAL_SECONDS, f"{failure}: nothing is taken"):
                    return
                time.sleep(0.05)
            ids.append(job_id)
        if daemon.process.poll() is None:
            eventually(lambda: struck(listing) or not _unfinished(daemon, ids), HEAL_SECONDS, "a strike or an end")
            make_well(daemon.pid)
        tally.faults += struck(listing)
        tally.count("calls that failed" if struck(listing) else "cases without an n-th call")
        _all_done(daemon, ids, made[: len(ids)], tally, f"from the start, {failure}")
        tally.recoveries_seconds.append(time.monotonic() - began)
    finally:
        make_well(daemon.pid)
        if daemon.process.poll() is None:
            daemon.stop()


def _submit(
    daemon: BrokenDaemon, one: Made, failure: Failure, tally: Tally, listing: Path | None = None
) -> int | None:
    """The job's number, once the daemon takes it; a refusal is no loss, a daemon that takes nothing more is. None as
    soon as a call on `listing` has failed: while the tracer is there, each new start would meet the same failure."""
    deadline = time.monotonic() + HEAL_SECONDS
    while (job_id := _try_to_submit(daemon, one)) is None:
        if listing is not None and struck(listing):
            return None
        if not tally.expect(time.monotonic() < deadline, f"{failure}: nothing is taken; {_last_words(daemon)}"):
            return None
        time.sleep(0.05)
    return job_id


def _try_to_submit(daemon: BrokenDaemon, one: Made) -> int | None:
    try:
        answer = daemon.post("/v1/jobs", {"path": str(one.path)})
    except httpx.TransportError:
        return None
    return int(answer.json()["id"]) if answer.is_success else None


def _wait_for_a_strike(daemon: BrokenDaemon, listing: Path, job_id: int) -> None:
    deadline = time.monotonic() + STRIKE_SECONDS
    while not struck(listing) and _unfinished(daemon, [job_id]) and time.monotonic() < deadline:
        time.sleep(0.02)


def _unfinished(daemon: BrokenDaemon, ids: Sequence[int]) -> bool:
    try:
        return any(daemon.job(job_id)["status"] not in ("done", "failed", "cancelled") for job_id in ids)
    except httpx.HTTPError:
        return True


def _last_words(daemon: BrokenDaemon) -> str:
    return daemon.log.read_text()[-600:]


def _all_done(daemon: BrokenDaemon, ids: Sequence[int], made: Sequence[Made], tally: Tally, case: str = "") -> None:
    """A job whose own file the disk would not take has failed, says so, and is done once somebody asks again."""
    for job_id, one in zip(ids, made, strict=True):
        tally.trials += 1
        eventually(lambda job_id=job_id: not _unfinished(daemon, [job_id]), HEAL_SECONDS, f"{case}: {job_id} ends")
        job = daemon.job(job_id)
        if job["status"] == "failed" and job["error"]["code"] == "write_failed":
            tally.count("results that the disk refused, done at `retry`")
            daemon.post(f"/v1/jobs/{job_id}/retry")
            job = daemon.finished(job_id, HEAL_SECONDS)
        if job["status"] != "done":
            tally.lost += 1
            tally.wrong.append(f"{case}: {one.path.name} is {job['status']}: {job['error']}")
        elif complaint := complaint_about_files(one, job):
            tally.changed += 1
            tally.wrong.append(f"{case}: {complaint}")
