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


def share_out(lengths: Sequence[int], lanes: int) -> list[list[int]]:
    """Which members of a batch each lane gets, if any. Like lengths go together: one window serves a lane."""
    longest_first = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    size, larger = divmod(len(lengths), lanes)
    shares = []
    for lane in range(lanes):
        # The long ones are more work: who gets them gets no more of them than the others.
        share = size + (lane >= lanes - larger)
        shares.append(longest_first[:share])
        longest_first = longest_first[share:]
    return [share for share in shares if share]
