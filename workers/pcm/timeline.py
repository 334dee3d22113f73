"""The place of frames in the PCM, from timestamps that may be wrong.

Runs in: worker. Pure.
"""

from dataclasses import dataclass, field

LEAST_GAP_SECONDS = 0.1
"""Containers round their timestamps (FLV and Matroska to the millisecond, AVI more): less is drift, not a gap."""
LONGEST_GAP_SECONDS = 600.0
"""A longer gap is plausible only if it ends within the duration that the container claims."""
BACKWARD_JUMP_SECONDS = 10.0
"""Timestamps that fall back this far have restarted, as in recordings that were joined byte by byte."""
LEAST_DRIFT_SECONDS = 0.01
"""The average deviation of frames before the sound is stretched: more than timestamps are rounded by."""
MOST_STRETCH = 0.08
"""Of a second of sound. Clocks of cheap recorders are 0.5 % off; at 8 % a voice is a semitone and a half higher."""
MOST_CATCHING_UP = 0.16
"""The same, if the sound is late by more than LEAST_GAP_SECONDS: a timestamp fell back."""
CLOCK_JUMP_SECONDS = 10.0
"""In streams whose clock may jump, a step this long is a jump and not a gap, as with FFmpeg's
`dts_delta_threshold`."""


@dataclass(slots=True)
class Timeline:
    """One container's place in the PCM."""

    origin_seconds: float
    """The timestamp of the PCM's first sample."""
    claimed_seconds: float
    """Where in the PCM the container claims to end; 0: unknown."""
    longest_seconds: float
    clock_may_jump: bool = False
    """True: a broadcast, whose clock may restart in the middle without missing sound."""
    repaired_seconds: float = field(default=0.0, init=False)
    """By how much implausible timestamps were moved."""
    _expected: float | None = field(default=None, init=False)
    _late: float = field(default=0.0, init=False)
    _late_frames: int = field(default=0, init=False)

    def silence_before(
        self, frame_seconds: float | None, written_seconds: float, frame_duration: float = 0.0
    ) -> float:
        """Seconds of silence due before a frame with this timestamp; None: it has no timestamp.

        An implausible jump moves the origin instead, so that later gaps are measured from there.
        """
        if frame_seconds is None:
            if self._expected is not None:
                self._expected += frame_duration
            return 0.0
        step = 0.0 if self._expected is None else frame_seconds - self._expected
        self._expected = frame_seconds + frame_duration
        if self.clock_may_jump and (step > CLOCK_JUMP_SECONDS or step < -LEAST_GAP_SECONDS):
            self.origin_seconds += step
        ahead = frame_seconds - self.origin_seconds - written_seconds
        if -LEAST_GAP_SECONDS <= ahead <= LEAST_GAP_SECONDS and ahead <= self.longest_seconds - written_seconds:
            self._late += ahead
            self._late_frames += 1
            return 0.0
        believable = max(LONGEST_GAP_SECONDS, self.claimed_seconds - written_seconds)
        if ahead < -BACKWARD_JUMP_SECONDS or ahead > min(believable, self.longest_seconds - written_seconds):
            self.origin_seconds += ahead
            self.repaired_seconds += abs(ahead)
            return 0.0
        if ahead > LEAST_GAP_SECONDS:
            self._late, self._late_frames = 0.0, 0
            return ahead
        self._late += ahead
        self._late_frames += 1
        return 0.0

    def stretch_due(self, seconds: float) -> float:
        """The seconds by which the next `seconds` of sound must be longer (negative: shorter)."""
        if not self._late_frames:
            return 0.0
        late = self._late / self._late_frames
        self._late, self._late_frames = 0.0, 0
        if abs(late) < LEAST_DRIFT_SECONDS:
            return 0.0
        most = (MOST_CATCHING_UP if late < -LEAST_GAP_SECONDS else MOST_STRETCH) * seconds
        return min(max(late, -most), most)
