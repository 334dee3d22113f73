"""The follow-ups of a finished job: its recording is moved, its hooks run. At least once, and never blocking jobs.

Runs in: supervisor.
"""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from config.watch_entry import WatchEntry
from supervisor.followups.archive_moves import EntryFor, RecordingMoves
from supervisor.followups.hook_command import hook_call
from supervisor.followups.hook_process import HookEnd, run_hook
from supervisor.followups.outbox_runner import OutboxRunner, RetryAfter
from supervisor.followups.rules import command_after, follow_ups_after, seconds_before_retry
from supervisor.jobs.recordings import RecordingLocks, RecordingSearch
from supervisor.progress.board import JobBoard
from supervisor.store.job import Job
from supervisor.store.job_rows import NoSuchJob
from supervisor.store.jobs import JobQueue
from supervisor.store.outbox import Event, FollowUp, NewFollowUp
from supervisor.system.reload import LiveSettings

log = structlog.get_logger()

HOOKS_AT_ONCE = 2
MOVES_AT_ONCE = 2


class FollowUps:
    """Decides the follow-ups of an outcome, and runs them, across kills and restarts."""

    def __init__(
        self,
        queue: JobQueue,
        board: JobBoard,
        recordings: RecordingLocks,
        search: RecordingSearch,
        settings: LiveSettings,
        entry_for: EntryFor,
    ) -> None:
        self._queue = queue
        self._board = board
        self._settings = settings
        self._entry_for = entry_for
        moves = RecordingMoves(queue, board, recordings, search, entry_for, self.wake)
        self._lines = (
            OutboxRunner("move_recording", MOVES_AT_ONCE, queue.follow_ups, moves.move, self.wake),
            OutboxRunner("hook", HOOKS_AT_ONCE, queue.follow_ups, self._run_hook, self.wake),
        )

    def after(self, job: Job, event: Event) -> Sequence[NewFollowUp]:
        """The follow-ups of a job that ended this way. Called within the transaction of its end."""
        return follow_ups_after(job, event, self._entry(job), self._settings.current.hooks)

    def wake(self) -> None:
        """A job is over, or a hook was set."""
        for line in self._lines:
            line.wake()

    async def run(self) -> None:
        """Runs until cancelled, which ends running hooks and gives up copies; both restart at the next start."""
        async with asyncio.TaskGroup() as lines:
            for line in self._lines:
                lines.create_task(line.run())

    def _entry(self, job: Job) -> WatchEntry | None:
        return None if job.watch is None else self._entry_for(job.watch)

    async def _run_hook(self, follow_up: FollowUp) -> RetryAfter | None:
        try:
            job = await self._queue.get(follow_up.job_id)
        except NoSuchJob:
            return None
        hooks = self._settings.current.hooks
        command = command_after(follow_up.event, self._entry(job), hooks)
        if not command:
            return None
        call = hook_call(
            command,
            follow_up.event,
            self._board.view(job),
            platform=sys.platform,
            surroundings=os.environ,
            own_folder=str(Path(sys.executable).parent),
            expand=os.path.expanduser,
        )
        began = time.monotonic()
        end = await run_hook(call, hooks.timeout_seconds)
        seconds = round(time.monotonic() - began, 2)
        self._board.totals.note_hook(follow_up.event, succeeded=end.why is None)
        if end.why is None:
            log.info("hook_ran", job=job.id, hook=follow_up.event, program=call.argv[0], seconds=seconds)
            return None
        tries = follow_up.tries + 1
        again = (tries, seconds_before_retry(tries)) if tries < hooks.tries else None
        self._say_why(follow_up, job, call.argv[0], end, again)
        return again

    def _say_why(self, follow_up: FollowUp, job: Job, program: str, end: HookEnd, again: RetryAfter | None) -> None:
        log.warning(
            "hook_failed",
            job=job.id,
            hook=follow_up.event,
            program=program,
            error=end.why,
            exit_code=end.exit_code,
            said=end.said,
            hint=end.hint,
            tries=follow_up.tries + 1,
            next_try_seconds=None if again is None else again[1],
        )
