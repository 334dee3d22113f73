"""Counters since the daemon's start: jobs, their times, deaths of workers, hooks.

Runs in: supervisor, on the event loop. Plain numbers; the metrics page gives them names.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from ipc.api_messages import JobView
from ipc.status_views import WorkerView

BUCKETS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0)
"""Upper bounds, in seconds."""


@dataclass(eq=False)
class Durations:
    """A histogram of seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    """The count of each bucket, not cumulative; the last one is above all bounds."""
    sum_seconds: float = 0.0

    def note(self, seconds: float) -> None:
        place = next((at for at, bound in enumerate(BUCKETS) if seconds <= bound), len(BUCKETS))
        self.counts[place] += 1
        self.sum_seconds += seconds

    @property
    def cumulative(self) -> Sequence[int]:
        """Of each bucket and all below it."""
        return [sum(self.counts[: at + 1]) for at in range(len(self.counts))]


@dataclass(eq=False)
class Totals:
    """Updated by the board, by the workers' events and by hooks."""

    finished: Counter[str] = field(default_factory=Counter)
    """Outcome (done, degraded, failed, cancelled) → jobs."""
    deaths: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Role and cause → deaths of workers."""
    hooks: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Event and outcome → runs of hooks."""
    waits: Durations = field(default_factory=Durations)
    """From a job's arrival to its first start."""
    durations: Durations = field(default_factory=Durations)
    """From its first start to its end."""
    last_done: float | None = None
    """Seconds since the epoch."""
    _started: dict[int, float] = field(default_factory=dict)
    _seen_deaths: dict[str, str] = field(default_factory=lambda: defaultdict(str))

    def note_start(self, job_id: int, created_at: float, now: float) -> None:
        """The job was started, perhaps again; all times are seconds since the epoch."""
        if job_id not in self._started:
            self._started[job_id] = now
            self.waits.note(max(0.0, now - created_at))

    def note_end(self, job: JobView, now: float) -> None:
        """The job is finished; a later upgrade of it is not counted again."""
        started = self._started.pop(job.id, None)
        if started is None and job.status != "cancelled":
            return
        if started is not None:
            self.durations.note(max(0.0, now - started))
        degraded = job.status == "done" and job.degraded_reason not in (None, "alignment_off")
        self.finished["degraded" if degraded else job.status] += 1
        if job.status == "done":
            self.last_done = now

    def note_worker(self, worker: WorkerView) -> None:
        """The worker changed; a death is counted once."""
        death = worker.last_death
        if death is not None and death.at != self._seen_deaths[worker.role]:
            self._seen_deaths[worker.role] = death.at
            cause = death.signal or ("exit" if death.exit_code is not None else "killed")
            self.deaths[worker.role, cause] += 1

    def note_hook(self, event: str, *, succeeded: bool) -> None:
        """A hook ended."""
        self.hooks[event, "succeeded" if succeeded else "failed"] += 1
