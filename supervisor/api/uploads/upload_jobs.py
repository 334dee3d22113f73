"""Uploaded recordings as jobs: a repeat joins the running job, and the text is deleted after the answer.

Runs in: supervisor.

A client's library repeats a request that broke off, and people click twice: the same content with the same options is
one job. Its key is in the queue, so that this also holds across a restart of the daemon.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import structlog

from config.field_types import FOR_EVER
from ipc.api_messages import JobOptions, JobView, SubmitFile
from ipc.errors import StenodError
from ipc.events import DaemonEvent, JobChanged
from ipc.vocabulary import FINISHED
from supervisor.api.service import DaemonService
from supervisor.api.uploads.spool import RESULTS, WAV_HEADER_BYTES, Upload, UploadSpool
from supervisor.jobs.dispatch_order import PAUSED
from supervisor.store.job_rows import NoSuchJob
from supervisor.system.refused import RequestRefused
from supervisor.system.reload import LiveSettings

LAPSE_SECONDS = 120.0
"""How long the job of a client that went away is kept for its return."""
RETRY_FORGET_SECONDS = 10.0
"""A job that cannot be deleted now (its last words are still written) is deleted later."""

SHORT_SECONDS = 60
"""A client that sends this little waits for the answer: its job goes between two batches of a running one."""
COMPRESSED_BYTES = 16_000
"""A second at 128 kbit/s, as browsers and phones record at most. What is compressed more is a few times longer than
that, and costs a running job that much work."""
MOST_WAV_BYTES = 48_000 * 2 * 4
"""A second of the largest WAV that is usual: a header may say anything."""

log = structlog.get_logger()


class UploadJobs:
    """Which job belongs to which upload, who waits for it, and when it is deleted. One for the daemon."""

    def __init__(self, service: DaemonService, spool: UploadSpool, settings: LiveSettings) -> None:
        self.service = service
        self.spool = spool
        self._settings = settings
        self._clients: Counter[int] = Counter()
        """Job → the requests that wait for it."""
        self._folders: dict[int, Path] = {}
        """Job → the folder of its recording."""
        self._lapses: dict[int, asyncio.Task[None]] = {}
        """Job → what deletes it after a while."""

    async def run(self) -> None:
        """Deletes what an earlier daemon left and keeps its unfinished jobs for their clients. Until cancelled."""
        try:
            for job_id, path in await self.service.queue.beneath(self.spool.folder):
                self._hold(job_id, Path(path).parent)
                self._lapses[job_id] = asyncio.ensure_future(self._lapse(job_id, LAPSE_SECONDS))
            needed = set(self._folders.values())
            for folder in await asyncio.to_thread(self.spool.folders):
                if folder not in needed:
                    await self.spool.remove(folder)
            await asyncio.Event().wait()
        finally:
            for lapse in list(self._lapses.values()):
                lapse.cancel()
            await asyncio.gather(*self._lapses.values(), return_exceptions=True)

    @asynccontextmanager
    async def attended(self, upload: Upload, options: JobOptions) -> AsyncIterator[JobView]:
        """The job of this upload, new or joined, kept while at least one request waits for it.

        Raises RequestRefused and what `DaemonService.submit` raises.
        """
        view = await self._job_of(upload, options)
        self._hold(view.id, upload.file.parent)
        self._clients[view.id] += 1
        if (lapse := self._lapses.pop(view.id, None)) is not None:
            lapse.cancel()
        try:
            yield view
        finally:
            self._clients[view.id] -= 1
            if not self._clients[view.id]:
                del self._clients[view.id]
                self._left(view.id)

    def refuse_if_nothing_runs(self) -> None:
        """Raises RequestRefused with 503 where a job would wait for its owner, not for its turn."""
        worker = self.service.transcriber.view
        if worker.state == "broken":
            raise RequestRefused(
                503, "worker_broken", f"the transcriber is broken: {worker.note}", "`steno doctor` says why"
            )
        if self.service.board.why_waiting == PAUSED:
            raise RequestRefused(503, "queue_paused", PAUSED, "`steno resume`, then repeat the request")

    async def finished(self, job_id: int) -> JobView:
        """The job once it is finished. Raises NoSuchJob if it was deleted meanwhile."""
        async with self.service.events(job_id) as events:
            view = await self.service.job(job_id)
            if view.status in FINISHED:
                return view
            async for event in events:
                if isinstance(event, JobChanged) and event.job.status in FINISHED:
                    return event.job
        raise RequestRefused(503, "shutting_down", "the daemon stops", "repeat the request in a moment")

    @asynccontextmanager
    async def events(self, job_id: int) -> AsyncIterator[AsyncIterator[DaemonEvent]]:
        """The job's state now, then all its events until it is finished."""
        async with self.service.events(job_id) as coming:
            view = await self.service.job(job_id)

            async def story() -> AsyncGenerator[DaemonEvent, None]:
                yield JobChanged(job=view)
                if view.status in FINISHED:
                    return
                async for event in coming:
                    yield event
                    if isinstance(event, JobChanged) and event.job.status in FINISHED:
                        return
                raise RequestRefused(503, "shutting_down", "the daemon stops", "repeat the request in a moment")

            async with aclosing(story()) as told:
                yield told

    # ---------------------------------------------------------------------------------------------------------

    async def _job_of(self, upload: Upload, options: JobOptions) -> JobView:
        # Written into the private folder, and deleted with it: a job always has a file.
        is_short = await asyncio.to_thread(lasts_a_minute_at_most, upload.file, upload.size_bytes)
        whole = options.model_copy(
            update={
                "formats": ("json",),
                "output_dir": str(upload.file.parent / RESULTS),
                "if_exists": "overwrite",
                "priority": options.priority or ("now" if is_short else None),
            }
        )
        request = SubmitFile(path=str(upload.file), options=whole)
        view = await self.service.submit(request, upload_key(upload, whole))
        if view.status in ("failed", "cancelled"):
            with suppress(RequestRefused):
                view = await self.service.retry(view.id)
        return view

    def _left(self, job_id: int) -> None:
        """The last request for it ended: answered, or its client went away."""
        self._lapses[job_id] = asyncio.ensure_future(self._keep(job_id))

    def _hold(self, job_id: int, folder: Path) -> None:
        if job_id not in self._folders:
            self._folders[job_id] = folder
            self.spool.hold(folder)

    async def _keep(self, job_id: int) -> None:
        try:
            view = await self.service.job(job_id)
        except StenodError:
            return
        if view.status in FINISHED:
            keep = self._settings.current.http.keep
            if keep == FOR_EVER:
                self._lapses.pop(job_id, None)
                return
            await self._lapse(job_id, keep)
        else:
            await self._lapse(job_id, LAPSE_SECONDS)

    async def _lapse(self, job_id: int, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._delete(job_id)

    async def _delete(self, job_id: int) -> None:
        """Cancels the job if it runs, then deletes it, its text and its recording."""
        while True:
            try:
                view = await self.service.job(job_id)
                if view.status not in FINISHED:
                    log.info("upload_given_up", job=job_id)
                    with suppress(RequestRefused):
                        await self.service.cancel(job_id)
                await self.service.care.forget(job_id)
            except NoSuchJob:
                break
            except StenodError as no:
                log.info("upload_not_deleted_yet", job=job_id, code=no.code)
                await asyncio.sleep(RETRY_FORGET_SECONDS)
            else:
                break
        self._lapses.pop(job_id, None)
        if (folder := self._folders.pop(job_id, None)) is not None:
            await self.spool.release(folder)


def upload_key(upload: Upload, options: JobOptions) -> str:
    """The idempotency key of an upload: its content and its options."""
    wishes = options.model_copy(update={"output_dir": None}).model_dump_json(exclude_none=True)
    return f"upload-{hashlib.sha256(f'{upload.sha256}{upload.file.parent.name}{wishes}'.encode()).hexdigest()}"


def lasts_a_minute_at_most(file: Path, size_bytes: int) -> bool:
    """What can be told without decoding: by the header of a WAV file, otherwise by the size."""
    with file.open("rb") as opened:
        head = opened.read(WAV_HEADER_BYTES)
    is_wav = head[:4] == b"RIFF" and head[8:12] == b"WAVE"
    bytes_a_second = min(int.from_bytes(head[28:32], "little"), MOST_WAV_BYTES) if is_wav else COMPRESSED_BYTES
    return size_bytes <= SHORT_SECONDS * bytes_a_second + len(head)
