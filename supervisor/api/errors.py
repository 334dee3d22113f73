"""All errors of the endpoints, in the shape that the clients of their path expect.

Runs in: supervisor.
"""

from collections.abc import Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ipc.api_messages import Problem
from ipc.errors import StenodError
from supervisor.api.dialects import UPLOAD_PATHS, InvalidField, encodable, problem_response, refusal
from supervisor.disks.file_identity import FileRefused
from supervisor.store.claims import QueueFull
from supervisor.store.job_rows import KeyUsedBefore, NoSuchJob
from supervisor.store.sqlite.database import JobQueueBroken
from supervisor.system.refused import RequestRefused
from supervisor.watch.entries import EntryRefused
from supervisor.watch.watcher import NotWatched

BODY_LIMIT_BYTES = 64 * 1024
MOST_FAULTS_TOLD = 3

_ENDPOINTS = "GET /v1/openapi.json lists the endpoints"
_BY_STATUS = {
    400: ("bad_request", "the body must be JSON"),
    404: ("no_such_endpoint", _ENDPOINTS),
    405: ("method_not_allowed", _ENDPOINTS),
    413: ("body_too_large", "a request is a path and a few options, at most 64 KiB"),
}
STATUS_OF: dict[type[StenodError], int] = {
    FileRefused: 400,
    EntryRefused: 400,
    NoSuchJob: 404,
    NotWatched: 404,
    KeyUsedBefore: 422,
    QueueFull: 503,
    JobQueueBroken: 507,
}
"""What other rooms refuse → HTTP status; their code, message and hint are the client's as they are."""
_INTERNAL = RequestRefused(500, "internal", "the daemon failed on this request", "run `steno logs`")

log = structlog.get_logger()


def problem_of_faults(faults: Sequence[Any]) -> Problem:
    """pydantic's `errors()` for a request → one problem that names the field."""
    told = [f"{where}: {fault['msg']}" if (where := _field(fault)) else fault["msg"] for fault in faults]
    detail = "; ".join(told[:MOST_FAULTS_TOLD])
    if len(told) > MOST_FAULTS_TOLD:
        detail += f"; and {len(told) - MOST_FAULTS_TOLD} more"
    status = 400 if faults[0]["type"] == "json_invalid" else 422
    return Problem(status=status, code="bad_request", detail=encodable(detail), hint=encodable(_hint(faults[0])))


def _field(fault: Any) -> str:
    """`options.language`: the field, without the part of the request."""
    if fault["type"] == "json_invalid":
        return f"at character {fault['loc'][-1]}"
    return ".".join(str(step) for step in fault["loc"][1:])


def _hint(fault: Any) -> str:
    field = _field(fault)
    match fault["type"]:
        case "json_invalid":
            return "the body must be one JSON object"
        case "extra_forbidden":
            return f"`{field}` is unknown; GET /v1/openapi.json lists the fields"
        case "missing" if field:
            return f"`{field}` is required"
        case _ if not field:
            return "send a JSON object, with the header Content-Type: application/json"
        case _:
            return f"correct `{field}`"


def _allowed_methods(request: Request) -> str:
    """The methods of all endpoints at this path; Starlette returns only those of the first."""
    here = (route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE)
    return ", ".join(sorted(method for route in here for method in route.methods))


def status_of(error: StenodError) -> int:
    """The HTTP status of a refusal of ours."""
    return error.status if isinstance(error, RequestRefused) else STATUS_OF[type(error)]


class RequestBoundary:
    """ASGI middleware: limits the size of requests, and an error in one never ends the daemon."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False
        taken_bytes = 0

        async def watch_start(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        async def weigh() -> Message:
            nonlocal taken_bytes
            message = await receive()
            taken_bytes += len(message.get("body", b""))
            if taken_bytes > BODY_LIMIT_BYTES and scope.get("path") not in UPLOAD_PATHS:
                raise HTTPException(413)  # the class that FastAPI propagates while it reads a body
            return message

        try:
            await self.app(scope, weigh, watch_start)
        except Exception:  # the boundary of a request: the daemon must survive
            log.exception("request_failed", method=scope.get("method"), path=scope.get("path"))
            if started:
                raise  # uvicorn then drops the connection, so that the client sees an incomplete response
            await refusal(scope["path"], _INTERNAL.status, _INTERNAL)(scope, receive, send)


def answer_with_problems(app: FastAPI) -> None:
    """Makes every error of this app problem+json."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, StenodError)
        told = {"code": error.code, "method": request.method, "path": request.url.path}
        if isinstance(error, JobQueueBroken):
            log.warning("request_not_stored", **told)
        else:
            log.info("request_refused", **told)
        param = error.param if isinstance(error, InvalidField) else None
        return refusal(request.url.path, status_of(error), error, param)

    async def malformed(request: Request, fault: Exception) -> Response:
        assert isinstance(fault, RequestValidationError)
        return problem_response(problem_of_faults(fault.errors()))

    async def not_served(request: Request, fault: Exception) -> Response:
        assert isinstance(fault, HTTPException)
        code, hint = _BY_STATUS.get(fault.status_code, ("bad_request", _ENDPOINTS))
        detail = encodable(f"{request.method} {request.url.path}: {fault.detail}")
        answer = refusal(request.url.path, fault.status_code, RequestRefused(fault.status_code, code, detail, hint))
        if fault.status_code == 405:
            answer.headers["allow"] = _allowed_methods(request)
        return answer

    app.add_exception_handler(RequestRefused, refused)
    for kind in STATUS_OF:
        app.add_exception_handler(kind, refused)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, not_served)
    app.add_middleware(RequestBoundary)
