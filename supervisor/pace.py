"""How fast a job comes forward, and how long it will still take: steps in, figures out. Pure.

Runs in: supervisor.
"""

from dataclasses import dataclass, replace
from typing import assert_never

from ipc.worker_messages import Phase

JUDGED_AFTER_SECONDS, JUDGED_AFTER_STEPS = 2.0, 4
"""Whoever has been seen at work for less is not judged. A batch is two steps, and the first is a small one."""
REMEMBERED_SECONDS = 120.0
"""An average over so long: several batches, and short enough to notice that the machine has other work now."""

DECODED_SHARE, LISTENED_SHARE, WRITING_SHARE = 0.02, 0.05, 0.99
"""Where decoding and the first look for speech end, and where writing begins, as shares of a job's work."""
TIMING_WORDS_SHARE = 0.2
"""Of what lies between, where words are wanted."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Somebody had got so far at that moment."""

    at: float
    """Monotonic seconds."""
    done_seconds: float


@dataclass(frozen=True, slots=True)
class Track:
    """One worker's way through the recording. Work comes in batches, so it is silent for a while and then leaps."""

    marks: tuple[Mark, ...] = ()
    """Oldest first; the first is where its way began, or what is left of it after `REMEMBERED_SECONDS`."""
    longest_silence_seconds: float = 0.0
    steps: int = 0

    def reached(self, done_seconds: float, now: float) -> "Track":
        """A step. One that leads back, as when a batch is repeated, is no news."""
        if not self.marks:
            return replace(self, marks=(Mark(now, done_seconds),))
        last = self.marks[-1]
        if done_seconds <= last.done_seconds:
            return self
        kept = [mark for mark in self.marks if now - mark.at <= REMEMBERED_SECONDS]
        # The newest of those that are too old: a single batch may take longer than we remember.
        start = self.marks[max(len(self.marks) - len(kept) - 1, 0) :]
        longest = max(self.longest_silence_seconds, now - last.at)
        return Track((*start, Mark(now, done_seconds)), longest, self.steps + 1)

    def speed(self, now: float) -> float | None:
        """Seconds of audio a second; None while there is nothing to judge by.

        A silence that is longer than any before counts as time in which nothing was done.
        """
        if self.steps < JUDGED_AFTER_STEPS:
            return None
        first, last = self.marks[0], self.marks[-1]
        took = last.at - first.at + max(now - last.at - self.longest_silence_seconds, 0.0)
        return (last.done_seconds - first.done_seconds) / took if took >= JUDGED_AFTER_SECONDS else None

    def seconds_left(self, until_seconds: float, now: float) -> float | None:
        """How long until it has got there."""
        speed = self.speed(now)
        if speed is None:
            return None
        last = self.marks[-1]
        under_way = min(now - last.at, self.longest_silence_seconds)
        return max((until_seconds - last.done_seconds) / speed - under_way, 0.0)


@dataclass(frozen=True, slots=True)
class Pace:
    """A job's pace. Two workers are at it: the one that is behind the other decides when it is done."""

    resumed_at_seconds: float = 0.0
    """Transcribed before this way began: part of the job, and no part of its speed."""
    text_was_there: bool = False
    """Only words were left to be timed when this way began."""
    text_is_whole: bool = False
    """Nothing is left to be transcribed."""
    wants_words: bool = True
    """An aligner is at it too, or will be."""
    transcribing: Track = Track()
    aligning: Track = Track()
    listened_seconds: float = 0.0
    transcribed_seconds: float = 0.0
    aligned_seconds: float = 0.0
    share: float = 0.0
    """How much of the job's work is behind it, 0 to 1. Never goes back."""

    def stepped(self, phase: Phase, done_seconds: float, audio_seconds: float | None, now: float) -> "Pace":
        """The pace after a worker's step; `audio_seconds`: the recording's length, None before it is decoded."""
        match phase:
            case "loading" | "downloading":
                return self
            case "decoding":
                # Whoever decodes is at his first step: what a dead one did, and how fast, says nothing about him.
                pace = replace(self, transcribing=Track())
            case "speech" | "language":
                track = self.transcribing if self.transcribing.marks else Track().reached(done_seconds, now)
                listened = max(self.listened_seconds, done_seconds)
                pace = replace(self, listened_seconds=listened, transcribing=track)
            case "transcribing":
                furthest = max(self.transcribed_seconds, self.resumed_at_seconds, done_seconds)
                track = self.transcribing.reached(done_seconds, now)
                pace = replace(self, transcribed_seconds=furthest, transcribing=track)
            case "aligning":
                pace = replace(
                    self,
                    aligned_seconds=max(self.aligned_seconds, done_seconds),
                    aligning=self._aligning_reached(done_seconds, now),
                )
            case _:
                assert_never(phase)
        return replace(pace, share=max(self.share, pace._share_now(audio_seconds)))

    def _aligning_reached(self, done_seconds: float, now: float) -> Track:
        if done_seconds == 0.0 and self.resumed_at_seconds:
            return self.aligning  # a request begins; where in the recording its words lie, the next step says
        return self.aligning.reached(done_seconds, now)

    def writing(self) -> "Pace":
        """The files are being written."""
        return replace(self, text_is_whole=True, share=max(self.share, WRITING_SHARE))

    # --- figures ---------------------------------------------------------------------------------------------

    def speed(self, now: float) -> float | None:
        """Seconds of audio for each second of work; None while there is nothing to judge by."""
        return (self.aligning if self._only_words else self.transcribing).speed(now)

    def seconds_left(self, audio_seconds: float | None, now: float) -> float | None:
        """How long until the job is done; None where that cannot be said honestly."""
        if audio_seconds is None or self.share >= WRITING_SHARE:
            return None
        words = self.aligning.seconds_left(audio_seconds, now)
        if self._only_words:
            return words
        text = self.transcribing.seconds_left(audio_seconds, now)
        return None if text is None else max(text, words or 0.0)

    @property
    def _only_words(self) -> bool:
        return self.text_was_there or self.text_is_whole

    def _share_now(self, audio_seconds: float | None) -> float:
        if not audio_seconds:
            return 0.0

        def of_whole(done_seconds: float) -> float:
            return min(done_seconds / audio_seconds, 1.0)

        listened = of_whole(self.listened_seconds)
        prepared = DECODED_SHARE + (LISTENED_SHARE - DECODED_SHARE) * listened
        words = of_whole(self.aligned_seconds)
        if self.text_was_there:
            work = words
        else:
            text = 1.0 if self.text_is_whole else of_whole(self.transcribed_seconds)
            share_of_words = TIMING_WORDS_SHARE if self.wants_words else 0.0
            work = (1 - share_of_words) * text + share_of_words * words
        return prepared + (WRITING_SHARE - LISTENED_SHARE) * work
