"""Requests that are well-formed and yet ask for nothing: refused before any endpoint sees them.

Runs in: supervisor.
"""

from collections.abc import Iterator
from typing import Any

from fastapi import Request

from ipc.transcript import Value
from supervisor.system.refused import Refused


async def refuse_unknown_parameters(request: Request) -> None:
    """Raises Refused for a query that the endpoint would not read: `?staus=done` must not list everything."""
    known = [parameter.alias for parameter in request.scope["route"].dependant.query_params]
    for name in request.query_params:
        if name not in known:
            asked = f"{request.method} {request.url.path}"
            takes = ", ".join(known) or "none"
            raise Refused(422, "unknown_parameter", f"{asked} has no parameter {name!r}", f"it takes {takes}")


def refuse_unusable_text(asked: Value) -> None:
    """Raises Refused if any text holds a NUL, which no path and no process argument can carry."""
    for field, text in _texts(asked.model_dump()):
        if "\0" in text:
            raise Refused(422, "bad_request", f"{field} holds a NUL character", f"correct `{field}`")


def _texts(fields: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every text with its field's name. The names too: those of replacements are anybody's."""
    for name, content in fields.items():
        yield prefix.rstrip(".") or "the body", name
        if isinstance(content, dict):
            yield from _texts(content, f"{prefix}{name}.")
        elif isinstance(content, tuple):
            yield from _texts({str(at): one for at, one in enumerate(content)}, f"{prefix}{name}.")
        elif isinstance(content, str):
            yield prefix + name, content
