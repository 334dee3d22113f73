"""What /v1/openapi.json says: every answer an endpoint may give, refusals and their shape included.

Runs in: supervisor. Stands alone: FastAPI's description is corrected in one place.

FastAPI describes its own kind of refusal, which ours are not; and what the boundary in front of the endpoints answers
it cannot know. A description that leaves either out makes generated clients wrong.
"""

from typing import Any

from fastapi import FastAPI

from ipc.api_messages import Problem
from supervisor.api.errors import PROBLEM_JSON

Responses = dict[int | str, dict[str, Any]]

_WHY = {
    400: "The request is no HTTP or its body no JSON, or what it names cannot be had",
    403: "The client's user does not own this daemon",
    404: "There is no such thing",
    408: "The request came too slowly",
    409: "Not in this state",
    413: "The body is too large",
    422: "A parameter or a field of the body is not as described here",
    500: "A mistake of the daemon",
    503: "Too much at once",
    507: "The queue cannot be written",
}
ANYWHERE = (400, 403, 408, 422, 500, 503, 507)
"""Refusals that no endpoint is safe from."""


def refusals(*statuses: int) -> Responses:
    """These answers are problems, as every refusal is."""
    content = {PROBLEM_JSON: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
    return {status: {"description": _WHY[status], "content": content} for status in statuses}


def content_of(*media_types: str) -> Responses:
    """The answer is no JSON of ours: text in one of these types."""
    return {200: {"content": {media_type: {} for media_type in media_types}}}


class DescribedApi(FastAPI):
    """FastAPI that knows what a problem is."""

    def openapi(self) -> dict[str, Any]:
        """The description, made once."""
        if self.openapi_schema is None:
            super().openapi()["components"]["schemas"][Problem.__name__] = Problem.model_json_schema()
        assert self.openapi_schema is not None
        return self.openapi_schema
