"""The queue's file: private, checked, never overwritten by somebody who does not understand it.

Runs in: the test process.
"""

import asyncio
import errno
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from asked_queue import jobs_in

from config.settings import QueueSettings
from ipc.api_messages import JobOptions
from supervisor.disks.file_identity import FileIdentity
from supervisor.store.jobs import JobQueue
from supervisor.store.sqlite import database as database_file
from supervisor.store.sqlite.database import DatabaseRefused, JobQueueBroken

IDENTITY = FileIdentity(device=1, inode=2, size=3, mtime_ns=4)


async def made(place: Path, jobs: int = 3) -> None:
    queue = await JobQueue.open(place, QueueSettings())
    for n in range(jobs):
        await queue.add(f"/x/{n}.mp3", JobOptions(prompt="p" * 2000), IDENTITY)
    await queue.close()


def bytes_of(place: Path) -> bytes:
    return place.read_bytes()


async def refusal(place: Path) -> DatabaseRefused:
    before = bytes_of(place)
    with pytest.raises(DatabaseRefused) as refused:
        await JobQueue.open(place, QueueSettings())
    assert bytes_of(place) == before, "a refused file keeps every byte"
    assert refused.value.hint
    return refused.value


async def test_nobody_else_can_read_the_database_whatever_the_folder_was(tmp_path: Path) -> None:
    place = tmp_path / "state" / "jobs.sqlite3"
    place.parent.mkdir(mode=0o777)
    queue = await JobQueue.open(place, QueueSettings())
    await queue.add("/x/a.mp3", JobOptions(), IDENTITY)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in place.parent.iterdir()}
    assert modes == {"jobs.sqlite3": 0o600, "jobs.sqlite3-wal": 0o600, "jobs.sqlite3-shm": 0o600}
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    await queue.close()
    assert [file.name for file in place.parent.iterdir()] == ["jobs.sqlite3"]


async def test_every_commit_is_flushed_as_deep_as_the_system_can(tmp_path: Path) -> None:
    queue = await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings())
    asked = ("journal_mode", "synchronous", "fullfsync", "foreign_keys")
    answers = [(await queue._database.rows(f"PRAGMA {name}"))[0][0] for name in asked]
    assert answers == ["wal", 2, 1, 1]
    await queue.close()


async def test_a_database_too_large_to_be_checked_in_time_is_opened_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "jobs.sqlite3"
    await made(place)
    monkeypatch.setattr("supervisor.store.sqlite.database.LONGEST_CHECK_SECONDS", 0.0)
    monkeypatch.setattr("supervisor.store.sqlite.database.CHECK_STEPS", 1)
    queue = await JobQueue.open(place, QueueSettings())
    assert (await queue.counts())["waiting"] == 3
    await queue.close()


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "jobs.sqlite3"
    await made(place)
    with sqlite3.connect(place) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert "schema 99" in (await refusal(place)).message


async def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "jobs.sqlite3"
    with sqlite3.connect(place) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    assert "not a database of stenod" in (await refusal(place)).message


async def test_junk_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "jobs.sqlite3"
    place.write_bytes(b"these are not the rows you are looking for" * 100)
    assert "damaged" in (await refusal(place)).message


@pytest.mark.parametrize("page", range(1, 7))
async def test_a_damaged_page_is_refused(tmp_path: Path, page: int) -> None:
    place = tmp_path / "jobs.sqlite3"
    await made(place, jobs=20)
    content = bytearray(place.read_bytes())
    content[page * 4096 : page * 4096 + 200] = b"\xff" * 200
    place.write_bytes(content)
    assert "damaged" in (await refusal(place)).message


async def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "jobs.sqlite3"
    await made(place, jobs=20)
    place.write_bytes(place.read_bytes()[: 5 * 4096 + 100])
    await refusal(place)


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, "disk_full"), (errno.EIO, "database_failed")])
def test_a_disk_that_lets_no_file_be_opened_is_told_as_a_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(JobQueueBroken) as broken:
        database_file.connect(tmp_path / "jobs.sqlite3")
    assert broken.value.code == code


OPENED_WHERE_FILES_CANNOT_GROW = """
import resource, sys
from pathlib import Path
from supervisor.store.sqlite import database as database_file
from supervisor.store.sqlite.database import JobQueueBroken

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    database_file.connect(Path(sys.argv[1]))
except JobQueueBroken as broken:
    print(broken.code)
"""


@pytest.mark.parametrize("bytes_allowed", [0, 4096, 40_000])
@pytest.mark.parametrize("jobs", [None, 20])
def test_a_file_that_cannot_be_written_when_it_is_opened_is_not_called_damaged(
    tmp_path: Path, bytes_allowed: int, jobs: int | None
) -> None:
    place = tmp_path / "jobs.sqlite3"
    if jobs is not None:
        asyncio.run(made(place, jobs))
    said = subprocess.run(
        [sys.executable, "-P", "-c", OPENED_WHERE_FILES_CANNOT_GROW, place, str(bytes_allowed)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if jobs is None or bytes_allowed == 0:
        assert said.stdout == "database_failed\n", said.stderr
    else:
        assert not said.stderr, "what fits is opened"


async def test_a_symlink_in_the_databases_place_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_bytes(b"")
    (tmp_path / "jobs.sqlite3").symlink_to(target)
    with pytest.raises(DatabaseRefused, match="cannot be opened"):
        await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings())
    assert target.read_bytes() == b""


async def test_a_crash_in_the_middle_of_the_first_start_is_just_a_first_start_again(tmp_path: Path) -> None:
    place = tmp_path / "jobs.sqlite3"
    place.touch()
    await made(place, jobs=1)
    queue = await JobQueue.open(place, QueueSettings())
    assert (await queue.counts())["waiting"] == 1
    await queue.close()


async def test_a_write_ahead_log_cut_short_costs_at_most_its_end(tmp_path: Path) -> None:
    live = tmp_path / "live" / "jobs.sqlite3"
    queue = await JobQueue.open(live, QueueSettings())
    for n in range(10):
        await queue.add(f"/x/{n}.mp3", JobOptions(), IDENTITY)
    main, wal = live.read_bytes(), live.with_name("jobs.sqlite3-wal").read_bytes()
    await queue.close()

    survivors = []
    for cut in range(0, len(wal) + 1, max(1, len(wal) // 12)):
        copy = tmp_path / f"cut{cut}" / "jobs.sqlite3"
        copy.parent.mkdir()
        copy.write_bytes(main)
        copy.with_name("jobs.sqlite3-wal").write_bytes(wal[:cut])
        queue = await JobQueue.open(copy, QueueSettings())
        ids = [job.id for job in await jobs_in(queue)]
        assert ids == list(range(len(ids), 0, -1)), "a prefix of what was added, never a hole"
        assert (await queue.counts())["waiting"] == len(ids)
        survivors.append(len(ids))
        await queue.close()
    assert survivors == sorted(survivors)
    assert survivors[0] == 0
    assert survivors[-1] >= 9
