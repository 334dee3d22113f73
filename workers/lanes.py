"""How a batch is shared out to lanes that work side by side, each on threads of its own. Pure.

Runs in: worker.

A step of the decoder is many small products: two threads that share each of them wait for one another longer than
they compute. Ten minutes through tiny.en's decoder on two cores: 25 s with both threads on every product, 20 s with
one thread alone. Two lanes with half of the batch each lose nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MOST_LANES = 2
"""With more, a short recording of a single chunk, which only one lane can take, would wait for too few threads."""


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
    count = min(threads, MOST_LANES)
    return Lanes(count, threads // count)


def share_out(windows: Sequence[int], lanes: int, most: int) -> list[list[int]]:
    """Places of a batch by what is decoded together: windows of one length, at most `most`, the most work first.

    No group is more than a lane's share of the work, if it can be divided: the lanes are done at about the same time.
    """
    share = sum(windows) / lanes
    groups: list[list[int]] = []
    for window in sorted(set(windows), reverse=True):
        alike = [place for place, length in enumerate(windows) if length == window]
        parts = -(-len(alike) // max(1, min(most, int(share / window))))
        groups += [alike[part::parts] for part in range(parts)]
    return sorted(groups, key=lambda group: -len(group) * windows[group[0]])
