"""Events of the Wyoming protocol, read with bounds: a line of JSON, more JSON, a payload.

Runs in: supervisor. Source: the package `wyoming`, whose own reader takes any length and raises on a cut stream.
"""

import asyncio
import json
from typing import Any

from wyoming.event import Event

MOST_LINE_BYTES = 64 * 1024
MOST_DATA_BYTES = 64 * 1024
MOST_PAYLOAD_BYTES = 1024 * 1024


class BadEvent(Exception):
    """The bytes are no event, or one that is larger than any client needs."""


async def read_event(reader: asyncio.StreamReader) -> Event | None:
    """The next event; None: the client closed the connection. Raises BadEvent. `reader` must have MOST_LINE_BYTES as
    its limit."""
    try:
        line = await reader.readline()
        if not line:
            return None
        head = _object(line)
        data = _object(json.dumps(head.get("data") or {}).encode())
        if size := _length(head, "data_length", MOST_DATA_BYTES):
            data.update(_object(await reader.readexactly(size)))
        payload = None
        if size := _length(head, "payload_length", MOST_PAYLOAD_BYTES):
            payload = await reader.readexactly(size)
    except asyncio.IncompleteReadError:
        return None
    except (ValueError, RecursionError) as error:
        raise BadEvent(str(error)) from error
    kind = head.get("type")
    if not isinstance(kind, str):
        raise BadEvent("an event without a type")
    return Event(type=kind, data=data, payload=payload)


def _object(text: bytes) -> dict[str, Any]:
    """Raises ValueError."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    return found


def _length(head: dict[str, Any], name: str, most: int) -> int:
    """Raises ValueError."""
    length = head.get(name) or 0
    if not isinstance(length, int) or not 0 <= length <= most:
        raise ValueError(f"{name} is {str(length)[:20]}, at most {most} is allowed")
    return length
