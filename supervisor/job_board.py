"""How every job stands, for whoever asks and whoever listens.

Runs in: supervisor.
"""

from collections.abc import Callable, Mapping

from ipc.api_messages import JobView
from ipc.events import JobChanged, JobProgressed
from ipc.status_views import RunningView
from ipc.worker_messages import Phase
from supervisor.event_bus import EventBus
from supervisor.job import Job
from supervisor.status_report import job_view


class JobBoard:
    """What the database does not know: how far the running jobs are, and why no waiting one is started."""

    def __init__(self, bus: EventBus, on_running: Callable[[bool], None] = lambda jobs_run: None) -> None:
        """`on_running` is told whether any job runs, after each begin and each end."""
        self._bus = bus
        self._on_running = on_running
        self._running: dict[int, RunningView] = {}
        self.why_waiting: str | None = None
        """Why no waiting job is started now, in words; None: it is only a matter of turns."""
        self.why_model_is_missing: Mapping[str | None, str] = {}
        """The same for jobs that want this model; None: for those that name none."""

    @property
    def running(self) -> list[RunningView]:
        """How far every running job is, oldest first."""
        return [self._running[job_id] for job_id in sorted(self._running)]

    def running_view(self, job_id: int) -> RunningView | None:
        """How far this job is; None: it is not on its way."""
        return self._running.get(job_id)

    def view(self, job: Job) -> JobView:
        """The job as clients see it."""
        return job_view(job, self.why_waiting or self.why_model_is_missing.get(job.options.model))

    def tell(self, job: Job) -> JobView:
        """Everyone who listens hears how the job stands."""
        if (running := self._running.get(job.id)) is not None:
            update = {"status": job.status, "audio_seconds": job.audio_seconds}
            self._running[job.id] = running.model_copy(update=update)
        view = self.view(job)
        self._bus.publish(JobChanged(job=view))
        return view

    def begin(self, job: Job) -> None:
        """The job is on its way."""
        self._running[job.id] = RunningView(
            id=job.id,
            path=job.path,
            status=job.status,
            phase=None,
            done_seconds=round(job.transcribed_seconds, 2),
            audio_seconds=job.audio_seconds,
        )
        self.tell(job)
        self._on_running(True)

    def end(self, job_id: int) -> None:
        """The job's way is over, however it ended. Harmless twice."""
        self._running.pop(job_id, None)
        self._on_running(bool(self._running))

    def stepper(self, job_id: int) -> Callable[[Phase, float], None]:
        """What a job on its way calls at every step forward."""

        def step(phase: Phase, done_seconds: float) -> None:
            view = self._running.get(job_id)
            if view is None or (phase == "aligning" and view.status == "transcribing"):
                return  # two workers are at it; the one that is behind the other is the job's progress
            view = view.model_copy(update={"phase": phase, "done_seconds": round(done_seconds, 2)})
            self._running[job_id] = view
            self._bus.publish(JobProgressed(running=view))

        return step
