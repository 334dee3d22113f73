"""RESULTS.md: what was broken, how often, and what came of it.

Runs in: the chaos run.
"""

import platform
from collections.abc import Iterator, Sequence

from chaos.outcomes import Outcome

MOST_SENTENCES = 10
"""Of what went wrong in a row; the run itself prints all."""


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
    yield f"Written by `make chaos`: {held} of {of} rows held, {minutes:.0f} minutes of rows, most in two lanes, on"
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
