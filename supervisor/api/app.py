"""The HTTP endpoints: each one calls one method of the service.

Runs in: supervisor.

A well-formed request with an unknown parameter is refused before any endpoint sees it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, suppress
from pathlib import PurePath
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from ipc.api_messages import AbsolutePath, AddWatch, JobView, SubmitFile
from ipc.events import DaemonEvent, JobChanged
from ipc.status_views import CheckView, Finding, HealthView, QueueView, ReloadView, StatusView, WatchView, WorkerView
from ipc.transcript import Value
from ipc.vocabulary import FINISHED, Format, JobStatus, Role
from supervisor.api.errors import answer_with_problems
from supervisor.api.openapi import ANYWHERE, DescribedApi, content_of, refusals
from supervisor.api.peer_process import RequestPeer
from supervisor.api.service import DaemonService
from supervisor.system.refused import RequestRefused

JobId = Annotated[int, Path(ge=1, lt=2**63)]  # the largest integer of SQLite
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="The client's own random name for this request: a second request with the same key and "
        "body returns the first one's job. The key is deleted with the job.",
    ),
]
HEARTBEAT_SECONDS = 15.0
"""Interval of heartbeats on a silent event stream; a client without one for longer knows that the daemon is gone."""
MOST_JOBS_LISTED = 1_000
"""Jobs in one response; its Link header leads to the next."""
MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "txt": "text/plain",
    "tsv": "text/tab-separated-values",
    "md": "text/markdown",
}
EVENT_STREAM = "text/event-stream"
EventStream = AsyncGenerator[DaemonEvent | None, None]
"""A stream of events; None is a heartbeat."""


async def refuse_unknown_parameters(request: Request) -> None:
    """Raises RequestRefused for an unknown query parameter: `?staus=done` must not list everything."""
    known = [parameter.alias for parameter in request.scope["route"].dependant.query_params]
    for name in request.query_params:
        if name not in known:
            asked = f"{request.method} {request.url.path}"
            takes = ", ".join(known) or "none"
            raise RequestRefused(422, "unknown_parameter", f"{asked} has no parameter {name!r}", f"it takes {takes}")


def refuse_unusable_text(asked: Value) -> None:
    """Raises RequestRefused if any text contains a NUL, which no path and no process argument can."""
    for field, text in _texts(asked.model_dump()):
        if "\0" in text:
            raise RequestRefused(422, "bad_request", f"{field} contains a NUL character", f"correct `{field}`")


def _texts(fields: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every text with its field's name. The names too: those of replacements are free text."""
    for name, content in fields.items():
        yield prefix.rstrip(".") or "the body", name
        if isinstance(content, dict):
            yield from _texts(content, f"{prefix}{name}.")
        elif isinstance(content, tuple):
            yield from _texts({str(at): one for at, one in enumerate(content)}, f"{prefix}{name}.")
        elif isinstance(content, str):
            yield prefix + name, content


def create_app(service: DaemonService, stop: asyncio.Event) -> FastAPI:
    """Our own endpoints. `stop` ends every event stream when set."""
    # No documentation pages: they would load scripts from a CDN.
    app = DescribedApi(
        title="stenod",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(refuse_unknown_parameters)],
        responses=refusals(*ANYWHERE),
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.stop = stop
    answer_with_problems(app)
    _add_jobs(app, service)
    _add_daemon(app, service)
    _add_events(app, service)
    return app


def _add_jobs(app: FastAPI, service: DaemonService) -> None:
    @app.post("/v1/jobs", status_code=201, responses=refusals(413))
    async def submit(wanted: SubmitFile, idempotency_key: IdempotencyKey = None) -> JobView:
        refuse_unusable_text(wanted)
        folder = wanted.options.output_dir
        if folder is not None and not PurePath(folder).is_absolute():
            raise RequestRefused(
                400, "path_not_absolute", f"output_dir {folder!r} is not absolute", "give the full path"
            )
        return await service.submit(wanted, idempotency_key)

    @app.get("/v1/jobs", response_model=list[JobView])
    async def jobs(
        request: Request,
        status: JobStatus | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST_JOBS_LISTED)] = 100,
        before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    ) -> Response:
        """Newest first. `before`: only jobs older than this one; if there are more, the Link header leads to them."""
        page = await service.jobs(status, limit, before)
        headers = {}
        if page.next_before is not None:
            url = request.url.include_query_params(before=page.next_before)
            headers["link"] = f'<{url.path}?{url.query}>; rel="next"'
        return StreamingResponse(array_of(page.views), media_type="application/json", headers=headers)

    @app.get("/v1/jobs/{job_id}", responses=refusals(404))
    async def job(job_id: JobId) -> JobView:
        return await service.job(job_id)

    @app.get(
        "/v1/jobs/{job_id}/transcript",
        response_class=StreamingResponse,
        responses=refusals(404, 409) | content_of(*MEDIA_TYPES.values()),
    )
    async def transcript(job_id: JobId, format: Format = "json") -> Response:
        return StreamingResponse(await service.transcript(job_id, format), media_type=MEDIA_TYPES[format])

    @app.post("/v1/jobs/{job_id}/cancel", responses=refusals(404, 409))
    async def cancel(job_id: JobId, peer: RequestPeer) -> JobView:
        job = await service.cancel(job_id)
        peer.did("cancel_asked", job=job_id)
        return job

    @app.post("/v1/jobs/{job_id}/retry", responses=refusals(404, 409))
    async def retry(job_id: JobId, peer: RequestPeer) -> JobView:
        job = await service.retry(job_id)
        peer.did("retry_asked", job=job_id)
        return job

    @app.delete("/v1/jobs/{job_id}", status_code=204, responses=refusals(404, 409))
    async def forget(job_id: JobId, peer: RequestPeer) -> None:
        """Delete a finished job: its record and its text, overwritten on the disk. Written files stay."""
        await service.care.forget(job_id)
        peer.did("job_forgotten", job=job_id)


def _add_daemon(app: FastAPI, service: DaemonService) -> None:
    @app.get("/v1/status")
    async def status() -> StatusView:
        return await service.status()

    @app.get("/v1/health", responses={503: refusals(503)[503] | {"model": HealthView}})
    async def health(response: Response, fresh: bool = False) -> HealthView:
        found = await service.health(fresh)
        # The body has the reason; the status is for clients that only check that, like `curl --fail`.
        response.status_code = 200 if found.healthy else 503
        return found

    @app.post("/v1/reload")
    async def reload(peer: RequestPeer) -> ReloadView:
        found = await service.reload()
        peer.did("reload_asked", applied=found.applied)
        return found

    @app.get("/v1/examination")
    async def examination() -> list[Finding]:
        return await service.examination()

    @app.post("/v1/workers/{role}/restart", responses=refusals(409))
    async def restart(role: Role, peer: RequestPeer) -> WorkerView:
        worker = await service.restart(role)
        peer.did("worker_restarted", worker=role)
        return worker

    @app.post("/v1/workers/{role}/unload", responses=refusals(409))
    async def unload(role: Role, peer: RequestPeer) -> WorkerView:
        worker = await service.unload(role)
        peer.did("worker_unloaded", worker=role)
        return worker

    @app.post("/v1/queue/pause")
    async def pause(peer: RequestPeer) -> QueueView:
        queue = await service.pause()
        peer.did("queue_paused")
        return queue

    @app.post("/v1/queue/resume")
    async def resume(peer: RequestPeer) -> QueueView:
        queue = await service.resume()
        peer.did("queue_resumed")
        return queue

    @app.get("/v1/watches")
    async def watches() -> list[WatchView]:
        return service.watches()

    @app.post("/v1/watches", status_code=201, responses=refusals(413))
    async def add_watch(wanted: AddWatch, peer: RequestPeer) -> WatchView:
        refuse_unusable_text(wanted)
        watch = await service.add_watch(wanted)
        peer.did("watch_asked_for", watch=watch.path)
        return watch

    @app.delete("/v1/watches", status_code=204, responses=refusals(404))
    async def remove_watch(path: Annotated[AbsolutePath, Query()], peer: RequestPeer) -> None:
        refuse_unusable_text(AddWatch(path=path))
        await service.remove_watch(path)
        peer.did("watch_given_up", watch=path)

    @app.post("/v1/check")
    async def check(peer: RequestPeer, repair: Annotated[bool, Query()] = False) -> CheckView:
        """Check the stored data against the disk; `repair` fixes what it can without changing files."""
        found = await service.care.check(repair=repair)
        if repair:
            peer.did("queue_repaired", repaired=[one.check for one in found.irregularities if one.repaired])
        return found


def _add_events(app: FastAPI, service: DaemonService) -> None:
    # Dependencies, because only their scope opens before the response's first byte and closes after its last: a
    # client that has the headers has its subscription.
    async def of_everything() -> AsyncIterator[AsyncIterator[DaemonEvent]]:
        async with service.events(None) as events:
            yield events

    async def of_one_job(job_id: JobId) -> AsyncIterator[AsyncIterator[DaemonEvent]]:
        async with service.events(job_id) as events:
            yield events

    @app.get("/v1/events", response_class=StreamingResponse, responses=content_of(EVENT_STREAM))
    async def every_event(events: Annotated[AsyncIterator[DaemonEvent], Depends(of_everything)]) -> StreamingResponse:
        return _stream(live(events, app.state.stop))

    @app.get(
        "/v1/jobs/{job_id}/events",
        response_class=StreamingResponse,
        responses=refusals(404) | content_of(EVENT_STREAM),
    )
    async def events_of_a_job(
        job_id: JobId, events: Annotated[AsyncIterator[DaemonEvent], Depends(of_one_job)]
    ) -> StreamingResponse:
        now = JobChanged(job=await service.job(job_id))
        return _stream(job_event_stream(now, live(events, app.state.stop)))


async def array_of(pieces: AsyncIterator[Sequence[Value]]) -> AsyncIterator[bytes]:
    """All pieces as one streamed JSON array."""
    before = "["
    async for some in pieces:
        if some:
            yield (before + ",".join(value.model_dump_json() for value in some)).encode()
            before = ","
    yield b"]" if before == "," else b"[]"


def _stream(events: EventStream) -> StreamingResponse:
    async def frames() -> AsyncIterator[bytes]:
        async with aclosing(events):
            async for event in events:
                yield server_sent(event)

    return StreamingResponse(frames(), media_type=EVENT_STREAM, headers={"cache-control": "no-store"})


def server_sent(event: DaemonEvent | None) -> bytes:
    """An event as sent over the wire; None is a heartbeat."""
    if event is None:
        return format_sse_event(comment="still here")
    return format_sse_event(event=event.kind, data_str=event.model_dump_json())


async def live(
    events: AsyncIterator[DaemonEvent], stop: asyncio.Event, heartbeat_seconds: float = HEARTBEAT_SECONDS
) -> EventStream:
    """The events as they come, None after a silent interval; ends with the events or at `stop`."""
    stopping = asyncio.ensure_future(stop.wait())
    coming: asyncio.Task[DaemonEvent] | None = None
    try:
        while not stop.is_set():
            coming = coming or asyncio.ensure_future(anext(events))
            await asyncio.wait({coming, stopping}, timeout=heartbeat_seconds, return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                return
            if not coming.done():
                yield None
                continue
            try:
                event = coming.result()
            except StopAsyncIteration:
                return
            coming = None
            yield event
    finally:
        for waiting in (stopping, coming):
            if waiting is not None:
                waiting.cancel()
                with suppress(asyncio.CancelledError, StopAsyncIteration):
                    await waiting


async def job_event_stream(now: JobChanged, events: EventStream) -> EventStream:
    """The job's state, then all its events, until it is finished."""
    async with aclosing(events):
        yield now
        if now.job.status in FINISHED:
            return
        async for event in events:
            yield event
            if isinstance(event, JobChanged) and event.job.status in FINISHED:
                return
