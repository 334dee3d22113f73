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
"""A longer line is a broken peer. A recording with a hundred tracks needs a tenth of it."""
LEVELS = ("debug", "info", "warning", "error")


class Limits(Value):
    """What one decoder may use."""

    memory_bytes: int = 2 * 1024**3
    """Address space above what it has when it begins. The largest honest demand is the index of a long video."""
    file_bytes: int
    """The largest file it may make: the PCM of the longest recording."""
    cpu_seconds: int
    """Of processor time."""


class DecoderRequest(Value):
    """The one request of a decoder's life. The PCM file comes with it as an open descriptor."""

    request: Decode
    limits: Limits


class OpeningFile(Value):
    """From here on it waits for the recording's disk, whenever it does not compute."""

    kind: Literal["opening"] = "opening"


class Opened(Value):
    """The right file is open, nothing of it was read, and the decoder has shut itself in."""

    kind: Literal["opened"] = "opened"
    walls: tuple[str, ...] = ()
    """What holds it: `seccomp`, `landlock 7`, `seatbelt`, `limits`."""
    lacks: tuple[str, ...] = ()
    """What could not be had, each with the reason: one sentence."""


class DecodeProgress(Value):
    """A step forward, or a read that came back."""

    kind: Literal["moved"] = "moved"
    done_seconds: float = Field(ge=0)


class LogEvent(Value):
    """An event for the daemon's log."""

    kind: Literal["noted"] = "noted"
    level: LogLevel
    event: str = Field(max_length=100)
    facts: dict[str, str | int | float | bool | None] = Field(default_factory=dict, max_length=20)


class Decoded(Value):
    """The PCM is whole."""

    kind: Literal["decoded"] = "decoded"
    recording: RecordingFacts


class DecodeRefused(Value):
    """The recording cannot be decoded, and the decoder is well."""

    kind: Literal["refused"] = "refused"
    code: str = Field(max_length=100)
    message: str
    hint: str


class UnexpectedError(Value):
    """An error that was not foreseen."""

    kind: Literal["broke"] = "broke"
    error: str
    """Its type and its first words."""
    wants_memory: bool = False


DecodeResult = Decoded | DecodeRefused | UnexpectedError
FromDecoder = OpeningFile | Opened | DecodeProgress | LogEvent | DecodeResult
FROM_DECODER: TypeAdapter[FromDecoder] = TypeAdapter(
    Annotated[FromDecoder, Field(discriminator="kind")], config=FORGETFUL
)


class BadLine(Exception):
    """The decoder said something that is no message, or too much of it."""


class Lines:
    """What arrives in pieces, put together. Pure."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[FromDecoder]:
        """The messages that this piece completes. Raises BadLine, after those that came before the bad line."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        for line in whole:
            yield _message(line)
        _refuse_long(self._rest)


def _message(line: bytes) -> FromDecoder:
    _refuse_long(line)
    try:
        return FROM_DECODER.validate_json(line)
    except ValidationError as error:
        # Without the input, which may be anything.
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise BadLine(f"{'.'.join(map(str, first['loc'])) or 'line'}: {first['type']}") from None


def _refuse_long(line: bytes) -> None:
    if len(line) > LINE_LIMIT_BYTES:
        raise BadLine(f"a line of more than {LINE_LIMIT_BYTES} bytes")


def as_line(message: Value) -> bytes:
    """One message as it is sent."""
    return message.model_dump_json().encode() + b"\n"
