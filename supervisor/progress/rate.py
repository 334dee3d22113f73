"""One worker's way through a recording: steps in, speed and time left out. Pure.

Runs in: supervisor.
"""

from dataclasses import dataclass, replace

JUDGED_AFTER_SECONDS, JUDGED_AFTER_STEPS = 2.0, 4
"""Below this, no speed is reported. A batch is two steps, and the first is a small one."""
REMEMBERED_SECONDS = 120.0
"""An average over so long: several batches, and short enough to notice that the machine has other work now."""
KEPT_COUNTS_SECONDS = 15.0
"""What is known from earlier jobs weighs as much as so long a look at this one. A silence is not held against the
worker before that either: its first batch may take so long."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The worker had got so far at that moment."""

    at: float
    """Monotonic seconds."""
    done_seconds: float


@dataclass(frozen=True, slots=True)
class RateMeter:
    """Work comes in batches, so a worker is silent for a while and then leaps."""

    marks: tuple[Mark, ...] = ()
    """Oldest first; the first is where its way began, or what is left of it after `REMEMBERED_SECONDS`."""
    longest_silence_seconds: float = 0.0
    steps: int = 0
    began_at_seconds: float = 0.0
    """The place in the recording."""
    worked_seconds: float = 0.0
    """From its beginning to the last step, but for the time in which it had nothing to do."""

    def reached(self, done_seconds: float, now: float) -> "RateMeter":
        """A step. One that leads back, as when a batch is repeated, is no news."""
        if not self.marks:
            return replace(self, marks=(Mark(now, done_seconds),), began_at_seconds=done_seconds)
        last = self.marks[-1]
        if done_seconds <= last.done_seconds:
            return self
        kept = [mark for mark in self.marks if now - mark.at <= REMEMBERED_SECONDS]
        # The newest of those that are too old: a single batch may take longer than we remember.
        start = self.marks[max(len(self.marks) - len(kept) - 1, 0) :]
        return replace(
            self,
            marks=(*start, Mark(now, done_seconds)),
            longest_silence_seconds=max(self.longest_silence_seconds, now - last.at),
            steps=self.steps + 1,
            worked_seconds=self.worked_seconds + now - last.at,
        )

    def back_at_work(self, now: float) -> "RateMeter":
        """It had nothing to do since the last step, or was dead: no part of its speed."""
        if not self.marks:
            return self
        idle_seconds = now - self.marks[-1].at
        return replace(self, marks=tuple(Mark(mark.at + idle_seconds, mark.done_seconds) for mark in self.marks))

    def speed(self, now: float, kept: float | None = None) -> float | None:
        """Seconds of audio a second; None while there is nothing to judge by.

        `kept` is its speed over earlier jobs; what is seen now weighs more with every second. A silence that is
        longer than any before counts as time in which nothing was done.
        """
        if not self.marks:
            return kept
        first, last = self.marks[0], self.marks[-1]
        patience_seconds = self._patience_seconds(kept)
        took = last.at - first.at + max(now - last.at - patience_seconds, 0.0)
        done = last.done_seconds - first.done_seconds
        if kept is not None:
            return (done + kept * KEPT_COUNTS_SECONDS) / (took + KEPT_COUNTS_SECONDS)
        return done / took if self.steps >= JUDGED_AFTER_STEPS and took >= JUDGED_AFTER_SECONDS else None

    def under_way_seconds(self, now: float, kept: float | None = None) -> float:
        """How long it has been at what the next step will tell, as far as that is to be believed."""
        return min(now - self.marks[-1].at, self._patience_seconds(kept)) if self.marks else 0.0

    def _patience_seconds(self, kept: float | None) -> float:
        return (
            self.longest_silence_seconds if kept is None else max(self.longest_silence_seconds, KEPT_COUNTS_SECONDS)
        )


NOT_BEGUN = RateMeter()
