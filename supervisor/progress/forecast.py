"""Estimates jobs' speed and the time for the whole queue before the jobs run.

Runs in: supervisor.

The duration of a waiting recording is not known: the average of the last recordings is used. One transcriber and one
aligner take the jobs in turn, the aligner while the next job is already transcribed: the slower one decides.
"""

from collections.abc import Sequence

from ipc.api_messages import JobOptions
from ipc.transcript import EngineUsed
from supervisor.progress.estimate import Measured, Rates
from supervisor.store.claims import Backlog
from supervisor.store.job import resolve_options
from supervisor.store.jobs import JobQueue
from supervisor.store.speeds import Stage
from supervisor.system.reload import LiveSettings
from supervisor.worker.handle import WorkerHandle


class Forecast:
    """Uses the settings, both workers, and the rates of earlier jobs."""

    def __init__(
        self, queue: JobQueue, transcriber: WorkerHandle, aligner: WorkerHandle | None, settings: LiveSettings
    ) -> None:
        self._queue = queue
        self._transcriber = transcriber
        self._aligner = aligner
        self._settings = settings

    def rates(self, options: JobOptions, *, at_transcriber: bool = False) -> Rates:
        """`at_transcriber`: the worker runs this job now, so its loaded model is the job's."""
        speeds, aligner = self._queue.speeds, self._aligner
        wants_words = resolve_options(options, self._settings.current).wants_words and aligner is not None
        hears = self._transcriber.in_use if at_transcriber else self._transcriber.would_use(options.model)
        times = aligner.would_use() if aligner is not None and wants_words and aligner.refusal() is None else None
        return Rates(
            speeds.speed("transcribing", *hears),
            None if times is None else speeds.speed("aligning", *times),
            wants_words=times is not None,
        )

    def learn(self, stage: Stage, told: str | None, took: Measured | None) -> None:
        """A stage of a job is over. `told`: the EngineUsed as JSON; None: nothing can be learned from it."""
        if told is not None and took is not None:
            self._queue.speeds.note(stage, EngineUsed.model_validate_json(told), *took)

    def queue_seconds(self, backlog: Backlog, running_left: Sequence[float | None]) -> float | None:
        """The seconds until all of it is done; None: not known."""
        if not backlog.jobs and not running_left:
            return None
        seconds = 0.0
        for model, jobs in backlog.jobs.items():
            rates = self.rates(JobOptions(model=model))
            decisive = (rates.transcribing, rates.aligning) if rates.wants_words else (rates.transcribing,)
            if backlog.usual_audio_seconds is None or None in decisive:
                return None
            seconds += jobs * backlog.usual_audio_seconds / min(rate for rate in decisive if rate is not None)
        left = [one for one in running_left if one is not None]
        if len(left) < len(running_left):
            return None
        # Running jobs use both workers; the waiting ones come after the last of them.
        return seconds + max(left, default=0.0)
