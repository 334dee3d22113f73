"""Whisper's timestamp tokens → where its text begins and ends, and whether there is more to decode. Pure.

Runs in: worker.
Source of the rules: `transcribe` in https://github.com/openai/whisper/blob/main/whisper/transcribe.py
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

TOKEN_SECONDS = 0.02
"""Seconds of one timestamp token."""
LEAST_SECONDS = 1.0
"""A rest shorter than this is not decoded again, and a decoding that advanced less is not continued."""

TimedText = tuple[float, float, str]
"""Start and end in seconds from the start of the audio, and the text, never empty."""


@dataclass(frozen=True, slots=True)
class TimestampReading:
    """One decoding as spans of text, in order and inside the audio."""

    stretches: tuple[TimedText, ...]
    decoded_until: float | None = None
    """Seconds; the audio from here on has to be decoded separately. None: all is decoded."""


def read_timestamps(
    tokens: Sequence[int],
    timestamp_begin: int,
    end_of_text: int,
    audio_seconds: float,
    decode: Callable[[list[int]], str],
) -> TimestampReading:
    """Cuts the tokens of one decoding at each pair of timestamps.

    A single timestamp at the end means: no speech after it. Tokens that end with a pair, or with text, broke off: the
    rest of the audio, if there is a second of it, has to be decoded again from the last pair on. Impossible times
    (backwards, beyond the audio) are dropped for the whole decoding; text never is.
    """
    is_time = [token >= timestamp_begin for token in tokens]
    pairs = [n for n in range(1, len(tokens)) if is_time[n - 1] and is_time[n]]
    ends_silent = len(tokens) >= 2 and is_time[-1] and not is_time[-2]

    def seconds(n: int) -> float:
        return (tokens[n] - timestamp_begin) * TOKEN_SECONDS

    def text(start: int, stop: int) -> str:
        return decode([token for token in tokens[start:stop] if token < end_of_text]).strip()

    decoded_until = None
    if pairs and not ends_silent:
        last = seconds(pairs[-1] - 1)
        if LEAST_SECONDS <= last <= audio_seconds - LEAST_SECONDS:
            decoded_until = last
    stop = pairs[-1] if decoded_until is not None else len(tokens)
    cuts = [0, *[pair for pair in pairs if pair < stop], stop]
    spans: list[TimedText] = []
    for first, behind in pairwise(cuts):
        if words := text(first, behind):
            start = seconds(first) if is_time[first] else 0.0
            end = seconds(behind - 1) if is_time[behind - 1] and behind - 1 > first else audio_seconds
            spans.append((start, min(end, audio_seconds), words))
    until = decoded_until if decoded_until is not None else audio_seconds
    if not in_order(spans):
        whole = text(0, stop)
        spans = [(0.0, until, whole)] if whole else []
    return TimestampReading(tuple(spans), decoded_until)


def in_order(spans: Sequence[TimedText]) -> bool:
    behind = 0.0
    for start, end, _ in spans:
        if not behind <= start < end:
            return False
        behind = end
    return True
