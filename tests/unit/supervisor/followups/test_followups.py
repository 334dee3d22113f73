"""Errands in line: bounded, durable, in nobody's way, and never about a recording that somebody has in hand.

Runs in: the test process. No hook is started.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asked_queue import add_from_watch
from eventually import eventually_async

from config.settings import QueueSettings, Settings
from config.watch_entry import WatchEntry
from ipc.api_messages import JobOptions
from supervisor.disks.file_identity import FileIdentity, read_identity
from supervisor.followups import outbox_runner
from supervisor.followups import rules as aftermath
from supervisor.followups.followups import FollowUps
from supervisor.followups.outbox_runner import OutboxRunner, RetryAfter
from supervisor.jobs.recordings import RecordingLocks, RecordingSearch
from supervisor.progress.board import JobBoard
from supervisor.progress.event_bus import EventBus
from supervisor.store.job import Job
from supervisor.store.jobs import JobQueue
from supervisor.store.outbox import Event, FollowUp, NewFollowUp, Outbox
from supervisor.store.sqlite.database import JobQueueBroken
from supervisor.system.reload import LiveSettings


class OneHook:
    """An aftermath that wants a hook after every ending."""

    def after(self, job: Job, event: Event) -> Sequence[NewFollowUp]:
        return (NewFollowUp("hook", event),)

    def wake(self) -> None:
        pass


class Worker:
    """Does follow-ups as the test says, and remembers."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.at_once = self.most_at_once = 0
        self.go = asyncio.Event()
        self.answers: list[RetryAfter | Exception | None] = []

    async def __call__(self, follow_up: FollowUp) -> RetryAfter | None:
        self.begun.append(follow_up.job_id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.go.wait()
        finally:
            self.at_once -= 1
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[JobQueue]:
    queue = await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings())
    queue.aftermath = OneHook()
    yield queue
    await queue.close()


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_runner, "LOOK_AGAIN_SECONDS", 0.02)
    monkeypatch.setattr(aftermath, "FIRST_RETRY_SECONDS", 0.02)


async def finish(queue: JobQueue, path: str = "/x/a.m4a", identity: FileIdentity | None = None) -> Job:
    job = await add_from_watch(queue, path, JobOptions(), identity or FileIdentity(1, 2, 3, 4, path), "/w")
    assert job is not None
    await queue.claim_next()
    await queue.move(job.id, "writing")
    return await queue.move(job.id, "done")


async def left(queue: JobQueue) -> int:
    (row,) = await queue._database.rows("SELECT count(*) FROM errands")
    return int(row[0])


@asynccontextmanager
async def running(line: OutboxRunner | FollowUps) -> AsyncIterator[None]:
    task = asyncio.create_task(line.run())
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait([task])


def line_of(queue: JobQueue, worker: Worker) -> OutboxRunner:
    line = OutboxRunner("hook", 2, queue.follow_ups, worker, lambda: line.wake())
    return line


async def test_only_so_many_run_at_once_and_the_oldest_go_first(queue: JobQueue) -> None:
    worker = Worker()
    jobs = [(await finish(queue, f"/x/{n}.m4a")).id for n in range(5)]
    async with running(line_of(queue, worker)):
        await eventually_async(lambda: len(worker.begun) == 2)
        worker.go.set()
        await eventually_async(lambda: len(worker.begun) == 5)
    assert worker.begun == jobs and worker.most_at_once == 2


async def test_one_that_is_to_be_tried_again_is_and_a_mistake_of_ours_costs_one_errand(queue: JobQueue) -> None:
    worker = Worker()
    worker.go.set()
    worker.answers = [(1, 0.02), RuntimeError("a bug"), None, None]
    await finish(queue)
    line = line_of(queue, worker)
    async with running(line):
        await eventually_async(lambda: len(worker.begun) == 2)
        second = await finish(queue, "/x/b.m4a")
        line.wake()
        await eventually_async(lambda: worker.begun[2:] == [second.id])
        for _ in range(100):
            if not await left(queue):
                break
            await asyncio.sleep(0.01)
    assert await left(queue) == 0


async def test_what_cannot_be_noted_down_is_not_done_again_because_of_that(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, refused = Worker(), 0
    worker.go.set()
    strike = Outbox.strike

    async def full(rows: Outbox, follow_up: FollowUp) -> None:
        nonlocal refused
        refused += 1
        if refused < 4:
            raise JobQueueBroken("disk_full", "the disk is full", "free some space")
        await strike(rows, follow_up)

    monkeypatch.setattr(Outbox, "strike", full)
    await finish(queue)
    line = line_of(queue, worker)
    async with running(line):
        await eventually_async(lambda: refused == 4)
        line.wake()
        await asyncio.sleep(0.05)
    assert len(worker.begun) == 1 and await left(queue) == 0


async def test_a_stop_leaves_an_errand_in_hand_for_the_next_start(queue: JobQueue) -> None:
    worker = Worker()
    await finish(queue)
    for starts in (1, 2):
        async with running(line_of(queue, worker)):
            await eventually_async(lambda starts=starts: len(worker.begun) == starts)  # type: ignore[misc]
    assert await left(queue) == 1


def follow_ups_for(queue: JobQueue, recordings: RecordingLocks, entry: WatchEntry | None) -> FollowUps:
    board = JobBoard(EventBus())
    search = RecordingSearch(queue)
    follow_ups = FollowUps(
        queue, board, recordings, search, LiveSettings(Settings()), lambda path: entry if path == "/w" else None
    )
    queue.aftermath = follow_ups
    return follow_ups


async def test_a_recording_that_somebody_has_in_hand_is_moved_afterwards(queue: JobQueue, tmp_path: Path) -> None:
    source, recordings = tmp_path / "a.m4a", RecordingLocks()
    source.write_bytes(b"sound")
    follow_ups = follow_ups_for(queue, recordings, WatchEntry(path=tmp_path, done=Path("done")))
    job = await finish(queue, str(source), read_identity(source))
    async with running(follow_ups):
        async with recordings.of(job.id):
            await asyncio.sleep(0.1)
            assert source.exists()
        await eventually_async((tmp_path / "done" / "a.m4a").exists)
        await eventually_async(lambda: not source.exists())


async def test_a_folder_that_is_not_watched_any_more_keeps_its_recordings(queue: JobQueue, tmp_path: Path) -> None:
    source = tmp_path / "a.m4a"
    source.write_bytes(b"sound")
    follow_ups_for(queue, RecordingLocks(), WatchEntry(path=tmp_path, done=Path("done")))
    await finish(queue, str(source), read_identity(source))
    assert await left(queue) == 1
    async with running(follow_ups_for(queue, RecordingLocks(), None)):
        for _ in range(200):
            if not await left(queue):
                break
            await asyncio.sleep(0.01)
    assert await left(queue) == 0 and source.exists() and not (tmp_path / "done").exists()


async def test_a_retry_takes_the_recording_where_it_was_moved_to(queue: JobQueue, tmp_path: Path) -> None:
    source = tmp_path / "a.m4a"
    source.write_bytes(b"sound")
    follow_ups = follow_ups_for(queue, RecordingLocks(), WatchEntry(path=tmp_path, failed=Path("failed")))
    job = await add_from_watch(queue, str(source), JobOptions(), read_identity(source), "/w")
    assert job is not None
    await queue.move(job.id, "failed")
    async with running(follow_ups):
        await eventually_async(lambda: not source.exists())
        for _ in range(200):
            if (await queue.get(job.id)).path != str(source):
                break
            await asyncio.sleep(0.01)
    claimed = await queue.retry(job.id)
    assert claimed.path == str(tmp_path / "failed" / "a.m4a")
    assert claimed.first_path == str(source)


async def test_a_stop_in_the_middle_of_a_copy_leaves_no_half_of_it(
    queue: JobQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, half = tmp_path / "a.m4a", tmp_path / "half"
    source.write_bytes(b"sound")
    began = threading.Event()

    def endless(*arguments: Any) -> None:
        heartbeat = arguments[-1]
        half.write_text("")
        began.set()
        try:
            while True:
                time.sleep(0.01)
                heartbeat("source")
        finally:
            half.unlink()

    monkeypatch.setattr("supervisor.followups.archive_moves.move_recording", endless)
    follow_ups = follow_ups_for(queue, RecordingLocks(), WatchEntry(path=tmp_path, done=Path("done")))
    await finish(queue, str(source), read_identity(source))
    async with running(follow_ups):
        await eventually_async(began.is_set)
    assert not half.exists() and source.exists() and await left(queue) == 1
