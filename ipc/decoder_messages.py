"""Messages between a worker and its decoder: one JSON object a line.

Runs in: worker and decoder.

The worker sends one `DecoderRequest` and passes the open PCM file with it. The decoder sends any number of
`OpeningFile`, `Opened`, `DecodeProgress` and `LogEvent`, then one of `Decoded`, `DecodeRefused` and
`UnexpectedError`, and exits. It reads untrusted media, so its messages are untrusted too: each is validated, and each
line has a size limit.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from ipc.transcript import FORGETFUL, RecordingFacts, Value
from ipc.vocabulary import LogLevel
from ipc.worker_messages import Decode

LINE_LIMIT_BYTES = 256 * 1024
"""A longer line means that the peer is broken. A recording with a hundred tracks needs a tenth of this."""
LEVELS = ("debug", "info", "warning", "error")


class Limits(Value):
    """The resource limits of one decoder."""

    memory_bytes: int = 2 * 1024**3
    """Address space beyond its size at the start. The largest legitimate need is the index of a long video."""
    file_bytes: int
    """The largest file that it may write: the PCM of the longest recording."""
    cpu_seconds: int
    """CPU time."""


class DecoderRequest(Value):
    """The only request that a decoder gets. The PCM file is passed with it as an open descriptor."""

    request: Decode
    limits: Limits


class OpeningFile(Value):
    """The decoder opens the recording now: from here on, while it does not compute, it waits for the recording's
    disk."""

    kind: Literal["opening"] = "opening"


class Opened(Value):
    """The right file is open, nothing of it was read yet, and the decoder's sandbox is active."""

    kind: Literal["opened"] = "opened"
    walls: tuple[str, ...] = ()
    """The active parts of the sandbox: `seccomp`, `landlock 7`, `seatbelt`, `limits`."""
    lacks: tuple[str, ...] = ()
    """The parts that are not available here, each with the reason, as one sentence."""


class DecodeProgress(Value):
    """Progress: more audio is decoded, or a read of the disk has returned."""

    kind: Literal["moved"] = "moved"
    done_seconds: float = Field(ge=0)


class LogEvent(Value):
    """An event for the daemon's log."""

    kind: Literal["noted"] = "noted"
    level: LogLevel
    event: str = Field(max_length=100)
    facts: dict[str, str | int | float | bool | None] = Field(default_factory=dict, max_length=20)


class Decoded(Value):
    """The PCM is complete."""

    kind: Literal["decoded"] = "decoded"
    recording: RecordingFacts


class DecodeRefused(Value):
    """The recording cannot be decoded; the decoder itself works."""

    kind: Literal["refused"] = "refused"
    code: str = Field(max_length=100)
    message: str
    hint: str


class UnexpectedError(Value):
    """An unexpected error in the decoder."""

    kind: Literal["broke"] = "broke"
    error: str
    """Its type and the start of its message."""
    wants_memory: bool = False


DecodeResult = Decoded | DecodeRefused | UnexpectedError
FromDecoder = OpeningFile | Opened | DecodeProgress | LogEvent | DecodeResult
FROM_DECODER: TypeAdapter[FromDecoder] = TypeAdapter(
    Annotated[FromDecoder, Field(discriminator="kind")], config=FORGETFUL
)


class BadLine(Exception):
    """The decoder sent an invalid message, or a line that is too long."""


class Lines:
    """Joins received pieces to lines. Pure."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[FromDecoder]:
        """The messages that this piece completes. Raises BadLine after the messages before the bad line."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        for line in whole:
            yield _message(line)
        _refuse_long(self._rest)


def _message(line: bytes) -> FromDecoder:
    _refuse_long(line)
    try:
        return FROM_DECODER.validate_json(line)
    except ValidationError as error:
        # Without the input: it is untrusted.
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise BadLine(f"{'.'.join(map(str, first['loc'])) or 'line'}: {first['type']}") from None


def _refuse_long(line: bytes) -> None:
    if len(line) > LINE_LIMIT_BYTES:
        raise BadLine(f"a line of more than {LINE_LIMIT_BYTES} bytes")


def as_line(message: Value) -> bytes:
    """The message as one line of JSON."""
    return message.model_dump_json().encode() + b"\n"
