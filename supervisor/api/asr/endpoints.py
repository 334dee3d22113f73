"""POST /asr and /detect-language, as Bazarr, subgen and Speakr call them; GET /health and / for their checks.

Runs in: supervisor. Source: ahmetoner/whisper-asr-webservice, Bazarr's `whisperai` provider.

Bazarr takes any body for the subtitle, so that an error has none. `encode=false` is raw PCM, a film of two hours in
one piece; a language is looked for in short excerpts of it, not in the whole film.
"""

import asyncio
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from config.model_names import NAME_OF, language_code
from ipc.api_messages import JobOptions
from ipc.vocabulary import Format, Priority, Task
from supervisor.api.openai.endpoints import raise_for
from supervisor.api.openai.replies import text_of
from supervisor.api.uploads.connected import while_connected
from supervisor.api.uploads.form import Form, received_form
from supervisor.api.uploads.spool import WAV_HEADER_BYTES, PcmFormat, Upload
from supervisor.api.uploads.upload_jobs import UploadJobs
from supervisor.system.refused import RequestRefused

FILE_FIELDS = frozenset({"audio_file"})
FORMATS: dict[str, Format] = {"srt": "srt", "vtt": "vtt", "tsv": "tsv", "json": "json", "txt": "txt"}
BYTES_PER_SECOND = 32_000
EXCERPTS = 4
EXCERPT_SECONDS = 20
"""Of raw PCM: enough speech for the language, however the film begins."""
TWO_LETTERS = 2

log = structlog.get_logger()


def add_asr_endpoints(app: FastAPI, jobs: UploadJobs) -> None:
    """They are not in our own description."""

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def root(request: Request) -> Response:
        return PlainTextResponse("stenod transcribes recordings. GET /v1/openapi.json describes its API.\n")

    app.router.routes += [
        Route("/asr", AsrEndpoint(jobs), methods=["POST"]),
        Route("/detect-language", LanguageEndpoint(jobs), methods=["POST"]),
        Route("/health", health, methods=["GET"]),
        Route("/", root, methods=["GET"]),
    ]


class AsrEndpoint:
    """POST /asr: the transcript as plain text in one of five formats."""

    def __init__(self, jobs: UploadJobs) -> None:
        self._jobs = jobs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            async with received_form(request, self._jobs.spool, FILE_FIELDS, pcm_of(request)) as form:
                format = FORMATS.get(form.one("output") or "txt")
                if format is None:
                    raise RequestRefused(
                        400, "invalid_value", f"output={form.one('output')!r} is unknown", "use srt or json"
                    )
                upload, options = uploaded(form), options_of(form, format)
                self._jobs.refuse_if_nothing_runs()
                async with self._jobs.attended(upload, options) as job:
                    view = await while_connected(receive, self._jobs.finished(job.id))
                    raise_for(view)
                    body = await self._body(view.id, format)
                    name = upload.file.with_suffix(f".{format}").name.encode("ascii", "replace").decode()
                    headers = {"asr-engine": "stenod", "content-disposition": f'attachment; filename="{name}"'}
                    response = StreamingResponse(body, media_type="text/plain; charset=utf-8", headers=headers)
                    await response(scope, receive, send)
        except ClientDisconnect:
            log.info("client_went_away", path=scope["path"])

    async def _body(self, job_id: int, format: Format) -> Iterator[bytes]:
        if format != "txt":
            return await self._jobs.service.transcript(job_id, format)
        _, transcript, stored = await self._jobs.service.job_transcript(job_id)

        def text() -> Iterator[bytes]:
            with closing(stored):
                yield text_of(transcript()).encode()

        return text()


class LanguageEndpoint:
    """POST /detect-language: `{}` if there is no speech."""

    def __init__(self, jobs: UploadJobs) -> None:
        self._jobs = jobs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        pcm = pcm_of(request)
        try:
            async with received_form(request, self._jobs.spool, FILE_FIELDS, pcm) as form:
                upload = uploaded(form)
                self._jobs.refuse_if_nothing_runs()
                if pcm is not None:
                    upload = await self._excerpt(upload)
                try:
                    # Not a whole film that came encoded: all of it is transcribed.
                    found = await self._language_of(upload, receive, "now" if pcm else None)
                finally:
                    if pcm is not None:
                        await self._jobs.spool.release(upload.file.parent)
                await JSONResponse(found)(scope, receive, send)
        except ClientDisconnect:
            log.info("client_went_away", path=scope["path"])

    async def _language_of(self, upload: Upload, receive: Receive, priority: Priority | None) -> dict[str, object]:
        async with self._jobs.attended(upload, JobOptions(workflow="transcribe", priority=priority)) as job:
            view = await while_connected(receive, self._jobs.finished(job.id))
            with suppress(RequestRefused):
                raise_for(view)
                _, transcript, stored = await self._jobs.service.job_transcript(view.id)
                with closing(stored):
                    found = await asyncio.to_thread(transcript)
                code = found.language
                # Bazarr stops asking for ten minutes where the code has not two letters.
                if code is not None and len(code) == TWO_LETTERS:
                    confidence = 1.0 if found.language_probability is None else found.language_probability
                    name = NAME_OF.get(code, code)
                    return {"detected_language": name, "language_code": code, "confidence": round(confidence, 4)}
        return {}

    async def _excerpt(self, upload: Upload) -> Upload:
        """A short recording of pieces from all over a long one; it is held."""
        total = upload.size_bytes // BYTES_PER_SECOND
        if total <= EXCERPTS * EXCERPT_SECONDS:
            self._jobs.spool.hold(upload.file.parent)
            return upload
        async with self._jobs.spool.receiving("excerpt", PcmFormat()) as receiver:
            for piece in await asyncio.to_thread(lambda: list(excerpts(upload.file, total))):
                await receiver.write(piece)
            return await receiver.finish()


def excerpts(file: Path, total_seconds: int) -> Iterator[bytes]:
    """PCM from evenly spread places of a WAV file of ours."""
    with file.open("rb") as opened:
        for number in range(EXCERPTS):
            at = (2 * number + 1) * total_seconds // (2 * EXCERPTS)
            opened.seek(WAV_HEADER_BYTES + at * BYTES_PER_SECOND)
            yield opened.read(EXCERPT_SECONDS * BYTES_PER_SECOND)


def pcm_of(request: Request) -> PcmFormat | None:
    """Whether the body is raw samples: the option is in the query, so it is known before the body."""
    encoded = request.query_params.get("encode", "true").lower() not in ("false", "0", "no")
    return None if encoded else PcmFormat()


def uploaded(form: Form) -> Upload:
    """The recording. Raises RequestRefused."""
    if form.upload is None:
        raise RequestRefused(
            400, "missing_file", "the part `audio_file` is missing", "send the recording as `audio_file`"
        )
    return form.upload


def options_of(form: Form, format: Format) -> JobOptions:
    """Raises RequestRefused. Unknown options are ignored, as the original does."""
    task: Task = "translate" if form.one("task") == "translate" else "transcribe"
    wants_words = format in ("srt", "vtt") or (form.one("word_timestamps") or "").lower() in ("true", "1")
    try:
        language = None if (written := form.one("language")) is None else language_code(written)
    except ValueError as no:
        raise RequestRefused(400, "invalid_value", str(no), "use a code as `en`") from None
    return JobOptions(
        workflow="subtitle" if wants_words else "transcribe",
        task=task,
        language=None if task == "translate" and language == "en" else language,
        prompt=(form.one("initial_prompt") or "")[-4000:] or None,
    )
