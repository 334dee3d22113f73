"""JSON frames over a multiprocessing Connection: bounded, safe against torn frames, no pickle.

Runs in: supervisor and worker.

`Connection.send` and `recv` use pickle, and unpickling a worker's data would let it run code in the supervisor; so
only `send_bytes` and `recv_bytes` are used. If the peer exits, `recv_bytes` raises EOFError between frames and
OSError within one. Both mean that the peer is gone.
"""

from multiprocessing.connection import Connection
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from ipc.transcript import Value
from ipc.worker_messages import FRAME_LIMIT_BYTES

__all__ = ["BadFrame", "Connection", "PipeClosed", "receive", "send"]

Message = TypeVar("Message")


class PipeClosed(Exception):
    """The peer is gone; an incomplete frame is lost."""


class BadFrame(Exception):
    """The peer sent an invalid message: too long, not JSON, or not of the agreed shape."""


def send(connection: Connection, message: Value) -> None:
    """Send one message; blocks while the pipe is full. Raises PipeClosed, or BadFrame if it is too long."""
    frame = message.model_dump_json().encode()
    if len(frame) > FRAME_LIMIT_BYTES:
        raise BadFrame(f"{type(message).__name__} of {len(frame)} bytes; at most {FRAME_LIMIT_BYTES} are taken")
    try:
        connection.send_bytes(frame)
    except OSError as error:
        raise PipeClosed(str(error)) from None


def receive(connection: Connection, adapter: TypeAdapter[Message]) -> Message:
    """The next message; blocks until it is complete. Raises PipeClosed or BadFrame; then nothing more can be read."""
    try:
        frame = connection.recv_bytes(FRAME_LIMIT_BYTES)
    except EOFError:
        raise PipeClosed("end of the pipe") from None
    except OSError as error:
        if not connection.closed and not connection.readable:
            # Connection's error for a frame longer than `maxlength`; it cannot be read from any more.
            raise BadFrame(f"a frame of more than {FRAME_LIMIT_BYTES} bytes") from None
        raise PipeClosed(str(error)) from None
    try:
        return adapter.validate_json(frame)
    except ValidationError as error:
        # Without the input: it may be transcribed text, and this sentence is logged.
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "frame"
        raise BadFrame(f"{where}: {first['type']}") from None
