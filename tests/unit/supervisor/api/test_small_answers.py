"""Fifty thousand files and ten thousand jobs: answers stay small, and nobody waits for somebody else's."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import pytest
from fake_intake import settings_for
from structlog.testing import capture_logs

from config.settings import QueueSettings
from ipc.api_messages import JobView
from ipc.vocabulary import JobStatus
from supervisor.api.app import array_of
from supervisor.api.service import JOBS_AT_ONCE, jobs_page
from supervisor.disks.file_identity import FileIdentity
from supervisor.progress.board import JobBoard
from supervisor.progress.event_bus import EventBus
from supervisor.store.job import Job
from supervisor.store.jobs import JobQueue
from supervisor.system.reload import LiveSettings
from supervisor.watch.folder_state import FolderCondition
from supervisor.watch.scan import FolderScan, PassedOver, SeenFile
from supervisor.watch.settling import FILES_AT_ONCE, FolderMemory
from supervisor.watch.watcher import WatchFolders

FILES, JOBS = 50_000, 10_000
ATTEMPT = {"role": "transcriber", "engine": "mlx", "outcome": "done", "phase": None, "at": "2026-11-30T12:00:00Z"}


@dataclass(slots=True)
class Turns:
    """How much is done on the loop between two turns of others. Counted, not timed: the machine may be busy."""

    done: int = 0
    """Since the last turn."""
    most: int = 0

    def count(self, items: int) -> None:
        self.done += items
        self.most = max(self.most, self.done)


@asynccontextmanager
async def turns() -> AsyncIterator[Turns]:
    counted = Turns()

    async def take_turns() -> None:
        while True:
            counted.done = 0
            await asyncio.sleep(0)

    taking_turns = asyncio.create_task(take_turns())
    try:
        yield counted
    finally:
        taking_turns.cancel()


class CountedFiles(Sequence[SeenFile]):
    """Files that count how many of them are looked at."""

    def __init__(self, files: Sequence[SeenFile], count: Callable[[int], None]) -> None:
        self._files = files
        self._count = count

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, place: int) -> SeenFile: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[SeenFile]: ...
    def __getitem__(self, place: int | slice) -> SeenFile | Sequence[SeenFile]:
        found = self._files[place]
        self._count(1 if isinstance(found, SeenFile) else len(found))
        return found

    def __iter__(self) -> Iterator[SeenFile]:
        self._count(len(self._files))
        return iter(self._files)


class CountedBoard(JobBoard):
    """A board that counts the jobs it tells of."""

    count: Callable[[int], None]

    def view(self, job: Job) -> JobView:
        self.count(1)
        return super().view(job)


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[JobQueue]:
    """With ten thousand jobs, each with a story."""
    queue = await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings())
    outputs = {
        form: {"path": f"/rec/a long name of a recording.{form}", "sha256": "0" * 64} for form in ("srt", "json")
    }
    row = ("{}", "done", '{"device":1,"inode":2,"size":3,"mtime_ns":4}', 0.0, 0.0, json.dumps([ATTEMPT] * 2))
    await queue._database.write(
        lambda db: db.executemany(
            """INSERT INTO jobs (path, outputs, options, status, identity, created_at, finished_at, attempts)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
            [(f"/rec/{number}.wav", json.dumps(outputs), *row) for number in range(JOBS)],
        )
    )
    yield queue
    await queue.close()


async def test_three_clients_that_page_through_ten_thousand_jobs_hold_nobody_up(queue: JobQueue) -> None:
    board = CountedBoard(EventBus())

    async def all_pages(status: JobStatus | None) -> list[bytes]:
        pages: list[bytes] = []
        before: int | None = None
        while True:
            page = await jobs_page(queue, board, status, 1_000, before)
            pages.append(b"".join([piece async for piece in array_of(page.views)]))
            before = page.next_before
            if before is None:
                return pages

    async with turns() as told:
        board.count = told.count
        lists = await asyncio.gather(all_pages(None), all_pages("done"), all_pages(None))
    for pages in lists:
        assert max(map(len, pages)) < 1_000_000
        assert [job["id"] for page in pages for job in json.loads(page)] == list(range(JOBS, 0, -1))
    assert 0 < told.most <= len(lists) * JOBS_AT_ONCE <= 100


async def test_a_look_at_fifty_thousand_files_holds_nobody_up() -> None:
    files = tuple(SeenFile(f"/rec/{n}.wav", FileIdentity(1, n + 1, 3, n), 0) for n in range(FILES))
    done_before = {seen.path for seen in files[::2]}
    asked_at_once = []

    async def known(asked: Sequence[tuple[str, FileIdentity]]) -> frozenset[str]:
        asked_at_once.append(len(asked))
        return frozenset(path for path, _ in asked if path in done_before)

    memory = FolderMemory(known)
    async with turns() as looked_at:
        files_seen = CountedFiles(files, looked_at.count)
        assert await memory.settled(files_seen, 0.0, 1.0, settle_seconds=5.0) == []
        assert (memory.growing_count, len(memory.growing(20))) == (FILES // 2, 20)
        assert memory.next_look(5.0) == 6.0
        settled = await memory.settled(files_seen, 10.0, 11.0, settle_seconds=5.0)
        for seen in settled:
            memory.deal_with(seen)
        assert await memory.settled(files_seen, 20.0, 21.0, settle_seconds=5.0) == []
        assert await memory.settled(files[:10], 30.0, 31.0, settle_seconds=5.0) == []
    assert settled == [seen for seen in files if seen.path not in done_before]
    assert max(asked_at_once) <= FILES_AT_ONCE
    assert 0 < looked_at.most <= FILES_AT_ONCE <= 500


async def test_of_fifty_thousand_files_that_grow_or_are_passed_over_a_few_are_named_and_all_are_counted(
    tmp_path: Path,
) -> None:
    async def known(asked: object) -> frozenset[str]:
        return frozenset()

    async def take(path: object, entry: object) -> None:
        raise AssertionError("nothing has settled")

    watches = WatchFolders(LiveSettings(settings_for(tmp_path)), take, known)
    (folder,) = watches._folders.values()
    await folder._memory.settled(
        [SeenFile(f"{tmp_path}/{n}.wav", FileIdentity(1, n + 1, 3, n), 0) for n in range(FILES)], 0.0, 1.0, 5.0
    )
    passed = frozenset(PassedOver(f"{tmp_path}/{n}.link.wav", "is_a_symlink") for n in range(FILES))
    scan = FolderScan(folder=(1, 2), is_mount_point=False, is_bare=False, files=(), passed=passed)
    with capture_logs() as story:
        folder._condition.seen(scan)
        folder._condition.seen(scan)
    assert len(story) < 50, "as many lines in the log would push all else out of it"
    assert story[-1]["files"] == FILES - 20
    (view,) = watches.views
    assert (view.growing_count, view.passed_count) == (FILES, FILES)
    assert len(view.model_dump_json()) < 10_000
    assert [one.path for one in view.passed] == sorted(one.path for one in view.passed)


def test_the_first_of_what_is_passed_over_are_the_same_at_every_look(tmp_path: Path) -> None:
    condition = FolderCondition(tmp_path)
    passed = [PassedOver(f"/rec/{n:03}", "is_a_symlink") for n in range(100)]
    for some in (passed, passed[1:], passed[::-1]):
        condition.seen(FolderScan((1, 2), is_mount_point=False, is_bare=False, files=(), passed=frozenset(some)))
    assert condition.passed_first == tuple(passed[:20])
