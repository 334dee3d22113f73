"""Lanes that work side by side, each on threads of its own, and what a free one takes next. Pure.

Runs in: worker.

A step of the decoder is many small products: two threads that share each of them wait for one another longer than
they compute. Ten minutes through tiny.en's decoder on two cores: 25 s with both threads on every product, 20 s with
one thread alone. Two lanes with half of the work each lose nothing.

A lane is never given a step that looks like a hang: the decoder is one call into native code, silent until it
returns. On a slow machine a large model can sit longer over four chunks than the supervisor waits for a sign of life,
and would be killed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

LANES = 2
"""If there are threads for more, each has more: with many lanes, a short recording of a single chunk, which only one
can take, would wait for too few threads."""
LONGEST_SILENCE_SECONDS = 20.0
"""What a group should take at most: a sixth of the default deadline for progress. So much work is done again after a
crash, too, and so long a job that is cancelled goes on."""
REMEMBERED = 0.8
"""Of a slow group's pace, with each group after it: one bad moment does not make all the rest of a job small."""
LAST_GROUPS = 2
"""For each of several lanes. While no more wait than that, the most work goes first."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """So many of so many threads each."""

    count: int
    threads: int
    """0: as many as the library likes."""


def lanes_for(threads: int, device: str) -> Lanes:
    """A GPU is kept busy by one; it takes the whole batch."""
    if device != "cpu" or threads <= 0:
        return Lanes(1, threads)
    each = max(1, threads // LANES)
    return Lanes(threads // each, each)


def next_group(windows: Sequence[int], lanes: int, most: int, more_to_come: bool) -> list[int]:
    """Places, in a line of windows of these lengths, of what a free lane takes: the oldest and those of its length.

    What is heard is told in order, and gets its words meanwhile: a lane that passed over the oldest would leave the
    aligner idle, and all its work for the end. Towards the end a lane takes no more than half of its share of what is
    left; and if there are several, the most work first: so all are done at about the same time.
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
    """What was seen of the engine's speed in this job."""

    seconds_a_chunk: float | None = None
    """None: it has not been tried yet."""

    def size(self, most: int) -> int:
        """Chunks that are decoded together: one to find out, then as many as fit into the time."""
        if self.seconds_a_chunk is None:
            return 1
        return max(1, min(most, int(LONGEST_SILENCE_SECONDS / max(self.seconds_a_chunk, 1e-3))))

    def after(self, chunks: int, seconds: float) -> "Pace":
        """The pace once a group has taken so long. Slow ones count for longer: chunks may be heard more than once."""
        remembered = REMEMBERED * (self.seconds_a_chunk or 0.0)
        return Pace(max(seconds / chunks, remembered))
