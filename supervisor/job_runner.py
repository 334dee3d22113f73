"""The way of one job: transcribe → align → write. The only place that decides what "degraded" means.

Runs in: supervisor.
"""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import structlog

from config.settings import Settings
from ipc.api_messages import Format, JobError
from ipc.transcript import Transcript
from supervisor.alignment import Alignment
from supervisor.crash_reports import CrashReports
from supervisor.decoding import Step
from supervisor.file_identity import FileRefused, look_at, read_identity
from supervisor.job import FileIdentity, Job, WrittenFile
from supervisor.job_queue import JobQueue
from supervisor.job_wishes import JobWishes, wishes_of
from supervisor.result_files import OutputRefused, plan, unchanged, write
from supervisor.result_formats import render
from supervisor.setbacks import JobFailed, JobMustWait, JobSuperseded
from supervisor.transcript_rules import assemble
from supervisor.transcription import Transcription
from supervisor.worker_keeper import WorkerKeeper

log = structlog.get_logger()

Tell = Callable[[Job], object]
"""Hears of every change that a client should see."""


class JobRunner:
    """Knows the order of the steps, keeps the spool, and gives every ending its name."""

    def __init__(
        self,
        queue: JobQueue,
        transcriber: WorkerKeeper,
        aligner: WorkerKeeper | None,
        settings: Settings,
        spool: Path,
        reports: CrashReports,
        tell: Tell,
    ) -> None:
        self._queue = queue
        self._transcriber = transcriber
        self._aligner = aligner
        self._settings = settings
        self._spool = spool
        self._reports = reports
        self._tell = tell
        self._naming = asyncio.Lock()
        """Held from choosing names to reserving them: two jobs at once must not choose the same."""

    def use(self, settings: Settings) -> None:
        """These settings hold from the next step on that asks for them; a job in hand keeps what it was told."""
        self._settings = settings

    async def run(self, job: Job, step: Step, transcriber_is_free: Callable[[], None]) -> Job:
        """The claimed job, done. Raises JobFailed, JobMustWait and JobSuperseded; the caller records them."""
        job = await self._same_recording(job)
        wishes = wishes_of(job.options, self._settings)
        if wishes.if_exists == "skip" and not job.outputs and await self._plan(job, wishes) is None:
            return await self._skip(job)
        pcm = await asyncio.to_thread(self._prepare_spool, job.id)
        job = await self._transcribe_and_align(job, wishes, pcm, step, transcriber_is_free)
        return await self._write(job, wishes)

    async def upgrade(self, job: Job, step: Step) -> Job:
        """Words for a job that was done without, from its stored text; its files are replaced in place.

        Files that somebody changed since are left alone, and so is everything if the recording changed.
        """
        try:
            same = _same_content(job.identity, await asyncio.to_thread(look_at, Path(job.path)))
        except FileRefused:
            same = False
        if not same:
            log.info("job_not_upgraded", job=job.id, why="recording_changed")
            return await self._queue.change(job.id, degraded_reason="recording_changed")
        await self._queue.reset_alignment(job.id)
        pcm = await asyncio.to_thread(self._prepare_spool, job.id)
        over = asyncio.Event()
        over.set()
        alignment = self._alignment(job, pcm, step, upgrading=True)
        try:
            await alignment.run(asyncio.Event(), over)
            # Only with its files does the job stop being one to upgrade: a crash before loses nothing.
            if alignment.reason != "aligner_unavailable":
                job = await self._replace_files(job, alignment.reason)
        finally:
            await asyncio.to_thread(self.clear_spool, job.id)
        log.info("job_upgraded", job=job.id, timing=job.timing, degraded_reason=job.degraded_reason)
        return job

    def clear_spool(self, job_id: int) -> None:
        """Remove the job's private folder; what resists goes at the next start."""
        shutil.rmtree(self._spool / str(job_id), ignore_errors=True)

    # --- steps -----------------------------------------------------------------------------------------------

    async def _transcribe_and_align(
        self, job: Job, wishes: JobWishes, pcm: Path, step: Step, transcriber_is_free: Callable[[], None]
    ) -> Job:
        news, is_over = asyncio.Event(), asyncio.Event()
        transcription = Transcription(
            job,
            wishes,
            pcm,
            queue=self._queue,
            keeper=self._transcriber,
            settings=self._settings,
            reports=self._reports,
            news=news,
            step=step,
            tell=self._tell,
        )
        if self._aligner is None or not wishes.wants_words:
            job = await transcription.run()
            transcriber_is_free()
            return await self._queue.change(job.id, degraded_reason="alignment_off")
        alignment = self._alignment(job, pcm, step, upgrading=False)
        aligning = asyncio.create_task(alignment.run(news, is_over), name=f"align job {job.id}")
        try:
            await transcription.run()
            transcriber_is_free()
            is_over.set()
            news.set()
            if not aligning.done():
                self._tell(await self._queue.move(job.id, "aligning"))
            await aligning
        finally:
            aligning.cancel()
            await asyncio.gather(aligning, return_exceptions=True)
        return await self._queue.get(job.id)

    def _alignment(self, job: Job, pcm: Path, step: Step, *, upgrading: bool) -> Alignment:
        assert self._aligner is not None, "nothing is aligned without an aligner"
        return Alignment(
            job,
            pcm,
            queue=self._queue,
            keeper=self._aligner,
            settings=self._settings,
            step=step,
            upgrading=upgrading,
        )

    async def _write(self, job: Job, wishes: JobWishes) -> Job:
        async with self._naming:
            planned = await self._plan(job, wishes)
            if planned is None:  # the files appeared while we worked, and the job is told to leave them
                return await self._skip(job)
            reserved = {format: WrittenFile(str(path), None) for format, path in planned.items()}
            job = await self._queue.move(job.id, "writing", outputs=reserved)
        self._tell(job)
        transcript = assemble(job, await self._queue.segments(job.id))
        outputs = await self._write_files(job, transcript, planned, wishes)
        # Before `done`: from then on the job may be upgraded, and has a spool again.
        await asyncio.to_thread(self.clear_spool, job.id)
        return await self._queue.move(
            job.id, "done", outputs=outputs, timing=transcript.timing, language=transcript.language
        )

    async def _replace_files(self, job: Job, reason: str | None) -> Job:
        job = await self._queue.get(job.id)
        wishes = wishes_of(job.options, self._settings)
        transcript = assemble(job, await self._queue.segments(job.id))
        ours = {
            format: Path(written.path)
            for format, written in job.outputs.items()
            if written.sha256 is not None and await asyncio.to_thread(unchanged, Path(written.path), written.sha256)
        }
        outputs = await self._write_files(job, transcript, ours, wishes)
        return await self._queue.change(
            job.id, outputs={**job.outputs, **outputs}, timing=transcript.timing, degraded_reason=reason
        )

    async def _write_files(
        self, job: Job, transcript: Transcript, planned: dict[Format, Path], wishes: JobWishes
    ) -> dict[Format, WrittenFile]:
        """JSON last: where it stands, the others stand too."""
        outputs: dict[Format, WrittenFile] = {}
        for format in sorted(planned, key=lambda format: format == "json"):
            path = planned[format]
            text = await asyncio.to_thread(
                render,
                transcript,
                format,
                recording_name=Path(job.path).name,
                highlight_words=wishes.highlight_words,
            )
            try:
                outputs[format] = WrittenFile(str(path), await asyncio.to_thread(write, path, text, job.id))
            except OutputRefused as refused:
                raise _setback(refused) from refused
        return outputs

    async def _plan(self, job: Job, wishes: JobWishes) -> dict[Format, Path] | None:
        ours = await self._queue.files_written_for(job.path)
        taken = await self._queue.names_reserved_by_others(job.path)
        try:
            return await asyncio.to_thread(plan, job, wishes.formats, wishes.folder, wishes.if_exists, ours, taken)
        except OutputRefused as refused:
            raise _setback(refused) from refused

    async def _skip(self, job: Job) -> Job:
        await asyncio.to_thread(self.clear_spool, job.id)
        await self._queue.move(job.id, "writing")
        return await self._queue.move(job.id, "done", note="skipped: all its files exist already")

    # --- the recording ---------------------------------------------------------------------------------------

    async def _same_recording(self, job: Job) -> Job:
        """The job, made fresh if its recording is another than when it was taken."""
        path, taken = Path(job.path), job.identity
        try:
            now = await asyncio.to_thread(look_at, path)
            if not _same_content(taken, now) and taken.sha256 is not None:
                now = await asyncio.to_thread(read_identity, path)
        except FileRefused as refused:
            if job.transcribed_whole:
                return job  # all that is missing can be had without the recording, words perhaps not
            raise JobFailed(_refusal_error(refused)) from refused
        if _same_content(taken, now):
            return job
        if taken.sha256 is not None:
            if now.sha256 == taken.sha256:  # touched, or replaced by a copy of itself
                return await self._queue.change(job.id, identity=now)
            if not await self._queue.adopt(job.path, now):
                raise JobSuperseded
        log.info("recording_changed", job=job.id, path=job.path)
        await asyncio.to_thread(self.clear_spool, job.id)
        await self._queue.forget_segments(job.id)
        return await self._queue.change(job.id, identity=now, degraded_reason=None)

    def _prepare_spool(self, job_id: int) -> Path:
        folder = self._spool / str(job_id)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _setback(OutputRefused.of(folder, error)) from error
        return folder / "audio.s16"


def _same_content(taken: FileIdentity, now: FileIdentity) -> bool:
    """Size and time say so; the hash is not read again for every job."""
    return (taken.size, taken.mtime_ns, taken.inode) == (now.size, now.mtime_ns, now.inode)


def _refusal_error(refused: FileRefused | OutputRefused) -> JobError:
    return JobError(code=refused.code, message=refused.message, hint=refused.hint)


def _setback(refused: OutputRefused) -> JobFailed | JobMustWait:
    if refused.code == "disk_full":
        return JobMustWait(f"{refused.message}; {refused.hint}")
    return JobFailed(_refusal_error(refused))
