"""A transcript in OpenAI's formats. Pure.

Runs in: supervisor. Source: OpenAI's `openapi.yaml`; clients fail where a key is missing or of another type.
"""

import json
import math
import zlib
from collections.abc import Iterator
from typing import Any

from config.model_names import NAME_OF
from ipc.errors import StenodError
from ipc.transcript import Segment, Word
from supervisor.api.dialects import openai_error
from supervisor.api.openai.audio_request import Granularity
from supervisor.results.transcript import JobTranscript


def json_reply(transcript: JobTranscript) -> Iterator[bytes]:
    """`{"text", "languages", "usage"}`."""
    body: dict[str, Any] = {"text": text_of(transcript)}
    if transcript.language is not None:
        body["languages"] = [{"code": transcript.language}]
    yield _encoded({**body, "usage": usage(transcript.duration)})


def text_reply(transcript: JobTranscript) -> Iterator[bytes]:
    """The text and a line break."""
    yield f"{text_of(transcript)}\n".encode()


def verbose_reply(
    transcript: JobTranscript, granularities: frozenset[Granularity], degraded_reason: str | None
) -> Iterator[bytes]:
    """`verbose_json`, piece by piece, with the granularities that were asked for and no other.

    `degraded_reason`: why words lack times; it is said in a key of our own.
    """
    head: dict[str, Any] = {
        "task": "transcribe",
        "language": NAME_OF.get(transcript.language or "", transcript.language or ""),
        "duration": round(transcript.duration, 3),
        "text": text_of(transcript),
        "usage": usage(transcript.duration),
    }
    if "word" in granularities and degraded_reason is not None:
        head["degraded_reason"] = degraded_reason
    yield _encoded(head)[:-1]
    if "segment" in granularities:
        yield from _array("segments", (segment_reply(segment) for segment in transcript.segments()))
    if "word" in granularities:
        yield from _array("words", (word_reply(word) for word in transcript.words()))
    yield b"}"


def segment_reply(segment: Segment) -> dict[str, Any]:
    """All ten keys; what is not known has a neutral value."""
    raw = segment.text.encode()
    return {
        "id": segment.id,
        "seek": 0,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": segment.avg_logprob if segment.avg_logprob is not None else 0.0,
        "compression_ratio": round(len(raw) / len(zlib.compress(raw)), 3),
        "no_speech_prob": segment.no_speech_prob if segment.no_speech_prob is not None else 0.0,
    }


def word_reply(word: Word) -> dict[str, Any]:
    """Without a leading space."""
    return {"word": word.word, "start": word.start, "end": word.end}


def text_of(transcript: JobTranscript) -> str:
    """The whole text."""
    return "".join(transcript.text())


def usage(seconds: float) -> dict[str, Any]:
    """The length of the recording, rounded up as OpenAI does."""
    return {"type": "duration", "seconds": math.ceil(seconds)}


def delta_event(delta: str) -> bytes:
    """A server-sent event with more text."""
    return _event("transcript.text.delta", {"delta": delta})


def done_event(transcript: JobTranscript) -> bytes:
    """The last event, with the whole text."""
    found = {} if transcript.language is None else {"languages": [{"code": transcript.language}]}
    return _event("transcript.text.done", {"text": text_of(transcript), **found})


def error_event(status: int, error: StenodError) -> bytes:
    """An error after the stream began: the SDK raises it."""
    return b"data: " + _encoded(openai_error(status, error, None)) + b"\n\n"


def _event(kind: str, fields: dict[str, Any]) -> bytes:
    return f"event: {kind}\n".encode() + b"data: " + _encoded({"type": kind, **fields}) + b"\n\n"


def _array(name: str, values: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    yield f',"{name}":['.encode()
    for position, value in enumerate(values):
        yield (b"," if position else b"") + _encoded(value)
    yield b"]"


def _encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
