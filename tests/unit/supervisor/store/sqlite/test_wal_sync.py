"""What is acknowledged is on the disk, nobody waits for it but who must, and a disk that fails is not believed again.

Runs in: the test process.
"""

import asyncio
import itertools
import os
import random
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest
from eventually import eventually_async

from config.settings import QueueSettings
from ipc.api_messages import JobOptions
from supervisor.disks.file_identity import FileIdentity
from supervisor.store.jobs import JobQueue
from supervisor.store.sqlite import wal_sync as write_ahead_log
from supervisor.store.sqlite.database import JobQueueBroken
from supervisor.store.sqlite.transactions import JobDatabase

IDENTITY = FileIdentity(device=1, inode=2, size=3, mtime_ns=4)


class Disk:
    """Takes what is written to it when the test lets it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ready = threading.Event()
        self.ready.set()
        self.error: OSError | None = None
        self.begun: list[int] = []
        """How long the log was at the beginning of each sync."""
        self.descriptors: set[int] = set()
        monkeypatch.setattr(os, "fdatasync", self.sync, raising=False)

    def sync(self, descriptor: int) -> None:
        self.begun.append(os.fstat(descriptor).st_size)
        self.descriptors.add(descriptor)
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
    await eventually_async(lambda: len(disk.begun) > before)
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
    assert (broken.value.code, "restarts by itself" in broken.value.hint) == ("database_failed", True)
    assert queue.storage_failed.is_set()
    disk.error = None
    with pytest.raises(JobQueueBroken, match="Input/output error"):
        await queue.claim_next()
    assert (await queue.get(kept)).status == "waiting"
    await queue.close()
    again = await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings())
    claimed = await again.claim_next()
    assert claimed is not None and claimed.id == kept
    await again.close()


async def test_two_threads_that_sync_both_hear_of_a_failure_that_the_system_tells_once_to_each_descriptor(
    queue: JobQueue, disk: Disk
) -> None:
    before = disk.descriptors.copy()
    disk.descriptors.clear()
    disk.ready.clear()
    first = asyncio.create_task(add(queue))
    await eventually_async(lambda: len(disk.descriptors) == 1)
    second = asyncio.create_task(add(queue))
    await eventually_async(lambda: len(disk.descriptors) == 2)
    disk.ready.set()
    await asyncio.gather(first, second)
    assert len(before | disk.descriptors) == write_ahead_log.SYNCS_AT_ONCE


async def test_no_write_is_acknowledged_before_one_that_was_stored_earlier(
    queue: JobQueue, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first sync takes long, the second, begun later, is over at once: it is good for both."""
    began, first_may_end = threading.Event(), threading.Event()
    syncs = itertools.count()

    def sync(descriptor: int) -> None:
        if next(syncs) == 0:
            began.set()
            assert first_may_end.wait(10)

    monkeypatch.setattr(os, "fdatasync", sync, raising=False)
    told: list[str] = []

    async def acknowledged(name: str, work: Coroutine[Any, Any, Any]) -> None:
        await work
        told.append(name)

    first = asyncio.create_task(acknowledged("first", add(queue)))
    await eventually_async(lambda: began.is_set())
    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(acknowledged(f"{number}", add(queue)))
        tasks.create_task(acknowledged("pause", queue.set_paused(True)))
    await first
    assert told == ["first", "0", "1", "2", "3", "4", "pause"]
    first_may_end.set()
    await add(queue)


async def test_claims_and_cancels_side_by_side_are_acknowledged_in_their_order(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    luck, told = random.Random(19), list[int]()
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: time.sleep(luck.uniform(0, 0.004)), raising=False)
    real = JobDatabase._write
    committed: list[int] = []

    def write(self: JobDatabase, work: Any, answer: Any) -> None:
        committed.append(id(answer))
        answer.add_done_callback(lambda done: told.append(id(done)))
        kept.append(answer)
        real(self, work, answer)

    kept: list[Any] = []
    monkeypatch.setattr(JobDatabase, "_write", write)
    for _ in range(40):
        job_id = await add(queue)
        await asyncio.gather(queue.claim_next(), queue.move(job_id, "cancelled"))
    # Of the last one we may hear before the test's own note is made.
    await eventually_async(lambda: len(told) == len(committed))
    assert told == committed


async def test_a_log_whose_sync_failed_is_not_folded_into_the_file_at_the_end(disk: Disk, tmp_path: Path) -> None:
    file, log = tmp_path / "jobs.sqlite3", tmp_path / "jobs.sqlite3-wal"
    queue = await JobQueue.open(file, QueueSettings())
    await add(queue)
    disk.error = OSError(5, "Input/output error")
    with pytest.raises(JobQueueBroken):
        await add(queue)
    before = file.read_bytes(), log.read_bytes()
    await queue.close()
    assert (file.read_bytes(), log.read_bytes()) == before


async def test_what_an_earlier_process_could_not_sync_is_written_anew_before_anything_is_built_upon_it(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_queue_left_with_a_failed_sync(disk, tmp_path)
    log = (tmp_path / "jobs.sqlite3-wal").read_bytes()
    done: list[tuple[str, bytes]] = []
    write, sync = os.pwrite, os.fdatasync

    def pwrite(descriptor: int, data: bytes, at: int) -> int:
        done.append(("written", data))
        return write(descriptor, data, at)

    def fdatasync(descriptor: int) -> None:
        done.append(("synced", b""))
        sync(descriptor)

    monkeypatch.setattr(os, "pwrite", pwrite)
    monkeypatch.setattr(os, "fdatasync", fdatasync, raising=False)
    queue = await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings())
    assert b"".join(data for _, data in done) == log
    assert [what for what, _ in done][-1] == "synced"
    assert (await queue.counts())["waiting"] in (1, 2), "what was acknowledged is there, what was not may be"
    await queue.close()


async def test_a_log_that_still_cannot_be_synced_is_not_opened_and_leaves_no_thread_behind(
    disk: Disk, tmp_path: Path
) -> None:
    await a_queue_left_with_a_failed_sync(disk, tmp_path)
    disk.error = OSError(5, "Input/output error")
    before = threading.active_count()
    with pytest.raises(JobQueueBroken, match="Input/output error"):
        await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings())
    await eventually_async(lambda: threading.active_count() == before)


async def test_a_queue_whose_orphans_cannot_be_stored_leaves_no_thread_that_keeps_the_process_from_ending(
    disk: Disk, tmp_path: Path
) -> None:
    queue = await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings())
    await add(queue)
    await queue.claim_next()
    await queue.close()
    before = threading.active_count()
    disk.error = OSError(5, "Input/output error")
    with pytest.raises(JobQueueBroken):
        await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings())
    await eventually_async(lambda: threading.active_count() == before)


async def a_queue_left_with_a_failed_sync(disk: Disk, place: Path) -> None:
    queue = await JobQueue.open(place / "jobs.sqlite3", QueueSettings())
    await add(queue)
    disk.error = OSError(5, "Input/output error")
    with pytest.raises(JobQueueBroken):
        await add(queue)
    await queue.close()
    disk.error = None


async def test_the_log_stays_small_however_much_is_written(queue: JobQueue, tmp_path: Path) -> None:
    log = tmp_path / "jobs.sqlite3-wal"
    largest = 0
    for number in range(3000):
        await queue.add(f"/x/{number}.mp3", JobOptions(prompt="p" * 2000), IDENTITY)
        largest = max(largest, log.stat().st_size)
    assert 1_000_000 < largest < 8_000_000
