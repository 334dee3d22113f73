"""Archive moves of recordings whose jobs have finished: followed, postponed, with a deadline for every wait.

Runs in: supervisor, the moves in separate threads.

A silent disk blocks the thread of a move, possibly within the rename itself. Such a thread is given up, and its
recording is left alone until the thread returns. Then it either sees that it was given up and changes nothing more,
or the recording is already moved and the job is updated.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from config.watch_entry import WatchEntry
from supervisor.disks.access import DiskAccess
from supervisor.disks.foreign_disks import LONGEST_PROBE_SECONDS, DiskNotAnswering, disks
from supervisor.followups.archive import Archived, MovePutOff, MoveSide, move_recording
from supervisor.followups.outbox_runner import RetryAfter
from supervisor.followups.rules import folder_after, seconds_before_retry
from supervisor.jobs.recordings import RecordingLocks, RecordingSearch
from supervisor.progress.board import JobBoard
from supervisor.store.job import Job, place_of, recording_of
from supervisor.store.job_rows import NoSuchJob
from supervisor.store.jobs import JobQueue
from supervisor.store.outbox import FollowUp
from supervisor.store.sqlite.database import JobQueueBroken
from supervisor.system.deadline import is_set_within

log = structlog.get_logger()

SLOW_MOVE_SECONDS = 60.0
"""A move that takes longer, for example to a remote disk, no longer delays the job's hooks."""
GIVE_UP_SECONDS = 1.0
"""For a stopped copy to remove its partial file."""
FOLLOWED_AT_MOST = 3
"""How often to search for a recording that is renamed again before it is moved."""

EntryFor = Callable[[str], WatchEntry | None]
"""The current watched folder of this path. A plain look-up: the database's thread calls it, too."""


@dataclass(eq=False)
class RecordingMoves:
    """Runs one move, or returns when to retry it."""

    queue: JobQueue
    board: JobBoard
    recordings: RecordingLocks
    search: RecordingSearch
    entry_for: EntryFor
    wake: Callable[[], None]
    """Called when a follow-up was put off although it continues."""
    _in_threads: set[int] = field(default_factory=set, init=False)
    """Jobs whose recording a thread works on, possibly one that was given up."""
    _late: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    async def move(self, follow_up: FollowUp) -> RetryAfter | None:
        """None: the recording is moved, or stays in place."""
        tries = follow_up.tries + 1
        later = (tries, seconds_before_retry(tries))
        # A retry costs nothing while a disk is known to be silent: once it is back, the move soon follows.
        soon = (tries, min(later[1], LONGEST_PROBE_SECONDS))
        lock = self.recordings.of(follow_up.job_id)
        # It is being upgraded or transcribed again, or a silent disk still blocks the thread of a try.
        if lock.locked() or follow_up.job_id in self._in_threads:
            return soon
        async with lock:
            try:
                return await self._follow_and_move(follow_up, later)
            except NoSuchJob:
                return None
            except DiskNotAnswering as silent:
                self._say_why_not_yet(follow_up, silent.message, silent.hint, soon)
                return soon
            except MovePutOff as put_off:
                self._say_why_not_yet(follow_up, str(put_off), put_off.hint, later)
                return later

    def _say_why_not_yet(self, follow_up: FollowUp, error: str, hint: str, later: RetryAfter) -> None:
        tries, seconds = later
        log.warning(
            "recording_not_moved_yet",
            job=follow_up.job_id,
            error=error,
            hint=hint,
            tries=tries,
            next_try_seconds=seconds,
        )

    async def _follow_and_move(self, follow_up: FollowUp, later: RetryAfter) -> RetryAfter | None:
        job = await self.queue.get(follow_up.job_id)
        for _ in range(FOLLOWED_AT_MOST):
            folder = folder_after(follow_up.event, None if job.watch is None else self.entry_for(job.watch))
            if folder is None or job.status != follow_up.event:
                return None
            if await self.queue.follow_ups.others_need(job):
                return later
            moved = await self._moved(follow_up, job, folder, later)
            if moved is not None:
                await self._note(follow_up, job.path, moved)
                return None
            # Renamed since its job ended; a watched folder may already have updated the job.
            now = await self.search.followed(job) or await self.queue.get(job.id)
            if now.path == job.path:
                break
            job = now
        log.warning(
            "recording_not_moved",
            job=job.id,
            path=job.path,
            why="it is gone or has other content, and it was not found under another name",
            hint="move it by hand if you want it there",
        )
        return None

    async def _note(self, follow_up: FollowUp, path: str, moved: Archived) -> None:
        job = await self.queue.follow_ups.recording_moved(follow_up, moved.path, moved.identity)
        log.info("recording_moved", job=job.id, path=path, to=job.path)
        self.board.tell(job)

    # --- one move --------------------------------------------------------------------------------------------

    async def _moved(self, follow_up: FollowUp, job: Job, folder: Path, later: RetryAfter) -> Archived | None:
        source, target = recording_of(job), place_of(job, folder)
        names = await self.queue.outputs.unfinished_names(job.id)
        loop, thread_is_over, is_waited_for = asyncio.get_running_loop(), asyncio.Event(), True

        def over(moved: Archived | None) -> None:
            self._in_threads.discard(job.id)
            thread_is_over.set()
            if moved is not None and not is_waited_for:
                late = loop.create_task(self._note_late(follow_up, job.path, moved))
                self._late.add(late)
                late.add_done_callback(self._late.discard)

        def work(access: DiskAccess) -> Archived | None:
            def heartbeat(side: MoveSide) -> None:
                access.heartbeat(source.path if side == "source" else target.path)

            access.heartbeat()
            self._in_threads.add(job.id)
            moved = None
            try:
                moved = move_recording(source, job.identity, target, names, heartbeat)
            finally:
                with contextlib.suppress(RuntimeError):  # the daemon is gone
                    loop.call_soon_threadsafe(over, moved)
            return moved

        moving = asyncio.ensure_future(disks().work(source.path, work, also=[target.path]))
        try:
            await asyncio.wait({moving}, timeout=SLOW_MOVE_SECONDS)
            if not moving.done():
                await self._let_hooks_pass(follow_up, later)
            return await moving
        except asyncio.CancelledError:
            moving.cancel()
            if job.id in self._in_threads:  # the partial copy still has to be removed
                await is_set_within(thread_is_over, GIVE_UP_SECONDS)
            raise
        finally:
            is_waited_for = False

    async def _note_late(self, follow_up: FollowUp, path: str, moved: Archived) -> None:
        with contextlib.suppress(NoSuchJob, JobQueueBroken):  # the next try will find it there
            if (await self.queue.get(follow_up.job_id)).path == path:
                await self._note(follow_up, path, moved)

    async def _let_hooks_pass(self, follow_up: FollowUp, later: RetryAfter) -> None:
        tries, seconds = later
        try:
            await self.queue.follow_ups.put_off(follow_up, tries, self.queue.follow_ups.now() + seconds)
        except JobQueueBroken as broken:
            log.warning("errand_put_off", job=follow_up.job_id, code=broken.code, error=broken.message)
        self.wake()
