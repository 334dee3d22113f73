"""Row 5: the power is cut after every write, sync and rename that the daemon made for fifty jobs.

Runs in: the chaos run. strace writes the calls down; the cuts are replayed from its list.
"""

import asyncio
import json
import re
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from asked_queue import jobs_in
from eventually import eventually

from chaos.daemon.broken_daemon import UNARMED, BrokenDaemon
from chaos.daemon.oracle import Made, complaint, make
from chaos.disks.disk_story import Disk, after_the_cut, apply, read_calls
from chaos.tally import Tally
from chaos.trial import Trial
from chaos.workers.worker_chaos import DRAIN_SECONDS, unfinished
from config.logs import set_level
from config.settings import QueueSettings
from supervisor.store.job import Job
from supervisor.store.jobs import JobQueue
from supervisor.store.sqlite.database import DatabaseRefused, JobQueueBroken

TITLE = "Power cuts"
DEMAND = "2,000 crash states of 50 jobs: no acknowledged job is lost, no partial file has a final name"
JOBS, STATES = 50, 2_000
CALLS = "write,pwrite64,ftruncate,fsync,fdatasync,openat,rename,renameat,renameat2,unlink,unlinkat,sendto,sendmsg"
RESULTS = (".json", ".srt")
MEMORY = Path("/dev/shm")
ACKNOWLEDGED = re.compile(rb'HTTP/1\.1 20[01].*?"id":(\d+),"path":"([^"]+)"', re.DOTALL)


def run(trial: Trial) -> Tally:
    """Every state is opened by the queue's own code."""
    tally = Tally()
    if shutil.which("strace") is None:
        tally.wrong.append("there is no strace on this machine: apt install strace")
        return tally
    set_level("error")
    luck = trial.luck()
    recordings, listing = trial.folder / "recordings", trial.folder / "calls"
    recordings.mkdir()
    made = [
        make(recordings / f"{n}.wav", luck.randrange(1 << 30), luck.randint(1, 2))
        for n in range(trial.number(JOBS, 5))
    ]
    home = trial.folder / "home"
    _record(home, listing, made)
    with listing.open(encoding="utf-8", errors="replace") as lines:
        calls = list(read_calls(lines))
    points = sorted((len(calls), *luck.choices(range(1, len(calls) + 1), k=trial.number(STATES) - 1)))
    # In memory where that can be: the states are ours, and each is opened with all its syncs.
    place = Path(tempfile.mkdtemp(prefix="steno-cut-", dir=MEMORY if MEMORY.is_dir() else trial.folder))
    disk, done, acknowledged, said = Disk(), 0, dict[int, str](), dict[str, bytes]()
    for one in made:
        wrong = complaint(one, json.loads(one.path.with_suffix(".json").read_bytes()), words=True)
        tally.expect(wrong is None, f"undisturbed: {wrong}")
    results = {str(file): file.read_bytes() for file in recordings.iterdir() if file.suffix in RESULTS}
    queue_file = str(home / "state" / "jobs.sqlite3")
    told = Counter(call.kind for call in calls)
    tally.figures = {
        "calls in the list": f"{len(calls):,}",
        "of them syncs, names, answers": f"{told['sync']:,}, {told['create'] + told['rename'] + told['unlink']:,}, "
        f"{told['say']:,}",
        "writes into the database itself": str(
            sum(call.path == queue_file for call in calls if call.kind == "write")
        ),
    }
    for point in points:
        for call in calls[done:point]:
            apply(disk, call)
            if call.kind == "say":
                # An answer's head and body are sent one after the other.
                said[call.path] = said.get(call.path, b"") + call.data
                if found := ACKNOWLEDGED.search(said[call.path]):
                    acknowledged[int(found[1])] = found[2].decode()
                    del said[call.path]
        done = point
        tally.trials += 1
        tally.faults += 1
        _examine(place, queue_file, after_the_cut(disk, luck), acknowledged, results, tally, f"after call {point}")
    everybody = len(acknowledged) == len(made) or points[-1] < len(calls)
    tally.expect(everybody, f"the list has {len(acknowledged)} of {len(made)} answers")
    tally.figures["jobs acknowledged before the last cut"] = str(len(acknowledged))
    shutil.rmtree(place, ignore_errors=True)
    return tally


def _record(home: Path, listing: Path, made: list[Made]) -> None:
    daemon = BrokenDaemon(home, UNARMED)
    options = [
        "-D",
        "-f",
        "--seccomp-bpf",
        "-qqq",
        "-y",
        "-xx",
        "-s",
        "4000000",
        "-e",
        f"trace={CALLS}",
        "-o",
        str(listing),
    ]
    daemon.command = ["strace", *options, *daemon.command]
    daemon.start()
    for one in made:
        daemon.submit(one.path)
    eventually(lambda: unfinished(daemon) == 0, DRAIN_SECONDS, "all jobs end")
    daemon.stop()


def _examine(
    place: Path,
    queue_file: str,
    state: dict[str, bytes],
    acknowledged: dict[int, str],
    results: dict[str, bytes],
    tally: Tally,
    case: str,
) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    database = place / "jobs.sqlite3"
    for path, content in state.items():
        if path.startswith(queue_file) and not path.endswith("-shm"):
            (place / Path(path).name).write_bytes(content)
    try:
        jobs = asyncio.run(_jobs(database)) if database.exists() else []
    except (DatabaseRefused, JobQueueBroken) as refused:
        tally.lost += len(acknowledged)
        tally.wrong.append(f"{case}: {refused}")
        return
    there = {job.id for job in jobs}
    for job_id in acknowledged.keys() - there:
        tally.lost += 1
        tally.wrong.append(f"{case}: job {job_id} was acknowledged and is gone")
    for job in jobs:
        if job.status == "done":
            for written in job.outputs.values():
                tally.expect(written.path in state, f"{case}: job {job.id} is done and {written.path} is not there")
    for path in results.keys() & state.keys():
        if state[path] != results[path]:
            tally.changed += 1
            sizes = f"{len(state[path])} of {len(results[path])} bytes"
            tally.wrong.append(f"{case}: {Path(path).name} has its name and is not whole: {sizes}")


async def _jobs(database: Path) -> list[Job]:
    queue = await JobQueue.open(database, QueueSettings())
    try:
        return list(await jobs_in(queue, None, 10_000))
    finally:
        await queue.close()
