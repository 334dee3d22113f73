"""What one row of the proof counted, and what that allows to be said. Pure.

Runs in: the chaos run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import quantiles


@dataclass(slots=True)
class Tally:
    """Counted while a row runs."""

    trials: int = 0
    """Jobs, kills, files, requests: what the row's demand counts."""
    faults: int = 0
    lost: int = 0
    """Acknowledged, and neither done nor failed for a reason that the policy names."""
    duplicated: int = 0
    """Two jobs, or two sets of files, for one recording."""
    changed: int = 0
    """Results that are not what the oracle says."""
    wrong: list[str] = field(default_factory=list)
    """Everything else that should not be: one sentence each."""
    recoveries_seconds: list[float] = field(default_factory=list)
    """From a fault until what it broke was whole again."""
    figures: dict[str, str] = field(default_factory=dict)
    """What the row measured besides, ready to print."""

    @property
    def holds(self) -> bool:
        return not (self.lost or self.duplicated or self.changed or self.wrong)

    @property
    def upper_bound(self) -> float:
        """Of the chance that a trial fails, with 95 % confidence, when none of them did: the rule of three
        (https://doi.org/10.1001/jama.1983.03330370053031)."""
        return min(1.0, 3 / self.trials) if self.trials else 1.0

    def recovery(self, percent: int) -> float | None:
        """A percentile of the recoveries in seconds; None: there were none."""
        match self.recoveries_seconds:
            case []:
                return None
            case [only]:
                return only
            case several:
                return quantiles(several, n=100, method="inclusive")[percent - 1]

    def expect(self, truth: object, otherwise: str) -> bool:
        """Notes what is wrong, and goes on: one failure must not hide the next."""
        if not truth:
            self.wrong.append(otherwise)
        return bool(truth)

    def count(self, figure: str, more: int = 1) -> None:
        """One more of something that the row tells besides."""
        self.figures[figure] = str(int(self.figures.get(figure, "0")) + more)

    def add(self, other: "Tally") -> None:
        """What a part of the row counted. Its figures are all counts."""
        self.trials += other.trials
        self.faults += other.faults
        self.lost += other.lost
        self.duplicated += other.duplicated
        self.changed += other.changed
        self.wrong += other.wrong
        self.recoveries_seconds += other.recoveries_seconds
        for figure, count in other.figures.items():
            self.count(figure, int(count))


def slope_of(points: Sequence[tuple[float, float]]) -> float:
    """Of the straight line through them, by least squares; 0 for a single point."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
