"""How fast a job comes forward, and how long it will still take: steps in, figures out. Pure.

Runs in: supervisor.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple, assert_never

from ipc.vocabulary import Phase
from supervisor.progress.rate import NOT_BEGUN, RateMeter

WRITING_SHARE = 0.99
"""Where writing begins, as a share of a job's work."""
LAST_BATCH_SECONDS = 30.0
"""So much of the end, or the whole of a short recording, is aligned when all of it is transcribed: a chunk."""
USUAL_DECODING, USUAL_TRANSCRIBING, ALIGNING_IS_FASTER = 400.0, 10.0, 4.0
"""Seconds of audio a second where nothing is known. Good enough for a share of the work, not for telling a time."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of a job before it begins; speeds in seconds of audio for each second of work."""

    wants_words: bool = True
    """An aligner will be at it too."""
    audio_seconds: float | None = None
    """Its length, or a guess; None: not known."""
    decoding: float | None = None
    transcribing: float | None = None
    aligning: float | None = None


class Left(NamedTuple):
    """Seconds until each worker is free, and until the job is done."""

    transcriber: float
    aligner: float
    job: float


class Measured(NamedTuple):
    """What one stage of a job took."""

    audio_seconds: float
    work_seconds: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A job's pace. Two workers are at it: the one that is behind the other decides when it is done."""

    expected: Expected = Expected()
    resumed_at_seconds: float = 0.0
    """Transcribed before this way began: part of the job, and no part of its speed."""
    text_was_there: bool = False
    """Only words were left to be timed when this way began."""
    text_is_whole: bool = False
    """Nothing is left to be transcribed."""
    decoding: RateMeter = NOT_BEGUN
    transcribing: RateMeter = NOT_BEGUN
    aligning: RateMeter = NOT_BEGUN
    is_decoded: bool = False
    transcribed_seconds: float = 0.0
    aligned_seconds: float = 0.0
    share: float = 0.0
    """How much of the job's work is behind it, 0 to 1. Never goes back."""

    def stepped(self, phase: Phase, done_seconds: float, audio_seconds: float | None, now: float) -> "Estimate":
        """The pace after a worker's step; `audio_seconds`: the recording's length, None before it is decoded."""
        match phase:
            case "loading" | "downloading":
                return self
            case "decoding":
                # The decoder is at its first step: what a dead one did, and how fast, says nothing about it.
                track = NOT_BEGUN if self.is_decoded else self.decoding
                pace = replace(
                    self, is_decoded=False, decoding=track.reached(done_seconds, now), transcribing=NOT_BEGUN
                )
            case "speech" | "language":
                pace = self._decoded(audio_seconds, now)
                if not pace.transcribing.marks:
                    pace = replace(pace, transcribing=NOT_BEGUN.reached(done_seconds, now))
            case "transcribing":
                furthest = max(self.transcribed_seconds, self.resumed_at_seconds, done_seconds)
                track = self.transcribing.reached(done_seconds, now)
                pace = replace(self, is_decoded=True, transcribed_seconds=furthest, transcribing=track)
            case "aligning":
                pace = replace(
                    self,
                    is_decoded=True,
                    aligned_seconds=max(self.aligned_seconds, done_seconds),
                    aligning=self._aligning_reached(done_seconds, now),
                )
            case _:
                assert_never(phase)
        return replace(pace, share=max(self.share, pace._share_now(audio_seconds, now)))

    def _decoded(self, audio_seconds: float | None, now: float) -> "Estimate":
        if self.is_decoded:
            return self
        return replace(self, is_decoded=True, decoding=self.decoding.reached(audio_seconds or 0.0, now))

    def _aligning_reached(self, done_seconds: float, now: float) -> RateMeter:
        if done_seconds > 0.0 or not (self.aligning.marks or self.resumed_at_seconds):
            return self.aligning.reached(done_seconds, now)
        # A request begins; where in a resumed recording its words lie, the next step says.
        return self.aligning.back_at_work(now)

    def transcribed(self) -> "Estimate":
        """Only words are missing."""
        return replace(self, text_is_whole=True)

    def writing(self) -> "Estimate":
        """The files are being written."""
        return replace(self, text_is_whole=True, share=max(self.share, WRITING_SHARE))

    # --- figures ---------------------------------------------------------------------------------------------

    def speed(self, now: float) -> float | None:
        """Seconds of audio for each second of work, seen in this job; None while there is nothing to judge by."""
        return (self.aligning if self._only_words else self.transcribing).speed(now)

    def left(self, audio_seconds: float | None, now: float) -> Left | None:
        """How long it will all take; None where that cannot be said honestly."""
        audio_seconds = audio_seconds or self.expected.audio_seconds
        if audio_seconds is None:
            return None
        if self.share >= WRITING_SHARE:
            return Left(0.0, 0.0, 0.0)
        expected = self.expected
        transcribing = self.transcribing.speed(now, expected.transcribing)
        aligning = self._aligning_speed(now) if expected.wants_words else None
        if (aligning if self._only_words else transcribing) is None:
            return None
        return self._left(audio_seconds, now, expected.decoding, transcribing, aligning)

    def seconds_left(self, audio_seconds: float | None, now: float) -> float | None:
        """How long until the job is done; None where that cannot be said honestly, or is a moment."""
        left = self.left(audio_seconds, now)
        return None if left is None or self.share >= WRITING_SHARE else left.job

    def measured(self, audio_seconds: float) -> tuple[Measured | None, Measured | None, Measured | None]:
        """What decoding, transcribing and aligning took, once the job is through them; None: not seen whole."""
        return (
            # Without a step on the way it was over at once, or its result lay there already: nothing to learn from.
            _measured(self.decoding, audio_seconds) if self.decoding.steps > 1 else None,
            None if self.text_was_there else _measured(self.transcribing, audio_seconds),
            _measured(self.aligning, audio_seconds) if self.expected.wants_words else None,
        )

    def _aligning_speed(self, now: float) -> float | None:
        """An aligner that is close behind the transcriber waits for it: that is no slowness of its own."""
        behind_seconds = self.transcribed_seconds - self.aligned_seconds
        if self.aligning.marks and not self._only_words and behind_seconds < LAST_BATCH_SECONDS:
            now = self.aligning.marks[-1].at
        return self.aligning.speed(now, self.expected.aligning)

    @property
    def _only_words(self) -> bool:
        return self.text_was_there or self.text_is_whole

    def _left(
        self,
        audio_seconds: float,
        now: float,
        decoding: float | None,
        transcribing: float | None,
        aligning: float | None,
    ) -> Left:
        """With these speeds; what has none takes no time."""

        def time_for(rest_seconds: float, speed: float | None) -> float:
            return max(rest_seconds, 0.0) / speed if speed else 0.0

        known = self.expected
        decoded_seconds = self.decoding.marks[-1].done_seconds if self.decoding.marks else 0.0
        decode = 0.0 if self.is_decoded else time_for(audio_seconds - decoded_seconds, decoding)
        words_rest = audio_seconds - self.aligned_seconds
        words = time_for(words_rest, aligning) - self.aligning.under_way_seconds(now, known.aligning)
        if self._only_words:
            words = max(words, 0.0)
            return Left(0.0, decode + words, decode + words)
        heard_seconds = max(self.transcribed_seconds, self.resumed_at_seconds)
        text = time_for(audio_seconds - heard_seconds, transcribing)
        text = max(text - self.transcribing.under_way_seconds(now, known.transcribing), 0.0)
        last_batch = time_for(min(words_rest, LAST_BATCH_SECONDS), aligning)
        whole = decode + max(text + last_batch, words)
        return Left(decode + text, whole, whole)

    def _share_now(self, audio_seconds: float | None, now: float) -> float:
        """Time spent, of time spent and to come, at the speeds that are known or usual."""
        audio_seconds = audio_seconds or self.expected.audio_seconds
        if not audio_seconds:
            return 0.0
        known = self.expected
        transcribing = self.transcribing.speed(now, known.transcribing)
        aligning = self._aligning_speed(now)
        transcribing = transcribing or (aligning or 0.0) / ALIGNING_IS_FASTER or USUAL_TRANSCRIBING
        aligning = (aligning or transcribing * ALIGNING_IS_FASTER) if known.wants_words else None
        speeds = (known.decoding or USUAL_DECODING, transcribing, aligning)
        # Audio that was decoded before this way began is no part of it.
        start = Estimate(known, 0.0, self.text_was_there, is_decoded=self.is_decoded and not self.decoding.marks)
        whole = start._left(audio_seconds, now, *speeds).job
        if self._only_words and aligning is None:
            return WRITING_SHARE
        left = self._left(audio_seconds, now, *speeds).job
        return WRITING_SHARE * max(1.0 - left / whole, 0.0)


def _measured(track: RateMeter, audio_seconds: float) -> Measured | None:
    done_seconds = audio_seconds - track.began_at_seconds
    if not track.steps or track.worked_seconds <= 0.0 or done_seconds <= 0.0:
        return None
    return Measured(done_seconds, track.worked_seconds)
