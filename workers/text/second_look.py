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
    goes_in_circles,
    has_failed,
    text_of,
)
from workers.text.repetition import MOST_CHARACTERS_A_SECOND, is_of_the_same_words

Hear = Callable[[Chunk, bool], DecodedChunk]
"""Decodes a sound; True: without repeating a sequence of tokens (LONGEST_ECHO_TOKENS)."""
Stretch = tuple[float, float]
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


def look_again(sound: Chunk, first: DecodedChunk, hear: Hear) -> DecodedChunk:
    """The result of a second pass over a sound; `first` is the first pass. Its undecoded rest stays undecoded."""
    if not has_failed(first):
        return with_holes_filled(sound, first, hear)
    if goes_in_circles(first):
        straight = hear(sound, True)
        if can_be_said(first, sound) and is_of_the_same_words(text_of(straight.heard), text_of(first.heard)):
            return first  # a person repeats these words
        if straight.heard and can_be_said(straight, sound) and (not has_failed(straight) or is_too_short(sound)):
            return straight
    return in_halves(sound, hear) or first


def can_be_said(decoding: DecodedChunk, sound: Chunk) -> bool:
    """Whether there is enough voice for all of its text."""
    seconds = sound.likely_seconds(sound.start, sound.end)
    if seconds is None:
        seconds = sound.end - sound.start
    return len(text_of(decoding.heard)) <= MOST_CHARACTERS_A_SECOND * seconds


def with_holes_filled(sound: Chunk, first: DecodedChunk, hear: Hear) -> DecodedChunk:
    """The same, plus what a second pass finds in parts without text, or with too little."""
    heard = [kept for one in first.heard for kept in heard_closely(one, sound, hear)]
    for start, end in stretches_to_doubt(sound, first):
        old = [one for one in heard if start <= one.start and one.end <= end]
        piece = sound.between(start, end)
        if is_part(piece, sound):
            new = hear_out(piece, hear)
        else:
            halves = in_halves(piece, hear)
            new = () if halves is None else halves.heard
        # Whisper turns a breath between two sentences into a word, too.
        new = tuple(one for one in new if (one.avg_logprob or 0.0) >= GOOD_LOGPROB)
        if len(text_of(new)) > len(text_of(old)):
            heard = [*(one for one in heard if one not in old), *new]
    return replace(first, heard=tuple(sorted(heard, key=lambda one: one.start)))


def heard_closely(heard: RawSegment, sound: Chunk, hear: Hear) -> tuple[RawSegment, ...]:
    """The same segment; but if a few words fill seconds with hardly any voice, the result of a separate pass: of an
    answer it keeps the answer, of music it drops the caption."""
    if not is_stretched(heard, sound) or not (spoken := murmurs(sound, heard.start, heard.end)):
        return () if is_stretched(heard, sound) else (heard,)
    piece = sound.between(spoken[0][0] - MARGIN_SECONDS, spoken[-1][1] + MARGIN_SECONDS)
    if not is_part(piece, sound.between(heard.start, heard.end)):
        return (heard,)
    return tuple(one for one in hear_out(piece, hear) if (one.avg_logprob or 0.0) >= LEAST_LOGPROB)


def is_part(piece: Chunk, sound: Chunk) -> bool:
    """Whether the piece is short enough that Whisper may decode it differently."""
    return len(piece.audio) < MOSTLY * len(sound.audio)


def is_doubtful(sound: Chunk, first: DecodedChunk) -> bool:
    """Whether a second pass is worth its time."""
    is_caption = any(is_stretched(one, sound) for one in first.heard)
    return has_failed(first) or is_caption or bool(stretches_to_doubt(sound, first))


def stretches_to_doubt(sound: Chunk, first: DecodedChunk) -> list[Stretch]:
    """Parts with much voice and little text, and parts with speech and no text. In order."""
    end = sound.end if first.rest is None else first.rest.start
    slow = [(one.start, one.end) for one in first.heard if is_too_slow(one, sound)]
    free_from, holes = sound.start, list[Stretch]()
    for one in (*first.heard, RawSegment(end, end, "")):
        holes += voices(sound, free_from, one.start)
        free_from = max(free_from, one.end)
    wide = [(max(start - MARGIN_SECONDS, sound.start), min(until + MARGIN_SECONDS, end)) for start, until in holes]
    return sorted([*slow, *wide])


def is_too_slow(heard: RawSegment, sound: Chunk) -> bool:
    """Whether the text is too short for its voice."""
    seconds = sound.voice_seconds(heard.start, heard.end)
    if seconds is None:
        seconds = heard.end - heard.start
    return seconds >= SLOW_SECONDS and letters_in(heard.text) < SLOWEST_CHARACTERS_A_SECOND * seconds


def letters_in(text: str) -> int:
    """The number of letters in an alphabet: a character of Chinese or Japanese is a syllable."""
    return sum(LETTERS_A_SYLLABLE if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def is_stretched(heard: RawSegment, sound: Chunk) -> bool:
    """Whether it lasts for seconds with less than one second of voice."""
    seconds = heard.end - heard.start
    if seconds < SLOW_SECONDS or letters_in(heard.text) >= SLOWEST_CHARACTERS_A_SECOND * seconds:
        return False
    spoken = sound.likely_seconds(heard.start, heard.end)
    return spoken is not None and spoken < LEAST_HOLE_SECONDS


def voices(sound: Chunk, start: float, end: float) -> list[Stretch]:
    """Parts with a second or more of probable speech."""
    return [
        (begin, until)
        for begin, until in murmurs(sound, start, end)
        if until - begin >= LEAST_HOLE_SECONDS and (sound.likely_seconds(begin, until) or 0.0) >= LEAST_VOICE_SECONDS
    ]


def murmurs(sound: Chunk, start: float, end: float) -> list[Stretch]:
    """Parts with possible speech, however soft or short."""
    if sound.voice is None:
        return []
    first = max(0, math.ceil((start - sound.start) / SECONDS_A_WINDOW))
    beyond = min(len(sound.voice), int((end - sound.start) / SECONDS_A_WINDOW))
    found: list[Stretch] = []
    for window in range(first, beyond):
        if sound.voice[window] < MURMUR:
            continue
        begin = sound.start + window * SECONDS_A_WINDOW
        if found and begin - found[-1][1] <= VOICE_PAUSE_SECONDS:
            found[-1] = found[-1][0], begin + SECONDS_A_WINDOW
        else:
            found.append((begin, begin + SECONDS_A_WINDOW))
    return found


def in_halves(sound: Chunk, hear: Hear) -> DecodedChunk | None:
    """Decodes a failed sound in two halves, and failed halves in halves; None: it is too short."""
    halves = cut_in_two(sound)
    if halves is None:
        return None
    return DecodedChunk(tuple(one for half in halves for one in hear_out(half, hear)))


def hear_out(sound: Chunk, hear: Hear) -> tuple[RawSegment, ...]:
    """Decodes a sound to its end."""
    heard: list[RawSegment] = []
    rest: Chunk | None = sound
    while rest is not None:
        decoding = hear(rest, False)
        if has_failed(decoding):
            decoding = look_again(rest, decoding, hear)
        heard += decoding.heard
        rest = decoding.rest  # strictly shorter: a decoding that would not advance has none
    return tuple(heard)


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
