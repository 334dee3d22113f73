"""What is left to do after a job: decided, stored with its end, and taken off; old databases learn of it.

Runs in: the test process.
"""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from asked_queue import jobs_in, was_seen, written_for

from config.settings import HookSettings, QueueSettings
from config.watch_entry import WatchEntry
from ipc.api_messages import JobOptions
from supervisor.disks.file_identity import FileIdentity
from supervisor.followups.rules import command_after, folder_after, follow_ups_after, seconds_before_retry
from supervisor.store.job import Job, WrittenFile
from supervisor.store.jobs import JobQueue
from supervisor.store.outbox import Event, NewFollowUp
from supervisor.store.sqlite import database as database_file

IDENTITY = FileIdentity(device=1, inode=2**64 - 2, size=3, mtime_ns=4, sha256="aa")
OPTIONS = JobOptions()
NOW = 1_000_000.0
TELL = HookSettings(on_done=("tell",), on_failed=("cry",), on_degraded=("sigh",))


class Everything:
    """An aftermath that wants a move and a hook after every ending."""

    def __init__(self) -> None:
        self.woken = 0

    def after(self, job: Job, event: Event) -> Sequence[NewFollowUp]:
        return (NewFollowUp("move_recording", event), NewFollowUp("hook", event))

    def wake(self) -> None:
        self.woken += 1


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[JobQueue]:
    queue = await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings(), lambda: NOW)
    queue.aftermath = Everything()
    yield queue
    await queue.close()


async def ended(queue: JobQueue, path: str = "/w/a.m4a", how: str = "done") -> Job:
    job = await queue.add(path, OPTIONS, IDENTITY)
    await queue.claim_next()
    await queue.move(job.id, "writing", outputs={"srt": WrittenFile(path.replace(".m4a", ".srt"), None)})
    outputs = {"srt": WrittenFile(path.replace(".m4a", ".srt"), "bb")}
    return await queue.move(job.id, how, outputs=outputs)  # type: ignore[arg-type]


async def left_to_do(queue: JobQueue) -> list[tuple[int, str, str]]:
    rows = await queue._database.rows("SELECT job_id, kind, event FROM errands ORDER BY id")
    return [tuple(row) for row in rows]


def job(degraded_reason: str | None = None) -> Job:
    return Job(
        id=1,
        path="/w/a.m4a",
        options=OPTIONS,
        status="done",
        identity=IDENTITY,
        created_at=0.0,
        degraded_reason=degraded_reason,
        watch="/w",
    )


def test_the_end_decides_what_follows() -> None:
    entry = WatchEntry(path=Path("/w"), done=Path("done"), failed=Path("/elsewhere"))
    move_done, hook_done = NewFollowUp("move_recording", "done"), NewFollowUp("hook", "done")
    assert follow_ups_after(job(), "done", entry, TELL) == (move_done, hook_done)
    assert follow_ups_after(job("aligner_crashed"), "done", entry, TELL) == (
        move_done,
        hook_done,
        NewFollowUp("hook", "degraded"),
    )
    assert follow_ups_after(job("alignment_off"), "done", None, TELL) == (hook_done,), "nobody wanted words"
    assert follow_ups_after(job(), "upgraded", entry, TELL) == (NewFollowUp("hook", "upgraded"),)
    assert follow_ups_after(job(), "failed", entry, HookSettings()) == (NewFollowUp("move_recording", "failed"),)
    assert follow_ups_after(job(), "failed", WatchEntry(path=Path("/w")), HookSettings()) == ()
    assert folder_after("done", entry) == Path("/w/done")
    assert folder_after("failed", entry) == Path("/elsewhere")


def test_a_folders_own_command_stands_before_the_common_one_even_an_empty_one() -> None:
    entry = WatchEntry(path=Path("/w"), on_done=("mine",), on_failed=())
    assert command_after("done", entry, TELL) == command_after("upgraded", entry, TELL) == ("mine",)
    assert command_after("failed", entry, TELL) == ()
    assert command_after("degraded", entry, TELL) == ("sigh",)
    assert command_after("done", None, TELL) == ("tell",)


def test_waits_double_up_to_an_hour() -> None:
    assert [seconds_before_retry(tries) for tries in (1, 2, 3, 12, 10_000)] == [2.0, 4.0, 8.0, 3600.0, 3600.0]


async def test_errands_are_stored_with_the_end_and_taken_back_with_it(queue: JobQueue) -> None:
    done = await ended(queue)
    failed = await ended(queue, "/w/b.m4a", "failed")
    cancelled = await ended(queue, "/w/c.m4a", "cancelled")
    both = [("move_recording", "done"), ("hook", "done"), ("move_recording", "failed"), ("hook", "failed")]
    assert await left_to_do(queue) == [
        (id, kind, event) for id, (kind, event) in zip([done.id] * 2 + [failed.id] * 2, both, strict=True)
    ]
    await queue.retry(failed.id)
    await queue.retry(cancelled.id)
    assert [row[0] for row in await left_to_do(queue)] == [done.id] * 2
    await queue.finish_upgrade(done.id, timing="word", degraded_reason=None)
    assert (await left_to_do(queue))[-1] == (done.id, "hook", "upgraded")
    assert isinstance(queue.aftermath, Everything) and queue.aftermath.woken > 0


async def test_a_refused_end_leaves_nothing_to_do(queue: JobQueue) -> None:
    done = await ended(queue)
    before = await left_to_do(queue)
    with pytest.raises(Exception, match="cannot become"):
        await queue.move(done.id, "failed")
    assert await left_to_do(queue) == before


async def test_a_hook_waits_until_the_move_of_its_recording_was_tried(queue: JobQueue) -> None:
    first, second = await ended(queue), await ended(queue, "/w/b.m4a")
    follow_ups = queue.follow_ups
    assert await follow_ups.first("hook", ()) is None
    move = await follow_ups.first("move_recording", ())
    assert move is not None and move.job_id == first.id
    assert (await follow_ups.first("move_recording", {move.id})).job_id == second.id  # type: ignore[union-attr]  # None fails
    await follow_ups.put_off(move, 1, NOW + 60)
    hook = await follow_ups.first("hook", ())
    assert hook is not None and hook.job_id == first.id
    assert (await follow_ups.first("move_recording", ())).job_id == second.id  # type: ignore[union-attr]  # None fails
    await follow_ups.strike(hook)
    await follow_ups.strike(move)
    assert [row[0] for row in await left_to_do(queue)] == [second.id] * 2


async def test_a_moved_recording_takes_its_jobs_and_files_with_it(queue: JobQueue) -> None:
    older = await ended(queue)
    await queue.change(older.id, outputs={"txt": WrittenFile("/out/a.txt", "cc")})
    mine, stranger = await ended(queue), await ended(queue, "/w/b.m4a")
    other_content = await queue.add("/w/a.m4a", OPTIONS, replace(IDENTITY, mtime_ns=9))
    await queue.move(other_content.id, "cancelled", outputs={"md": WrittenFile("/out/a.md", "dd")})
    move = next(e for e in [await queue.follow_ups.first("move_recording", {1})] if e is not None)
    assert move.job_id == mine.id
    there = replace(IDENTITY, inode=77)
    moved = await queue.follow_ups.recording_moved(move, Path("/w/done/a.m4a"), there)
    assert (moved.path, moved.taken_from, moved.first_path) == ("/w/done/a.m4a", "/w/a.m4a", "/w/a.m4a")
    assert moved.identity == there
    followed = await queue.get(older.id)
    assert (followed.path, followed.taken_from, followed.identity) == ("/w/done/a.m4a", "/w/a.m4a", there)
    assert (await queue.get(other_content.id)).path == "/w/a.m4a"
    assert (await queue.get(stranger.id)).path == "/w/b.m4a"
    assert await written_for(queue, "/w/a.m4a") == {}, "the next one of that name must not have them"
    assert await written_for(queue, "/w/done/a.m4a") == {
        "/w/a.srt": "bb",
        "/out/a.txt": "cc",
        "/out/a.md": "dd",
    }
    assert move.id not in [row[0] for row in await queue._database.rows("SELECT id FROM errands")]
    again = await queue.follow_ups.recording_moved(move, Path("/w/archive/a.m4a"), there)
    assert again.taken_from == "/w/a.m4a", "where it was first"


async def test_a_recording_that_another_job_needs_is_known_to_be_needed(queue: JobQueue) -> None:
    done = await ended(queue)
    assert not await queue.follow_ups.others_need(done)
    waiting = await queue.add("/w/a.m4a", OPTIONS, IDENTITY)
    assert await queue.follow_ups.others_need(done)
    await queue.move(waiting.id, "cancelled")
    assert not await queue.follow_ups.others_need(done)


async def test_a_database_of_the_first_version_goes_on_with_all_its_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "jobs.sqlite3"
    with closing(sqlite3.connect(place)) as old:
        old.executescript(database_file.SCHEMA_SCRIPTS[0].read_text("utf-8"))
        old.execute(f"PRAGMA application_id = {database_file.APPLICATION_ID}")
        old.execute("PRAGMA user_version = 1")
        as_json = '{"device":1,"inode":2,"size":3,"mtime_ns":4,"sha256":"aa"}'
        for status in ("done", "failed", "transcribing", "waiting"):
            old.execute(
                "INSERT INTO jobs (path, options, status, identity, created_at) VALUES (?, ?, ?, ?, 5.0)",
                (f"/w/{status}.m4a", '{"language":"de"}', status, as_json),
            )
        old.execute("INSERT INTO seen_files VALUES ('/w/done.m4a', 'aa', '2', 3, 4)")
        old.execute("INSERT INTO output_files VALUES ('/w/done.srt', '/w/done.m4a', 1, 'bb')")
        old.commit()
    queue = await JobQueue.open(place, QueueSettings(), lambda: NOW)
    queue.aftermath = Everything()
    jobs = await jobs_in(queue)
    assert [job.status for job in jobs] == ["waiting", "waiting", "failed", "done"]
    assert {(job.watch, job.taken_from, job.options.language) for job in jobs} == {(None, None, "de")}
    assert await was_seen(queue, "/w/done.m4a", FileIdentity(1, 2, 3, 4))
    assert await written_for(queue, "/w/done.m4a") == {"/w/done.srt": "bb"}
    assert await left_to_do(queue) == [], "what ended before anybody knew of errands has none"
    claimed = await queue.claim_next()
    assert claimed is not None and claimed.path == "/w/transcribing.m4a"
    await queue.move(claimed.id, "writing")
    await queue.move(claimed.id, "done")
    assert len(await left_to_do(queue)) == 2
    await queue.close()
    queue = await JobQueue.open(place, QueueSettings(), lambda: NOW)
    assert len(await left_to_do(queue)) == 2
    await queue.close()
