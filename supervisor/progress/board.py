"""The state of every job, for clients' requests and for their event streams.

Runs in: supervisor.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ipc.api_messages import JobView
from ipc.events import JobChanged, JobProgressed
from ipc.status_views import RunningView
from ipc.vocabulary import Phase
from supervisor.progress.estimate import WRITING_SHARE, Estimate, Rates
from supervisor.progress.event_bus import EventBus
from supervisor.progress.forecast import Forecast
from supervisor.progress.totals import Totals
from supervisor.progress.views import job_view
from supervisor.store.job import Job

Clock = Callable[[], float]
"""Monotonic seconds."""


@dataclass(slots=True)
class RunningJob:
    """A running job, with its last reported progress."""

    job: Job
    view: RunningView
    pace: Estimate


class JobBoard:
    """State outside the database: the progress of the running jobs, and why no waiting job is started."""

    def __init__(
        self,
        bus: EventBus,
        on_running: Callable[[bool], None] = lambda jobs_run: None,
        forecast: Forecast | None = None,
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        """`on_running` is called with whether any job runs, after each start and end of a job.

        `forecast` None: no estimate before a job has made progress.
        """
        self._bus = bus
        self.totals = Totals()
        self._forecast = forecast
        self._on_running = on_running
        self._clock = clock
        self._running: dict[int, RunningJob] = {}
        self.why_waiting: str | None = None
        """Why no waiting job is started now, as a sentence; None: waiting jobs only wait for their turn."""
        self.why_model_is_missing: Mapping[str | None, str] = {}
        """The same for jobs with this model; key None: jobs that name no model."""

    @property
    def running(self) -> list[RunningView]:
        """The progress of every running job, oldest first."""
        return [self._judged(self._running[job_id]) for job_id in sorted(self._running)]

    def running_left(self, usual_audio_seconds: float | None) -> list[float | None]:
        """The seconds that each running job will still need the workers; None: not known.

        A recording that is not decoded yet counts as long as `usual_audio_seconds`.
        """
        now = self._clock()
        return [
            running.pace.seconds_left(running.view.audio_seconds or usual_audio_seconds, now)
            for running in self._running.values()
        ]

    def running_view(self, job_id: int) -> RunningView | None:
        """This job's progress; None: it is not running."""
        running = self._running.get(job_id)
        return None if running is None else self._judged(running)

    def view(self, job: Job) -> JobView:
        """The job as clients see it."""
        return job_view(job, self.why_waiting or self.why_model_is_missing.get(job.options.model))

    def tell(self, job: Job) -> JobView:
        """Sends the job's state to every subscriber."""
        if (running := self._running.get(job.id)) is not None:
            self._learn(running, job)
            running.job, running.pace = job, _at_status(running.pace, job)
            update: dict[str, object] = {
                "path": job.path,
                "status": job.status,
                "audio_seconds": job.audio_seconds,
            }
            if job.status == "aligning" and running.view.status != "aligning":
                update |= {"phase": "aligning", "done_seconds": round(running.pace.aligned_seconds, 2)}
            running.view = running.view.model_copy(update=update)
        view = self.view(job)
        if job.is_finished:
            self.totals.note_end(view, time.time())
        self._bus.publish(JobChanged(job=view))
        return view

    def begin(self, job: Job) -> None:
        """The job is on its way."""
        self.totals.note_start(job.id, job.created_at, time.time())
        view = RunningView(
            id=job.id,
            path=job.path,
            status=job.status,
            phase=None,
            done_seconds=round(job.transcribed_seconds, 2),
            audio_seconds=job.audio_seconds,
        )
        pace = Estimate(
            self._rates(job),
            transcribed_seconds=job.transcribed_seconds,
            is_resumed=job.transcribed_seconds > 0.0,
            text_was_there=job.transcribed_whole,
        )
        self._running[job.id] = RunningJob(job, view, pace)
        self.tell(job)
        self._on_running(True)

    def end(self, job_id: int) -> None:
        """The job no longer runs, whatever its outcome. May be called twice."""
        self._running.pop(job_id, None)
        self._on_running(bool(self._running))

    def stepper(self, job_id: int) -> Callable[[Phase, float], None]:
        """The callback that a running job calls with each progress report."""

        def step(phase: Phase, done_seconds: float) -> None:
            running = self._running.get(job_id)
            if running is None:
                return
            pace, view = running.pace, running.view
            if phase == "decoding" and view.phase != "decoding":
                # Only now is the engine certain: after a crash a fallback engine may replace it.
                pace = replace(pace, rates=self._rates(running.job, at_transcriber=True))
            running.pace = pace.stepped(phase, done_seconds, view.audio_seconds, self._clock())
            if phase == "aligning" and view.status == "transcribing":
                return  # two workers work on it; the slower one's position is the job's progress
            running.view = view.model_copy(update=_further(view, phase, done_seconds))
            self._bus.publish(JobProgressed(running=self._judged(running)))

        return step

    def _rates(self, job: Job, *, at_transcriber: bool = False) -> Rates:
        if self._forecast is None:
            return Rates(wants_words=job.options.workflow != "transcribe")
        return self._forecast.rates(job.options, at_transcriber=at_transcriber)

    def _learn(self, running: RunningJob, job: Job) -> None:
        """From the work, once only the files are missing."""
        if self._forecast is not None and job.status == "writing" and running.job.status != "writing":
            pace = running.pace
            self._forecast.learn("transcribing", job.transcribed_by, pace.transcribing.measured())
            if job.degraded_reason is None:
                # If alignment was abandoned, its share of the time is not known.
                self._forecast.learn("aligning", job.aligned_by, pace.aligning.measured())

    def _judged(self, running: RunningJob) -> RunningView:
        view, pace, now = running.view, running.pace, self._clock()
        speed, left = pace.speed(now), pace.seconds_left(view.audio_seconds, now)
        figures = {
            "speed": None if speed is None else round(speed, 2),
            # While the files are written, almost nothing is left.
            "eta_seconds": None if left is None or pace.share >= WRITING_SHARE else round(left, 1),
            "share": round(pace.share, 4) if view.audio_seconds else None,
        }
        return view.model_copy(update=figures)


def _at_status(pace: Estimate, job: Job) -> Estimate:
    match job.status:
        case "aligning":
            return pace.transcribed()
        case "writing":
            return pace.writing()
        case _:
            return pace


def _further(view: RunningView, phase: Phase, done_seconds: float) -> dict[str, object]:
    """The shown position only increases, except when a phase restarts."""
    if view.phase == "transcribing" and phase in ("speech", "language"):
        # Before every batch the worker looks for the next speech, far ahead: that is part of transcribing.
        return {}
    if phase == "paused":
        return {"phase": phase}
    if view.phase == phase and phase != "decoding":
        done_seconds = max(done_seconds, view.done_seconds)
    return {"phase": phase, "done_seconds": round(done_seconds, 2)}
