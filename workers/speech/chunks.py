"""PCM → speech spans → chunks of at most 30 s, cut where there is no speech.

Runs in: worker. The end of a chunk depends only on the recording and on the chunk's start: a worker that starts at
the end of its predecessor's last chunk finds the same chunks that the predecessor would have found.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from workers.engine import LEAST_VOICE, SAMPLE_RATE, WINDOW_SAMPLES, Chunk
from workers.pcm.pcm_file import PcmFile
from workers.speech.voice_activity import VoiceActivity

__all__ = ["PcmFile", "Span", "find_chunks", "find_spans"]


def _windows(seconds: float) -> int:
    return int(seconds * SAMPLE_RATE / WINDOW_SAMPLES)


SPEECH_PROBABILITY = 0.3
"""Speech starts at this probability …"""
SILENCE_PROBABILITY = 0.1
"""… and ends below this one."""
LEAST_SILENCE = _windows(0.5)
"""Windows. A breath is shorter; a cut in a shorter silence clips a word."""
LEAST_SPEECH = _windows(0.1)
"""Windows. A shorter sound is a click; the shortest "no" takes twice as long."""
MARGIN = _windows(0.2)
"""Windows kept before and after speech: soft consonants, and room for an aligner."""
LONGEST_CHUNK = _windows(30.0)
"""Windows. Whisper's window is 30 s."""
FULL_CHUNK = _windows(15.0)
"""Windows. From this length on, a chunk may end at the longest pause."""
LONGEST_PAUSE = _windows(4.0)
"""Windows. Whisper hallucinates in long silence, and without the preceding sentence it misrecognises the next."""
CUT_BLUR = 5
"""Windows that are averaged for a cut within speech: 160 ms, a short breath."""


@dataclass(frozen=True, slots=True)
class Span:
    """Uninterrupted speech, in windows of 32 ms from the start of the recording."""

    start: int
    beyond: int


def find_chunks(
    pcm: PcmFile, start_at_seconds: float, step: Callable[[float], None] = lambda done_seconds: None
) -> Iterator[Chunk]:
    """Yields the recording's speech from `start_at_seconds` on, lazily and in order; silence yields nothing.

    `step` gets the seconds searched so far after every 20 s of audio: hours can pass without a chunk.
    """
    voice = VoiceActivity(pcm, step)
    # Chunks end on whole windows; the tolerance is for seconds that were stored as decimal text.
    first = max(0, math.ceil(start_at_seconds * SAMPLE_RATE / WINDOW_SAMPLES - 0.01))
    while (found := _next_chunk(voice, first)) is not None:
        audio = pcm.audio_of_samples(found.start * WINDOW_SAMPLES, found.beyond * WINDOW_SAMPLES)
        windows = range(found.start, min(found.beyond, voice.windows))
        likely = tuple(voice.probability(window) for window in windows)
        audible = tuple(voice.is_audible(window) or voice.probability(window) >= LEAST_VOICE for window in windows)
        yield Chunk(found.start * WINDOW_SAMPLES / SAMPLE_RATE, audio, likely, audible)
        first = found.beyond


def find_spans(
    probability: Callable[[int], float],
    first: int,
    windows: int,
    longest: int,
    patience: int,
    is_audible: Callable[[int], bool] = lambda window: False,
) -> Iterator[Span]:
    """Speech and other sounds from window `first` on, with the hysteresis of Silero's `get_speech_timestamps`.

    https://github.com/snakers4/silero-vad. A span longer than `longest` is yielded unfinished. The search ends
    `patience` windows after a span, so that hours of silence are not searched for a span too far away.
    """
    start: int | None = None
    silent_since: int | None = None
    last_beyond: int | None = None
    for window in range(first, windows):
        likely, audible = probability(window), is_audible(window)
        if start is None:
            if audible or likely >= SPEECH_PROBABILITY:
                start = window
        elif audible or likely >= SPEECH_PROBABILITY:
            silent_since = None
        elif likely < SILENCE_PROBABILITY and silent_since is None:
            silent_since = window
        if start is None:
            if last_beyond is not None and window - last_beyond > patience:
                return
            continue
        if silent_since is not None and window - silent_since >= LEAST_SILENCE:
            if silent_since - start > LEAST_SPEECH:
                yield Span(start, silent_since)
                last_beyond = silent_since
            start = silent_since = None
        elif silent_since is None and window - start > longest:
            yield Span(start, window)
            last_beyond = window
            start = None
    if start is not None and windows - start > LEAST_SPEECH:
        yield Span(start, windows)


def _next_chunk(voice: VoiceActivity, first: int) -> Span | None:
    """The first chunk at or after a window: whole spans while they fit and follow closely, otherwise a part of
    one."""
    spans = find_spans(voice.probability, first, voice.windows, LONGEST_CHUNK, LONGEST_PAUSE, voice.is_audible)
    head = next(spans, None)
    if head is None:
        return None
    start = max(first, head.start - MARGIN)
    limit = start + LONGEST_CHUNK
    if head.beyond > limit:
        return Span(start, _quietest(voice, limit - LONGEST_CHUNK // 3, limit))
    row = [head]
    for span in spans:
        if span.start - row[-1].beyond > LONGEST_PAUSE:
            break
        row.append(span)
        if span.beyond > limit:
            row = row[: _longest_pause(row, start)]
            break
    return Span(start, min(row[-1].beyond + MARGIN, limit, voice.windows))


def _longest_pause(row: Sequence[Span], start: int) -> int:
    """The number of spans of a row, whose last one does not fit, that form a chunk: sentences end at long pauses."""
    pauses = [(after.start - before.beyond, place) for place, (before, after) in enumerate(pairwise(row), start=1)]
    late = [(pause, place) for pause, place in pauses if row[place - 1].beyond - start >= FULL_CHUNK]
    return max(late)[1] if late else len(row) - 1


def _quietest(voice: VoiceActivity, first: int, beyond: int) -> int:
    """The window at which to cut speech without a pause: improbable and soft. The last one of equals."""
    likely = np.array([voice.probability(window) for window in range(first, beyond)], dtype=np.float32)
    heard = likely * voice.loudness(first, beyond)
    blurred = np.convolve(heard, np.ones(CUT_BLUR, dtype=np.float32), mode="valid")
    last_of_equals = len(blurred) - 1 - int(np.argmin(blurred[::-1]))
    return first + last_of_equals + CUT_BLUR // 2
