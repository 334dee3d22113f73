"""The transcript of a job of any length: a few facts about the whole, and segments as a stream. Pure.

Runs in: supervisor.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ipc.transcript import EnginesUsed, EngineUsed, RecordingFacts, Segment, TranscriptTiming, Unheard, Word
from supervisor.results.transcript_rules import fold_repeats, joined
from supervisor.store.job import Job


@dataclass(frozen=True, slots=True)
class JobTranscript:
    """`ipc.transcript.Transcript` with its segments streamed; the fields mean the same."""

    stored: Iterable[Segment]
    """As transcribed and aligned. Iterated again for every property below."""
    language: str | None
    language_probability: float | None
    duration: float
    timing: TranscriptTiming
    no_speech: bool
    engine: EnginesUsed
    recording: RecordingFacts | None = None
    unheard: Sequence[Unheard] = ()

    def segments(self) -> Iterator[Segment]:
        """Segments with repetition loops folded."""
        return fold_repeats(self.stored)

    def text(self) -> Iterator[str]:
        """The text, in pieces."""
        return joined(segment.text for segment in self.segments())

    def words(self) -> Iterator[Word]:
        """Words of all segments, in order."""
        return (word for segment in self.segments() for word in segment.words)


def transcript_of(job: Job, stored: Iterable[Segment], unheard: Sequence[Unheard] = ()) -> JobTranscript:
    """The transcript of a job from its stored segments; reads all of them once."""
    kinds, last_end = set(), 0.0
    for segment in fold_repeats(stored):
        kinds.add(segment.timing)
        last_end = max(last_end, segment.end)
    return JobTranscript(
        stored,
        language=job.language if kinds else None,
        language_probability=job.language_probability if kinds else None,
        duration=last_end if job.audio_seconds is None else job.audio_seconds,
        timing="word" if kinds == {"word"} else "mixed" if "word" in kinds else "segment",
        no_speech=not kinds,
        engine=EnginesUsed(transcriber=_engine(job.transcribed_by), aligner=_engine(job.aligned_by)),
        recording=job.recording,
        unheard=unheard,
    )


def _engine(as_json: str | None) -> EngineUsed | None:
    return None if as_json is None else EngineUsed.model_validate_json(as_json)
