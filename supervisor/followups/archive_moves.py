"""Recordings whose jobs are over, on their way into `done` or `failed`: followed, put off, never waited for for ever.

Runs in: supervisor, and the moves in threads of their own.

A disk that does not answer keeps the thread of a move, perhaps within the very call that renames. Such a thread is
given up, and that recording is left alone until it comes back. Then either it finds that it is given up and changes
nothing more, or the recording is moved already and the job is told so.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from config.watch_entry import WatchEntry
from supervisor.disks.disk_touch import Touch
from supervisor.disks.foreign_disks import LONGEST_PROBE_SECONDS, DiskNotAnswering, disks
from supervisor.followups.archive import Archived, MovePutOff, Side, move_recording
from supervisor.followups.outbox_runner import Again
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
"""A move that takes longer, to a disk far away say, holds up the job's hooks no more."""
GIVE_UP_SECONDS = 1.0
"""For a copy that is stopped half-way to take that away."""
FOLLOWED_AT_MOST = 3
"""So often is a recording looked for that is renamed again before it could be moved."""

EntryFor = Callable[[str], WatchEntry | None]
"""The watched folder of this path as it is now. A plain look-up: the database's thread asks, too."""


@dataclass(eq=False)
class RecordingMoves:
    """Sees one follow-up of this kind through, or says when it is to be tried again."""

    queue: JobQueue
    board: JobBoard
    recordings: RecordingLocks
    search: RecordingSearch
    entry_for: EntryFor
    wake: Callable[[], None]
    """Called when a follow-up was put off although it goes on."""
    _in_threads: set[int] = field(default_factory=set, init=False)
    """Jobs whose recording a thread works on, one that was given up perhaps."""
    _late: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    async def move(self, follow_up: FollowUp) -> Again | None:
        """None: the recording is moved, or stays where it is."""
        tries = follow_up.tries + 1
        later = (tries, seconds_before_retry(tries))
        # To ask again costs nothing while a disk is known to be silent: when it is back, the move soon follows.
        soon = (tries, min(later[1], LONGEST_PROBE_SECONDS))
        lock = self.recordings.of(follow_up.job_id)
        # It is being upgraded, or transcribed again; or a disk that is silent still has the thread of a try.
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

    def _say_why_not_yet(self, follow_up: FollowUp, error: str, hint: str, later: Again) -> None:
        tries, seconds = later
        log.warning(
            "recording_not_moved_yet",
            job=follow_up.job_id,
            error=error,
            hint=hint,
            tries=tries,
            next_try_seconds=seconds,
        )

    async def _follow_and_move(self, follow_up: FollowUp, later: Again) -> Again | None:
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
            # Renamed since its job ended; a watched folder may have told the job before we could look.
            now = await self.search.followed(job) or await self.queue.get(job.id)
            if now.path == job.path:
                break
            job = now
        log.warning(
            "recording_not_moved",
            job=job.id,
            path=job.path,
            why="it is no longer there, or has other content, and it was not found under another name",
            hint="move it by hand if you want it there",
        )
        return None

    async def _note(self, follow_up: FollowUp, path: str, moved: Archived) -> None:
        job = await self.queue.follow_ups.recording_moved(follow_up, moved.path, moved.identity)
        log.info("recording_moved", job=job.id, path=path, to=job.path)
        self.board.tell(job)

    # --- one move --------------------------------------------------------------------------------------------

    async def _moved(self, follow_up: FollowUp, job: Job, folder: Path, later: Again) -> Archived | None:
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

        def work(touch: Touch) -> Archived | None:
            def sign(side: Side) -> None:
                touch.sign(source.path if side == "source" else target.path)

            touch.sign()
            self._in_threads.add(job.id)
            moved = None
            try:
                moved = move_recording(source, job.identity, target, names, sign)
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
            if job.id in self._in_threads:  # half a copy is still to be taken away
                await is_set_within(thread_is_over, GIVE_UP_SECONDS)
            raise
        finally:
            is_waited_for = False

    async def _note_late(self, follow_up: FollowUp, path: str, moved: Archived) -> None:
        with contextlib.suppress(NoSuchJob, JobQueueBroken):  # the next try finds it there
            if (await self.queue.get(follow_up.job_id)).path == path:
                await self._note(follow_up, path, moved)

    async def _let_hooks_pass(self, follow_up: FollowUp, later: Again) -> None:
        tries, seconds = later
        try:
            await self.queue.follow_ups.put_off(follow_up, tries, self.queue.follow_ups.now() + seconds)
        except JobQueueBroken as broken:
            log.warning("errand_put_off", job=follow_up.job_id, code=broken.code, error=broken.message)
        self.wake()
