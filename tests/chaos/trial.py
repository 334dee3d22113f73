"""What a row of the proof is given: its share of the work, its luck, and a folder.

Runs in: the chaos run.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Trial:
    """One row's run."""

    seed: int
    """All luck of the row comes from it; printed before anything else."""
    share: float
    """1: the numbers of the plan; 0.05: a look at everything."""
    folder: Path
    """Its own, short enough for a socket, gone afterwards."""
    say: Callable[[str], None]

    def number(self, planned: int, least: int = 1) -> int:
        """So many of what the plan has `planned`."""
        return max(least, round(planned * self.share))

    def luck(self, of: str = "") -> random.Random:
        """The same for the same seed, whatever else draws."""
        return random.Random(f"{self.seed} {of}")
