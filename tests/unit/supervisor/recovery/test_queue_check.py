"""`steno check` finds what is stored otherwise than it is, fixes what it may, and touches no file of the owner's.

Runs in: the test process.
"""
# ruff: noqa: ASYNC240 - nothing else runs in the loop

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from config.settings import QueueSettings
from ipc.api_messages import JobOptions
from ipc.status_views import CheckView
from ipc.vocabulary import Format
from supervisor.disks.file_identity import FileIdentity
from supervisor.recovery.queue_check import QueueCheck
from supervisor.store.job import WrittenFile
from supervisor.store.jobs import JobQueue
from supervisor.store.outbox import NewFollowUp, write_follow_ups

IDENTITY = FileIdentity(1, 2, 3, 4)


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[JobQueue]:
    queue = await JobQueue.open(tmp_path / "state" / "jobs.sqlite3", QueueSettings())
    yield queue
    await queue.close()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    (tmp_path / "spool").mkdir()
    return tmp_path / "spool"


async def done(queue: JobQueue, folder: Path, name: str) -> Path:
    """A job with one result, and where that lies."""
    file = folder / f"{name}.srt"
    file.write_text(f"words of {name}")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    outputs: dict[Format, WrittenFile] = {"srt": WrittenFile(str(file), digest)}
    job = await queue.add(str(folder / f"{name}.mp3"), JobOptions(), IDENTITY)
    await queue.claim_next()
    await queue.move(job.id, "writing")
    await queue.move(job.id, "done", outputs=outputs)
    return file


async def check(queue: JobQueue, spool: Path, *, repair: bool = False) -> CheckView:
    return await QueueCheck(queue, spool, lambda job_id: job_id == 77).run(repair=repair)


async def harm(queue: JobQueue, *statements: str) -> None:
    """As another program would, which knows no foreign keys."""
    await queue.database.read(lambda db: None)
    loop_thread = queue.database._thread
    connection = queue.database._connection

    def run() -> None:
        connection.execute("PRAGMA foreign_keys = OFF")
        for statement in statements:
            connection.execute(statement)
        connection.execute("PRAGMA foreign_keys = ON")

    loop_thread.submit(run).result()


async def test_a_sound_queue_has_nothing_to_tell(queue: JobQueue, spool: Path, tmp_path: Path) -> None:
    for name in "abc":
        await done(queue, tmp_path, name)
    await queue.add("/x/waits.mp3", JobOptions(), IDENTITY)
    (spool / "4").mkdir()
    assert await check(queue, spool) == CheckView(jobs=4, results=3)


async def test_results_that_are_gone_changed_or_closed_are_told_and_left_as_they_are(
    queue: JobQueue, spool: Path, tmp_path: Path
) -> None:
    gone, changed, link = [await done(queue, tmp_path, name) for name in ("gone", "changed", "link")]
    gone.unlink()
    changed.write_text("corrected by hand")
    link.rename(tmp_path / "elsewhere")
    link.symlink_to(tmp_path / "elsewhere")
    before = {file.name: file.read_bytes() for file in tmp_path.glob("*.srt")}
    for repair in (False, True):
        found = await check(queue, spool, repair=repair)
        assert {one.check: one.state for one in found.irregularities} == {
            "result_missing": "warning",
            "result_changed": "ok",
            "result_unreadable": "warning",
        }
        assert not found.is_whole
    assert {file.name: file.read_bytes() for file in tmp_path.glob("*.srt")} == before


HARMS = {
    "counts": ("UPDATE job_counts SET jobs = 7 WHERE status = 'done'",),
    "segments": ("INSERT INTO segments VALUES (99, 0, '{}', 'segment', 0)",),
    "follow_ups": ("INSERT INTO errands (job_id, kind, event, due_at) VALUES (99, 'hook', 'done', 0)",),
    "reserved_names": ("INSERT INTO output_files VALUES ('/x/reserved.srt', '/x/a.mp3', 99, NULL, NULL)",),
    "ages": ("UPDATE jobs SET finished_age = NULL WHERE status = 'done'",),
    "seen_files": (
        "UPDATE jobs SET watch = '/x', identity = json_set(identity, '$.sha256', 'aa') WHERE status = 'done'",
    ),
    "stray_job": ("UPDATE jobs SET status = 'aligning' WHERE status = 'waiting'",),
}


@pytest.mark.parametrize("name", HARMS)
async def test_each_harm_is_named_and_mended_once_and_nothing_else_is_touched(
    queue: JobQueue, spool: Path, tmp_path: Path, name: str
) -> None:
    file = await done(queue, tmp_path, "a")
    await queue.add("/x/waits.mp3", JobOptions(), IDENTITY)
    await harm(queue, *HARMS[name])
    found = await check(queue, spool)
    assert [(one.check, one.repaired) for one in found.irregularities] == [(name, False)]
    assert "--repair" in found.irregularities[0].remedy and not found.is_whole
    assert [one.check for one in (await check(queue, spool)).irregularities] == [name], "a look changes nothing"
    fixed = await check(queue, spool, repair=True)
    assert [(one.check, one.repaired) for one in fixed.irregularities] == [(name, True)] and fixed.is_whole
    assert await check(queue, spool) == CheckView(jobs=2, results=1)
    assert file.read_text() == "words of a"


async def test_follow_ups_of_a_job_that_is_not_over_are_struck(queue: JobQueue, spool: Path) -> None:
    job = await queue.add("/x/a.mp3", JobOptions(), IDENTITY)
    await queue.database.write(lambda db: write_follow_ups(db, job.id, [NewFollowUp("hook", "done")], 0.0))
    assert [one.check for one in (await check(queue, spool)).irregularities] == ["follow_ups"]
    assert (await check(queue, spool, repair=True)).is_whole
    assert await queue.follow_ups.first("hook", skip=()) is None


async def test_sound_of_jobs_that_are_over_or_forgotten_is_removed_and_that_of_others_stays(
    queue: JobQueue, spool: Path, tmp_path: Path
) -> None:
    await done(queue, tmp_path, "a")
    await queue.add("/x/waits.mp3", JobOptions(), IDENTITY)
    for name in ("1", "2", "50", "77", "canary"):
        (spool / name).mkdir()
        (spool / name / "audio.s16").write_bytes(b"\0")
    found = await check(queue, spool)
    assert [one.check for one in found.irregularities] == ["spool", "spool"]
    assert (await check(queue, spool, repair=True)).is_whole
    assert sorted(one.name for one in spool.iterdir()) == ["2", "77", "canary"]


async def test_a_job_that_is_being_claimed_is_no_stray(queue: JobQueue, spool: Path) -> None:
    """Claimed by the book, and its task comes a moment later: a repair must not make a twin of it."""
    claiming, in_hand = asyncio.Lock(), set[int]()
    job = await queue.add("/x/a.mp3", JobOptions(), IDENTITY)

    async def claim() -> None:
        async with claiming:
            await queue.claim_next()
            await asyncio.sleep(0.05)
            in_hand.add(job.id)

    claimed = asyncio.create_task(claim())
    await asyncio.sleep(0)
    found = await QueueCheck(queue, spool, in_hand.__contains__, claiming).run(repair=True)
    await claimed
    assert found.irregularities == ()
    assert (await queue.get(job.id)).status == "transcribing"
