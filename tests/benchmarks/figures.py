"""What a row of the benchmark says: medians, spreads, ratios, demands, and whether they held. Pure.

Runs in: the benchmark.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Series:
    """The same thing measured several times."""

    what: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def least(self) -> float:
        return min(self.values)

    @property
    def most(self) -> float:
        return max(self.values)


@dataclass(frozen=True, slots=True)
class Demand:
    """One promise of the table and the figure that keeps it or not."""

    what: str
    figure: float
    bound: Literal["≤", "≥"]
    limit: float
    unit: str

    @property
    def held(self) -> bool:
        return self.figure <= self.limit if self.bound == "≤" else self.figure >= self.limit


@dataclass(frozen=True, slots=True)
class Table:
    """Figures side by side; a cell is None where there is nothing to compare."""

    head: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One row of the issue's table, measured."""

    title: str
    setting: str
    """Audio, models, settings and threads of both sides, in words."""
    series: tuple[Series, ...] = ()
    demands: tuple[Demand, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that could not be measured to its end."""

    title: str
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one row."""

    row: str
    result: Section | Failure
    others_share: float
    """How much of the machine somebody else was using just before, 0 to 1."""
    date: str
    commit: str
    """What was measured."""
    runs: int
    """Of each side, where a line does not say otherwise."""
    shrink: float
    """How many times shorter the recordings were than they should be."""
    minutes: float
    """How long it took."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured, and with what."""

    cpu: str
    cores: int
    memory_bytes: int
    system: str
    python: str
    commit: str
    versions: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Package → version in the product, version in the peers' environment."""


def series_of(
    answers: Mapping[str, Sequence[Mapping[str, Any]]], key: str, unit: str, label: str = ""
) -> tuple[Series, ...]:
    """One line a side: what its answers say under that key."""
    return tuple(
        Series(f"{side}{label}", unit, tuple(answer[key] for answer in given)) for side, given in answers.items()
    )


def times(answers: Mapping[str, Sequence[Mapping[str, Any]]], one: str, other: str, key: str = "seconds") -> float:
    """How many times the median of one side is that of another."""
    return ratio([answer[key] for answer in answers[one]], [answer[key] for answer in answers[other]])


def ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """How many times the median of `one` is that of `other`."""
    return median(one) / median(other)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all does not exceed, 0 to 1."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
