"""Estimates a job's speed and remaining time from its progress reports. Pure.

Runs in: supervisor.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple, assert_never

from ipc.vocabulary import Phase

WRITING_SHARE = 0.99
"""The share of a job's work at which writing begins."""
WORDS_SHARE = 0.2
"""Of a job's work, if words are wanted: an aligner is about four times as fast as a transcriber."""
JUDGED_AFTER_SECONDS, JUDGED_AFTER_STEPS = 2.0, 4
"""Below this, no speed is reported. A batch is two steps, and the first is a small one."""
HALF_LIFE_SECONDS = 120.0
"""After this much newer work, earlier work of the same job counts half: the machine may have other work now."""
KEPT_COUNTS_SECONDS = 15.0
"""The rate of earlier jobs weighs as much as this many seconds of the running one. Before that, a gap without reports
does not count against the worker either: its first batch may take that long."""
LONGEST_CHUNK_SECONDS = 30.0
"""An aligner that is behind the transcriber by less than this may be idle."""


class Rates(NamedTuple):
    """The rates known before a job starts, in seconds of audio per second of work; None: not known."""

    transcribing: float | None = None
    aligning: float | None = None
    wants_words: bool = True
    """True: an aligner will work on it too."""


UNKNOWN = Rates()


class Measured(NamedTuple):
    """The measured work of one stage of a job."""

    audio_seconds: float
    work_seconds: float


@dataclass(frozen=True, slots=True)
class StageProgress:
    """One worker's progress through a recording. It works in batches: no reports for a while, then a jump."""

    began_at_seconds: float = 0.0
    """The position in the recording, in seconds."""
    done_seconds: float = 0.0
    worked_seconds: float = 0.0
    """From its start to the last report, without idle time."""
    recent_audio_seconds: float = 0.0
    recent_work_seconds: float = 0.0
    """The same two, with exponentially decreasing weights for older reports."""
    stepped_at: float | None = None
    """Monotonic seconds; None: not started."""
    longest_silence_seconds: float = 0.0
    steps: int = 0

    def reached(self, done_seconds: float, now: float) -> "StageProgress":
        """A progress report. A report with an earlier position, as when a batch is repeated, is ignored."""
        if self.stepped_at is None:
            return StageProgress(began_at_seconds=done_seconds, done_seconds=done_seconds, stepped_at=now)
        if done_seconds <= self.done_seconds:
            return self
        silence_seconds = now - self.stepped_at
        kept = 0.5 ** (silence_seconds / HALF_LIFE_SECONDS)
        return replace(
            self,
            done_seconds=done_seconds,
            worked_seconds=self.worked_seconds + silence_seconds,
            recent_audio_seconds=self.recent_audio_seconds * kept + done_seconds - self.done_seconds,
            recent_work_seconds=self.recent_work_seconds * kept + silence_seconds,
            stepped_at=now,
            longest_silence_seconds=max(self.longest_silence_seconds, silence_seconds),
            steps=self.steps + 1,
        )

    def back_at_work(self, now: float) -> "StageProgress":
        """It was idle since the last report, or not alive: that time does not count for its speed."""
        return self if self.stepped_at is None else replace(self, stepped_at=now)

    def speed(self, now: float, kept: float | None = None) -> float | None:
        """Seconds of audio per second; None: not enough measured.

        `kept` is the rate of earlier jobs. A gap without reports that is longer than any before counts as time
        without work.
        """
        if self.stepped_at is None:
            return kept
        took = self.recent_work_seconds + now - self.stepped_at - self._under_way_seconds(now, kept)
        done = self.recent_audio_seconds
        if kept is not None:
            return (done + kept * KEPT_COUNTS_SECONDS) / (took + KEPT_COUNTS_SECONDS)
        return done / took if self.steps >= JUDGED_AFTER_STEPS and took >= JUDGED_AFTER_SECONDS else None

    def seconds_left(self, rest_seconds: float, now: float, kept: float | None) -> float | None:
        """The seconds that the rest of the recording will take; None: not known."""
        speed = self.speed(now, kept)
        return None if not speed else max(rest_seconds / speed - self._under_way_seconds(now, kept), 0.0)

    def measured(self) -> Measured | None:
        """Its work so far; None: nothing was measured."""
        done_seconds = self.done_seconds - self.began_at_seconds
        return Measured(done_seconds, self.worked_seconds) if self.worked_seconds > 0.0 else None

    def _under_way_seconds(self, now: float, kept: float | None) -> float:
        """The time spent on the batch that the next report will cover, as far as that is plausible."""
        patience_seconds = max(self.longest_silence_seconds, 0.0 if kept is None else KEPT_COUNTS_SECONDS)
        return 0.0 if self.stepped_at is None else min(now - self.stepped_at, patience_seconds)


NOT_BEGUN = StageProgress()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A job's speed. Two workers work on it: the slower one decides when it is done."""

    rates: Rates = UNKNOWN
    text_was_there: bool = False
    """True: only alignment was left when this run started."""
    text_is_whole: bool = False
    """True: everything is transcribed."""
    transcribing: StageProgress = NOT_BEGUN
    aligning: StageProgress = NOT_BEGUN
    transcribed_seconds: float = 0.0
    """Includes what was transcribed before this run: part of the job, but not of its speed."""
    is_resumed: bool = False
    """True: there was some."""
    aligned_seconds: float = 0.0
    is_paused: bool = False
    """True: another job uses its transcriber; that time does not count for its speed."""
    share: float = 0.0
    """The finished share of the job's work, 0 to 1. Never decreases."""

    def stepped(self, phase: Phase, done_seconds: float, audio_seconds: float | None, now: float) -> "Estimate":
        """The estimate after a progress report; `audio_seconds`: the recording's length, None before it is
        decoded."""
        match phase:
            case "loading" | "downloading":
                return self
            case "paused":
                return replace(self, is_paused=True)
            case "decoding":
                # A worker starts: the speed of a crashed one does not apply to it.
                pace = replace(self, transcribing=NOT_BEGUN)
            case "speech" | "language":
                begun = self.transcribing.stepped_at is not None
                pace = self if begun else replace(self, transcribing=NOT_BEGUN.reached(done_seconds, now))
            case "transcribing":
                furthest = max(self.transcribed_seconds, done_seconds)
                before = self.transcribing.back_at_work(now) if self.is_paused else self.transcribing
                stage = before.reached(done_seconds, now)
                pace = replace(self, transcribed_seconds=furthest, transcribing=stage, is_paused=False)
            case "aligning":
                furthest = max(self.aligned_seconds, done_seconds)
                pace = replace(self, aligned_seconds=furthest, aligning=self._aligning_reached(done_seconds, now))
            case _:
                assert_never(phase)
        return replace(pace, share=max(self.share, pace._share_now(audio_seconds)))

    def _aligning_reached(self, done_seconds: float, now: float) -> StageProgress:
        if done_seconds > 0.0 or (self.aligning.stepped_at is None and not self.is_resumed):
            return self.aligning.reached(done_seconds, now)
        # A request starts; in a resumed recording its position is known only from the next report.
        return self.aligning.back_at_work(now)

    def transcribed(self) -> "Estimate":
        """Everything is transcribed; only alignment is left."""
        return replace(self, text_is_whole=True)

    def writing(self) -> "Estimate":
        """The files are being written."""
        return replace(self, text_is_whole=True, share=max(self.share, WRITING_SHARE))

    def speed(self, now: float) -> float | None:
        """Seconds of audio per second of work, measured in this job; None: not enough measured."""
        return (self.aligning if self._only_words else self.transcribing).speed(now)

    def seconds_left(self, audio_seconds: float | None, now: float) -> float | None:
        """The seconds that the job will still need the workers; None: no reliable estimate."""
        if self.share >= WRITING_SHARE:
            return 0.0
        if audio_seconds is None:
            return None
        rates, text, words = self.rates, None, None
        if not self._only_words:
            text = self.transcribing.seconds_left(audio_seconds - self.transcribed_seconds, now, rates.transcribing)
        if rates.wants_words:
            words = self.aligning.seconds_left(
                audio_seconds - self.aligned_seconds, self._aligner_now(now), rates.aligning
            )
        if (words if self._only_words else text) is None:
            return None
        return max(text or 0.0, words or 0.0)

    def _aligner_now(self, now: float) -> float:
        """An aligner that has caught up with the transcriber waits for it: that time does not count for its speed."""
        waits = not self._only_words and self.transcribed_seconds - self.aligned_seconds < LONGEST_CHUNK_SECONDS
        return self.aligning.stepped_at if waits and self.aligning.stepped_at is not None else now

    @property
    def _only_words(self) -> bool:
        return self.text_was_there or self.text_is_whole

    def _share_now(self, audio_seconds: float | None) -> float:
        if not audio_seconds:
            return 0.0
        text = 1.0 if self._only_words else self.transcribed_seconds / audio_seconds
        words = self.aligned_seconds / audio_seconds
        words_share = 0.0 if not self.rates.wants_words else 1.0 if self.text_was_there else WORDS_SHARE
        return WRITING_SHARE * min(text * (1 - words_share) + words * words_share, 1.0)
