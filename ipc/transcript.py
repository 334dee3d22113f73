"""A transcript as plain frozen values: what workers produce, the database keeps and files show.

Runs in: every process.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SegmentTiming = Literal["word", "segment"]
TranscriptTiming = Literal["word", "mixed", "segment"]

SCHEMA_VERSION = 1


FORGETFUL = ConfigDict(cache_strings="keys")
"""For whatever reads JSON: pydantic would keep the last 16,384 short strings, each job's own and the words of a
recording among them, for the case that they come again."""


class Value(BaseModel):
    """A frozen value that refuses unknown fields, NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, **FORGETFUL)


class Word(Value):
    """One word and where it is heard. A word without times does not exist: its segment is timed instead."""

    word: str
    """As in the segment's text, without surrounding white space."""
    start: float = Field(ge=0)
    """Seconds from the start of the recording."""
    end: float = Field(ge=0)
    """Seconds from the start of the recording, never before `start`."""
    score: float | None = None
    """The aligner's confidence from 0 to 1, None where it gives none."""
    interpolated: bool = False
    """True where the times are a guess: from the neighbours, or by an aligner that does not believe them itself."""


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
    """True where all times of `words` are guesses, each `interpolated`: what was aligned is not what is heard there.
    `timing` stays `word`: the times are the best there are."""
    voice_seconds: float | None = None
    """How much of it is a voice to the speech detector; None: not known. For judging it; no file contains it."""
    repeats: int | None = None
    """How often the model wrote this text, or what it ends with, in a row, where no person says it so often: the
    copies were folded into this one. None: it was not folded."""


class Unheard(Value):
    """A stretch in which something is audible and no text came of it: noise, music, laughter, or words that were
    missed. To have every word, listen there."""

    start: float = Field(ge=0)
    """Seconds from the start of the recording."""
    end: float = Field(ge=0)
    """Seconds from the start of the recording, never before `start`."""
    level_db: float
    """How loud it is at its loudest, in decibels below full scale."""


class EngineUsed(Value):
    """Which program, model and device did one half of the work."""

    engine: str
    model: str
    device: str


class EnginesUsed(Value):
    """Who heard the words and who timed them."""

    transcriber: EngineUsed | None = None
    aligner: EngineUsed | None = None
    """None when nothing was aligned."""


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
    """Samples a second."""


class Damage(Value):
    """One reason why the transcript may lack something of its recording."""

    code: str
    """Stable: `cut_off`, `size_field_wrong`, `unreadable_packets`, `bytes_unread`, `length_claim_wrong`,
    `timestamps_repaired`, `padding_skipped` …"""
    message: str
    """In words, with figures: `only 12.6 s of 62.4 s could be read`."""


class RecordingFacts(Value):
    """What was read of a recording, and what was not; `recording` in transcript.json and in a job."""

    sha256: str | None = None
    """Of the file's whole content as it was decoded; None where it was not hashed."""
    size_bytes: int | None = None
    read_seconds: float = Field(ge=0)
    """Seconds of sound that were decoded."""
    claimed_seconds: float | None = None
    """How long the container says it is; None: it does not say, or only estimates."""
    bytes_unread: int = 0
    """Bytes of the file that hold no sound that could be read, where sound should have been."""
    damage: tuple[Damage, ...] = ()
    """Empty: the whole recording was read."""
    track: Track | None = None
    """The track that was transcribed; None: decoded by an older version."""
    other_tracks: tuple[Track, ...] = ()
    """Sound tracks that were not used."""
    channels_used: str | None = None
    """How channels became one: `mono`, `mix`, `channel 4`, `left minus right` …; None: not known."""
    gain_db: float | None = None
    """By how much the recording was made louder, or softer if below 0, so that 16 bits hold it; None: it was not."""


class Transcript(Value):
    """Everything known about a recording's speech; the content of transcript.json."""

    schema_version: int = SCHEMA_VERSION
    text: str
    """The segments' texts joined with spaces, or with nothing where a script has none."""
    language: str | None
    """ISO 639-1 code; None when nothing was said."""
    language_probability: float | None = None
    """0 to 1; None when the language was given, not found."""
    duration: float
    """Seconds of audio in the recording."""
    timing: TranscriptTiming
    no_speech: bool = False
    """True when there is no speech in the recording: the text is empty on purpose."""
    segments: tuple[Segment, ...]
    unheard: tuple[Unheard, ...] = ()
    """What was audible and gave no text, in order."""
    recording: RecordingFacts | None = None
    """What was read of the recording, and what was not; None: decoded by an older version."""
    word_segments: tuple[Word, ...]
    """All words of all segments in order, as WhisperX writes them."""
    engine: EnginesUsed
