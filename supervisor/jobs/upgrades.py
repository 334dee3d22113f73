"""Jobs that were done without their words, aligned and written again once the aligner is back.

Runs in: supervisor.
"""

import asyncio
from collections.abc import Callable

import structlog

from supervisor.disks.foreign_disks import DiskNotAnswering
from supervisor.jobs.outcomes import LOOK_AGAIN_SECONDS, JobFailed, JobMustWait
from supervisor.jobs.runner import JobRunner
from supervisor.progress.board import JobBoard
from supervisor.store.job import Job
from supervisor.store.job_rows import NoSuchJob
from supervisor.store.jobs import JobQueue
from supervisor.store.sqlite.database import JobQueueBroken
from supervisor.system.deadline import is_set_within
from supervisor.worker.handle import WorkerHandle
from supervisor.worker.state_machine import ABLE

log = structlog.get_logger()


class Upgrades:
    """One job at a time, oldest first; one that cannot be upgraded now holds up no other."""

    def __init__(self, queue: JobQueue, runner: JobRunner, aligner: WorkerHandle, board: JobBoard) -> None:
        self._queue = queue
        self._runner = runner
        self._aligner = aligner
        self._board = board
        self._woken = asyncio.Event()
        self.on_one_less: Callable[[], None] = lambda: None
        """Called after each job: one that has to run alone may wait for that."""
        self._held = False
        self.is_busy = False
        """A job is being given its words."""
        self._put_off: dict[int, float] = {}
        """Job → loop time before which it is not tried again."""

    def wake(self) -> None:
        """A worker changed its state, or a job is done."""
        self._woken.set()

    def try_at_once(self) -> None:
        """What put jobs off may be fixed."""
        self._put_off.clear()

    def hold(self, held: bool) -> None:
        """While held, no job is begun: one that took the daemon along runs alone."""
        if held != self._held:
            self._held = held
            self.wake()

    async def run(self) -> None:
        """Until cancelled. Nothing that happens to a job, nor to the database, raises here."""
        while True:
            self._woken.clear()
            try:
                await self._upgrade_all()
                recheck = bool(self._put_off) or await self._look_for_model()
            except JobQueueBroken as broken:
                log.warning("upgrades_put_off", code=broken.code, error=broken.message)
                recheck = True
            await is_set_within(self._woken, LOOK_AGAIN_SECONDS if recheck else None)

    async def _look_for_model(self) -> bool:
        """Whether jobs wait for an aligner without a model: then a timer has to look whether it came."""
        if not self._aligner.availability.lacks_model or not await self._queue.jobs_to_upgrade(limit=1):
            return False
        self._aligner.availability.recheck()
        return True

    async def _upgrade_all(self) -> None:
        """Every turn takes a job off the list or puts it off: this comes to an end."""
        loop = asyncio.get_running_loop()
        while self._aligner.view.state in ABLE:
            self._put_off = {job_id: until for job_id, until in self._put_off.items() if until > loop.time()}
            jobs = await self._queue.jobs_to_upgrade(limit=1, skip=frozenset(self._put_off))
            if not jobs or self._held:
                return
            (job,) = jobs
            self._board.begin(job)
            self.is_busy = True
            try:
                await self._queue.deaths.begin_upgrade(job.id)
                job = await self._upgrade(job)
                await self._queue.deaths.end_upgrade()
            finally:
                self.is_busy = False
                self._board.end(job.id)
                self.on_one_less()
            if job.degraded_reason == "aligner_unavailable":
                self._put_off[job.id] = loop.time() + LOOK_AGAIN_SECONDS
            self._board.tell(job)

    async def _upgrade(self, job: Job) -> Job:
        try:
            return await self._runner.upgrade(job, self._board.stepper(job.id))
        except (JobMustWait, JobQueueBroken, NoSuchJob, DiskNotAnswering) as later:
            # Pruned meanwhile counts as later too: it is not on the list any more.
            log.warning("job_upgrade_put_off", job=job.id, why=str(later))
            return job
        except JobFailed as failed:
            log.warning("job_not_upgraded", job=job.id, why=str(failed))
            reason = failed.code
        except Exception:
            # The task boundary: a mistake of ours costs this job its words, never the daemon.
            log.exception("upgrade_hit_a_bug", job=job.id)
            reason = "alignment_failed"
        try:
            return await self._queue.change(job.id, degraded_reason=reason)
        except NoSuchJob:
            return job  # forgotten meanwhile
