"""The shape of an error on each path: our own problem+json, OpenAI's object, or an empty body for subtitle programs.

Runs in: supervisor.
"""

from typing import Literal, assert_never

from fastapi import Response
from starlette.responses import JSONResponse

from ipc.api_messages import Problem
from ipc.errors import StenodError
from supervisor.system.refused import RequestRefused

Dialect = Literal["stenod", "openai", "asr"]
PROBLEM_JSON = "application/problem+json"
UPLOAD_PATHS = frozenset({"/v1/audio/transcriptions", "/v1/audio/translations", "/asr", "/detect-language"})
"""Where a body may be larger than 64 KiB."""
RETRY_SECONDS = 10
"""Retry-After of a refusal that passes: OpenAI's clients obey up to 120."""
PASSING = frozenset({429, 503, 507})
"""A retry of the same request may succeed."""


class InvalidField(RequestRefused):
    """A field of an OpenAI request is missing or wrong."""

    def __init__(self, param: str, code: str, message: str, hint: str, status: int = 400) -> None:
        super().__init__(status, code, message, hint)
        self.param = param


def dialect_of(path: str) -> Dialect:
    """The protocol that clients of this path speak."""
    if path.startswith(("/v1/audio/", "/v1/models/")) or path == "/v1/models":
        return "openai"
    return "asr" if path in ("/asr", "/detect-language") else "stenod"


def problem_response(problem: Problem) -> Response:
    """The problem as an HTTP response."""
    return Response(problem.model_dump_json(), problem.status, media_type=PROBLEM_JSON)


def refusal(path: str, status: int, error: StenodError, param: str | None = None) -> Response:
    """The error as the clients of this path expect it. `param`: the field that is wrong, for OpenAI's object."""
    match dialect_of(path):
        case "stenod":
            response = problem_response(
                Problem(status=status, code=error.code, detail=encodable(error.message), hint=encodable(error.hint))
            )
        case "openai":
            response = JSONResponse(openai_error(status, error, param), status)
            # Its clients repeat a request up to twice after 408, 409, 429 and 5xx: only what passes is worth that.
            response.headers["x-should-retry"] = "true" if status in PASSING else "false"
        case "asr":
            # Bazarr takes the body of any response as the subtitle.
            response = Response(status_code=status)
        case other:
            assert_never(other)
    if status in PASSING:
        response.headers["retry-after"] = str(RETRY_SECONDS)
    if status == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response


def openai_error(status: int, error: StenodError, param: str | None) -> dict[str, dict[str, str | None]]:
    """`{"error": {"message", "type", "param", "code"}}` of OpenAI's API, with our hint in the message."""
    match status:
        case 413:
            kind = "server_error"  # as OpenAI has it
        case 429:
            kind = "rate_limit_error"
        case _:
            kind = "invalid_request_error" if status < 500 else "server_error"
    hint = f"; {error.hint}" if error.hint and error.hint != "none" else ""
    message = encodable(f"{error.message}{hint}")
    return {"error": {"message": message, "type": kind, "param": param, "code": error.code}}


def encodable(text: str) -> str:
    """The text without lone surrogates, which JSON can encode and UTF-8 cannot."""
    return text.encode("utf-8", "backslashreplace").decode()
