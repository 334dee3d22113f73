"""POST /v1/audio/transcriptions and /v1/audio/translations, GET /v1/models.

Runs in: supervisor. Plain ASGI endpoints: a form is read while it arrives, and the job is kept until its answer is
sent.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, closing
from pathlib import Path

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ipc.api_messages import JobView
from ipc.errors import StenodError
from ipc.vocabulary import Task
from supervisor.api.dialects import InvalidField
from supervisor.api.openai.audio_request import AudioRequest, audio_request
from supervisor.api.openai.models import ServedModels
from supervisor.api.openai.replies import (
    delta_event,
    done_event,
    error_event,
    json_reply,
    text_reply,
    verbose_reply,
)
from supervisor.api.uploads.connected import while_connected
from supervisor.api.uploads.form import received_form
from supervisor.api.uploads.growing_text import HEARTBEAT_SECONDS, text_pieces
from supervisor.api.uploads.upload_jobs import UploadJobs
from supervisor.results.transcript import JobTranscript
from supervisor.system.refused import RequestRefused

FILE_FIELDS = frozenset({"file"})
EARLY_SECONDS = 45.0
"""A JSON answer that takes longer begins with white space, so that no client gives up: Node's
built-in fetch waits 300 s for them."""
MEDIA = {"json": "application/json", "verbose_json": "application/json", "vtt": "text/vtt; charset=utf-8"}
PLAIN = "text/plain; charset=utf-8"
OF_THE_RECORDING = frozenset({"not_media", "no_audio", "damaged", "encrypted", "is_empty", "empty"})

log = structlog.get_logger()


def add_openai_endpoints(app: FastAPI, jobs: UploadJobs) -> None:
    """They are not in our own description: OpenAI's is theirs."""
    models = ServedModels(jobs.service)

    async def listed(request: Request) -> JSONResponse:
        return JSONResponse({"object": "list", "data": [model_reply(one, models) for one in await models.names()]})

    async def one_model(request: Request) -> JSONResponse:
        name = request.path_params["name"]
        await models.resolve(name)
        return JSONResponse(model_reply(name, models))

    app.router.routes += [
        Route("/v1/audio/transcriptions", AudioEndpoint(jobs, models, "transcribe"), methods=["POST"]),
        Route("/v1/audio/translations", AudioEndpoint(jobs, models, "translate"), methods=["POST"]),
        Route("/v1/models", listed, methods=["GET"]),
        Route("/v1/models/{name:path}", one_model, methods=["GET"]),
    ]


def model_reply(name: str, models: ServedModels) -> dict[str, object]:
    """One model in OpenAI's shape."""
    return {"id": name, "object": "model", "created": models.created, "owned_by": "stenod"}


class AudioEndpoint:
    """One of the two, as an ASGI application."""

    def __init__(self, jobs: UploadJobs, models: ServedModels, task: Task) -> None:
        self._jobs = jobs
        self._models = models
        self._task: Task = task

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            async with received_form(request, self._jobs.spool, FILE_FIELDS) as form:
                wanted = audio_request(form, self._task, await self._models.resolve(form.one("model")))
                if form.upload is None:
                    raise InvalidField("file", "missing_required_parameter", "`file` is missing", "send a recording")
                self._jobs.refuse_if_nothing_runs()
                async with self._jobs.attended(form.upload, wanted.options) as job:
                    response = await self._response(job, wanted, receive)
                    await response(scope, receive, send)
        except ClientDisconnect:
            log.info("client_went_away", path=scope["path"])

    async def _response(self, job: JobView, wanted: AudioRequest, receive: Receive) -> StreamingResponse:
        headers = {"x-request-id": f"job-{job.id}"}
        if wanted.stream:
            events = stream_of(self._jobs, job.id)
            return StreamingResponse(
                events, media_type="text/event-stream", headers={**headers, "cache-control": "no-store"}
            )
        finished = asyncio.ensure_future(self._jobs.finished(job.id))
        try:
            patience = EARLY_SECONDS if wanted.format in ("json", "verbose_json") else None
            view = await while_connected(receive, asyncio.wait_for(asyncio.shield(finished), patience))
        except TimeoutError:
            late = late_body(finished, lambda view: self._pieces(view, wanted))
            return StreamingResponse(late, media_type="application/json", headers=headers)
        except BaseException:
            finished.cancel()
            raise
        if view.degraded_reason is not None and "word" in wanted.granularities:
            headers["x-stenod-degraded-reason"] = view.degraded_reason
        pieces = await self._pieces(view, wanted)
        return StreamingResponse(pieces, media_type=MEDIA.get(wanted.format, PLAIN), headers=headers)

    async def _pieces(self, view: JobView, wanted: AudioRequest) -> Iterator[bytes]:
        """The body, to be iterated in a thread. Raises RequestRefused if the job has no transcript."""
        raise_for(view)
        if wanted.format in ("srt", "vtt"):
            return await self._jobs.service.transcript(view.id, wanted.format)
        _, transcript, stored = await self._jobs.service.job_transcript(view.id)

        def pieces() -> Iterator[bytes]:
            with closing(stored):
                yield from _reply(transcript(), wanted, view)

        return pieces()


def _reply(transcript: JobTranscript, wanted: AudioRequest, view: JobView) -> Iterator[bytes]:
    match wanted.format:
        case "json":
            return json_reply(transcript)
        case "text":
            return text_reply(transcript)
        case _:
            return verbose_reply(transcript, wanted.granularities, view.degraded_reason)


def raise_for(view: JobView) -> None:
    """Raises RequestRefused for a job without a transcript."""
    if view.status == "cancelled":
        raise RequestRefused(409, "job_cancelled", f"job {view.id} was cancelled", "send the request again")
    if view.error is None:
        return
    # Where uploads lie is nothing to the client: the file's own name says which one it is.
    message = view.error.message.replace(f"{Path(view.path).parent}/", "")
    code, hint = view.error.code, view.error.hint
    if code == "needs_model":
        raise InvalidField("model", "model_not_found", message, hint, status=404)
    if code == "internal_error":
        raise RequestRefused(500, code, message, hint)
    if code in OF_THE_RECORDING:
        raise InvalidField("file", "audio_unreadable", f"{message} ({code})", hint)
    raise RequestRefused(400, code, message, hint)


async def late_body(
    finished: asyncio.Future[JobView], pieces: Callable[[JobView], Awaitable[Iterator[bytes]]]
) -> AsyncGenerator[bytes, None]:
    """White space until the job is finished, then the answer. An error now can only break the body off."""
    try:
        while not (await asyncio.wait({finished}, timeout=HEARTBEAT_SECONDS))[0]:
            yield b"\n"
        for piece in await pieces(finished.result()):
            yield piece
            await asyncio.sleep(0)
    finally:
        finished.cancel()


async def stream_of(jobs: UploadJobs, job_id: int) -> AsyncGenerator[bytes, None]:
    """Server-sent events: the text as it is transcribed, then all of it; comments while nothing happens."""
    try:
        async with aclosing(text_pieces(jobs, job_id)) as pieces:
            async for piece in pieces:
                yield b": still here\n\n" if piece is None else delta_event(piece)
        raise_for(await jobs.service.job(job_id))
        _, transcript, stored = await jobs.service.job_transcript(job_id)
        with closing(stored):
            yield await asyncio.to_thread(lambda: done_event(transcript()))
    except StenodError as no:
        yield error_event(no.status if isinstance(no, RequestRefused) else 500, no)
