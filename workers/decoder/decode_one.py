"""What a decoder does: open and check the recording, enter the sandbox, decode, hash, report.

Runs in: worker (the decoder).
"""

import errno
import os
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from ipc.decoder_messages import (
    Decoded,
    DecodeProgress,
    DecodeRefused,
    DecodeResult,
    DecoderRequest,
    LogEvent,
    Opened,
    OpeningFile,
    UnexpectedError,
    as_line,
)
from ipc.failpoints import hit, take_traps
from ipc.transcript import Value
from ipc.vocabulary import LogLevel
from ipc.worker_messages import Decode
from workers.audio.container_decoder import DecodingOptions
from workers.audio.decode import decode_recording
from workers.engine import EngineRefusal
from workers.out_of_memory import is_out_of_memory
from workers.pcm.pcm_writer import PcmWriter
from workers.recording.read_recording import ReadRecording
from workers.recording.recording_file import refuse_changed
from workers.recording.recording_path import opened_recording
from workers.sandbox.sandbox import shut_in

BETWEEN_MOVES_SECONDS = 0.2
"""Steps closer together than this count as one."""
MESSAGE_LETTERS = 200
NOTE_LETTERS = 2000
WARM = DecodingOptions(longest_seconds=3600.0)
TINY_WAV = (
    b"RIFF\x24\x02\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\x3e\x00\x00\x00\x7d\x00\x00\x02\x00\x10\x00"
    b"data\x00\x02\x00\x00" + bytes(512)
)
"""16 ms of silence."""


def get_ready() -> None:
    """Loads everything that decoding may need: later the sandbox forbids opening any file, libraries included."""
    import encodings.ascii
    import encodings.cp1252
    import encodings.latin_1
    import encodings.utf_16  # noqa: F401 - tags in old encodings

    structlog.configure(processors=[_drop], cache_logger_on_first_use=False)
    with tempfile.TemporaryFile(buffering=0) as wav, open(os.devnull, "wb", buffering=0) as nothing:  # noqa: PTH123
        wav.write(TINY_WAV)
        recording = ReadRecording(wav.fileno(), lambda: None)
        writer = PcmWriter(Path(os.devnull), nothing.fileno())
        decode_recording(Path("nothing.wav"), recording, writer, WARM, lambda done_seconds: None)
        recording.sha256()


def decode_once(said: bytes, pcm: int, connection: int) -> None:
    """Answers the request. Returns when the process has only to exit."""
    told = DecoderRequest.model_validate_json(said)
    speak = partial(_speak, connection)
    structlog.configure(processors=[partial(_note, speak)], cache_logger_on_first_use=False)
    try:
        speak(_decode(told, pcm, speak))
    except BrokenPipeError:
        os._exit(0)  # the worker no longer listens


def _decode(told: DecoderRequest, pcm: int, speak: Callable[[Value], None]) -> DecodeResult:
    request = told.request
    path = Path(request.path)
    try:
        speak(OpeningFile())
        beneath = None if request.beneath is None else Path(request.beneath)
        with opened_recording(path, request.expected, beneath) as descriptor:
            hit("recording_opened")
            take_traps("shut_in", "decoding_begun", "pcm_written", "recording_hashed")
            walls, lacks = shut_in(told.limits)
            speak(Opened(walls=walls, lacks=lacks))
            hit("shut_in")
            return _read(request, descriptor, pcm, speak)
    except EngineRefusal as refusal:
        if not is_out_of_memory(refusal):
            return DecodeRefused(code=refusal.code, message=refusal.message, hint=refusal.hint)
        return UnexpectedError(error=_in_short(refusal), wants_memory=True)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001  the boundary of one recording: whatever a library raises is reported
        if is_out_of_memory(error):
            return UnexpectedError(error=_in_short(error), wants_memory=True)
        structlog.get_logger().error("decoding_failed", traceback=traceback.format_exc()[-NOTE_LETTERS:])
        return UnexpectedError(error=_in_short(error))


def _read(request: Decode, descriptor: int, pcm: int, speak: Callable[[Value], None]) -> Decoded:
    moved = _ProgressReporter(speak)
    path = Path(request.path)
    recording = ReadRecording(descriptor, moved.again)
    writer = PcmWriter(Path(request.pcm_path).parent, pcm)
    wish = DecodingOptions(request.longest_seconds, request.track, request.language)
    try:
        facts = decode_recording(path, recording, writer, wish, moved.to)
    except EngineRefusal as refusal:
        if recording.has_changed:
            refuse_changed(path, refusal)
        raise
    hit("pcm_written")
    sha256 = recording.sha256()
    recording.refuse_unless_unchanged(path, sha256)
    hit("recording_hashed")
    return Decoded(recording=facts.model_copy(update={"sha256": sha256, "size_bytes": recording.size}))


class _ProgressReporter:
    """Reports progress to the worker, not more often than needed."""

    def __init__(self, speak: Callable[[Value], None]) -> None:
        self._speak = speak
        self._told_at = 0.0
        self._done_seconds = 0.0

    def to(self, done_seconds: float) -> None:
        self._done_seconds = done_seconds
        self.again()

    def again(self) -> None:
        now = time.monotonic()
        if now - self._told_at >= BETWEEN_MOVES_SECONDS:
            self._told_at = now
            self._speak(DecodeProgress(done_seconds=self._done_seconds))


def _speak(connection: int, message: Value) -> None:
    """Raises BrokenPipeError when the worker is gone."""
    rest = memoryview(as_line(message))
    try:
        while rest:
            rest = rest[os.write(connection, rest) :]
    except OSError as error:
        raise BrokenPipeError(errno.EPIPE, str(error)) from error


def _in_short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:MESSAGE_LETTERS]}"


def _drop(logger: object, name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    raise structlog.DropEvent


def _note(
    speak: Callable[[Value], None], logger: object, name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Passes a log event to the worker, which logs it: no file can be opened here."""
    level: LogLevel = (
        name if name in ("debug", "info", "warning") else "error"  # type: ignore[assignment]  # `in` narrows no str
    )
    text = str(event.pop("event", ""))
    facts = {
        fact: value if isinstance(value, int | float | bool | None) else str(value)[:NOTE_LETTERS]
        for fact, value in event.items()
    }
    speak(LogEvent(level=level, event=text[:100], facts=facts))
    raise structlog.DropEvent
