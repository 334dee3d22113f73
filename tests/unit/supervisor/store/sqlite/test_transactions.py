"""The queue's file under a disk that fails while it is opened, and a log that stays small.

Runs in: the test process.
"""

import os
import threading
from pathlib import Path

import pytest
from eventually import eventually_async

from config.settings import QueueSettings
from ipc.api_messages import JobOptions
from supervisor.disks.file_identity import FileIdentity
from supervisor.store.jobs import JobQueue
from supervisor.store.sqlite import database
from supervisor.store.sqlite.database import JobQueueBroken

IDENTITY = FileIdentity(device=1, inode=2, size=3, mtime_ns=4)


async def a_queue_of_a_killed_daemon(place: Path) -> Path:
    """Its log was never folded into the file."""
    file = place / "jobs.sqlite3"
    queue = await JobQueue.open(file, QueueSettings())
    await queue.add("/x/a.mp3", JobOptions(), IDENTITY)
    await queue.database.read(lambda connection: None)
    log = (place / "jobs.sqlite3-wal").read_bytes()
    content = file.read_bytes()
    await queue.close()
    file.write_bytes(content)
    (place / "jobs.sqlite3-wal").write_bytes(log)
    return file


async def test_the_log_of_an_earlier_process_is_written_once_more_and_synced_before_anything_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await a_queue_of_a_killed_daemon(tmp_path)
    log = (tmp_path / "jobs.sqlite3-wal").read_bytes()
    done: list[bytes | str] = []
    write, sync = os.pwrite, database.sync

    def pwrite(descriptor: int, data: bytes, at: int) -> int:
        done.append(data)
        return write(descriptor, data, at)

    def synced(descriptor: int) -> None:
        done.append("synced")
        sync(descriptor)

    monkeypatch.setattr(os, "pwrite", pwrite)
    monkeypatch.setattr(database, "sync", synced)
    queue = await JobQueue.open(file, QueueSettings())
    assert done == [log, "synced"]
    assert (await queue.counts())["waiting"] == 1
    await queue.close()


async def test_a_log_that_cannot_be_synced_is_not_opened_and_leaves_no_thread_and_every_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await a_queue_of_a_killed_daemon(tmp_path)
    before = file.read_bytes(), (tmp_path / "jobs.sqlite3-wal").read_bytes()

    def fails(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(database, "sync", fails)
    threads = threading.active_count()
    with pytest.raises(JobQueueBroken, match="Input/output error"):
        await JobQueue.open(file, QueueSettings())
    await eventually_async(lambda: threading.active_count() == threads)
    assert (file.read_bytes(), (tmp_path / "jobs.sqlite3-wal").read_bytes()) == before


async def test_the_log_stays_small_however_much_is_written(tmp_path: Path) -> None:
    queue = await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings())
    log, largest = tmp_path / "jobs.sqlite3-wal", 0
    for number in range(3000):
        await queue.add(f"/x/{number}.mp3", JobOptions(prompt="p" * 2000), IDENTITY)
        largest = max(largest, log.stat().st_size)
    assert 1_000_000 < largest < 8_000_000
    await queue.close()
