"""One decoding of Whisper: its text with times, the part that is still to decode, and whether to trust it. Pure.

Runs in: worker.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workers.engine import SAMPLE_RATE, Chunk, RawSegment
from workers.text.timestamp_tokens import TOKEN_SECONDS, read_timestamps

# Both engines decode with these, so that they give the same text.
BEAM_SIZE = 5
"""faster-whisper's default. Measured on real English: 1.5 to 1.9 points of word error rate below a single beam."""
PATIENCE = 0.6
"""Compares three finished texts, not five. Measured with base: as many errors in 3025 words of five medleys of 314 s,
and no text on music loops for half a minute; with two, music gives words more often."""
LONGEST_ECHO_TOKENS = 5
"""In a second pass over a looping text: no sequence of this many tokens may repeat."""

# Whisper's own thresholds for a failed decoding; https://github.com/openai/whisper/blob/main/whisper/transcribe.py
LEAST_LOGPROB = -1.0
MOST_COMPRESSION = 2.4
"""Text that zlib shrinks further than this is a loop."""
MOST_NO_SPEECH = 0.6

MOST_OVERRUN_SECONDS = 2.0
"""Text that runs this far beyond its sound is a hallucination: Whisper repeats itself where its input ends. Measured:
loops run on for 20 s."""
MOST_SILENCE_SHOWN_SECONDS = 5.0
"""The same for a short window, which ends soon after its sound (see `mel_window`)."""

MOST_CHARACTERS_A_SECOND_OF_VOICE = 60.0
"""Three times as many as in rapid speech: with less voice than that, Whisper itself must be confident."""
MOST_CHARACTERS_A_SECOND_OF_MURMUR = 240.0
"""Below this probability the speech detector finds no speech …"""
LEAST_MURMUR_SECONDS = 0.1
"""… or below this much voice in all, less than a syllable."""
GOOD_LOGPROB = -0.7
"""The average log probability of a text that Whisper is confident of."""


@dataclass(frozen=True, slots=True)
class Remainder:
    """A chunk, or the rest of one, that is still to be decoded."""

    number: int
    """Index of the chunk in its batch."""
    sound: Chunk


@dataclass(frozen=True, slots=True)
class DecodedChunk:
    """One pass of the decoder over a piece of sound."""

    segments: tuple[RawSegment, ...]
    """Empty if Whisper finds no speech."""
    rest: Chunk | None = None
    """Where it broke off: the rest has to be decoded separately."""
    overrun_seconds: float = 0.0
    """See `overrun`."""


def read_decoding(
    tokens: Sequence[int],
    sound: Chunk,
    timestamp_begin: int,
    end_of_text: int,
    decode: Callable[[list[int]], str],
    avg_logprob: float,
    no_speech_prob: float,
) -> DecodedChunk:
    """The tokens of one decoding → segments with times in the recording."""
    seconds = len(sound.audio) / SAMPLE_RATE
    reading = read_timestamps(tokens, timestamp_begin, end_of_text, seconds, decode)
    segments = tuple(
        RawSegment(sound.start + start, sound.start + end, text, avg_logprob, no_speech_prob)
        for start, end, text in reading.stretches
    )
    if no_speech_prob > MOST_NO_SPEECH and compression(text_of(segments)) > MOST_COMPRESSION:
        return DecodedChunk(())
    segments = tuple(one for one in segments if is_trusted(one, sound))
    rest = None if reading.decoded_until is None else sound.after(reading.decoded_until)
    return DecodedChunk(
        segments, rest, overrun(tokens, timestamp_begin, seconds, is_sure=avg_logprob >= GOOD_LOGPROB)
    )


def overrun(tokens: Sequence[int], timestamp_begin: int, seconds: float, *, is_sure: bool) -> float:
    """Seconds from the end of the sound to the last timestamp beyond it.

    A small model writes whole seconds and takes the end of its window for the end of the last sentence. If it is
    confident of its text, only that time is wrong, unless a sentence begins beyond the sound.
    """
    times = [(token - timestamp_begin) * TOKEN_SECONDS for token in sorted({*tokens}) if token >= timestamp_begin]
    behind = max(0.0, times[-1] - seconds) if times else 0.0
    begins_inside = len(times) > 1 and times[-2] < seconds
    return 0.0 if is_sure and begins_inside and behind <= MOST_SILENCE_SHOWN_SECONDS else behind


def has_failed(decoding: DecodedChunk) -> bool:
    """Whether Whisper's own tests fail. Silence is not a failure."""
    return bool(decoding.segments) and (
        min(one.avg_logprob or 0.0 for one in decoding.segments) < LEAST_LOGPROB
        or is_looping(decoding)
        or decoding.overrun_seconds > MOST_OVERRUN_SECONDS
    )


def is_looping(decoding: DecodedChunk) -> bool:
    return compression(text_of(decoding.segments)) > MOST_COMPRESSION


def is_trusted(segment: RawSegment, sound: Chunk) -> bool:
    """Whether this text was spoken: noise gives fluent hallucinations, but Whisper's no-speech probability and the
    speech detector, which is independent of text, are seldom wrong together."""
    no_speech, logprob = segment.no_speech_prob or 0.0, segment.avg_logprob or 0.0
    # The higher the no-speech probability, the more confident the text has to be.
    least_logprob = LEAST_LOGPROB + max(0.0, no_speech - MOST_NO_SPEECH)
    goes_round = compression(segment.text) > MOST_COMPRESSION
    if no_speech > MOST_NO_SPEECH and (logprob < least_logprob or goes_round):
        return False
    seconds = sound.likely_seconds(segment.start, segment.end)
    if seconds is None:
        seconds = segment.end - segment.start
    # A loop may have begun as speech: it is decoded again if there is enough voice for the text that it repeats.
    characters = len(zlib.compress(segment.text.encode())) if goes_round else len(segment.text)
    if characters <= MOST_CHARACTERS_A_SECOND_OF_VOICE * seconds:
        return True
    if no_speech > MOST_NO_SPEECH or logprob < GOOD_LOGPROB or goes_round:
        return False
    return seconds >= LEAST_MURMUR_SECONDS and characters <= MOST_CHARACTERS_A_SECOND_OF_MURMUR * seconds


def text_of(segments: Sequence[RawSegment]) -> str:
    return "".join(one.text for one in segments)


def compression(text: str) -> float:
    """The ratio by which zlib shrinks a text: repetitive text shrinks most."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw))
