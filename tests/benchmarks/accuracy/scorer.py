"""Counts what was heard wrongly, in a process of the peers' Python, where the normaliser and the alignment live.

Runs in: the benchmark.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.contestants.contestant import Contestant


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Of one text against what was said."""

    words: int
    """Of the reference."""
    substituted: int
    deleted: int
    inserted: int

    @property
    def percent(self) -> float:
        """The word error rate; 0 is perfect."""
        return 100 * (self.substituted + self.deleted + self.inserted) / self.words


class Scorer:
    """Started when it is asked first."""

    def __init__(self, start: Callable[[str], Contestant]) -> None:
        """`start` begins a process of `benchmarks.accuracy.word_errors` by name."""
        self._start = start
        self._started: dict[str, Contestant] = {}

    def errors(self, reference: str, heard: str) -> WordErrors:
        """Raises ContestantFailed for a reference without words."""
        found = self._asked("word errors").turn(reference=reference, heard=heard)
        return WordErrors(**{name: found[name] for name in ("words", "substituted", "deleted", "inserted")})

    def percent(self, reference: str, heard: str) -> float:
        return self.errors(reference, heard).percent

    def same_words(self, reference: Sequence[str], heard: Sequence[str]) -> list[tuple[int, int]]:
        """Places of the same word in both, in order."""
        pairs = self._asked("same words").turn(reference=list(reference), heard=list(heard))["pairs"]
        return [(one, other) for one, other in pairs]

    def close(self) -> None:
        for contestant in self._started.values():
            contestant.close()

    def _asked(self, what: str) -> Contestant:
        if what not in self._started:
            self._started[what] = self._start(what)
        return self._started[what]
