"""How each row of the proof came out last, in a file: a row that is run again replaces its own line and no other.

Runs in: the chaos run.
"""

import fcntl
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from chaos.tally import Tally


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row that was run."""

    number: int
    title: str
    demand: str
    tally: Tally
    seconds: float
    seed: int
    share: float
    date: str
    """UTC, to the minute."""


def known_outcomes(file: Path) -> list[Outcome]:
    """In the order of the plan; none where there is no file."""
    if not file.exists():
        return []
    told = json.loads(file.read_text(encoding="utf-8"))
    return [Outcome(**{**one, "tally": Tally(**one["tally"])}) for one in told]


def remember(outcome: Outcome, file: Path) -> list[Outcome]:
    """All that is known now. Two runs may write at the same time."""
    with file.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        others = [] if held.tell() == 0 else known_outcomes(file)
        outcomes = [one for one in others if one.number != outcome.number]
        outcomes = sorted([*outcomes, outcome], key=lambda one: one.number)
        file.write_text(json.dumps([asdict(one) for one in outcomes], indent=1) + "\n", encoding="utf-8")
    return outcomes
