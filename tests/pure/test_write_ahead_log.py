"""What is acknowledged is on the disk, nobody waits for it but who must, and a disk that fails is not believed again.

Runs in: the test process.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from eventually import eventually_async

from config.settings import QueueSettings
from ipc.api_messages import JobOptions
from supervisor import write_ahead_log
from supervisor.job import FileIdentity
from supervisor.job_queue import JobQueue, JobQueueBroken

IDENTITY = FileIdentity(device=1, inode=2, size=3, mtime_ns=4)


class Disk:
    """Takes what is written to it when the test lets it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ready = threading.Event()
        self.ready.set()
        self.error: OSError | None = None
        self.begun: list[int] = []
        """How long the log was at the beginning of each sync."""
        monkeypatch.setattr(write_ahead_log.os, "fdatasync", self.sync, raising=False)

    def sync(self, descriptor: int) -> None:
        self.begun.append(write_ahead_log.os.fstat(descriptor).st_size)
        assert self.ready.wait(10)
        if self.error is not None:
            raise self.error


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
async def queue(tmp_path: Path, disk: Disk) -> AsyncIterator[JobQueue]:
    queue = await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings())
    yield queue
    disk.ready.set()
    await queue.close()


async def add(queue: JobQueue) -> int:
    return (await queue.add("/x/a.mp3", JobOptions(), IDENTITY)).id


async def test_a_job_is_acknowledged_only_once_its_log_is_synced_and_questions_are_answered_meanwhile(
    queue: JobQueue, disk: Disk, tmp_path: Path
) -> None:
    disk.ready.clear()
    before = len(disk.begun)
    adding = asyncio.create_task(add(queue))
    await eventually_async(lambda: len(disk.begun) > before)
    assert disk.begun[-1] == (tmp_path / "jobs.sqlite3-wal").stat().st_size, "its record was in the log by then"
    assert (await queue.counts())["waiting"] == 1
    assert not adding.done()
    disk.ready.set()
    assert await adding == 1


async def test_many_at_once_share_their_syncs(queue: JobQueue, disk: Disk) -> None:
    disk.ready.clear()
    before = len(disk.begun)
    adding = [asyncio.create_task(add(queue)) for _ in range(40)]
    await eventually_async(lambda: len(disk.begun) - before == write_ahead_log.SYNCS_AT_ONCE)
    # A question stands behind all of them in the one line.
    assert (await queue.counts())["waiting"] == 40
    disk.ready.set()
    assert sorted(await asyncio.gather(*adding)) == list(range(1, 41))
    assert len(disk.begun) - before <= 2 * write_ahead_log.SYNCS_AT_ONCE


async def test_what_changed_nothing_waits_for_no_disk(queue: JobQueue, disk: Disk) -> None:
    disk.ready.clear()
    assert await queue.claim_next() is None
    await queue.write_nothing()


async def test_after_a_failed_sync_nothing_is_acknowledged_until_the_next_start(disk: Disk, tmp_path: Path) -> None:
    queue = await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings())
    kept = await add(queue)
    disk.error = OSError(5, "Input/output error")
    with pytest.raises(JobQueueBroken) as broken:
        await add(queue)
    assert (broken.value.code, "restart the daemon" in broken.value.hint) == ("database_failed", True)
    disk.error = None
    with pytest.raises(JobQueueBroken, match="Input/output error"):
        await queue.claim_next()
    assert (await queue.get(kept)).status == "waiting"
    await queue.close()
    again = await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings())
    claimed = await again.claim_next()
    assert claimed is not None and claimed.id == kept
    await again.close()
