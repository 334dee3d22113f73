"""A process that owns the queue is killed with SIGKILL in the middle of its work, again and again.

Runs in: the test process, and the child it kills.
"""

import random
import signal
import subprocess
import sys
from pathlib import Path

from asked_queue import jobs_in

from config.settings import QueueSettings
from ipc.transcript import Segment
from supervisor.store.jobs import JobQueue

ROOT = Path(__file__).parents[2]
ROUNDS = 4
SEED = 20261122
WORK = """
import asyncio, pathlib, sys
from config.settings import QueueSettings
from ipc.api_messages import JobOptions
from ipc.transcript import Segment
from supervisor.disks.file_identity import FileIdentity
from supervisor.store.jobs import JobQueue

async def work():
    queue = await JobQueue.open(pathlib.Path(sys.argv[1]), QueueSettings())
    number = 0
    while True:
        identity = FileIdentity(1, number, 3, 4)
        added = await queue.add("/x/a.mp3", JobOptions(), identity)
        print("acknowledged added", added.id, flush=True)
        claimed = await queue.claim_next()
        heard = [Segment(id=n, start=n, end=n + 1, text="so") for n in range(2)]
        await queue.store_segments(claimed.id, heard, 2.0)
        await queue.move(claimed.id, "writing")
        if number % 3:
            await queue.move(claimed.id, "done")
            print("acknowledged done", claimed.id, flush=True)
        number += 1

asyncio.run(work())
"""


def killed_at_work(place: Path, after_lines: int) -> dict[int, bytes]:
    """What the child had acknowledged, job id → `added` or `done`, when it was killed."""
    promised: dict[int, bytes] = {}
    with subprocess.Popen([sys.executable, "-c", WORK, place], cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        # What is in the pipe when it dies was acknowledged too; only a torn last line was not.
        for count, line in enumerate(child.stdout):
            if count == after_lines:
                child.send_signal(signal.SIGKILL)
            if line.startswith(b"acknowledged") and line.endswith(b"\n"):
                _, what, job_id = line.split()
                promised[int(job_id)] = what
    assert child.returncode == -signal.SIGKILL, "the child ended by itself"
    return promised


async def test_nothing_acknowledged_is_lost_and_nothing_is_left_running(tmp_path: Path) -> None:
    place = tmp_path / "jobs.sqlite3"
    chance = random.Random(SEED)
    promised: dict[int, bytes] = {}
    for _ in range(ROUNDS):
        promised |= killed_at_work(place, after_lines=chance.randrange(5, 60))
        queue = await JobQueue.open(place, QueueSettings())
        jobs = {job.id: job for job in await jobs_in(queue, limit=100_000)}
        assert promised.keys() <= jobs.keys()
        assert all(jobs[job_id].status == "done" for job_id, what in promised.items() if what == b"done")
        assert {job.status for job in jobs.values()} <= {"waiting", "done"}
        assert sum((await queue.counts()).values()) == len(jobs)
        expected = [Segment(id=n, start=n, end=n + 1, text="so") for n in range(2)]
        for job in jobs.values():
            stored = await queue.segments(job.id)
            assert (stored, job.transcribed_seconds) in (([], 0.0), (expected, 2.0)), "segments and how far, together"
        await queue.close()
