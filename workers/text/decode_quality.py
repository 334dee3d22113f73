"""What Whisper wrote about a stretch of sound: text with times, what is left to hear, whether to believe it. Pure.

Runs in: worker.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workers.engine import SAMPLE_RATE, Chunk, RawSegment
from workers.text.timestamp_tokens import TOKEN_SECONDS, read_timestamps

# How both engines decode, so that they say the same.
BEAM_SIZE = 5
"""As faster-whisper has by default. Measured on real English: 1.5 to 1.9 points of word error rate less than one beam
alone has."""
PATIENCE = 0.6
"""Three texts that have ended are compared, not five. Measured with base: on five medleys of 314 s as many of 3025
words are wrong, and on music no text goes round for half a minute; with two, music more often gives a word."""
LONGEST_ECHO_TOKENS = 5
"""Where a text goes round in circles: so many tokens in a row are not said twice."""

# When Whisper doubts itself; https://github.com/openai/whisper/blob/main/whisper/transcribe.py
LEAST_LOGPROB = -1.0
MOST_COMPRESSION = 2.4
"""Text that zlib shrinks further than this is a loop."""
MOST_NO_SPEECH = 0.6

MOST_OVERRUN_SECONDS = 2.0
"""Text that goes on for longer than this behind its sound is made up: Whisper was shown no more, and goes round in
circles. Measured: loops run on for 20 s."""
MOST_SILENCE_SHOWN_SECONDS = 5.0
"""A window of its own length ends so soon behind its sound (see `mel_window`)."""

MOST_CHARACTERS_A_SECOND_OF_VOICE = 60.0
"""Three times as many as in rapid speech: with less voice than that, Whisper itself must not doubt."""
MOST_CHARACTERS_A_SECOND_OF_MURMUR = 240.0
"""With so little the speech detector finds no speech …"""
LEAST_MURMUR_SECONDS = 0.1
"""… as with less than a syllable in all."""
GOOD_LOGPROB = -0.7
"""Of a text of which Whisper has no doubt."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A chunk, or the rest of one, that is still to be heard."""

    number: int
    """Of the chunk in its batch."""
    sound: Chunk


@dataclass(frozen=True, slots=True)
class DecodedChunk:
    """One pass of the decoder over a stretch of sound."""

    heard: tuple[RawSegment, ...]
    """Empty where Whisper believes that there is no speech."""
    rest: Chunk | None = None
    """Where it broke off: what has to be heard on its own."""
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
    """The tokens of one decoding, as times in the recording."""
    seconds = len(sound.audio) / SAMPLE_RATE
    reading = read_timestamps(tokens, timestamp_begin, end_of_text, seconds, decode)
    heard = tuple(
        RawSegment(sound.start + start, sound.start + end, text, avg_logprob, no_speech_prob)
        for start, end, text in reading.stretches
    )
    if no_speech_prob > MOST_NO_SPEECH and compression(text_of(heard)) > MOST_COMPRESSION:
        return DecodedChunk(())
    heard = tuple(one for one in heard if is_believed(one, sound))
    rest = None if reading.heard_until is None else sound.after(reading.heard_until)
    return DecodedChunk(heard, rest, overrun(tokens, timestamp_begin, seconds, is_sure=avg_logprob >= GOOD_LOGPROB))


def overrun(tokens: Sequence[int], timestamp_begin: int, seconds: float, *, is_sure: bool) -> float:
    """Seconds from the end of the sound to the last time that is written behind it.

    A small model writes whole seconds and takes the end of its window for the end of the last sentence. Where it is
    sure of its text, only that time is wrong, unless a sentence begins behind the sound.
    """
    times = [(token - timestamp_begin) * TOKEN_SECONDS for token in sorted({*tokens}) if token >= timestamp_begin]
    behind = max(0.0, times[-1] - seconds) if times else 0.0
    begins_inside = len(times) > 1 and times[-2] < seconds
    return 0.0 if is_sure and begins_inside and behind <= MOST_SILENCE_SHOWN_SECONDS else behind


def has_failed(decoding: DecodedChunk) -> bool:
    """Whether Whisper's own tests fail. Silence is no failure."""
    return bool(decoding.heard) and (
        min(one.avg_logprob or 0.0 for one in decoding.heard) < LEAST_LOGPROB
        or goes_in_circles(decoding)
        or decoding.overrun_seconds > MOST_OVERRUN_SECONDS
    )


def goes_in_circles(decoding: DecodedChunk) -> bool:
    return compression(text_of(decoding.heard)) > MOST_COMPRESSION


def is_believed(heard: RawSegment, sound: Chunk) -> bool:
    """Whether anybody said this: noise gives fluent inventions, but Whisper's own no-speech test and the speech
    detector, which never saw a letter, seldom err together."""
    no_speech, logprob = heard.no_speech_prob or 0.0, heard.avg_logprob or 0.0
    # The surer it is of no speech, the surer it has to be of its text.
    least_logprob = LEAST_LOGPROB + max(0.0, no_speech - MOST_NO_SPEECH)
    goes_round = compression(heard.text) > MOST_COMPRESSION
    if no_speech > MOST_NO_SPEECH and (logprob < least_logprob or goes_round):
        return False
    seconds = sound.likely_seconds(heard.start, heard.end)
    if seconds is None:
        seconds = heard.end - heard.start
    # A loop may have begun as speech: it is heard again, if there is a voice for what it repeats.
    characters = len(zlib.compress(heard.text.encode())) if goes_round else len(heard.text)
    if characters <= MOST_CHARACTERS_A_SECOND_OF_VOICE * seconds:
        return True
    if no_speech > MOST_NO_SPEECH or logprob < GOOD_LOGPROB or goes_round:
        return False
    return seconds >= LEAST_MURMUR_SECONDS and characters <= MOST_CHARACTERS_A_SECOND_OF_MURMUR * seconds


def text_of(heard: Sequence[RawSegment]) -> str:
    return "".join(one.text for one in heard)


def compression(text: str) -> float:
    """How many times shorter zlib makes a text: what repeats itself shrinks most."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw))
