"""What Whisper wrote about a stretch of sound: text with times, what is left to hear, whether to believe it. Pure.

Runs in: worker.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workers.engine import SAMPLE_RATE, Chunk, Heard
from workers.timestamp_tokens import TOKEN_SECONDS, read_timestamps

# When Whisper doubts itself; https://github.com/openai/whisper/blob/main/whisper/transcribe.py
LEAST_LOGPROB = -1.0
MOST_COMPRESSION = 2.4
"""Text that zlib shrinks further than this is a loop."""
MOST_NO_SPEECH = 0.6

MOST_UNHEARD_SECONDS = 1.0
"""Text that ends earlier than this before its sound has left something out: a chunk ends with speech."""
MOST_OVERRUN_SECONDS = 2.0
"""Text that goes on for longer than this behind its sound is made up: Whisper was shown no more, and goes round in
circles. Measured: loops run on for 20 s."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A chunk, or the rest of one, that is still to be heard."""

    number: int
    """Of the chunk in its batch."""
    sound: Chunk


@dataclass(frozen=True, slots=True)
class Decoding:
    """One pass of the decoder over a stretch of sound."""

    heard: tuple[Heard, ...]
    """Empty where Whisper believes that nobody speaks."""
    rest: Chunk | None = None
    """Where it broke off: what has to be heard on its own."""
    overrun_seconds: float = 0.0
    """How far the last time that it wrote lies behind the end of the sound."""


def read_decoding(
    tokens: Sequence[int],
    sound: Chunk,
    timestamp_begin: int,
    end_of_text: int,
    decode: Callable[[list[int]], str],
    avg_logprob: float,
    no_speech_prob: float,
) -> Decoding:
    """The tokens of one decoding, as times in the recording."""
    if no_speech_prob > MOST_NO_SPEECH and avg_logprob < LEAST_LOGPROB:
        return Decoding(())
    seconds = len(sound.audio) / SAMPLE_RATE
    reading = read_timestamps(tokens, timestamp_begin, end_of_text, seconds, decode)
    heard = tuple(
        Heard(sound.start + start, sound.start + end, text, avg_logprob, no_speech_prob)
        for start, end, text in reading.stretches
    )
    rest = None if reading.heard_until is None else sound.after(reading.heard_until)
    last_token = max((token for token in tokens if token >= timestamp_begin), default=timestamp_begin)
    return Decoding(heard, rest, max(0.0, (last_token - timestamp_begin) * TOKEN_SECONDS - seconds))


def is_doubtful(decoding: Decoding, sound: Chunk) -> bool:
    """Whether Whisper's own tests fail, or its text does not last as long as the sound. Silence is no doubt."""
    if not decoding.heard:
        return False
    end = sound.end if decoding.rest is None else decoding.rest.start
    return (
        min(one.avg_logprob or 0.0 for one in decoding.heard) < LEAST_LOGPROB
        or compression("".join(one.text for one in decoding.heard)) > MOST_COMPRESSION
        or end - decoding.heard[-1].end > MOST_UNHEARD_SECONDS
        or decoding.overrun_seconds > MOST_OVERRUN_SECONDS
    )


def compression(text: str) -> float:
    """How many times shorter zlib makes a text: what repeats itself shrinks most."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw))
