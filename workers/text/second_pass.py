"""A second pass over speech that Whisper doubts or skips, decoded separately. The engine decodes; all else is pure.

Runs in: worker.

Whisper ends a text early and stretches its last timestamp, loops on difficult sound, and skips a distant speaker.
Decoded separately, the same sound gives its text: there is nothing else to transcribe.
"""

import math
import unicodedata
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from workers.engine import SAMPLE_RATE, WINDOW_SAMPLES, Chunk, RawSegment
from workers.speech.loudness import levels_of
from workers.text.decode_quality import (
    GOOD_LOGPROB,
    LEAST_LOGPROB,
    DecodedChunk,
    has_failed,
    is_looping,
    text_of,
)
from workers.text.repetition import MOST_CHARACTERS_A_SECOND, shares_most_words

DecodeChunk = Callable[[Chunk, bool], DecodedChunk]
"""Decodes a sound; True: without repeating a sequence of tokens (LONGEST_ECHO_TOKENS)."""
TimeRange = tuple[float, float]
"""Seconds from the start of the recording."""

SECONDS_A_WINDOW = WINDOW_SAMPLES / SAMPLE_RATE
SLOWEST_CHARACTERS_A_SECOND = 5.0
"""Letters per second of voice. Slow speech has twice as many; with fewer, most of the speech is missing …"""
LETTERS_A_SYLLABLE = 3
SLOW_SECONDS = 4.0
"""… if there is this much voice."""
LEAST_HOLE_SECONDS = 1.0
"""Voice without text. Whisper's timestamps are about half a second off."""
MURMUR = 0.05
"""The speech detector gives distant speakers no higher probability …"""
LEAST_VOICE_SECONDS = 0.25
"""… but the sum over the part must be some voice."""
VOICE_PAUSE_SECONDS = 0.5
"""A shorter pause does not divide speech."""
MARGIN_SECONDS = 0.2
"""Decoded with the gap, before and after it."""
LEAST_PIECE_SECONDS = 2.0
"""A shorter piece is decoded worse than the whole."""
MOSTLY = 0.8
BLUR = 5
"""Windows that are averaged to find a cut: 160 ms, a short breath."""


def second_pass(sound: Chunk, first: DecodedChunk, decode: DecodeChunk) -> DecodedChunk:
    """The result of a second pass over a sound; `first` is the first pass. Its undecoded rest stays undecoded."""
    if not has_failed(first):
        return with_holes_filled(sound, first, decode)
    if is_looping(first):
        straight = decode(sound, True)
        if is_plausible(first, sound) and shares_most_words(text_of(straight.segments), text_of(first.segments)):
            return first  # a person repeats these words
        if straight.segments and is_plausible(straight, sound) and (not has_failed(straight) or is_too_short(sound)):
            return straight
    return in_halves(sound, decode) or first


def is_plausible(decoding: DecodedChunk, sound: Chunk) -> bool:
    """Whether there is enough voice for all of its text."""
    seconds = sound.likely_seconds(sound.start, sound.end)
    if seconds is None:
        seconds = sound.end - sound.start
    return len(text_of(decoding.segments)) <= MOST_CHARACTERS_A_SECOND * seconds


def with_holes_filled(sound: Chunk, first: DecodedChunk, decode: DecodeChunk) -> DecodedChunk:
    """The same, plus what a second pass finds in parts without text, or with too little."""
    segments = [kept for one in first.segments for kept in decoded_closely(one, sound, decode)]
    for start, end in doubtful_parts(sound, first):
        old = [one for one in segments if start <= one.start and one.end <= end]
        piece = sound.between(start, end)
        if is_part(piece, sound):
            new = decode_to_end(piece, decode)
        else:
            halves = in_halves(piece, decode)
            new = () if halves is None else halves.segments
        # Whisper turns a breath between two sentences into a word, too.
        new = tuple(one for one in new if (one.avg_logprob or 0.0) >= GOOD_LOGPROB)
        if len(text_of(new)) > len(text_of(old)):
            segments = [*(one for one in segments if one not in old), *new]
    return replace(first, segments=tuple(sorted(segments, key=lambda one: one.start)))


def decoded_closely(segment: RawSegment, sound: Chunk, decode: DecodeChunk) -> tuple[RawSegment, ...]:
    """The same segment; but if a few words fill seconds with hardly any voice, the result of a separate pass: of an
    answer it keeps the answer, of music it drops the caption."""
    if not is_stretched(segment, sound) or not (spoken := murmurs(sound, segment.start, segment.end)):
        return () if is_stretched(segment, sound) else (segment,)
    piece = sound.between(spoken[0][0] - MARGIN_SECONDS, spoken[-1][1] + MARGIN_SECONDS)
    if not is_part(piece, sound.between(segment.start, segment.end)):
        return (segment,)
    return tuple(one for one in decode_to_end(piece, decode) if (one.avg_logprob or 0.0) >= LEAST_LOGPROB)


def is_part(piece: Chunk, sound: Chunk) -> bool:
    """Whether the piece is short enough that Whisper may decode it differently."""
    return len(piece.audio) < MOSTLY * len(sound.audio)


def is_worth_a_second_pass(sound: Chunk, first: DecodedChunk) -> bool:
    """Whether a second pass is worth its time."""
    is_caption = any(is_stretched(one, sound) for one in first.segments)
    return has_failed(first) or is_caption or bool(doubtful_parts(sound, first))


def doubtful_parts(sound: Chunk, first: DecodedChunk) -> list[TimeRange]:
    """Parts with much voice and little text, and parts with speech and no text. In order."""
    end = sound.end if first.rest is None else first.rest.start
    slow = [(one.start, one.end) for one in first.segments if is_too_slow(one, sound)]
    free_from, holes = sound.start, list[TimeRange]()
    for one in (*first.segments, RawSegment(end, end, "")):
        holes += voices(sound, free_from, one.start)
        free_from = max(free_from, one.end)
    wide = [(max(start - MARGIN_SECONDS, sound.start), min(until + MARGIN_SECONDS, end)) for start, until in holes]
    return sorted([*slow, *wide])


def is_too_slow(segment: RawSegment, sound: Chunk) -> bool:
    """Whether the text is too short for its voice."""
    seconds = sound.voice_seconds(segment.start, segment.end)
    if seconds is None:
        seconds = segment.end - segment.start
    return seconds >= SLOW_SECONDS and letters_in(segment.text) < SLOWEST_CHARACTERS_A_SECOND * seconds


def letters_in(text: str) -> int:
    """The number of letters in an alphabet: a character of Chinese or Japanese is a syllable."""
    return sum(LETTERS_A_SYLLABLE if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def is_stretched(segment: RawSegment, sound: Chunk) -> bool:
    """Whether it lasts for seconds with less than one second of voice."""
    seconds = segment.end - segment.start
    if seconds < SLOW_SECONDS or letters_in(segment.text) >= SLOWEST_CHARACTERS_A_SECOND * seconds:
        return False
    spoken = sound.likely_seconds(segment.start, segment.end)
    return spoken is not None and spoken < LEAST_HOLE_SECONDS


def voices(sound: Chunk, start: float, end: float) -> list[TimeRange]:
    """Parts with a second or more of probable speech."""
    return [
        (begin, until)
        for begin, until in murmurs(sound, start, end)
        if until - begin >= LEAST_HOLE_SECONDS and (sound.likely_seconds(begin, until) or 0.0) >= LEAST_VOICE_SECONDS
    ]


def murmurs(sound: Chunk, start: float, end: float) -> list[TimeRange]:
    """Parts with possible speech, however soft or short."""
    if sound.voice is None:
        return []
    first = max(0, math.ceil((start - sound.start) / SECONDS_A_WINDOW))
    beyond = min(len(sound.voice), int((end - sound.start) / SECONDS_A_WINDOW))
    found: list[TimeRange] = []
    for window in range(first, beyond):
        if sound.voice[window] < MURMUR:
            continue
        begin = sound.start + window * SECONDS_A_WINDOW
        if found and begin - found[-1][1] <= VOICE_PAUSE_SECONDS:
            found[-1] = found[-1][0], begin + SECONDS_A_WINDOW
        else:
            found.append((begin, begin + SECONDS_A_WINDOW))
    return found


def in_halves(sound: Chunk, decode: DecodeChunk) -> DecodedChunk | None:
    """Decodes a failed sound in two halves, and failed halves in halves; None: it is too short."""
    halves = cut_in_two(sound)
    if halves is None:
        return None
    return DecodedChunk(tuple(one for half in halves for one in decode_to_end(half, decode)))


def decode_to_end(sound: Chunk, decode: DecodeChunk) -> tuple[RawSegment, ...]:
    """Decodes a sound to its end."""
    segments: list[RawSegment] = []
    rest: Chunk | None = sound
    while rest is not None:
        decoding = decode(rest, False)
        if has_failed(decoding):
            decoding = second_pass(rest, decoding, decode)
        segments += decoding.segments
        rest = decoding.rest  # strictly shorter: a decoding that would not advance has none
    return tuple(segments)


def is_too_short(sound: Chunk) -> bool:
    """Whether its halves would be decoded worse than the whole."""
    return len(sound.audio) < 2 * LEAST_PIECE_SECONDS * SAMPLE_RATE


def cut_in_two(sound: Chunk) -> tuple[Chunk, Chunk] | None:
    """At the quietest moment of its middle third; None: it is too short."""
    if is_too_short(sound):
        return None
    loudness = levels_of(sound.audio)
    if sound.voice is not None:
        loudness = loudness * np.resize(np.array(sound.voice, np.float32), len(loudness))
    third = len(loudness) // 3
    blurred = np.convolve(loudness, np.ones(BLUR, np.float32), mode="same")
    at = sound.start + (third + int(np.argmin(blurred[third : 2 * third])) + 0.5) * SECONDS_A_WINDOW
    return sound.between(sound.start, at), sound.between(at, sound.end)
