"""/v1/openapi.json: every response of every endpoint, errors included.

Runs in: supervisor. Stands alone: FastAPI's description is corrected in one place.

FastAPI describes its own error format, not ours, and cannot know the responses of the middleware. A description
without them makes generated clients wrong.
"""

from typing import Any

from fastapi import FastAPI

from ipc.api_messages import Problem
from supervisor.api.dialects import PROBLEM_JSON

Responses = dict[int | str, dict[str, Any]]

_WHY = {
    400: "The request is not HTTP, its body not JSON, or what it names cannot be used",
    403: "The client's user does not own this daemon",
    404: "There is no such thing",
    408: "The request came too slowly",
    409: "Not in this state",
    413: "The body is too large",
    422: "A parameter or a field of the body is not as described here",
    500: "An error in the daemon",
    503: "Too much at once",
    507: "The queue cannot be written",
}
ANYWHERE = (400, 403, 408, 422, 500, 503, 507)
"""Errors that any endpoint may return."""


def refusals(*statuses: int) -> Responses:
    """Responses with these statuses are problems."""
    content = {PROBLEM_JSON: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
    return {status: {"description": _WHY[status], "content": content} for status in statuses}


def content_of(*media_types: str) -> Responses:
    """The response is text in one of these media types."""
    return {200: {"content": {media_type: {} for media_type in media_types}}}


class DescribedApi(FastAPI):
    """FastAPI with problem+json in its description."""

    def openapi(self) -> dict[str, Any]:
        """The description, built once."""
        if self.openapi_schema is None:
            super().openapi()["components"]["schemas"][Problem.__name__] = Problem.model_json_schema()
        assert self.openapi_schema is not None
        return self.openapi_schema
