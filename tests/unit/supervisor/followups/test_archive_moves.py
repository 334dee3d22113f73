"""Moves into `done`: a dead disk keeps only its own, late ends are noticed, renamed recordings are followed.

Runs in: the test process. A folder is said to be a disk; threads hang in the very call that renames.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from asked_queue import add_from_watch
from eventually import eventually_async
from structlog.testing import capture_logs

from config.settings import QueueSettings, Settings
from config.watch_entry import WatchEntry
from ipc.api_messages import JobOptions
from supervisor.disks import foreign_disks
from supervisor.disks.file_identity import look_at, read_identity
from supervisor.disks.foreign_disks import ForeignDisks
from supervisor.disks.held_folder import HeldFolder
from supervisor.disks.mounts import Mount
from supervisor.followups import rules as aftermath
from supervisor.followups.followups import MOVES_AT_ONCE, FollowUps
from supervisor.jobs.recordings import RecordingLocks, RecordingSearch
from supervisor.progress.board import JobBoard
from supervisor.progress.event_bus import EventBus
from supervisor.store.job import Job
from supervisor.store.jobs import JobQueue
from supervisor.system.reload import LiveSettings
from supervisor.watch.scan import SeenFile

ROOT = Mount("/", "ext4", "1")


class Disks:
    """Two watched folders on disks of their own; one of them may die."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dying, self.good = folder / "dying", folder / "good"
        for inbox in (self.dying, self.good):
            (inbox / "done").mkdir(parents=True)
        self.answers = threading.Event()
        self.answers.set()
        self.stuck = 0
        monkeypatch.setattr(HeldFolder, "give_name", self._hanging(HeldFolder.give_name))
        foreign_disks._OF_LOOP[asyncio.get_running_loop()] = self.touched = ForeignDisks(
            mounts=lambda: [ROOT, Mount(str(self.dying), "nfs4", "7"), Mount(str(self.good), "nfs4", "8")],
            look_seconds=0.3,
            work_seconds=0.3,
            first_probe_seconds=3_600.0,
        )

    def _hanging(self, call: Callable[..., None]) -> Callable[..., None]:
        def give_name(folder: HeldFolder, *arguments: object) -> None:
            if not self.answers.is_set() and str(folder.path).startswith(str(self.dying)):
                self.stuck += 1
                self.answers.wait()
            call(folder, *arguments)

        return give_name


@pytest.fixture
async def disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Disks]:
    monkeypatch.setattr(aftermath, "FIRST_RETRY_SECONDS", 0.02)
    disks = Disks(tmp_path, monkeypatch)
    yield disks
    disks.answers.set()
    disks.touched.close()


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[JobQueue]:
    queue = await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings())
    yield queue
    await queue.close()


@asynccontextmanager
async def follow_ups_of(queue: JobQueue, *inboxes: Path) -> AsyncIterator[None]:
    """Runs them for these watched folders."""
    entries = {str(inbox): WatchEntry(path=inbox, done=Path("done"), failed=Path("done")) for inbox in inboxes}
    search = RecordingSearch(queue)

    async def look(may_be: Callable[[SeenFile], bool]) -> list[tuple[SeenFile, WatchEntry]]:
        files = [
            (SeenFile(str(path), look_at(path), 0), entry)
            for entry in entries.values()
            for path in entry.path.iterdir()
            if path.is_file()
        ]
        return [one for one in files if may_be(one[0])]

    search.look = look
    follow_ups = FollowUps(
        queue, JobBoard(EventBus()), RecordingLocks(), search, LiveSettings(Settings()), entries.get
    )
    queue.aftermath = follow_ups
    task = asyncio.create_task(follow_ups.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def record(path: Path) -> None:
    path.write_bytes(path.name.encode() * 100)


async def finish(queue: JobQueue, path: Path, status: Literal["done", "failed"] = "done") -> Job:
    record(path)
    job = await add_from_watch(queue, str(path), JobOptions(), read_identity(path), str(path.parent))
    assert job is not None
    await queue.claim_next()
    await queue.move(job.id, "writing")
    return await queue.move(job.id, status)


async def moves(queue: JobQueue) -> list[tuple[int, int]]:
    """Job → tries, of those still to be made."""
    rows = await queue._database.rows("SELECT job_id, tries FROM errands ORDER BY job_id")
    return [(row[0], row[1]) for row in rows]


async def all_moved(queue: JobQueue) -> None:
    for _ in range(1_000):
        if not await moves(queue):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(await moves(queue))


async def test_moves_on_a_dead_disk_hold_up_no_other_and_are_made_when_it_is_back(
    queue: JobQueue, disks: Disks
) -> None:
    disks.answers.clear()
    async with follow_ups_of(queue, disks.dying, disks.good):
        held = [await finish(queue, disks.dying / f"{n}.wav") for n in range(MOVES_AT_ONCE + 3)]
        await eventually_async(lambda: disks.stuck == MOVES_AT_ONCE)
        other = await finish(queue, disks.good / "a.wav")
        with capture_logs() as story:
            await eventually_async((disks.good / "done" / "a.wav").exists)
            await eventually_async(lambda: len(disks.touched.silent) == 1)
            for _ in range(500):
                if all(tries > 1 for _, tries in await moves(queue)):
                    break
                await asyncio.sleep(0.01)
        assert [job for job, _ in await moves(queue)] == [job.id for job in held]
        assert (await queue.get(other.id)).path == str(disks.good / "done" / "a.wav")
        assert disks.stuck == MOVES_AT_ONCE, "a disk that is known to be silent is given no more threads"
        put_off = [line for line in story if line["event"] == "recording_not_moved_yet"]
        assert {line["job"] for line in put_off} >= {job.id for job in held[MOVES_AT_ONCE:]}
        assert all("does not answer" in line["error"] and str(disks.dying) in line["error"] for line in put_off)
        disks.answers.set()
        await all_moved(queue)
        for job in held:
            assert (await queue.get(job.id)).path == str(disks.dying / "done" / Path(job.path).name)
    assert not list(disks.dying.glob("*.wav")) and len(list((disks.dying / "done").iterdir())) == len(held)


async def test_a_move_that_was_given_up_and_is_made_late_is_told_even_if_the_job_was_taken_back(
    queue: JobQueue, disks: Disks
) -> None:
    disks.answers.clear()
    async with follow_ups_of(queue, disks.dying):
        job = await finish(queue, disks.dying / "a.wav", "failed")
        await eventually_async(lambda: disks.touched.silent)
        again = await queue.retry(job.id)
        assert again.status == "waiting" and await moves(queue) == []
        disks.answers.set()
        new = disks.dying / "done" / "a.wav"
        for _ in range(500):
            if (await queue.get(job.id)).path == str(new):
                break
            await asyncio.sleep(0.01)
    assert (await queue.get(job.id)).path == str(new) and new.exists()


async def test_a_disk_that_dies_under_a_copy_is_the_one_to_blame(
    queue: JobQueue, disks: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copies(
        source: object, known: object, folder: object, names: object, heartbeat: Callable[[str], None]
    ) -> None:
        heartbeat("target")
        heartbeat("source")
        heartbeat("target")
        disks.answers.wait()

    monkeypatch.setattr("supervisor.followups.archive_moves.move_recording", copies)
    disks.answers.clear()
    entries = WatchEntry(path=disks.good, done=disks.dying / "done")
    follow_ups = FollowUps(
        queue,
        JobBoard(EventBus()),
        RecordingLocks(),
        RecordingSearch(queue),
        LiveSettings(Settings()),
        lambda path: entries,
    )
    queue.aftermath = follow_ups
    task = asyncio.create_task(follow_ups.run())
    await finish(queue, disks.good / "a.wav")
    await eventually_async(lambda: disks.touched.silent)
    assert [silence.disk for silence in disks.touched.silent] == [str(disks.dying)]
    assert await disks.touched.look(disks.good, lambda: "answers") == "answers"
    assert disks.touched._held["8"] == 0, "its thread counts at the disk that holds it"
    task.cancel()
    await asyncio.wait([task])


async def renamed_before_its_move(queue: JobQueue, disks: Disks, rename: Callable[[Path], object]) -> Job:
    """The job, when nothing is left to be done for it."""
    entry = {str(disks.good): WatchEntry(path=disks.good, done=Path("done"))}
    queue.aftermath = FollowUps(
        queue, JobBoard(EventBus()), RecordingLocks(), RecordingSearch(queue), LiveSettings(Settings()), entry.get
    )
    job = await finish(queue, disks.good / "a.wav")
    rename(disks.good / "a.wav")
    async with follow_ups_of(queue, disks.good):
        await all_moved(queue)
    return await queue.get(job.id)


async def test_a_recording_renamed_before_it_was_moved_is_followed(queue: JobQueue, disks: Disks) -> None:
    job = await renamed_before_its_move(queue, disks, lambda path: path.rename(path.with_name("b.wav")))
    assert job.path == str(disks.good / "done" / "b.wav")
    assert not list(disks.good.glob("*.wav")) and (disks.good / "done" / "b.wav").exists()


async def test_a_newcomer_under_the_old_name_stays_and_the_recording_is_moved(queue: JobQueue, disks: Disks) -> None:
    def exchange(path: Path) -> None:
        path.rename(path.with_name("b.wav"))
        path.write_bytes(b"another meeting")

    job = await renamed_before_its_move(queue, disks, exchange)
    assert job.path == str(disks.good / "done" / "b.wav")
    assert [path.name for path in disks.good.glob("*.wav")] == ["a.wav"]
    assert (disks.good / "a.wav").read_bytes() == b"another meeting"


async def test_a_recording_that_is_nowhere_to_be_found_is_given_up_and_the_log_says_so(
    queue: JobQueue, disks: Disks, tmp_path: Path
) -> None:
    def take_away(path: Path) -> None:
        path.rename(tmp_path / "elsewhere.wav")
        path.write_bytes(b"another meeting")

    with capture_logs() as story:
        job = await renamed_before_its_move(queue, disks, take_away)
    (line,) = [line for line in story if line["event"] == "recording_not_moved"]
    assert line["job"] == job.id and "not found under another name" in line["why"]
    assert job.path == str(disks.good / "a.wav") and not list((disks.good / "done").iterdir())
    assert (disks.good / "a.wav").read_bytes() == b"another meeting" and (tmp_path / "elsewhere.wav").exists()
