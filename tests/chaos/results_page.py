"""RESULTS.md: what was broken, how often, and what came of it.

Runs in: the chaos run.
"""

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chaos.tally import Tally

MOST_SENTENCES = 10
"""Of what went wrong in a row; the run itself prints all."""


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


def remember(outcome: Outcome, file: Path) -> list[Outcome]:
    """All rows that were ever run in full, each as it came out last; written down in `file`."""
    known: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    outcomes = [
        Outcome(**{**one, "tally": Tally(**one["tally"])}) for one in known if one["number"] != outcome.number
    ]
    outcomes = sorted([*outcomes, outcome], key=lambda one: one.number)
    file.write_text(json.dumps([asdict(one) for one in outcomes]) + "\n", encoding="utf-8")
    return outcomes


def results_page(outcomes: Sequence[Outcome], of: int) -> str:
    """Markdown. `of`: how many rows there are."""
    return "\n".join(_lines(outcomes, of)) + "\n"


def _lines(outcomes: Sequence[Outcome], of: int) -> Iterator[str]:
    held = sum(outcome.tally.holds for outcome in outcomes)
    yield "# What is lost when everything around stenod breaks"
    yield ""
    if any(outcome.share < 1.0 for outcome in outcomes):
        yield f"> **Only a look:** {min(outcome.share for outcome in outcomes):.0%} of the plan's numbers."
        yield ""
    minutes = sum(outcome.seconds for outcome in outcomes) / 60
    yield f"Written by `make chaos`: {held} of {of} rows held, {minutes:.0f} minutes, on"
    yield f"{platform.system()} {platform.release()}, {platform.machine()}, Python {platform.python_version()}."
    yield "A chance is the 95 % upper bound that zero failures in so many trials allow."
    yield ""
    heads = ("row", "what is broken", "trials", "faults", "lost", "doubled", "changed", "chance below")
    yield f"| {' | '.join((*heads, 'back p50', 'p95', 'p99', ''))} |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|"
    yield from map(_row, outcomes)
    for outcome in outcomes:
        yield from _section(outcome)


def _row(outcome: Outcome) -> str:
    tally = outcome.tally
    bound = f"{tally.upper_bound:.2%}" if tally.holds and tally.trials else "–"
    back = (_seconds(tally.recovery(percent)) for percent in (50, 95, 99))
    cells = (
        *(str(outcome.number), outcome.title, str(tally.trials), str(tally.faults)),
        *(str(count) for count in (tally.lost, tally.duplicated, tally.changed)),
        *(bound, *back, "held" if tally.holds else "**missed**"),
    )
    return f"| {' | '.join(cells)} |"


def _section(outcome: Outcome) -> Iterator[str]:
    yield ""
    yield f"## {outcome.number} · {outcome.title}"
    yield ""
    yield f"{outcome.demand}."
    yield ""
    yield f"{outcome.date} UTC, {outcome.seconds:.0f} s, `make chaos ROWS={outcome.number} SEED={outcome.seed}`."
    tally = outcome.tally
    if tally.figures:
        yield ""
        yield "| | |"
        yield "|---|---|"
        yield from (f"| {name} | {figure} |" for name, figure in tally.figures.items())
    if tally.wrong:
        yield ""
        yield from (f"- {sentence}" for sentence in tally.wrong[:MOST_SENTENCES])
        if len(tally.wrong) > MOST_SENTENCES:
            yield f"- … and {len(tally.wrong) - MOST_SENTENCES} more"


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.2f} s"
