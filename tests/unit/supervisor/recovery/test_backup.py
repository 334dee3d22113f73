"""A backup is whole, a restore loses nothing, an upgrade can be taken back.

Runs in: the test process.
"""
# ruff: noqa: ASYNC240 - nothing else runs in the loop

import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from asked_queue import jobs_in

from config.settings import QueueSettings
from ipc.api_messages import JobOptions
from ipc.transcript import Segment
from supervisor.disks.file_identity import FileIdentity
from supervisor.recovery.backup import CopyRefused, back_up, look_into, restore
from supervisor.recovery.queue_care import forget_in_copy
from supervisor.store.jobs import JobQueue
from supervisor.store.sqlite import database as database_file
from supervisor.store.sqlite import database_copy
from supervisor.store.sqlite.database import SCHEMA_SCRIPTS, JobQueueBroken
from supervisor.store.sqlite.database_copy import kept_copies
from supervisor.system.single_instance import DaemonLock

IDENTITY = FileIdentity(1, 2, 3, 4)
SECRET = "rhubarb"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "state" / "jobs.sqlite3"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "state" / "daemon.lock"


@asynccontextmanager
async def opened(database: Path) -> AsyncIterator[JobQueue]:
    queue = await JobQueue.open(database, QueueSettings())
    try:
        yield queue
    finally:
        await queue.close()


async def add(queue: JobQueue, count: int) -> list[int]:
    return [(await queue.add(f"/x/{n}.mp3", JobOptions(prompt=SECRET), IDENTITY)).id for n in range(count)]


async def test_a_backup_holds_what_was_acknowledged_while_others_are_added(
    database: Path, lock: Path, tmp_path: Path
) -> None:
    target = tmp_path / "b.sqlite3"
    async with opened(database) as queue:
        for count in (3, 5):
            await add(queue, 3 if count == 3 else 2)
            with DaemonLock.acquire(lock):
                assert back_up(database, lock, target).jobs == count
        await add(queue, 1)
    assert look_into(target).jobs == 5, "the older one was replaced, what came later is not in it"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == ["b.sqlite3", "state"]


async def test_a_backup_of_a_queue_whose_daemon_was_killed_has_what_is_only_in_the_log(
    database: Path, lock: Path, tmp_path: Path
) -> None:
    async with opened(database) as queue:
        await add(queue, 4)
        killed = tmp_path / "killed"
        killed.mkdir()
        for suffix in ("", "-wal"):
            (killed / f"jobs.sqlite3{suffix}").write_bytes(Path(f"{database}{suffix}").read_bytes())
    before = (killed / "jobs.sqlite3-wal").read_bytes()
    assert back_up(killed / "jobs.sqlite3", killed / "daemon.lock", tmp_path / "b").jobs == 4
    assert (killed / "jobs.sqlite3-wal").read_bytes() == before, "only read"


@pytest.mark.parametrize("what", ["somebody's file", "", "SQLite format 3\0" + "x" * 200])
async def test_a_backup_overwrites_nothing_but_a_backup(
    database: Path, lock: Path, tmp_path: Path, what: str
) -> None:
    async with opened(database) as queue:
        await add(queue, 1)
    (tmp_path / "thesis.txt").write_text(what)
    for target in (tmp_path / "thesis.txt", tmp_path, database):
        with pytest.raises(CopyRefused):
            back_up(database, lock, target)
    assert (tmp_path / "thesis.txt").read_text() == what
    assert look_into(database).jobs == 1


async def test_a_restore_brings_the_backup_keeps_what_was_there_and_gives_no_number_twice(
    database: Path, lock: Path, tmp_path: Path
) -> None:
    backup = tmp_path / "b"
    async with opened(database) as queue:
        await add(queue, 2)
        back_up(database, lock, backup)
        await add(queue, 3)
    found, aside = restore(database, lock, backup)
    assert found.jobs == 2 and aside is not None and look_into(aside).jobs == 5
    assert kept_copies(database) == [aside]
    async with opened(database) as queue:
        assert [job.id for job in await jobs_in(queue)] == [2, 1]
        assert await add(queue, 1) == [6]
    assert backup.exists()
    assert restore(database, lock, aside)[0].jobs == 5, "and back again"


async def test_no_restore_while_a_daemon_runs_and_none_of_what_is_no_queue(
    database: Path, lock: Path, tmp_path: Path
) -> None:
    async with opened(database) as queue:
        await add(queue, 2)
    back_up(database, lock, tmp_path / "b")
    before = {file.name: file.read_bytes() for file in database.parent.iterdir() if file.name != lock.name}
    with DaemonLock.acquire(lock), pytest.raises(CopyRefused) as refused:
        restore(database, lock, tmp_path / "b")
    assert (refused.value.code, "steno service uninstall" in refused.value.hint) == ("daemon_runs", True)
    (tmp_path / "text").write_text("no queue")
    (tmp_path / "half").write_bytes((tmp_path / "b").read_bytes()[:20_000])
    damaged = bytearray((tmp_path / "b").read_bytes())
    damaged[8192:40960] = os.urandom(32768)
    (tmp_path / "damaged").write_bytes(damaged)
    with closing(sqlite3.connect(tmp_path / "other")) as other:
        other.execute("CREATE TABLE x (y)")
    newer = tmp_path / "newer"
    newer.write_bytes((tmp_path / "b").read_bytes())
    with closing(sqlite3.connect(newer)) as future:
        future.execute(f"PRAGMA user_version = {len(SCHEMA_SCRIPTS) + 1}")
    for name in ("text", "half", "damaged", "other", "newer", "missing"):
        with pytest.raises(CopyRefused):
            restore(database, lock, tmp_path / name)
    after = {file.name: file.read_bytes() for file in database.parent.iterdir() if file.name != lock.name}
    assert after == before


async def test_a_damaged_queue_is_replaced_by_the_backup_and_kept(database: Path, lock: Path, tmp_path: Path) -> None:
    async with opened(database) as queue:
        await add(queue, 2)
    back_up(database, lock, tmp_path / "b")
    damaged = b"no database at all" * 1000
    database.write_bytes(damaged)
    Path(f"{database}-wal").write_bytes(b"an old log")
    _, aside = restore(database, lock, tmp_path / "b")
    assert aside is not None and aside.read_bytes() == damaged
    assert Path(f"{aside}-wal").read_bytes() == b"an old log"
    async with opened(database) as queue:
        assert (await queue.counts())["waiting"] == 2


async def test_an_old_log_beside_a_restored_queue_is_not_played_back_into_it(
    database: Path, lock: Path, tmp_path: Path
) -> None:
    async with opened(database) as queue:
        await add(queue, 2)
        back_up(database, lock, tmp_path / "b")
        await add(queue, 3)
        left = {suffix: Path(f"{database}{suffix}").read_bytes() for suffix in ("", "-wal")}
    for suffix, content in left.items():  # as after a kill
        Path(f"{database}{suffix}").write_bytes(content)
    restore(database, lock, tmp_path / "b")
    async with opened(database) as queue:
        assert (await queue.counts())["waiting"] == 2


def of_version(version: int, database: Path) -> None:
    database.parent.mkdir(parents=True)
    with closing(sqlite3.connect(database, isolation_level=None)) as old:
        for script in SCHEMA_SCRIPTS[:version]:
            old.executescript(script.read_text())
        old.execute(f"PRAGMA application_id = {database_file.APPLICATION_ID}")
        old.execute(f"PRAGMA user_version = {version}")
        old.execute(
            """INSERT INTO jobs (path, options, status, identity, created_at, finished_at)
            VALUES ('/x/a.mp3', '{}', 'done', '{"device":1,"inode":2,"size":3,"mtime_ns":4,"sha256":null}', 1, 2)"""
        )


@pytest.mark.parametrize("version", range(1, len(SCHEMA_SCRIPTS)))
async def test_before_an_upgrade_the_queue_is_copied_and_the_copy_leads_back(
    database: Path, lock: Path, version: int
) -> None:
    of_version(version, database)
    async with opened(database) as queue:
        assert (await queue.counts())["done"] == 1
        await add(queue, 1)
    (copy,) = kept_copies(database)
    assert copy.name == f"jobs-before-schema-{len(SCHEMA_SCRIPTS)}.sqlite3"
    assert (look_into(copy).schema, stat.S_IMODE(copy.stat().st_mode)) == (version, 0o600)
    found, _ = restore(database, lock, copy)
    assert (found.schema, look_into(database).schema, found.jobs) == (version, version, 1)


async def test_without_room_for_the_copy_nothing_is_upgraded(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_version(1, database)

    def full(fresh: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(database_copy, "put_in_place", full)
    with pytest.raises(JobQueueBroken) as broken:
        await JobQueue.open(database, QueueSettings())
    assert broken.value.code == "disk_full"
    assert look_into(database).schema == 1
    assert kept_copies(database) == [] and not list(database.parent.glob(".*"))


async def test_what_is_forgotten_is_in_no_page_of_the_queue_nor_of_a_copy_that_stenod_keeps(
    database: Path, lock: Path, tmp_path: Path
) -> None:
    words = "aubergine " * 2000
    async with opened(database) as queue:
        first, second = await add(queue, 2)
        for job_id in (first, second):
            text = words if job_id == first else "other"
            await queue.store_segments(job_id, [Segment(id=0, start=0, end=1, text=text)], 1.0)
            await queue.move(job_id, "cancelled")
        back_up(database, lock, tmp_path / "b")
        assert b"aubergine" in Path(f"{database}-wal").read_bytes()
        await queue.history.forget(first)
        for suffix in ("", "-wal"):
            content = Path(f"{database}{suffix}").read_bytes()
            assert b"aubergine" not in content and b"/x/0.mp3" not in content
        assert [job.id for job in await jobs_in(queue)] == [second]
        assert (await queue.counts())["cancelled"] == 1
    restore(database, lock, tmp_path / "b")
    (copy,) = kept_copies(database)
    (tmp_path / "copy").write_bytes((tmp_path / "b").read_bytes())
    forget_in_copy(tmp_path / "copy", first)
    assert b"aubergine" not in (tmp_path / "copy").read_bytes()
    assert look_into(tmp_path / "copy").jobs == 1 and copy.exists()


async def test_copies_are_kept_as_long_as_jobs(database: Path) -> None:
    day, now = 86_400.0, 0.0
    of_version(1, database)
    queue = await JobQueue.open(database, QueueSettings(keep_finished_days=10), lambda: now, lambda: now)
    for _ in range(10):
        await queue.history.prune()
        assert kept_copies(database)
        now += day
    now += day
    await queue.history.prune()
    assert kept_copies(database) == []
    await queue.close()
