"""The use cases of the API: what a client may request of the daemon.

Runs in: supervisor.

A list of jobs is read in pages and sent in pieces: it may be long, and other clients must not wait for it.
"""

import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from config.field_types import NAME_FIELDS, name_template
from config.loader import ConfigError
from ipc.api_messages import AddWatch, JobView, SubmitFile
from ipc.events import DaemonEvent, QueuePaused
from ipc.failpoints import hit
from ipc.status_views import DaemonView, Finding, HealthView, QueueView, ReloadView, StatusView, WatchView, WorkerView
from ipc.vocabulary import Format, JobStatus, Role
from supervisor.disks.file_identity import follow
from supervisor.disks.foreign_disks import DiskNotAnswering, disks
from supervisor.health.canary import Canary
from supervisor.health.self_check import SelfCheck
from supervisor.jobs.dispatcher import JobDispatcher
from supervisor.progress.board import JobBoard
from supervisor.progress.event_bus import EventBus
from supervisor.progress.forecast import Forecast
from supervisor.progress.views import health_view
from supervisor.recovery.queue_care import QueueCare
from supervisor.results.formats import render
from supervisor.results.transcript import JobTranscript, transcript_of
from supervisor.store.claims import QueueState
from supervisor.store.job import RUNNING, Job, MoveNotAllowed
from supervisor.store.job_rows import NamedRequest
from supervisor.store.jobs import MAX_ID, JobQueue
from supervisor.store.segments import StoredSegments
from supervisor.system.refused import RequestRefused
from supervisor.system.reload import Reload
from supervisor.watch.entries import entry_of
from supervisor.watch.watcher import WatchFolders
from supervisor.worker.handle import WorkerHandle

JOBS_AT_ONCE = 20
"""Jobs that are read and sent before other tasks run."""
NAME_HINT = f"write it like {{stem}}.{{language}}; there are {', '.join(NAME_FIELDS)}"
NEXT_UP = 10
"""The number of waiting jobs on the status page."""


@dataclass(frozen=True, slots=True)
class JobsPage:
    """Some jobs, newest first, in pieces that are created on demand."""

    views: AsyncIterator[list[JobView]]
    next_before: int | None
    """The next page begins after this job; None: this is the last page."""


async def jobs_page(
    queue: JobQueue, board: JobBoard, status: JobStatus | None, limit: int, before: int | None
) -> JobsPage:
    """At most `limit` jobs older than `before`. Raises JobQueueBroken."""
    ids = await queue.ids(status, limit + 1, MAX_ID if before is None else before)
    page = ids[:limit]

    async def views() -> AsyncIterator[list[JobView]]:
        for first in range(0, len(page), JOBS_AT_ONCE):
            some = await queue.those(page[first : first + JOBS_AT_ONCE])
            yield [board.view(job) for job in some]

    return JobsPage(views(), page[-1] if len(ids) > limit else None)


@dataclass(eq=False)
class DaemonService:
    """One method a use case; each returns what the client is shown, or raises what `api.errors` has an answer for."""

    queue: JobQueue
    dispatcher: JobDispatcher
    board: JobBoard
    transcriber: WorkerHandle
    aligner: WorkerHandle | None
    watch_folders: WatchFolders
    bus: EventBus
    version: str
    canary: Canary
    reload_settings: Reload
    self_check: SelfCheck
    forecast: Forecast
    care: QueueCare
    troubles: Callable[[], Sequence[Finding]] = tuple
    _started_at: float = field(default_factory=time.monotonic, init=False)

    # --- jobs ------------------------------------------------------------------------------------------------

    async def submit(self, wanted: SubmitFile, key: str | None = None) -> JobView:
        """Submits a recording as a job, durable before this returns. `key`: the request's idempotency key."""
        _refuse_relative(wanted.path)
        if wanted.options.output_dir is not None:
            _refuse_relative(wanted.options.output_dir)
        if wanted.options.output_name is not None:
            _refuse_bad_template(wanted.options.output_name)
        request = None if key is None else NamedRequest.of(wanted, key)
        try:
            if request is not None and (before := await self.queue.asked_for(request)) is not None:
                return self.board.view(before)
            found = await disks().look(wanted.path, partial(follow, Path(wanted.path)))
            job = await self.queue.add(wanted.path, wanted.options, found, request)
            hit("job_stored")
        except DiskNotAnswering as no:
            raise RequestRefused(503, no.code, no.message, "check its disk and retry") from no
        self.dispatcher.job_added()
        return self.board.tell(job)

    async def jobs(self, status: JobStatus | None, limit: int, before: int | None) -> JobsPage:
        """Newest first; `before`: older than that job."""
        return await jobs_page(self.queue, self.board, status, limit, before)

    async def job(self, job_id: int) -> JobView:
        """One job."""
        return self.board.view(await self.queue.get(job_id))

    async def transcript(self, job_id: int, format: Format) -> Iterator[bytes]:
        """The stored transcript of a finished job in any format, independent of its files.

        In blocks that are created on demand: iterate in a thread.
        """
        job, transcript, close = await self.job_transcript(job_id)

        def blocks() -> Iterator[bytes]:
            with closing(close):
                yield from render(transcript(), format, recording_name=Path(job.path).name, highlight_words=False)

        return blocks()

    async def job_transcript(self, job_id: int) -> tuple[Job, Callable[[], JobTranscript], StoredSegments]:
        """A finished job, what makes its transcript (call it in a thread), and the copy that the caller closes.

        Raises RequestRefused: `not_done`, `not_transcribed`.
        """
        job = await self.queue.get(job_id)
        if job.status != "done":
            raise RequestRefused(
                409, "not_done", f"job {job_id} is {job.status}", f"`steno wait {job_id}` returns when it is done"
            )
        if not job.transcribed_whole:
            # Done by keeping existing files: an empty transcript would claim that there is no speech.
            raise RequestRefused(
                409, "not_transcribed", f"job {job_id}: {job.note}", "submit it with `--if-exists suffix`"
            )
        stored = await self.queue.copies.of(job_id)
        return job, lambda: transcript_of(job, stored, stored.unheard), stored

    async def cancel(self, job_id: int) -> JobView:
        """Cancels a waiting or running job; its transcribed segments are kept for `retry`."""
        try:
            return self.board.tell(await self.dispatcher.cancel(job_id))
        except MoveNotAllowed as no:
            raise RequestRefused(
                409, "already_finished", str(no), "only waiting and running jobs can be cancelled"
            ) from no

    async def retry(self, job_id: int) -> JobView:
        """A failed or cancelled job is queued again, its crash count reset."""
        try:
            job = await self.queue.retry(job_id)
        except MoveNotAllowed as no:
            raise RequestRefused(
                409, "not_retryable", str(no), "only failed and cancelled jobs can be retried"
            ) from no
        self.dispatcher.job_added()
        return self.board.tell(job)

    # --- the daemon ------------------------------------------------------------------------------------------

    async def status(self) -> StatusView:
        """The whole status."""
        queue = await self.queue.state(self.dispatcher.turns.now, NEXT_UP)
        return StatusView(
            daemon=DaemonView(
                pid=os.getpid(), version=self.version, uptime_seconds=round(time.monotonic() - self._started_at, 3)
            ),
            workers=tuple(handle.view for handle in (self.transcriber, self.aligner) if handle is not None),
            queue=await self._queue_view(queue),
            watches=self.watch_folders.views,
            running=tuple(self.board.running),
            next_up=tuple(self.board.view(job) for job in queue.next_up),
            speeds=tuple(self.queue.speeds.views),
        )

    async def health(self, fresh: bool) -> HealthView:
        """Whether a job submitted now would succeed, with words; `fresh` requires a new canary."""
        canary = await self.canary.ask(fresh=fresh)
        return health_view(
            self.transcriber.view, None if self.aligner is None else self.aligner.view, canary, self.troubles()
        )

    async def reload(self) -> ReloadView:
        """Reloads the settings, and applies those that can change while running."""
        try:
            return await self.reload_settings()
        except ConfigError as no:
            raise RequestRefused(400, "bad_config", str(no), "nothing was changed; run `steno config edit`") from no

    async def examination(self) -> list[Finding]:
        """The daemon's self-check of its folders and its queue."""
        return [*self.troubles(), *await self.self_check.findings()]

    async def restart(self, role: Role) -> WorkerView:
        """Restarts a worker and resets its crash counter; jobs that waited for it start immediately."""
        handle = self._keeper(role)
        await handle.restart()
        self.dispatcher.try_at_once()
        return handle.view

    async def unload(self, role: Role) -> WorkerView:
        """Unloads a worker after its current request to free memory; the next job starts it again."""
        handle = self._keeper(role)
        await handle.unload()
        return handle.view

    async def pause(self) -> QueueView:
        """Starts no further job; running ones finish. Persists across restarts of the daemon."""
        return await self._set_paused(True)

    async def resume(self) -> QueueView:
        """Resumes starting jobs."""
        return await self._set_paused(False)

    def events(self, job_id: int | None) -> AbstractAsyncContextManager[AsyncIterator[DaemonEvent]]:
        """Subscribe first, then read the state, so that no event is missed."""
        return self.bus.subscribe(job_id)

    # --- watch folders ---------------------------------------------------------------------------------------

    def watches(self) -> list[WatchView]:
        """Every watched folder."""
        return list(self.watch_folders.views)

    async def add_watch(self, wanted: AddWatch) -> WatchView:
        """Adds a watched folder, or changes one."""
        _refuse_relative(wanted.path)
        entry = entry_of(wanted)
        if self.watch_folders.entry(entry.path) is None and not await self._is_folder(wanted.path):
            raise RequestRefused(400, "not_a_folder", f"{wanted.path!r} is not a folder", "create it first")
        self.watch_folders.add(entry)
        return next(view for view in self.watch_folders.views if Path(view.path) == entry.path)

    async def remove_watch(self, path: str) -> None:
        """Removes a watched folder; its jobs continue."""
        self.watch_folders.remove(Path(path))

    # ---------------------------------------------------------------------------------------------------------

    def _keeper(self, role: Role) -> WorkerHandle:
        handle = self.transcriber if role == "transcriber" else self.aligner
        if handle is None:
            raise RequestRefused(
                409, "no_aligner", "no aligner is configured", "set ALIGNMENT_BACKEND to whisperx or mlx"
            )
        return handle

    async def _is_folder(self, path: str) -> bool:
        try:
            return await disks().look(path, lambda: os.path.isdir(path))  # noqa: PTH112
        except DiskNotAnswering:
            raise RequestRefused(
                400, "folder_unreachable", f"{path!r} does not answer", "check its disk and retry"
            ) from None

    async def _queue_view(self, queue: QueueState) -> QueueView:
        eta_seconds = None
        # A worker starts within seconds; other obstacles have no known duration.
        if not queue.paused and (self.board.why_waiting is None or self.transcriber.view.state == "starting"):
            backlog = await self.queue.backlog()
            left = self.board.running_left(backlog.usual_audio_seconds)
            eta_seconds = self.forecast.queue_seconds(backlog, left)
        return QueueView(
            waiting=queue.counts["waiting"],
            running=sum(queue.counts[status] for status in RUNNING),
            done=queue.counts["done"],
            failed=queue.counts["failed"],
            paused=queue.paused,
            eta_seconds=None if eta_seconds is None else round(eta_seconds, 1),
        )

    async def _set_paused(self, paused: bool) -> QueueView:
        await self.dispatcher.set_paused(paused)
        self.bus.publish(QueuePaused(paused=paused))
        return await self._queue_view(await self.queue.state())


def _refuse_relative(path: str) -> None:
    """The daemon's working folder is not the client's."""
    if not Path(path).is_absolute():
        raise RequestRefused(400, "path_not_absolute", f"{path!r} is not an absolute path", "give the full path")


def _refuse_bad_template(template: str) -> None:
    try:
        name_template(template)
    except ValueError as wrong:
        raise RequestRefused(
            422, "bad_name_template", f"{template!r} is not a name template: {wrong}", NAME_HINT
        ) from wrong
