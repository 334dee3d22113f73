"""One job at the transcriber: decoded, transcribed, resumed after every death until the policy says enough.

Runs in: supervisor.

Recordings with several sound tracks: where one has no speech, the next is tried.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NoReturn, Unpack

import structlog

from ipc.failpoints import hit
from ipc.vocabulary import Outcome, Phase
from ipc.worker_messages import (
    LanguageFound,
    Paused,
    Progress,
    RequestFailed,
    SegmentsTranscribed,
    Transcribe,
    TranscriptionFinished,
)
from supervisor.jobs.crash_policy import (
    deaths_in_a_row,
    deaths_in_words,
    most_deaths,
    next_transcription,
    place_of_death,
    setback_of_unkillable,
)
from supervisor.jobs.decoding import (
    DECODER,
    DecoderCrashed,
    JobContext,
    attempt_of,
    decode,
    engine_in,
    is_another,
    raise_refusal,
)
from supervisor.jobs.outcomes import STOPPED, JobFailed, JobMustWait
from supervisor.results.replacements import rewritten
from supervisor.store.job import Job, ResolvedOptions
from supervisor.store.job_rows import JobChanges
from supervisor.worker.circuit_breaker import NEEDS_MODEL, WorkerUnavailable
from supervisor.worker.death import CrashReports, Death
from supervisor.worker.handle import WorkerDied, WorkerHandle


@dataclass(frozen=True, slots=True)
class UnheardTracks:
    """How far the search for speech is."""

    next_track: int | None = None
    """What is decoded next, counted from 1; None: what the decoder thinks best."""
    first_facts: JobChanges = field(default_factory=JobChanges)
    """What the job says in the end, if none has speech: the track that would have been taken."""
    _tried: frozenset[int] = frozenset()

    def after(self, job: Job) -> "UnheardTracks":
        """The job's track held no speech: the next one in the order of their numbers that was not tried."""
        if job.recording is None or job.recording.track is None:
            return self
        facts = self.first_facts or JobChanges(recording=job.recording, audio_seconds=job.audio_seconds)
        return replace(self, first_facts=facts)._following(job, job.recording.track.number)

    def after_refused(self, job: Job) -> "UnheardTracks":
        """The next track could not be decoded."""
        return self if self.next_track is None else self._following(job, self.next_track)

    def _following(self, job: Job, tried: int) -> "UnheardTracks":
        all_tried = self._tried | {tried}
        recording = job.recording
        tracks = () if recording is None else (recording.track, *recording.other_tracks)
        left = sorted(track.number for track in tracks if track is not None and track.number not in all_tried)
        return replace(self, next_track=left[0] if left else None, _tried=all_tried)


log = structlog.get_logger()


class Transcription:
    """The transcriber's half of one job. Stored segments are never transcribed again."""

    def __init__(
        self,
        context: JobContext,
        wishes: ResolvedOptions,
        handle: WorkerHandle,
        reports: CrashReports,
        news: asyncio.Event,
        tell: Callable[[Job], object],
    ) -> None:
        self._context = context
        self._job = context.job
        self._queue = context.queue
        self._wishes = wishes
        self._keeper = handle
        self._reports = reports
        self._news = news
        """Set when the PCM is there, and after every batch of segments that is safe in the database."""
        self._decoded_seconds = 0.0
        """How far the present decoding is."""
        self._deaths_in_all = 0
        self._tell = tell
        self._stand_in_refused = False
        self._unheard = UnheardTracks()

    async def run(self) -> Job:
        """Until every segment is stored; the job as it is then. Raises JobFailed and JobMustWait."""
        # Between its decoding and its transcription no other job gets in.
        with self._keeper.in_hand(self._context.pcm, reserved=self._context.urgent):
            return await self._run()

    async def _run(self) -> Job:
        while not self._job.transcribed_whole:
            self._job = await self._queue.get(self._job.id)
            engine = self._engine()
            try:
                await self._attempt(engine)
            except WorkerDied as died:
                if died.death.written_off:
                    await self._record_attempt(engine, died.death.cause, died.death)
                    raise setback_of_unkillable(self._job, died.death) from died
                await self._record_death(engine, died.death)
            except DecoderCrashed as crashed:
                await self._record_death(DECODER, crashed.death)
            except WorkerUnavailable as unavailable:
                if unavailable.code == "stopping":
                    raise JobMustWait(STOPPED) from unavailable
                if engine is not None and not self._keeper.is_worn_out(self._wishes.model):
                    # The last try is better spent on the engine that crashed than on none at all.
                    log.warning("job_found_no_stand_in", job=self._job.id, engine=engine, code=unavailable.code)
                    self._stand_in_refused = True
                    continue
                # Became broken under our hands: the fallback may still do it.
                if engine == self._engine():
                    raise self._setback(engine, unavailable) from unavailable
            except JobFailed:
                await self._record_attempt(engine, "failed")
                raise
        return self._job

    def _engine(self) -> str | None:
        """None: the primary engine."""
        fallback = self._keeper.fallback_engine
        if fallback is None or self._stand_in_refused:
            return None
        crashes = _engine_crashes(self._job)
        worn_out = 0 < self._context.settings.crashes.transcriber_crashes_allowed <= crashes
        return fallback if worn_out or self._keeper.is_worn_out(self._wishes.model) else None

    def _setback(self, engine: str | None, why: WorkerUnavailable) -> JobFailed | JobMustWait:
        """What the settings say will be fixed, a missing model may come; any other model of its own fails a job."""
        its_own = engine is None and self._keeper.availability.is_override(self._wishes.model)
        if its_own and not why.is_for_the_fallback and why.code != NEEDS_MODEL:
            return JobFailed(why.code, why.message, why.hint)
        return JobMustWait(f"{why.message}: {why.hint}")

    async def _attempt(self, engine: str | None) -> None:
        job = self._job
        self._decoded_seconds = 0.0
        try:
            decoded = await decode(
                replace(self._context, step=self._step),
                self._keeper,
                job,
                engine=engine,
                model=self._wishes.model,
                track=self._unheard.next_track,
            )
        except (JobFailed, DecoderCrashed) as failed:
            if self._unheard.next_track is None:
                raise
            # One that was only tried because the others have no speech: the job does not fail by it.
            log.warning("track_not_decoded", job=job.id, track=self._unheard.next_track, why=str(failed))
            self._unheard = self._unheard.after_refused(job)
            return
        if is_another(decoded, job):
            await self._begin_again(job)
        language = job.language or self._wishes.language
        audio_seconds = decoded.seconds
        # Where the PCM was there already, what is known of the recording stays known.
        recording = decoded.recording or job.recording
        job = await self._queue.change(job.id, audio_seconds=audio_seconds, language=language, recording=recording)
        self._tell(job)
        self._news.set()
        while await self._transcribe(engine, audio_seconds):
            job = await self._queue.get(job.id)
            log.info("job_made_way", job=job.id, at_seconds=job.transcribed_seconds)
            self._step("paused", job.transcribed_seconds)

    async def _transcribe(self, engine: str | None, audio_seconds: float) -> bool:
        """From the last stored segment on. Whether it paused for an urgent job before all was heard."""
        paused = False
        job = await self._queue.get(self._job.id)
        stored = await self._queue.count_segments(job.id)
        if stored:
            log.info("transcription_resumed", job=job.id, at_seconds=job.transcribed_seconds, segments=stored)
        request = Transcribe(
            request_id=0,
            pcm_path=str(self._context.pcm),
            language=job.language,
            task=self._wishes.task,
            prompt=self._wishes.prompt,
            start_at_seconds=job.transcribed_seconds,
            first_segment_id=stored,
        )
        deadlines = self._context.settings.deadlines
        deadline_seconds = max(deadlines.transcription_least_seconds, deadlines.transcription_factor * audio_seconds)
        async with self._keeper.request(
            request,
            deadline_seconds=deadline_seconds,
            during_job=job.id,
            engine=engine,
            model=self._wishes.model,
            urgent=self._context.urgent,
        ) as replies:
            async for reply in replies:
                match reply:
                    case Progress(phase=phase, done_seconds=done_seconds):
                        self._step(phase, done_seconds)
                    case LanguageFound(language=found, probability=probability):
                        await self._queue.change(job.id, language=found, language_probability=probability)
                    case SegmentsTranscribed(segments=heard, unheard=unheard, done_seconds=done_seconds):
                        await self._queue.store_segments(
                            job.id, rewritten(heard, self._wishes.replacements), done_seconds, unheard
                        )
                        hit("segments_stored")
                        self._step("transcribing", done_seconds)
                        self._news.set()
                    case Paused():
                        paused = True
                    case RequestFailed() as refused:
                        raise_refusal(refused)
                    case TranscriptionFinished() if await self._has_another_track():
                        log.info("track_without_speech", job=job.id, next_track=self._unheard.next_track)
                    case TranscriptionFinished():
                        whole: JobChanges = {
                            **self._unheard.first_facts,
                            "transcribed_whole": True,
                            "transcribed_by": engine_in(self._keeper),
                        }
                        await self._record_attempt(engine, "done", **whole)
                        hit("transcription_stored")
                    case _:
                        pass
        return paused

    async def _has_another_track(self) -> bool:
        """Whether nothing was said, and there is a track that was not tried yet. Then it is the next."""
        if self._job.options.track is not None or await self._queue.count_segments(self._job.id):
            self._unheard = UnheardTracks()
            return False
        job = await self._queue.get(self._job.id)
        self._unheard = self._unheard.after(job)
        if self._unheard.next_track is None:
            return False
        await asyncio.to_thread(self._context.pcm.unlink, missing_ok=True)
        again = JobChanges(transcribed_seconds=0.0, unheard_seconds=None, language_probability=None)
        again["language"] = self._wishes.language
        await self._queue.change(job.id, **again)
        return True

    async def _begin_again(self, job: Job) -> NoReturn:
        """What was heard so far was heard in another content. The next look at the file finds it changed."""
        log.warning("recording_changed_unseen", job=job.id, path=job.path)
        await asyncio.to_thread(self._context.pcm.unlink, missing_ok=True)
        await self._queue.forget_segments(job.id)
        await self._queue.change(job.id, identity=replace(job.identity, mtime_ns=0))
        raise JobMustWait(f"{job.path} changed since it was taken; it is read again")

    async def _record_attempt(
        self, engine: str | None, outcome: Outcome, death: Death | None = None, **changes: Unpack[JobChanges]
    ) -> None:
        """The attempt and what it changed, together: a power cut between them would tell half a story."""
        done_seconds = round((await self._queue.get(self._job.id)).transcribed_seconds, 2)
        attempt = attempt_of("transcriber", engine or self._keeper.primary_engine, outcome, death, done_seconds)
        self._job = await self._queue.add_attempt(self._job.id, attempt, **changes)
        hit("attempt_stored")
        self._tell(self._job)

    def _step(self, phase: Phase, done_seconds: float) -> None:
        if phase == "decoding":
            self._decoded_seconds = done_seconds
        self._context.step(phase, done_seconds)

    async def _record_death(self, engine: str | None, death: Death) -> None:
        self._job = await self._queue.get(self._job.id)
        self._deaths_in_all += 1
        decoding = None if self._context.pcm.exists() else self._decoded_seconds
        place = place_of_death(self._job.transcribed_seconds, decoding)
        crashes = deaths_in_a_row(self._job.transcriber_crashes, self._job.crashed_at_seconds, place)
        await self._record_attempt(engine, death.cause, death, transcriber_crashes=crashes, crashed_at_seconds=place)
        decided = next_transcription(
            crashes,
            self._context.settings.crashes.transcriber_crashes_allowed,
            has_fallback=engine != DECODER and self._keeper.fallback_engine is not None,
        )
        log.warning("job_lost_its_transcriber", job=self._job.id, cause=death.reason, crashes=crashes, then=decided)
        if decided == "quarantine" or self._deaths_in_all > most_deaths(self._job.audio_seconds):
            await self._quarantine(engine, death, crashes)

    async def _quarantine(self, engine: str | None, death: Death, crashes: int) -> NoReturn:
        report = "no file: the disk took none"
        try:
            report = str(await asyncio.to_thread(self._reports.write, self._job.id, death))
        except OSError as error:
            log.warning("crash_report_not_written", job=self._job.id, error=error.strerror)
        log.error("job_quarantined", job=self._job.id, signal=death.signal, phase=death.phase, report=report)
        seconds = self._job.transcribed_seconds
        who = "decoder" if engine == DECODER else "transcriber"
        place = f"{seconds:.0f} s" if seconds else "the beginning"
        code = f"{who}_timeout" if death.cause == "timeout" else f"{who}_crashed"
        raise JobFailed(
            code,
            f"the {who} died {deaths_in_words(crashes, self._deaths_in_all)}, at last: {death.reason}",
            f"`steno retry {self._job.id}` tries again from {place}; the traceback is in {report}",
            quarantined=True,
        )


def _engine_crashes(job: Job) -> int:
    """Of the deaths that count, those in which the engine had a part: another engine decodes no better."""
    deaths = [one for one in job.attempts if one.role == "transcriber" and one.outcome in ("crashed", "timeout")]
    decoders = sum(one.engine == DECODER for one in deaths[-job.transcriber_crashes :])
    return max(0, job.transcriber_crashes - decoders)
