"""How fast jobs will go, and how long the whole queue will take, before anything is seen of them.

Runs in: supervisor.

The length of a waiting recording is not known: it counts as long as the last recordings were. One transcriber and
one aligner take the jobs in turn, the aligner while the next job is transcribed already: the slower one decides.
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
    """Knows the settings and both workers; everything else is what earlier jobs taught."""

    def __init__(
        self, queue: JobQueue, transcriber: WorkerHandle, aligner: WorkerHandle | None, settings: LiveSettings
    ) -> None:
        self._queue = queue
        self._transcriber = transcriber
        self._aligner = aligner
        self._settings = settings

    def rates(self, options: JobOptions, *, at_transcriber: bool = False) -> Rates:
        """`at_transcriber`: the worker holds this very job, and so what is in it is what the job gets."""
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
        """A stage of a job is over. `told`: by whom, an EngineUsed as JSON; None where nothing can be learned."""
        if told is not None and took is not None:
            self._queue.speeds.note(stage, EngineUsed.model_validate_json(told), *took)

    def queue_seconds(self, backlog: Backlog, running_left: Sequence[float | None]) -> float | None:
        """How long all of it will take; None: it cannot be known."""
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
