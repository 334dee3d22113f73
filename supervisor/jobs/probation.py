"""Jobs that took the daemon along before: each waits a little, and then runs alone; and jobs that no task runs.

Runs in: supervisor. The rule is in `daemon_deaths`.
"""

from collections.abc import Callable, Collection, Sequence

import structlog

from supervisor.jobs.dispatch_order import DispatchOrder
from supervisor.jobs.upgrades import Upgrades
from supervisor.progress.board import JobBoard
from supervisor.store.daemon_deaths import is_condemned, is_suspect, pause_before_trial
from supervisor.store.job import RUNNING, Job
from supervisor.store.jobs import JobQueue

log = structlog.get_logger()


class Probation:
    """Only a death of the daemon makes a job suspect: no further one comes in this life of it."""

    def __init__(
        self, queue: JobQueue, board: JobBoard, upgrades: Upgrades | None, recheck: Callable[[], None]
    ) -> None:
        """`recheck`: a job that waited for an upgrade to end may continue."""
        if upgrades is not None:
            upgrades.on_one_less = recheck
        self._queue = queue
        self._board = board
        self._upgrades = upgrades
        self._alone: int | None = None
        self.pauses: dict[int, float] = {}
        """Suspect → seconds from the daemon's start until it may be tried."""
        self.left_behind = 0
        """How many jobs were found running in the database alone, and put back."""

    async def judge(self) -> Sequence[Job]:
        """The jobs that are to be quarantined; what is left of the suspects is to be tried. Raises JobQueueBroken."""
        other_deaths = await self._queue.deaths.other_deaths()
        condemned = []
        for job in await self._queue.deaths.suspects():
            if is_condemned(job, other_deaths):
                log.error("job_condemned", job=job.id, daemon_deaths=job.daemon_deaths)
                condemned.append(job)
            else:
                log.warning("job_on_probation", job=job.id, daemon_deaths=job.daemon_deaths, alone=job.deaths_alone)
                self.pauses[job.id] = pause_before_trial(job)
        return condemned

    def begin(self, turns: DispatchOrder) -> None:
        """No job is tried before its pause is over."""
        for job_id, pause_seconds in self.pauses.items():
            turns.deferred([job_id], pause_seconds)

    @property
    def is_on(self) -> bool:
        """Whether a suspect runs, and nothing else may."""
        return self._alone is not None

    def may_try(self, *, nothing_runs: bool) -> bool:
        """Whether a suspect may be claimed; if so, no upgrade begins until one was, or was not."""
        if not self.pauses:
            return False
        alone = nothing_runs and (self._upgrades is None or not self._upgrades.is_busy)
        self._hold_upgrades(alone)
        return alone

    def claimed(self, job: Job | None) -> None:
        """This one was, or none."""
        if job is not None and is_suspect(job):
            self._alone = job.id
        self._hold_upgrades(self.is_on)

    def is_over(self, job_id: int) -> None:
        """The job's task has ended."""
        if self._alone == job_id:
            self._alone = None
            self._hold_upgrades(False)

    async def put_back_others(self, in_hand: Collection[int]) -> None:
        """No way out of a job may leave it running in the database alone: it would never be claimed again.

        Its caller is the only one that claims jobs. Raises JobQueueBroken.
        """
        counts = await self._queue.counts()
        if sum(counts[status] for status in RUNNING) > len(in_hand):
            for job_id in await self._queue.deaths.put_back(frozenset(in_hand)):
                self.left_behind += 1
                log.error("job_put_back", job=job_id, why="it ran according to the queue, and no task ran it")
                self._board.tell(await self._queue.get(job_id))

    def _hold_upgrades(self, held: bool) -> None:
        if self._upgrades is not None:
            self._upgrades.hold(held)
