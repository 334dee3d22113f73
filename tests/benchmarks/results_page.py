"""Outcomes → RESULTS.md, for people. Pure.

Runs in: the benchmark.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import assert_never

from benchmarks.figures import Demand, Failure, Machine, Outcome, Section, Series, Table

QUIET_SHARE = 0.05
"""More than this in somebody else's hands, and a figure is not to be trusted."""
MEGABYTE = 1_000_000
FULL_RUNS = 5
CARRIES_OVER = (
    "**Word error rates, lost and invented words, word times** are the same on every machine that decodes with the "
    "same engine and precision; on other recordings they are others. The order of the engines is what to look at.",
    "**Ratios of times** hold roughly for CPUs with few cores and models up to about base. With a large model the "
    "network takes nearly all of the time on both sides, and what stenod saves around it weighs less.",
    "**Costs of the daemon** (rows 6 to 9: memory, queue, restarts) do not depend on the model.",
)
DOES_NOT = (
    "**Seconds** are this machine's.",
    "**The mlx engine** computed on MLX's CPU backend unless the machine below has a GPU: nothing here says how fast "
    "it is on Metal, but for the seconds of sound that its encoder is given and the steps of its decoder.",
    "**Rows 1 to 10** hear two synthetic voices in a loop with tiny.en, in light noise: easier than life, and "
    "lighter work than a user's model. Rows that begin with `real` hear people, with whisper base.",
    "**The recordings of the `real` rows** are few, and most are read aloud: errors in meetings are many times more.",
)


@dataclass(frozen=True, slots=True)
class Occasion:
    """How it was measured."""

    threads: int
    load_average: tuple[float, float, float]
    """Before anything was started."""
    left_out: tuple[str, ...] = ()
    """Rows that this page lacks."""


def doubts(occasion: Occasion, outcomes: Sequence[Outcome]) -> list[str]:
    """Why this is only a quick look; empty for the real thing."""
    found = []
    for outcome in outcomes:
        if outcome.runs < FULL_RUNS:
            found.append(f"row {outcome.row}: {outcome.runs} run(s) instead of {FULL_RUNS}")
        if outcome.shrink != 1.0:
            found.append(f"row {outcome.row}: recordings {outcome.shrink:g} times shorter than their names say")
    if occasion.left_out:
        found.append(f"without row {', '.join(occasion.left_out)}")
    return found


def results_page(machine: Machine, occasion: Occasion, outcomes: Sequence[Outcome]) -> str:
    """The whole file, Markdown."""
    return "\n".join(_lines(machine, occasion, outcomes)).rstrip() + "\n"


def _lines(machine: Machine, occasion: Occasion, outcomes: Sequence[Outcome]) -> Iterable[str]:
    yield "# stenod side by side with what a user would pick instead"
    yield ""
    for doubt in doubts(occasion, outcomes):
        yield f"> **Only a quick look:** {doubt}."
        yield ""
    yield "What carries over to another machine:"
    yield ""
    yield from (f"- {statement}" for statement in CARRIES_OVER)
    yield ""
    yield "What does not:"
    yield ""
    yield from (f"- {statement}" for statement in DOES_NOT)
    yield ""
    took = f"it took {sum(outcome.minutes for outcome in outcomes):.0f} minutes"
    yield f"Written by `make bench SPEECH=DIR`, which anybody can run again; {took}. Medians of"
    yield f"{FULL_RUNS} runs unless a line says otherwise, both sides in turns (A B A B …), wall-clock time,"
    yield f"{occasion.threads} threads on each side; the peers as they install from PyPI, in an environment of their"
    yield "own. Every side has heard a short recording before the clock starts."
    yield ""
    yield from _machine(machine, occasion)
    yield ""
    yield "## At a glance"
    yield ""
    yield from _glance(outcomes)
    for outcome in outcomes:
        yield ""
        yield f"## {outcome.row} · {outcome.result.title}"
        yield ""
        yield from _outcome(outcome)
        yield ""
        of = "" if outcome.commit == machine.commit else f" of {outcome.commit}"
        yield f"Measured on {outcome.date}{of}."


def _machine(machine: Machine, occasion: Occasion) -> Iterable[str]:
    load = " ".join(f"{share:.2f}" for share in occasion.load_average)
    yield from _table(
        ("machine", ""),
        (
            ("processor", f"{machine.cpu}, {machine.cores} cores"),
            ("memory", f"{machine.memory_bytes / 2**30:.0f} GiB"),
            ("system", machine.system),
            ("Python", machine.python),
            ("stenod", machine.commit),
            ("load average before", load),
        ),
    )
    yield ""
    yield from _table(
        ("package", "stenod", "peers"), [(name, ours, theirs) for name, (ours, theirs) in machine.versions.items()]
    )


def _glance(outcomes: Sequence[Outcome]) -> Iterable[str]:
    lines = []
    for outcome in outcomes:
        match outcome.result:
            case Section(demands=demands):
                lines += [(outcome.row, demand.what, *_judged(demand)) for demand in demands]
            case Failure(title=title):
                lines.append((outcome.row, title, "", "", "**not measured**"))
            case _:
                assert_never(outcome.result)
    yield from _table(("row", "what", "demand", "figure", ""), lines)


def _outcome(outcome: Outcome) -> Iterable[str]:
    match outcome.result:
        case Failure(why=why):
            yield "This row failed:"
            yield ""
            yield "```"
            yield why
            yield "```"
        case Section() as section:
            yield section.setting
            if section.series:
                yield ""
                yield from _table(("", "median", "least – most", "runs"), map(_measured, section.series))
            if section.demands:
                yield ""
                yield from _table(
                    ("", "demand", "figure", ""), [(demand.what, *_judged(demand)) for demand in section.demands]
                )
            for table in section.tables:
                yield ""
                yield from _drawn(table)
            for note in section.notes:
                yield ""
                yield note
        case _:
            assert_never(outcome.result)
    if outcome.others_share > QUIET_SHARE:
        yield ""
        yield f"**The machine was not quiet:** others used {outcome.others_share:.0%} of it just before."


def _measured(series: Series) -> tuple[str, ...]:
    least, most = number(series.least, series.unit), number(series.most, series.unit)
    spread = "" if len(series.values) == 1 else f"{least} – {most}"
    return series.what, number(series.median, series.unit), spread, str(len(series.values))


def _judged(demand: Demand) -> tuple[str, str, str]:
    limit, figure = number(demand.limit, demand.unit), number(demand.figure, demand.unit)
    if figure == limit and demand.figure != demand.limit:
        # Rounded it would seem to keep, or to break, what it does not.
        figure = f"{demand.figure:.6g} {demand.unit}"
    return (
        f"{demand.bound} {limit}",
        figure,
        "held" if demand.held else "**missed**",
    )


def _drawn(table: Table) -> Iterable[str]:
    return _table(table.head, table.lines)


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for line in lines:
        yield f"| {' | '.join(line)} |"


def number(value: float, unit: str) -> str:
    """The digits that mean something: `12.3 s`, `0.041 s`, `311 MB`, `1.08 ×`; what is only counted is whole."""
    if unit == "B":
        value, unit = value / MEGABYTE, "MB"
    size = abs(value)
    digits = 0 if size >= 100 or value == 0 or not unit else 1 if size >= 10 else 2 if size >= 0.1 else 3
    return f"{value:,.{digits}f}{'' if unit == '%' else ' '}{unit}".rstrip()
