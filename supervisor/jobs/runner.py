"""The way of one job: transcribe → align → write. The only place that decides what "degraded" means.

Runs in: supervisor.
"""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from ipc.failpoints import hit
from supervisor.disks.file_identity import FileRefused, look_at, read_identity
from supervisor.disks.foreign_disks import LONGEST_READING_SECONDS, disks
from supervisor.jobs.alignment import Alignment
from supervisor.jobs.decoding import JobContext, Step
from supervisor.jobs.outcomes import JobFailed, JobMustWait, JobSuperseded, setback_of
from supervisor.jobs.recordings import RecordingLocks, RecordingSearch
from supervisor.jobs.transcription import Transcription
from supervisor.jobs.writing import ResultWriter
from supervisor.results.file_plan import OutputRefused
from supervisor.store.arrival import RECORDING_GONE
from supervisor.store.job import Job, ResolvedOptions, recording_of, resolve_options
from supervisor.store.jobs import JobQueue
from supervisor.system.reload import LiveSettings
from supervisor.worker.death import CrashReports
from supervisor.worker.handle import WorkerHandle

log = structlog.get_logger()

FOLLOWED_AT_MOST = 5
"""How often a recording is searched that is renamed again before a worker opens it."""
Tell = Callable[[Job], object]
"""Hears of every change that a client should see."""


@dataclass(eq=False)
class JobRunner:
    """Knows the order of the steps, keeps the spool, and gives every ending its name."""

    queue: JobQueue
    transcriber: WorkerHandle
    aligner: WorkerHandle | None
    settings: LiveSettings
    spool: Path
    reports: CrashReports
    tell: Tell
    recordings: RecordingLocks
    search: RecordingSearch

    def __post_init__(self) -> None:
        self._results = ResultWriter(self.queue)

    async def run(self, job: Job, step: Step, transcriber_is_free: Callable[[], None]) -> Job:
        """The claimed job, done. Raises JobFailed, JobMustWait and JobSuperseded; the caller records them."""
        async with self.recordings.of(job.id):
            wishes = resolve_options(job.options, self.settings.current)
            for tries_left in reversed(range(FOLLOWED_AT_MOST)):
                job = await self._same_recording(await self.queue.get(job.id))
                wishes = resolve_options(job.options, self.settings.current)  # another folder has others
                if await self._results.would_be_skipped(job, wishes):
                    return await self._skip(job)
                pcm = await asyncio.to_thread(self._prepare_spool, job.id)
                try:
                    job = await self._transcribe_and_align(job, wishes, pcm, step, transcriber_is_free)
                    break
                except JobFailed as failed:
                    # Renamed between our look and the worker's: where it is now is for the next look to find.
                    if failed.code not in RECORDING_GONE or not tries_left:
                        raise
            job = await self.search.followed(job) or job
            try:
                return await self._write(job, wishes)
            except JobFailed as failed:
                if failed.code == "folder_missing" and await self.search.moved_away(job):
                    raise JobMustWait("its folder was renamed while its files were written") from failed
                raise

    async def upgrade(self, job: Job, step: Step) -> Job:
        """Words for a job that was done without, from its stored text; its files are replaced in place.

        Files that were edited since are left alone, and so is everything if the recording changed.
        """
        async with self.recordings.of(job.id):
            return await self._upgrade(await self.queue.get(job.id), step)

    async def _upgrade(self, job: Job, step: Step) -> Job:
        try:
            recording = recording_of(job)
            same = job.identity.looks_like(
                await disks().look(recording.path, partial(look_at, recording.path, recording.beneath))
            )
        except FileRefused:
            same = False
        if not same and (moved := await self.search.followed(job)) is not None:
            job, same = moved, True
        if not same:
            log.info("job_not_upgraded", job=job.id, why="recording_changed")
            return await self.queue.change(job.id, degraded_reason="recording_changed")
        await self.queue.reset_alignment(job.id)
        hit("upgrade_begun")
        pcm = await asyncio.to_thread(self._prepare_spool, job.id)
        over = asyncio.Event()
        over.set()
        assert self.aligner is not None, "nothing is upgraded without an aligner"
        context = JobContext(job, pcm, self.queue, self.settings.current, step)
        alignment = Alignment(context, self.aligner, upgrading=True)
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
        shutil.rmtree(self.spool / str(job_id), ignore_errors=True)

    # --- steps -----------------------------------------------------------------------------------------------

    async def _transcribe_and_align(
        self, job: Job, wishes: ResolvedOptions, pcm: Path, step: Step, transcriber_is_free: Callable[[], None]
    ) -> Job:
        news, is_over = asyncio.Event(), asyncio.Event()
        urgent = job.priority == "now"
        context = JobContext(job, pcm, self.queue, self.settings.current, step, urgent)
        transcription = Transcription(context, wishes, self.transcriber, self.reports, news, self.tell)
        if self.aligner is None or not wishes.wants_words:
            job = await transcription.run()
            transcriber_is_free()
            return await self.queue.change(job.id, degraded_reason="alignment_off")
        alignment = Alignment(context, self.aligner, upgrading=False)
        aligning = asyncio.create_task(alignment.run(news, is_over), name=f"align job {job.id}")
        try:
            await transcription.run()
            transcriber_is_free()
            is_over.set()
            news.set()
            if not aligning.done():
                self.tell(await self.queue.move(job.id, "aligning"))
            await aligning
        finally:
            aligning.cancel()
            await asyncio.gather(aligning, return_exceptions=True)
        return await self.queue.get(job.id)

    async def _write(self, job: Job, wishes: ResolvedOptions) -> Job:
        result = await self._results.write(job, wishes, self.tell)
        if result is None:
            return await self._skip(job)
        job, transcript = result
        # Before `done`: from then on the job may be upgraded, and has a spool again.
        await asyncio.to_thread(self.clear_spool, job.id)
        hit("spool_cleared")
        job = await self.queue.move(
            job.id, "done", outputs=job.outputs, timing=transcript.timing, language=transcript.language
        )
        hit("job_done")
        return job

    async def _replace_files(self, job: Job, reason: str | None) -> Job:
        job = await self.queue.get(job.id)
        job, transcript = await self._results.replace(job, resolve_options(job.options, self.settings.current))
        finish = self.queue.change if transcript.timing == "segment" else self.queue.finish_upgrade
        return await finish(job.id, outputs=job.outputs, timing=transcript.timing, degraded_reason=reason)

    async def _skip(self, job: Job) -> Job:
        await asyncio.to_thread(self.clear_spool, job.id)
        await self.queue.move(job.id, "writing")
        return await self.queue.move(job.id, "done", note="skipped: all its files exist already")

    # --- the recording ---------------------------------------------------------------------------------------

    async def _same_recording(self, job: Job) -> Job:
        """The job, made fresh if its recording is another than when it was taken."""
        recording, taken = recording_of(job), job.identity
        now, gone = None, None
        try:
            now = await disks().look(recording.path, partial(look_at, recording.path, recording.beneath))
            if not taken.looks_like(now) and taken.sha256 is not None:
                now = await disks().look(
                    recording.path, partial(read_identity, recording.path, recording.beneath), LONGEST_READING_SECONDS
                )
        except FileRefused as refused:
            gone = refused
        if now is not None and taken.looks_like(now):
            return job
        if now is not None and taken.sha256 is not None and now.sha256 == taken.sha256:
            # Touched, or replaced by a copy of itself.
            return await self.queue.change(job.id, identity=now)
        if (moved := await self.search.find(job, gone)) is not None:
            self.tell(moved)
            return moved
        if now is None:
            assert gone is not None
            if job.transcribed_whole:
                return job  # all that is missing can be had without the recording, words perhaps not
            raise JobFailed(gone.code, gone.message, gone.hint) from gone
        if taken.sha256 is not None and not await self.queue.seen.adopt(job, now):
            raise JobSuperseded
        log.info("recording_changed", job=job.id, path=job.path)
        await asyncio.to_thread(self.clear_spool, job.id)
        await self.queue.forget_segments(job.id)
        return await self.queue.change(job.id, identity=now, degraded_reason=None)

    def _prepare_spool(self, job_id: int) -> Path:
        folder = self.spool / str(job_id)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise setback_of(OutputRefused.of(folder, error)) from error
        return folder / "audio.s16"
