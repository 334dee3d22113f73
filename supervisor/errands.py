"""What is done once a job is over: its recording moved, its hooks run. At least once, and never in a job's way.

Runs in: supervisor.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from config.settings import Settings, WatchEntry
from supervisor.aftermath import command_after, errands_after, folder_after, seconds_before_retry
from supervisor.disk_thread import on_disk
from supervisor.errand_line import Again, ErrandLine
from supervisor.errand_rows import Errand, Event, NewErrand
from supervisor.hook import HookEnd, run_hook
from supervisor.hook_call import hook_call
from supervisor.job import Job
from supervisor.job_board import JobBoard
from supervisor.job_database import JobQueueBroken
from supervisor.job_places import place_of, recording_of
from supervisor.job_queue import JobQueue, NoSuchJob
from supervisor.recordings_in_hand import RecordingsInHand
from supervisor.source_mover import MovePutOff, move_recording

log = structlog.get_logger()

HOOKS_AT_ONCE = 2
MOVES_AT_ONCE = 2
SLOW_MOVE_SECONDS = 60.0
"""A move that takes longer, to a disk far away or dead, holds up the job's hooks no more."""
GIVE_UP_SECONDS = 1.0
"""For a copy that is stopped half-way to take that away."""

EntryFor = Callable[[str], WatchEntry | None]
"""The watched folder of this path as it is now. A plain look-up: the database's thread asks, too."""


class Errands:
    """Says what an ending is followed by, and does it, across kills and restarts."""

    def __init__(
        self,
        queue: JobQueue,
        board: JobBoard,
        recordings: RecordingsInHand,
        settings: Settings,
        entry_for: EntryFor,
    ) -> None:
        self._queue = queue
        self._board = board
        self._recordings = recordings
        self._settings = settings
        self._entry_for = entry_for
        self._stopping = threading.Event()
        self._lines = (
            ErrandLine("move_recording", MOVES_AT_ONCE, queue.errands, self._move_recording, self.wake),
            ErrandLine("hook", HOOKS_AT_ONCE, queue.errands, self._run_hook, self.wake),
        )

    def use(self, settings: Settings) -> None:
        """From now on these hold, for errands that wait, too."""
        self._settings = settings
        self.wake()

    def after(self, job: Job, event: Event) -> Sequence[NewErrand]:
        """What is left to do for a job that has ended so. Called within the transaction of that end."""
        return errands_after(job, event, self._entry(job), self._settings.hooks)

    def wake(self) -> None:
        """A job is over."""
        for line in self._lines:
            line.wake()

    async def run(self) -> None:
        """Until cancelled: running hooks are ended, copies given up; both begin anew at the next start."""
        async with asyncio.TaskGroup() as lines:
            for line in self._lines:
                lines.create_task(line.run())

    def _entry(self, job: Job) -> WatchEntry | None:
        return None if job.watch is None else self._entry_for(job.watch)

    # --- hooks -----------------------------------------------------------------------------------------------

    async def _run_hook(self, errand: Errand) -> Again | None:
        try:
            job = await self._queue.get(errand.job_id)
        except NoSuchJob:
            return None
        hooks = self._settings.hooks
        command = command_after(errand.event, self._entry(job), hooks)
        if not command:
            return None
        call = hook_call(
            command,
            errand.event,
            self._board.view(job),
            platform=sys.platform,
            surroundings=os.environ,
            own_folder=str(Path(sys.executable).parent),
            expand=os.path.expanduser,
        )
        began = time.monotonic()
        end = await run_hook(call, hooks.timeout_seconds)
        seconds = round(time.monotonic() - began, 2)
        if end.why is None:
            log.info("hook_ran", job=job.id, hook=errand.event, program=call.argv[0], seconds=seconds)
            return None
        tries = errand.tries + 1
        again = (tries, seconds_before_retry(tries)) if tries < hooks.tries else None
        self._say_why(errand, job, call.argv[0], end, again)
        return again

    def _say_why(self, errand: Errand, job: Job, program: str, end: HookEnd, again: Again | None) -> None:
        log.warning(
            "hook_failed",
            job=job.id,
            hook=errand.event,
            program=program,
            error=end.why,
            exit_code=end.exit_code,
            said=end.said,
            hint=end.hint,
            tries=errand.tries + 1,
            next_try_seconds=None if again is None else again[1],
        )

    # --- moves -----------------------------------------------------------------------------------------------

    async def _move_recording(self, errand: Errand) -> Again | None:
        tries = errand.tries + 1
        later = (tries, seconds_before_retry(tries))
        lock = self._recordings.of(errand.job_id)
        if lock.locked():  # it is being upgraded, or transcribed again
            return later
        async with lock:
            try:
                job = await self._queue.get(errand.job_id)
            except NoSuchJob:
                return None
            folder = folder_after(errand.event, self._entry(job))
            if folder is None or job.status != errand.event:
                return None
            if await self._queue.errands.others_need(job):
                return later
            return await self._move(errand, job, folder, later)

    async def _move(self, errand: Errand, job: Job, folder: Path, later: Again) -> Again | None:
        source, target = recording_of(job), place_of(job, folder)
        names = await self._queue.outputs.unfinished_names(job.id)
        moving = on_disk(lambda: move_recording(source, job.identity, target, names, self._stopping.is_set))
        # Seen by somebody, also when we stop and nobody waits any more.
        moving.add_done_callback(lambda over: over.cancelled() or over.exception())
        try:
            await asyncio.wait({moving}, timeout=SLOW_MOVE_SECONDS)
            if not moving.done():
                await self._let_hooks_pass(errand, later)
            # Not `await moving`: a stop must not cancel what still has half a copy to take away.
            await asyncio.wait({moving})
            moved = moving.result()
        except MovePutOff as put_off:
            log.warning(
                "recording_not_moved_yet",
                job=job.id,
                folder=str(folder),
                error=str(put_off),
                hint=put_off.hint,
                next_try_seconds=later[1],
            )
            return later
        finally:
            if not moving.done():
                self._stopping.set()
                await asyncio.wait({moving}, timeout=GIVE_UP_SECONDS)
        if moved is None:
            log.info("recording_not_moved", job=job.id, path=job.path, why="it changed or is gone")
            return None
        job = await self._queue.errands.recording_moved(errand, moved.path, moved.identity)
        log.info("recording_moved", job=job.id, path=str(source.path), to=job.path)
        self._board.tell(job)
        return None

    async def _let_hooks_pass(self, errand: Errand, later: Again) -> None:
        tries, seconds = later
        try:
            await self._queue.errands.put_off(errand, tries, self._queue.errands.now() + seconds)
        except JobQueueBroken as broken:
            log.warning("errand_put_off", job=errand.job_id, code=broken.code, error=broken.message)
        self.wake()
