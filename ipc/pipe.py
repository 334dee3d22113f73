"""JSON frames over a multiprocessing Connection: bounded, torn-safe, no pickle.

Runs in: supervisor and worker.

`Connection.send` and `recv` pickle, and unpickling what a worker says would hand it the supervisor; only their byte
halves are used here. A peer that dies tears the stream in two ways: between frames `recv_bytes` raises EOFError,
within one OSError. Both mean the same to us: the other side is gone.
"""

from multiprocessing.connection import Connection
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from ipc.transcript import Value
from ipc.worker_messages import FRAME_LIMIT_BYTES

__all__ = ["BadFrame", "Connection", "PipeClosed", "receive", "send"]

Message = TypeVar("Message")


class PipeClosed(Exception):
    """The other end is gone; what it had not finished saying is lost."""


class BadFrame(Exception):
    """The other end said something that is no message: too long, not JSON, or not what was agreed."""


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
    """The next message; blocks until it is whole. Raises PipeClosed or BadFrame, after which nothing can be read."""
    try:
        frame = connection.recv_bytes(FRAME_LIMIT_BYTES)
    except EOFError:
        raise PipeClosed("end of the pipe") from None
    except OSError as error:
        if not connection.closed and not connection.readable:
            # How Connection says that a frame was announced longer than allowed: it stops reading for good.
            raise BadFrame(f"a frame of more than {FRAME_LIMIT_BYTES} bytes") from None
        raise PipeClosed(str(error)) from None
    try:
        return adapter.validate_json(frame)
    except ValidationError as error:
        # Without the input: it may be what a person said, and this ends up in logs.
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "frame"
        raise BadFrame(f"{where}: {first['type']}") from None
