"""One job at the aligner: words for stored segments, batch by batch, and what happens when it dies on them.

Runs in: supervisor.
"""

import asyncio
from collections.abc import Sequence

import structlog

from ipc.failpoints import hit
from ipc.transcript import Segment, Word
from ipc.vocabulary import Outcome
from ipc.worker_messages import Align, Progress, RequestFailed, WordsAligned
from supervisor.jobs.crash_policy import halves, is_spellbound, most_deaths, next_alignment
from supervisor.jobs.decoding import DecoderCrashed, JobContext, attempt_of, decode, engine_in, is_another
from supervisor.jobs.outcomes import STOPPED, JobFailed, JobMustWait, JobMustWaitLonger
from supervisor.results.transcript_rules import with_words
from supervisor.worker.circuit_breaker import WorkerUnavailable
from supervisor.worker.death import Death
from supervisor.worker.handle import WorkerDied, WorkerHandle

log = structlog.get_logger()

BATCH_SEGMENTS = 4
"""Segments a request: two halvings find a poisonous one, within the four restarts a job may cost."""
LEFT_AT_ONCE = 500
"""Segments that are left without words in one transaction, once the aligner is not asked any more."""


class BatchRefused(Exception):
    """The aligner is well and cannot do this batch."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Alignment:
    """The aligner's half of one job. Whatever happens here, the text stays and the job finishes."""

    def __init__(self, context: JobContext, handle: WorkerHandle, *, upgrading: bool) -> None:
        """`upgrading`: what degraded the job is to be overcome; the database keeps it until the files are new."""
        self._context = context
        self._job_id = context.job.id
        self._queue = context.queue
        self._keeper = handle
        self._upgrading = upgrading
        job = context.job
        self._deaths = job.aligner_crashes
        """Without a batch in between that got its words at the first or second try."""
        self._deaths_in_all = 0
        self._most_deaths = most_deaths(job.audio_seconds)
        self._spent = False
        """The aligner did something for this job."""
        self.reason = None if upgrading else job.degraded_reason
        """Why some words have no times: the first code that came up, or the one that an upgrade can cure."""
        self.given_up: str | None = None
        """Why the rest of the job keeps segment times: the aligner is not asked again."""

    async def run(self, news: asyncio.Event, is_over: asyncio.Event) -> None:
        """Until transcription `is_over` and no stored segment waits for words. `news`: more came, or the PCM did.

        Raises JobMustWait, and nothing that the recording or the aligner could cause.
        """
        with self._keeper.in_hand(self._context.pcm):
            await self._run(news, is_over)

    async def _run(self, news: asyncio.Event, is_over: asyncio.Event) -> None:
        while True:
            news.clear()
            over = is_over.is_set()
            at_once = BATCH_SEGMENTS if self.given_up is None else LEFT_AT_ONCE
            batch = await self._queue.segments(self._job_id, unaligned_only=True, limit=at_once)
            # The transcriber decodes for both while it is at it: two must not write the same file.
            if batch and (over or self._context.pcm.exists()):
                await self._align(batch, deaths_of_batch=0)
            elif over:
                break
            else:
                # The transcriber's own deadlines bound this wait: it ends with its stage.
                await news.wait()
        if self._spent and self.given_up is None:
            await self._record_attempt("done", None)

    async def _align(self, batch: Sequence[Segment], deaths_of_batch: int) -> None:
        """Every segment of the batch ends stored as final: with words, or deliberately without."""
        while True:
            if self.given_up is not None:
                return await self._leave(batch, self.given_up)
            try:
                await self._store(batch, await self._request(batch))
                if deaths_of_batch <= 1:
                    self._deaths = 0  # whatever killed it before lies behind us
                return None
            except WorkerUnavailable as unavailable:
                if unavailable.code == "stopping":
                    raise JobMustWait(STOPPED) from unavailable
                log.warning("job_found_no_aligner", job=self._job_id, code=unavailable.code)
                self.given_up = "aligner_unavailable"
            except (JobFailed, DecoderCrashed) as failed:
                # It was decoded once: a recording that cannot be now is another one, or gone. Its text is not.
                log.warning("recording_not_decoded_again", job=self._job_id, why=str(failed))
                self.given_up = "aligner_crashed" if isinstance(failed, DecoderCrashed) else "recording_changed"
            except BatchRefused as refused:
                return await self._narrow(batch, refused.code, deaths_of_batch)
            except WorkerDied as died:
                if died.death.written_off:
                    await self._record_unkillable(died.death)
                    continue
                deaths_of_batch += 1
                await self._record_death(died.death)
                if self._deaths_in_all > self._most_deaths:
                    self.given_up = "aligner_timeout" if died.death.cause == "timeout" else "aligner_crashed"
                    continue
                code = "aligner_timeout" if died.death.cause == "timeout" else "aligner_crashed"
                allowed = self._context.settings.crashes.aligner_restarts_allowed
                match next_alignment(len(batch), deaths_of_batch, self._deaths, allowed):
                    case "same_batch":
                        continue
                    case "halves":
                        for part in halves(batch):
                            await self._align(part, deaths_of_batch)
                        return None
                    case "leave_segment":
                        return await self._leave(batch, code)
                    case "leave_rest":
                        self.given_up = code

    async def _narrow(self, batch: Sequence[Segment], code: str, deaths_of_batch: int) -> None:
        """A refusal costs no worker: one for the language holds for the job, any other is one segment's."""
        if code.startswith("no_alignment_model"):
            self.given_up = code
            await self._leave(batch, code)
        elif len(batch) > 1:
            for segment in batch:
                await self._align([segment], deaths_of_batch)
        else:
            await self._leave(batch, "alignment_failed")

    async def _request(self, batch: Sequence[Segment]) -> dict[int, tuple[Word, ...]]:
        job = await self._queue.get(self._job_id)
        if not self._context.pcm.exists():
            decoded = await decode(self._context, self._keeper, job)
            if is_another(decoded, job):
                await asyncio.to_thread(self._context.pcm.unlink, missing_ok=True)
                raise JobFailed("recording_changed", f"{job.path} is another now", "")
        request = Align(
            request_id=0, pcm_path=str(self._context.pcm), language=job.language or "en", segments=tuple(batch)
        )
        words: dict[int, tuple[Word, ...]] = {}
        async with self._keeper.request(
            request,
            deadline_seconds=self._context.settings.deadlines.alignment_seconds,
            during_job=self._job_id,
            urgent=self._context.urgent,
        ) as replies:
            async for reply in replies:
                match reply:
                    case Progress(phase=phase, done_seconds=done_seconds):
                        self._context.step(phase, done_seconds)
                    case WordsAligned():
                        words = reply.words
                    case RequestFailed(code=code):
                        raise BatchRefused(code)
                    case _:
                        pass
        if not self._spent:
            self._spent = True
            await self._queue.change(self._job_id, aligned_by=engine_in(self._keeper))
        return words

    async def _store(self, batch: Sequence[Segment], words: dict[int, tuple[Word, ...]]) -> None:
        final = []
        for segment in batch:
            timed, reason = with_words(segment, words.get(segment.id))
            final.append(timed)
            if reason is not None:
                await self._degrade(reason)
                log.warning("segment_kept_its_own_times", job=self._job_id, segment=segment.id, reason=reason)
        await self._queue.store_aligned(self._job_id, final)
        hit("words_stored")
        self._context.step("aligning", batch[-1].end)

    async def _leave(self, batch: Sequence[Segment], code: str) -> None:
        await self._degrade(code)
        await self._queue.store_aligned(self._job_id, batch)

    async def _degrade(self, code: str) -> None:
        """The first reason that comes up is the job's, unless there is one that passes."""
        if self.reason is None or (code == "aligner_unavailable" and self.reason != code):
            self.reason = code
            if not self._upgrading:
                await self._queue.change(self._job_id, degraded_reason=code)

    async def _record_unkillable(self, death: Death) -> None:
        """No crash is counted. After a few the rest of the job keeps its segment times; until then it waits."""
        await self._record_attempt(death.cause, death)
        if not is_spellbound(await self._queue.get(self._job_id), "aligner"):
            raise JobMustWaitLonger(f"the aligner {death.reason}; it is tried again later")
        self.given_up = "aligner_timeout"

    async def _record_death(self, death: Death) -> None:
        self._deaths += 1
        self._deaths_in_all += 1
        log.warning("job_lost_its_aligner", job=self._job_id, cause=death.reason, crashes=self._deaths)
        await self._record_attempt(death.cause, death)

    async def _record_attempt(self, outcome: Outcome, death: Death | None) -> None:
        attempt = attempt_of("aligner", self._keeper.primary_engine, outcome, death)
        await self._queue.add_attempt(self._job_id, attempt, aligner_crashes=self._deaths)
