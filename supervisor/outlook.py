"""What is to be expected of jobs before anything is seen of them: their speeds, their words, and the queue's end.

Runs in: supervisor.
"""

from collections.abc import Sequence

from config.settings import Settings
from ipc.api_messages import JobOptions
from ipc.transcript import EngineUsed
from supervisor.job import Job
from supervisor.job_queue import JobQueue
from supervisor.job_wishes import wishes_of
from supervisor.pace import Expected, Left
from supervisor.queue_eta import seconds_for_all, work_of
from supervisor.speeds import Stage
from supervisor.worker_keeper import WorkerKeeper

MOST_LOOKED_AT = 300
"""Waiting jobs that stand for all others: the status has to come within milliseconds."""


class Outlook:
    """Knows the settings and both workers; everything else is what earlier jobs taught."""

    def __init__(
        self, queue: JobQueue, transcriber: WorkerKeeper, aligner: WorkerKeeper | None, settings: Settings
    ) -> None:
        self._queue = queue
        self._transcriber = transcriber
        self._aligner = aligner
        self._settings = settings

    def use(self, settings: Settings) -> None:
        """These settings hold from now on."""
        self._settings = settings

    def of_job(self, job: Job, *, at_transcriber: bool = False) -> Expected:
        """`at_transcriber`: the worker holds this very job, and so what is in it is what the job gets."""
        return self._expected(
            job.options, job.audio_seconds, job.path, job.identity.size, at_transcriber=at_transcriber
        )

    def note(self, job: Job, stage: Stage, audio_seconds: float, work_seconds: float) -> None:
        """A stage of the job took so long."""
        told = {"decoding": None, "transcribing": job.transcribed_by, "aligning": job.aligned_by}[stage]
        if told is not None or stage == "decoding":
            by = None if told is None else EngineUsed.model_validate_json(told)
            self._queue.speeds.note(stage, by, audio_seconds, work_seconds)

    def note_size(self, job: Job) -> None:
        """How long the job's recording turned out to be."""
        if job.audio_seconds:
            self._queue.speeds.note_size(job.path, job.identity.size, job.audio_seconds)

    async def queue_seconds(self, running: Sequence[Left | None], jobs_waiting: int) -> float | None:
        """How long all of it will take; None: nobody can know."""
        waiting = await self._queue.waiting_work(MOST_LOOKED_AT) if jobs_waiting else []
        work = [
            work_of(
                self._expected(job.options, job.audio_seconds, job.path, job.size_bytes),
                job.transcribed_seconds,
                only_words=job.transcribed_whole,
            )
            for job in waiting
        ]
        return seconds_for_all(running, work, jobs_waiting)

    def _expected(
        self,
        options: JobOptions,
        audio_seconds: float | None,
        path: str,
        size_bytes: int,
        *,
        at_transcriber: bool = False,
    ) -> Expected:
        speeds, aligner = self._queue.speeds, self._aligner
        wants_words = wishes_of(options, self._settings).wants_words and aligner is not None
        hears = self._transcriber.in_use if at_transcriber else self._transcriber.would_use(options.model)
        times = aligner.would_use() if aligner is not None and wants_words and aligner.refusal() is None else None
        return Expected(
            wants_words=times is not None,
            audio_seconds=audio_seconds or speeds.length(path, size_bytes),
            decoding=speeds.speed("decoding"),
            transcribing=speeds.speed("transcribing", *hears),
            aligning=None if times is None else speeds.speed("aligning", *times),
        )
