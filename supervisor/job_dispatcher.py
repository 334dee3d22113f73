"""Whose turn it is: claims jobs, gives them the workers in order, records how each ended.

Runs in: supervisor.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import psutil
import structlog

from config.settings import Settings
from ipc.api_messages import JobChanged, JobError, JobProgressed, RunningView
from ipc.worker_messages import Phase
from supervisor.event_bus import EventBus
from supervisor.job import Job, MoveNotAllowed
from supervisor.job_queue import JobQueue
from supervisor.job_runner import JobRunner
from supervisor.setbacks import JobFailed, JobMustWait, JobSuperseded
from supervisor.status_report import job_view
from supervisor.worker_keeper import WorkerKeeper

log = structlog.get_logger()

JOBS_AT_ONCE = 2
"""One at the transcriber, and one whose last words are still being timed or written."""
LOOK_AGAIN_SECONDS = 10.0
"""Nothing tells us when a disk has room again, or whatever made a job wait has passed: look this often."""
PRUNE_SECONDS = 6 * 3600.0
ABLE = frozenset({"ready", "busy", "unloaded"})
"""Worker states that serve a request now."""


class JobDispatcher:
    """Runs jobs oldest first, the next one at the transcriber while the last is still at the aligner."""

    def __init__(
        self,
        queue: JobQueue,
        runner: JobRunner,
        transcriber: WorkerKeeper,
        aligner: WorkerKeeper | None,
        bus: EventBus,
        settings: Settings,
        spool: Path,
    ) -> None:
        self._queue = queue
        self._runner = runner
        self._transcriber = transcriber
        self._aligner = aligner
        self._bus = bus
        self._settings = settings
        self._spool = spool
        self._woken = asyncio.Event()
        self._upgrade_woken = asyncio.Event()
        self._at_transcriber = asyncio.Semaphore(1)
        self._in_flight = asyncio.Semaphore(JOBS_AT_ONCE)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._running: dict[int, RunningView] = {}
        self._to_cancel: set[int] = set()
        self._set_back: dict[int, float] = {}
        """Job → loop time before which it is not started again, because it had to wait a moment ago."""
        self.why_waiting: str | None = None
        """Why no waiting job is started now, in words; None: it is only a matter of turns."""

    # --- asked from outside ----------------------------------------------------------------------------------

    def wake(self) -> None:
        """Something changed that may let a job start: a new job, a worker's state, the queue's pause."""
        self._woken.set()
        self._upgrade_woken.set()

    def running(self) -> list[RunningView]:
        """How far every running job is, oldest first."""
        return [self._running[job_id] for job_id in sorted(self._running)]

    async def cancel(self, job_id: int) -> Job:
        """The job, cancelled, with its worker free again. Raises MoveNotAllowed if it has finished."""
        task = self._tasks.get(job_id)
        if task is None:
            return await self._queue.move(job_id, "cancelled")
        self._to_cancel.add(job_id)
        task.cancel()
        # Bounded by the keeper: a worker that ignores the cancel is replaced after `cancel_seconds`.
        await asyncio.wait([task])
        job = await self._queue.get(job_id)
        if job.status != "cancelled":
            raise MoveNotAllowed(f"job {job_id} is {job.status}; it cannot become cancelled")
        return job

    # --- the loops -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled; then every running job goes back to waiting with what it has."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._prune_now_and_then(), name="prune")
            if self._aligner is not None:
                tasks.create_task(self._upgrade_when_possible(self._aligner), name="upgrade")
            while True:
                await self._at_transcriber.acquire()
                await self._in_flight.acquire()
                job = await self._next_job()
                self._tasks[job.id] = tasks.create_task(self._run(job), name=f"job {job.id}")

    async def _next_job(self) -> Job:
        while True:
            self._woken.clear()
            now = asyncio.get_running_loop().time()
            self._set_back = {job_id: until for job_id, until in self._set_back.items() if until > now}
            look_again = bool(self._set_back)
            if await self._queue.is_paused():
                self.why_waiting = "the queue is paused; `steno resume` lets it go on"
            elif (why := self._transcriber_obstacle()) is not None:
                self.why_waiting = why
            elif (why := await asyncio.to_thread(self._disk_obstacle)) is not None:
                self.why_waiting = why
                look_again = True
            else:
                self.why_waiting = None
                job = await self._queue.claim_next(skip=frozenset(self._set_back))
                if job is not None:
                    return job
            try:
                async with asyncio.timeout(LOOK_AGAIN_SECONDS if look_again else None):
                    await self._woken.wait()
            except TimeoutError:
                pass

    def _transcriber_obstacle(self) -> str | None:
        keeper = self._transcriber
        view = keeper.view
        fallback = keeper.fallback_engine
        stands_in = fallback is not None and keeper.is_worn_out() and keeper.refusal(fallback) is None
        if view.state in ABLE or stands_in:
            return None
        return f"the transcriber is {view.state.replace('_', ' ')}" + (f": {view.note}" if view.note else "")

    def _disk_obstacle(self) -> str | None:
        floor_mb = self._settings.media.free_disk_floor_mb
        free_mb = psutil.disk_usage(str(self._spool)).free // 1_000_000
        if free_mb >= floor_mb:
            return None
        return f"only {free_mb} MB are free where {self._spool} is; media.free_disk_floor_mb keeps {floor_mb} MB"

    async def _upgrade_when_possible(self, aligner: WorkerKeeper) -> None:
        while True:
            self._upgrade_woken.clear()
            if aligner.view.state in ABLE:
                for job in await self._queue.jobs_to_upgrade():
                    await self._upgrade(job)
                    if aligner.view.state not in ABLE:
                        break
            await self._upgrade_woken.wait()

    async def _prune_now_and_then(self) -> None:
        while True:
            forgotten = await self._queue.prune()
            if forgotten:
                log.info("finished_jobs_forgotten", jobs=forgotten)
            await asyncio.sleep(PRUNE_SECONDS)

    # --- one job ---------------------------------------------------------------------------------------------

    async def _run(self, job: Job) -> None:
        transcriber_is_free = _once(self._at_transcriber.release)
        log.info("job_started", job=job.id, claims=job.claims, resumed_at_seconds=job.transcribed_seconds)
        self._running[job.id] = _running_view(job)
        self.tell(job)
        try:
            job = await self._end(job, transcriber_is_free)
            log.info(
                f"job_{job.status}",
                job=job.id,
                timing=job.timing,
                degraded_reason=job.degraded_reason,
                code=None if job.error is None else job.error.code,
                note=job.note,
            )
        except MoveNotAllowed as overtaken:
            # Cancelled between the claim and the start of this task: the database is right.
            log.info("job_overtaken", job=job.id, why=str(overtaken))
        finally:
            self._running.pop(job.id, None)
            self._tasks.pop(job.id, None)
            self._to_cancel.discard(job.id)
            transcriber_is_free()
            self._in_flight.release()
            self.wake()
        self.tell(job)

    async def _end(self, job: Job, transcriber_is_free: Callable[[], None]) -> Job:
        """Whatever comes, a job leaves here in a state that the database knows."""
        move = self._queue.move
        try:
            return await self._runner.run(job, self._stepper(job), transcriber_is_free)
        except JobFailed as failed:
            self._runner.clear_spool(job.id)
            return await move(job.id, "failed", error=failed.error, quarantined=failed.quarantined)
        except JobMustWait as setback:
            self._set_back[job.id] = asyncio.get_running_loop().time() + LOOK_AGAIN_SECONDS
            return await move(job.id, "waiting", note=setback.note)
        except JobSuperseded:
            return await move(job.id, "cancelled", note="the recording changed; its new version is another job")
        except asyncio.CancelledError:
            if job.id in self._to_cancel:
                self._runner.clear_spool(job.id)
                return await move(job.id, "cancelled")
            await move(job.id, "waiting")
            raise
        except MoveNotAllowed:
            raise
        except Exception as unforeseen:
            # The task boundary: a mistake of ours costs this job, never the daemon.
            log.exception("job_hit_a_bug", job=job.id)
            error = JobError(
                code="internal_error",
                message=f"{type(unforeseen).__name__}: {unforeseen}",
                hint="this is a mistake in stenod; the log has the traceback, `steno retry` tries again",
            )
            return await move(job.id, "failed", error=error)

    async def _upgrade(self, job: Job) -> None:
        self._running[job.id] = _running_view(job)
        try:
            job = await self._runner.upgrade(job, self._stepper(job))
        except (JobFailed, JobMustWait) as setback:
            log.warning("job_not_upgraded", job=job.id, why=str(setback))
            job = await self._queue.change(job.id, degraded_reason="alignment_failed")
        finally:
            self._running.pop(job.id, None)
        self.tell(job)

    def _stepper(self, job: Job) -> Callable[[Phase, float], None]:
        def step(phase: Phase, done_seconds: float) -> None:
            view = self._running[job.id]
            if phase == "aligning" and view.status == "transcribing":
                return  # two workers are at it; the one that is behind the other is the job's progress
            view = view.model_copy(update={"phase": phase, "done_seconds": round(done_seconds, 2)})
            self._running[job.id] = view
            self._bus.publish(JobProgressed(running=view))

        return step

    def tell(self, job: Job) -> None:
        """Everyone who listens hears how the job stands."""
        if (view := self._running.get(job.id)) is not None:
            update = {"status": job.status, "audio_seconds": job.audio_seconds}
            self._running[job.id] = view.model_copy(update=update)
        self._bus.publish(JobChanged(job=job_view(job, self.why_waiting)))


def _running_view(job: Job) -> RunningView:
    return RunningView(
        id=job.id,
        path=job.path,
        status=job.status,
        phase=None,
        done_seconds=round(job.transcribed_seconds, 2),
        audio_seconds=job.audio_seconds,
    )


def _once(act: Callable[[], None]) -> Callable[[], None]:
    """The same act, done at the first call only."""
    done = False

    def act_once() -> None:
        nonlocal done
        if not done:
            done = True
            act()

    return act_once
