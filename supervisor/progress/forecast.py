"""How long jobs and the whole queue will take, before anything is seen of them.

Runs in: supervisor.

One transcriber and one aligner take the jobs in turn, the aligner while the next job is transcribed already: the
one that has more to do decides.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from ipc.api_messages import JobOptions
from ipc.transcript import EngineUsed
from supervisor.progress.estimate import LAST_BATCH_SECONDS, Expected, Left
from supervisor.store.job import Job, resolve_options
from supervisor.store.jobs import JobQueue
from supervisor.store.speeds import Stage
from supervisor.system.reload import LiveSettings
from supervisor.worker.handle import WorkerHandle

ALL_BUT = 0.1
"""So many of the waiting jobs may be a riddle and count like the others; with more of them nothing is said."""
MOST_LOOKED_AT = 200
"""Waiting jobs that stand for all others: the status has to come within milliseconds."""
FRESH_SECONDS = 2.0
"""So long one look at them is good enough."""


def work_of(expected: Expected, transcribed_seconds: float = 0.0, *, only_words: bool = False) -> Left | None:
    """What a waiting job asks of each worker, and takes if it is alone; None: not known."""
    audio_seconds = expected.audio_seconds
    if audio_seconds is None or (expected.transcribing is None and not only_words):
        return None
    if expected.aligning is None and expected.wants_words:
        return None
    words = audio_seconds / expected.aligning if expected.aligning and expected.wants_words else 0.0
    text = 0.0
    if not only_words and expected.transcribing:
        text = max(audio_seconds - transcribed_seconds, 0.0) / expected.transcribing
        text += audio_seconds / expected.decoding if expected.decoding else 0.0
    last_batch = words * min(LAST_BATCH_SECONDS / audio_seconds, 1.0) if audio_seconds else 0.0
    return Left(text, words, max(text + last_batch, words))


def seconds_for_all(
    running: Sequence[Left | None], waiting: Sequence[Left | None], jobs_waiting: int
) -> float | None:
    """Until the last one is done; None where that would be a guess.

    `waiting` may be a sample of the `jobs_waiting`.
    """
    under_way = [left for left in running if left is not None]
    known = [work for work in waiting if work is not None]
    if len(under_way) < len(running) or not (under_way or known):
        return None
    if jobs_waiting and len(known) < max(len(waiting), 1) * (1 - ALL_BUT):
        return None
    each_stands_for = jobs_waiting / len(known) if known else 0.0
    transcriber = sum(left.transcriber for left in under_way)
    transcriber += each_stands_for * sum(work.transcriber for work in known)
    aligner = max((left.aligner for left in under_way), default=0.0)
    aligner += each_stands_for * sum(work.aligner for work in known)
    tail = sum(work.job - work.transcriber for work in known) / len(known) if known else 0.0
    return max(transcriber + tail, aligner, *(left.job for left in under_way))


class Forecast:
    """Knows the settings and both workers; everything else is what earlier jobs taught."""

    def __init__(
        self,
        queue: JobQueue,
        transcriber: WorkerHandle,
        aligner: WorkerHandle | None,
        settings: LiveSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._transcriber = transcriber
        self._aligner = aligner
        self._settings = settings
        self._clock = clock
        self._seen: tuple[float, int, Sequence[Left | None]] = (-FRESH_SECONDS, 0, [])
        """When the waiting jobs were looked at, how many they were, and what they ask for."""

    def of_job(self, job: Job, *, at_transcriber: bool = False) -> Expected:
        """`at_transcriber`: the worker holds this very job, and so what is in it is what the job gets."""
        length = job.audio_seconds or self._queue.speeds.length(job.path, job.identity.size)
        return replace(self._expected(job.options, at_transcriber=at_transcriber), audio_seconds=length)

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
        """How long all of it will take; None: it cannot be known."""
        return seconds_for_all(running, await self._waiting(jobs_waiting), jobs_waiting)

    async def _waiting(self, jobs_waiting: int) -> Sequence[Left | None]:
        """What the waiting jobs ask for, or some that stand for them; not every question reads them."""
        looked_at, known_of, work = self._seen
        now = self._clock()
        if not jobs_waiting:
            return []
        # One job more or less changes nothing among hundreds, and much among three.
        is_same = jobs_waiting == known_of or min(jobs_waiting, known_of) > MOST_LOOKED_AT
        if is_same and now - looked_at < FRESH_SECONDS:
            return work
        jobs = await self._queue.waiting_work(MOST_LOOKED_AT)
        # Hundreds of jobs have the same options.
        same = {id(job.options): job.options for job in jobs}
        known = {key: self._expected(options) for key, options in same.items()}
        work = [
            work_of(
                replace(
                    known[id(job.options)],
                    audio_seconds=job.audio_seconds or self._queue.speeds.length(job.path, job.size_bytes),
                ),
                job.transcribed_seconds,
                only_words=job.transcribed_whole,
            )
            for job in jobs
        ]
        self._seen = (now, jobs_waiting, work)
        return work

    def _expected(self, options: JobOptions, *, at_transcriber: bool = False) -> Expected:
        speeds, aligner = self._queue.speeds, self._aligner
        wants_words = resolve_options(options, self._settings.current).wants_words and aligner is not None
        hears = self._transcriber.in_use if at_transcriber else self._transcriber.would_use(options.model)
        times = aligner.would_use() if aligner is not None and wants_words and aligner.refusal() is None else None
        return Expected(
            wants_words=times is not None,
            decoding=speeds.speed("decoding"),
            transcribing=speeds.speed("transcribing", *hears),
            aligning=None if times is None else speeds.speed("aligning", *times),
        )
