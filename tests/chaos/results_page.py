"""RESULTS.md: what was broken, how often, and what came of it. Pure but for the name of the machine.

Runs in: the chaos run.
"""

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

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


def results_page(outcomes: Sequence[Outcome], seed: int, share: float, date: datetime, seconds: float) -> str:
    """Markdown."""
    return "\n".join(_lines(outcomes, seed, share, date, seconds)) + "\n"


def _lines(outcomes: Sequence[Outcome], seed: int, share: float, date: datetime, seconds: float) -> Iterator[str]:
    held = sum(outcome.tally.holds for outcome in outcomes)
    yield "# What is lost when everything around stenod breaks"
    yield ""
    if share != 1.0:
        yield f"> **Only a look:** {share:.0%} of the plan's numbers."
        yield ""
    yield f"Written by `make chaos`; {date:%Y-%m-%d %H:%M UTC}, {seconds / 60:.0f} minutes, seed {seed}, on"
    yield f"{platform.system()} {platform.release()}, {platform.machine()}, Python {platform.python_version()}."
    yield f"{held} of {len(outcomes)} rows held. A chance is the 95 % upper bound that zero failures in so many"
    yield "trials allow."
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
    yield f"{outcome.demand}. {outcome.seconds:.0f} s."
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
