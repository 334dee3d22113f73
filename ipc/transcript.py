"""A transcript as plain frozen values: workers produce it, the database stores it, result files contain it.

Runs in: every process.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SegmentTiming = Literal["word", "segment"]
TranscriptTiming = Literal["word", "mixed", "segment"]

SCHEMA_VERSION = 1


FORGETFUL = ConfigDict(cache_strings="keys")
"""For every JSON parser: by default pydantic caches the last 16,384 short strings, which would include words of
recordings."""


class Value(BaseModel):
    """A frozen value that refuses unknown fields, NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, **FORGETFUL)


class Word(Value):
    """One word and its times. There is no word without times: then only its segment is timed."""

    word: str
    """As in the segment's text, without surrounding white space."""
    start: float = Field(ge=0)
    """Seconds from the start of the recording."""
    end: float = Field(ge=0)
    """Seconds from the start of the recording, never before `start`."""
    score: float | None = None
    """The aligner's confidence, 0 to 1; None: the aligner reports none."""
    interpolated: bool = False
    """True: the times are estimated, either from the neighbours or by an aligner with too low a confidence."""


class Segment(Value):
    """A stretch of speech, at most 30 s long, with its text and, once aligned, its words."""

    id: int = Field(ge=0)
    """Position in the transcript, counted from 0."""
    start: float = Field(ge=0)
    """Seconds from the start of the recording."""
    end: float = Field(ge=0)
    """Seconds from the start of the recording, never before `start`."""
    text: str
    """Without surrounding white space; never empty."""
    avg_logprob: float | None = None
    """Mean log probability of the text's tokens."""
    no_speech_prob: float | None = None
    """The model's probability that there is no speech, 0 to 1."""
    timing: SegmentTiming = "segment"
    """`word`: every word of the text is in `words`, in order, with times. `segment`: `words` is empty."""
    words: tuple[Word, ...] = ()
    """The text's words in order, each inside [start, end]."""
    timing_doubtful: bool = False
    """True: all times of `words` are estimated, each `interpolated`, because the text does not match the audio there.
    `timing` stays `word`: no better times exist."""
    voice_seconds: float | None = None
    """The share of it that the VAD takes for speech; None: not known. Used to judge the segment; no file contains
    it."""
    repeats: int | None = None
    """How many times in a row the model wrote this text, or its end, where that is implausible: the copies were
    merged into this one. None: nothing was merged."""


class Unheard(Value):
    """A time range that is audible but gave no text: noise, music, laughter, or missed words. The user should listen
    to it if every word matters."""

    start: float = Field(ge=0)
    """Seconds from the start of the recording."""
    end: float = Field(ge=0)
    """Seconds from the start of the recording, never before `start`."""
    level_db: float
    """Its peak level, in decibels relative to full scale."""


class EngineUsed(Value):
    """The program, model and device of one stage."""

    engine: str
    model: str
    device: str


class EnginesUsed(Value):
    """The engine that transcribed and the engine that aligned."""

    transcriber: EngineUsed | None = None
    aligner: EngineUsed | None = None
    """None: nothing was aligned."""


class Track(Value):
    """One sound track of a recording, as its container describes it."""

    number: int = Field(ge=1)
    """Position among the sound tracks, counted from 1, as `--track` takes it."""
    language: str | None = None
    """ISO 639-1 or 639-2 code from the container's tag; None: not tagged."""
    title: str | None = None
    is_default: bool = False
    codec: str | None = None
    channels: int | None = None
    sample_rate: int | None = None
    """Samples per second."""


class Damage(Value):
    """One reason why the transcript may lack something of its recording."""

    code: str
    """Stable: `cut_off`, `size_field_wrong`, `unreadable_packets`, `bytes_unread`, `length_claim_wrong`,
    `timestamps_repaired`, `padding_skipped` …"""
    message: str
    """As a sentence, with figures: `only 12.6 s of 62.4 s could be read`."""


class RecordingFacts(Value):
    """What was decoded of a recording, and what was not; `recording` in transcript.json and in a job."""

    sha256: str | None = None
    """sha256 of the whole file as it was decoded; None: not hashed."""
    size_bytes: int | None = None
    read_seconds: float = Field(ge=0)
    """Seconds of sound that were decoded."""
    claimed_seconds: float | None = None
    """The duration that the container states; None: it states none, or only an estimate."""
    bytes_unread: int = 0
    """Bytes of the file that should contain sound but could not be decoded."""
    damage: tuple[Damage, ...] = ()
    """Empty: the whole recording was decoded."""
    track: Track | None = None
    """The track that was transcribed; None: decoded by an older version."""
    other_tracks: tuple[Track, ...] = ()
    """The sound tracks that were not transcribed."""
    channels_used: str | None = None
    """How the channels were mixed to one: `mono`, `mix`, `channel 4`, `left minus right` …; None: not known."""
    gain_db: float | None = None
    """The gain that fits the recording into 16 bits; negative: attenuated. None: no gain."""


class Transcript(Value):
    """Everything known about a recording's speech; the content of transcript.json."""

    schema_version: int = SCHEMA_VERSION
    text: str
    """The segments' texts, joined with spaces, or with nothing in scripts without spaces."""
    language: str | None
    """ISO 639-1 code; None: no speech."""
    language_probability: float | None = None
    """0 to 1; None: the language was given, not detected."""
    duration: float
    """Seconds of audio in the recording."""
    timing: TranscriptTiming
    no_speech: bool = False
    """True: the recording contains no speech, so the empty text is correct."""
    segments: tuple[Segment, ...]
    unheard: tuple[Unheard, ...] = ()
    """The audible ranges without text, in order."""
    recording: RecordingFacts | None = None
    """What was decoded of the recording, and what was not; None: decoded by an older version."""
    word_segments: tuple[Word, ...]
    """All words of all segments in order, as WhisperX writes them."""
    engine: EnginesUsed
