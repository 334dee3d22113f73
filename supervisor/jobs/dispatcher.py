"""Whose turn it is: claims jobs, gives them the workers in order, records how each ended.

Runs in: supervisor.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import structlog

from ipc.failpoints import hit
from ipc.vocabulary import FINISHED, JobStatus
from supervisor.disks.foreign_disks import DiskNotAnswering
from supervisor.jobs.dispatch_order import PAUSED, DispatchOrder, disk_obstacle, transcriber_obstacles
from supervisor.jobs.outcomes import (
    CANCELLED,
    LOOK_AGAIN_SECONDS,
    JobFailed,
    JobMustWaitLonger,
    ending_of,
    once,
    to_its_end,
    until_stored,
)
from supervisor.jobs.probation import Probation
from supervisor.jobs.runner import JobRunner
from supervisor.jobs.upgrades import Upgrades
from supervisor.progress.board import JobBoard
from supervisor.store.daemon_deaths import story_of
from supervisor.store.history import prune_now_and_then
from supervisor.store.job import Job, MoveNotAllowed, check_move
from supervisor.store.job_rows import JobChanges
from supervisor.store.jobs import JobQueue
from supervisor.store.schedule import SchedulingHints
from supervisor.store.sqlite.database import JobQueueBroken
from supervisor.system.deadline import is_set_within
from supervisor.system.reload import LiveSettings
from supervisor.worker.handle import WorkerHandle

log = structlog.get_logger()

FOLDER_AWAY_SECONDS = 30.0
"""While a watched folder is away, one of its jobs is tried so often, for all of them."""
IsAway = Callable[[str], Awaitable[bool]]


class JobDispatcher:
    """Runs jobs in turn, the next one at the transcriber while the last is still at the aligner.

    Urgent jobs have a lane of their own, and so run beside the others; the workers serve them first.
    """

    def __init__(
        self,
        queue: JobQueue,
        runner: JobRunner,
        transcriber: WorkerHandle,
        upgrades: Upgrades | None,
        board: JobBoard,
        settings: LiveSettings,
        spool: Path,
        is_away: IsAway | None = None,
    ) -> None:
        """`is_away` tells of a watched folder whether it is out of reach just now."""
        self._queue = queue
        self._runner = runner
        self._transcriber = transcriber
        self._upgrades = upgrades
        self._board = board
        self._settings = settings
        self._spool = spool
        self._is_away = is_away
        self._woken = asyncio.Event()
        self.claiming = asyncio.Lock()
        """Held from a claim until its task is there: who holds it finds every running job's task."""
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._to_cancel: set[int] = set()
        self.turns = DispatchOrder(transcriber)
        self.probation = Probation(queue, board, upgrades, self.job_added)

    # --- asked from outside ----------------------------------------------------------------------------------

    def wake(self) -> None:
        """Something changed that may let a job start, or be upgraded: a worker's state, a setting, the pause."""
        self.job_added()
        if self._upgrades is not None:
            self._upgrades.wake()

    def job_added(self) -> None:
        """One more job waits; there is nothing in that for upgrades."""
        self._woken.set()

    def try_at_once(self) -> None:
        """Whatever a job had to wait for a moment ago may be fixed: it is not kept waiting longer."""
        self.turns.forget_deferrals()
        if self._upgrades is not None:
            self._upgrades.try_at_once()
        self.wake()

    async def set_paused(self, paused: bool) -> None:
        """Whether waiting jobs stay where they are. Raises JobQueueBroken."""
        await self._queue.set_paused(paused)
        self._board.why_waiting = PAUSED if paused else None
        self.wake()

    def is_in_hand(self, job_id: int) -> bool:
        """Whether its task is there."""
        return job_id in self._tasks

    def clear_spool(self, job_id: int) -> None:
        """Of a job that is over."""
        self._runner.clear_spool(job_id)

    async def cancel(self, job_id: int) -> Job:
        """The job, cancelled, with its worker free again. Raises MoveNotAllowed where it is too late for that."""
        while True:
            async with self.claiming:
                if (task := self._tasks.get(job_id)) is None:
                    return await self._cancel_waiting(job_id)
            running = self._board.running_view(job_id)
            # Once only, and neither while files of ours could be left unknown nor while its end is
            # recorded.
            if running is not None and running.status != "writing" and job_id not in self._to_cancel:
                self._to_cancel.add(job_id)
                task.cancel()
            # A worker that ignores the cancel is replaced after `cancel_seconds`; there are two, and then the files.
            await asyncio.wait([task], timeout=3 * self._settings.current.deadlines.cancel_seconds)
            job = await self._queue.get(job_id)
            if job.status == "cancelled":
                return job
            if not task.done():
                raise MoveNotAllowed(f"job {job_id} is {job.status}; it is too late to cancel it")
            # Not reached by the cancel before its first step, or waiting again, perhaps claimed once more.

    async def _cancel_waiting(self, job_id: int) -> Job:
        """A job without a task, which cannot be claimed meanwhile."""
        check_move(await self._queue.get(job_id), "cancelled")
        # It may have one from an earlier start. Before the end is known: a retry would find its own taken away.
        await asyncio.to_thread(self._runner.clear_spool, job_id)
        return await self._queue.move(job_id, "cancelled")

    # --- the loops -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled; then every running job goes back to waiting with what it has."""
        async with asyncio.TaskGroup() as tasks:
            for job in await until_stored(self.probation.judge, LOOK_AGAIN_SECONDS):
                await self._record(job.id, "failed", {"error": story_of(job), "quarantined": True})
                await asyncio.to_thread(self._runner.clear_spool, job.id)
            self.probation.begin(self.turns)
            tasks.create_task(prune_now_and_then(self._queue.history), name="prune")
            if self._upgrades is not None:
                tasks.create_task(self._upgrades.run(), name="upgrade")
            while True:
                await self._begin_next(tasks)

    async def _begin_next(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            self._woken.clear()
            try:
                if not await self._any_may_start():
                    await self._woken.wait()
                    continue
            except JobQueueBroken as broken:
                log.warning("queue_not_read", code=broken.code, error=broken.message)
                await is_set_within(self._woken, LOOK_AGAIN_SECONDS)
                continue
            turn = replace(self.turns.now, suspects_too=self.probation.may_try(nothing_runs=not self._tasks))
            recheck, job, why = bool(turn.deferred) or turn.loaded_only, None, None
            obstacles = transcriber_obstacles(self._transcriber)
            try:
                await self.probation.put_back_others(self._tasks)
                if await self._queue.is_paused():
                    why = PAUSED
                elif self.probation.is_on:
                    pass  # it wakes us when it is over
                elif (why := obstacles.of_all) is not None:
                    pass
                elif (why := await disk_obstacle(self._spool, self._settings.current.media)) is not None:
                    recheck = True
                else:
                    recheck |= await self._look_for_models()
                    job = await self._claim(turn, tasks)
            except JobQueueBroken as broken:
                log.warning("no_job_claimed", code=broken.code, error=broken.message)
                why, recheck = broken.in_full, True
            self.probation.claimed(job)
            self._board.why_waiting = why
            self._board.why_model_is_missing = obstacles.of_models
            if job is not None:
                return
            if "normal" in turn.priorities:
                self.turns.nobody_claimed()
            await is_set_within(self._woken, LOOK_AGAIN_SECONDS if recheck else None)

    async def _any_may_start(self) -> bool:
        """Whether a lane has room; that of urgent jobs matters only while one waits. Raises JobQueueBroken."""
        room_for = self.turns.room_for
        return "normal" in room_for or ("now" in room_for and await self._queue.any_waits("now"))

    async def _claim(self, turn: SchedulingHints, tasks: asyncio.TaskGroup) -> Job | None:
        async with self.claiming:
            job = await self._queue.claim_next(turn)
            if job is not None:
                self.turns.claimed(job, turn)
                hit("job_claimed")
                self._begin(job, tasks)
        return job

    async def _look_for_models(self) -> bool:
        """Whether jobs wait while a model is missing: then a timer has to look now and then whether it came."""
        if not self._transcriber.availability.lacks_model or not (await self._queue.counts())["waiting"]:
            return False
        self._transcriber.availability.recheck()
        return True

    # --- one job ---------------------------------------------------------------------------------------------

    def _begin(self, job: Job, tasks: asyncio.TaskGroup) -> None:
        lane = self.turns.lane_of(job)
        lane.at_transcriber += 1
        lane.in_flight += 1

        def leave_transcriber() -> None:
            lane.at_transcriber -= 1
            self.job_added()

        transcriber_is_free = once(leave_transcriber)

        def is_over(_: asyncio.Task[None]) -> None:
            # Not in the task itself: one that is cancelled before its first step never gets to any of its lines.
            self._board.end(job.id)
            del self._tasks[job.id]
            self.probation.is_over(job.id)
            self._to_cancel.discard(job.id)
            transcriber_is_free()
            lane.in_flight -= 1
            self.wake()

        log.info("job_started", job=job.id, claims=job.claims, resumed_at_seconds=job.transcribed_seconds)
        self._board.begin(job)
        task = tasks.create_task(self._run(job, transcriber_is_free), name=f"job {job.id}")
        self._tasks[job.id] = task
        task.add_done_callback(is_over)

    async def _run(self, job: Job, transcriber_is_free: Callable[[], None]) -> None:
        try:
            job = await self._way_of(job, transcriber_is_free)
        except Exception:
            # The task boundary: a mistake of ours never costs the daemon. The next claim finds the job running
            # without a task, and lets it wait.
            log.exception("job_left_running", job=job.id)
            self.turns.deferred([job.id], LOOK_AGAIN_SECONDS)
            return
        log.info(
            f"job_{job.status}",
            job=job.id,
            timing=job.timing,
            degraded_reason=job.degraded_reason,
            code=None if job.error is None else job.error.code,
            note=job.note,
        )
        self._board.tell(job)

    async def _way_of(self, job: Job, transcriber_is_free: Callable[[], None]) -> Job:
        """Whatever comes, a job leaves here in a state that the database knows."""
        waits_longer = False
        try:
            return await self._runner.run(job, self._board.stepper(job.id), transcriber_is_free)
        except MoveNotAllowed as overtaken:
            # Cancelled when it had just been claimed: the database is right.
            log.info("job_overtaken", job=job.id, why=str(overtaken))
            job = await until_stored(lambda: self._queue.get(job.id), LOOK_AGAIN_SECONDS)
            if job.is_finished:
                await asyncio.to_thread(self._runner.clear_spool, job.id)
            return job
        except asyncio.CancelledError:
            if job.id not in self._to_cancel:
                # We stop. Where this cannot be written down the next start does it.
                with contextlib.suppress(JobQueueBroken, MoveNotAllowed):
                    await self._queue.move(job.id, "waiting")
                raise
            status, changes = CANCELLED
        except Exception as why:  # noqa: BLE001  the job's boundary: every way of ending gets its name
            status, changes = ending_of(job.id, why)
            waits_longer = isinstance(why, JobMustWaitLonger | DiskNotAnswering)
            if isinstance(why, JobFailed) and not why.quarantined and await self._waits_for_its_folder(job):
                status, changes = "waiting", {"note": f"{job.watch} is not there now, and with it the recording"}
        self._board.end(job.id)
        if status == "waiting":
            self.turns.deferred([job.id], self.turns.pause_after(job.id, LOOK_AGAIN_SECONDS, grows=waits_longer))
        if status in FINISHED:
            # Before any client knows the end: a retry would find its spool taken away.
            await asyncio.to_thread(self._runner.clear_spool, job.id)
        return await self._record(job.id, status, changes)

    async def _waits_for_its_folder(self, job: Job) -> bool:
        """Whether what failed may be fixed by the return of a disk; all that wait for it are then set back."""
        if job.watch is None or self._is_away is None or not await self._is_away(job.watch):
            return False
        # If they cannot be read now, each job finds out when it starts.
        with contextlib.suppress(JobQueueBroken):
            self.turns.deferred(await self._queue.waiting_from(job.watch), FOLDER_AWAY_SECONDS)
        return True

    async def _record(self, job_id: int, status: JobStatus, changes: JobChanges) -> Job:
        """Stored, however long a broken database keeps us: meanwhile no other job could do anything either."""
        while True:
            try:
                if status == "waiting":
                    return await to_its_end(self._queue.wait_again(job_id, **changes))
                return await to_its_end(self._queue.move(job_id, status, **changes))
            except MoveNotAllowed as overtaken:
                log.info("job_overtaken", job=job_id, why=str(overtaken))
                return await until_stored(lambda: self._queue.get(job_id), LOOK_AGAIN_SECONDS)
            except JobQueueBroken as broken:
                log.error("job_ending_not_stored", job=job_id, status=status, code=broken.code, error=broken.message)
                self._board.why_waiting = broken.in_full
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
