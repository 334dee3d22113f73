"""Parallel lanes, each with its own threads, and what a free lane takes next. Pure.

Runs in: worker.

A decoder step is many small products: two threads that share each product wait for each other longer than they
compute. Ten minutes through tiny.en's decoder on two cores: 25 s with both threads on every product, 20 s with one
thread. Two lanes with half of the work each lose nothing.

A lane never gets a step that looks like a hang: the decoder is one call into native code, silent until it returns. On
a slow machine a large model can take longer for four chunks than the supervisor's deadline, and would be killed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

LANES = 2
"""The most lanes; further threads go to each lane: with many lanes, the single chunk of a short recording, which only
one can take, would have too few threads."""
LONGEST_SILENCE_SECONDS = 20.0
"""The longest time for a group: a sixth of the default progress deadline. This is also the work repeated after a
crash, and how long a cancelled job continues."""
REMEMBERED = 0.8
"""Decay of a slow group's pace with each later group: one slow moment must not make all later groups small."""
LAST_GROUPS = 2
"""For each of several lanes. With at most this many waiting chunks, the longest go first."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """A number of lanes and the threads of each."""

    count: int
    threads: int
    """0: the library's default."""


def lanes_for(threads: int, device: str) -> Lanes:
    """One lane keeps a GPU busy, with the whole batch."""
    if device != "cpu" or threads <= 0:
        return Lanes(1, threads)
    each = max(1, threads // LANES)
    return Lanes(threads // each, each)


def next_group(windows: Sequence[int], lanes: int, most: int, more_to_come: bool) -> list[int]:
    """Indices, in a queue of windows of these lengths, of what a free lane takes: the oldest and those of its length.

    Results come out in order, and get their words meanwhile: a lane that skipped the oldest would leave the aligner
    idle, with all its work at the end. Near the end a lane takes at most half of its share of the rest, and with
    several lanes the longest first, so that all finish at about the same time.
    """
    if not windows:
        return []
    half_a_share = sum(windows) / lanes / 2
    sizes = {
        window: min(windows.count(window), most if more_to_come else max(1, min(most, int(half_a_share / window))))
        for window in dict.fromkeys(windows)
    }
    is_near_the_end = not more_to_come and lanes > 1 and len(windows) <= LAST_GROUPS * lanes
    window = max(sizes, key=lambda window: sizes[window] * window) if is_near_the_end else windows[0]
    return [place for place, length in enumerate(windows) if length == window][: sizes[window]]


@dataclass(frozen=True, slots=True)
class Pace:
    """The engine's measured speed in this job."""

    seconds_a_chunk: float | None = None
    """None: not measured yet."""

    def size(self, most: int) -> int:
        """The size of a group: one chunk to measure, then as many as fit into the time."""
        if self.seconds_a_chunk is None:
            return 1
        return max(1, min(most, int(LONGEST_SILENCE_SECONDS / max(self.seconds_a_chunk, 1e-3))))

    def after(self, chunks: int, seconds: float) -> "Pace":
        """The pace after a group took this long. Slow groups count for longer: chunks may be decoded more than
        once."""
        remembered = REMEMBERED * (self.seconds_a_chunk or 0.0)
        return Pace(max(seconds / chunks, remembered))
