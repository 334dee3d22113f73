"""What `steno bench` found, as one table to be shown around: values in, text out.

Runs in: the user's shell.
"""

import textwrap
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from client.bench.measure import Figures, NotMeasured, Took
from client.machine.specs import Machine
from client.terminal.output import visible
from client.views.tables import clock, gigabytes
from ipc.transcript import Value


class BenchView(Value):
    """The whole of `steno bench --json`."""

    machine: Machine
    recording: str
    """Its name, without the folder."""
    runs: int
    models: tuple[Figures, ...]
    not_measured: tuple[NotMeasured, ...] = ()
    disturbed_by: str | None = None
    """What else had the machine; None: nothing of ours."""


NARROWEST_COLUMNS = 80
NO_BREAK = "\N{NO-BREAK SPACE}"
Row = tuple[str, float | None, float | None, str]
"""What, seconds, seconds of audio they were for (None: of no length), remark."""


def bench_page(view: BenchView) -> RenderableType:
    """For a terminal of 80 columns, and to be pasted anywhere."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    for _ in range(3):
        grid.add_column(justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("", "seconds", "× real time", "RTF", "", style="bold")
    for number, figures in enumerate(view.models):
        if number:
            grid.add_row()
        grid.add_row(Text(visible(figures.model), "bold"), "", "", "", Text(f"{figures.engine} on {figures.device}"))
        for what, seconds, audio_seconds, remark in rows(figures):
            grid.add_row(f"  {what}", *figures_of(seconds, audio_seconds), Text(visible(remark), "dim"))
    lines = [Text(line) for line in head(view)]
    table: list[RenderableType] = [Text(), grid] if view.models else []
    return Group(*lines, *table, *(Text(line, "yellow") for line in foot(view)))


def bench_markdown(view: BenchView) -> str:
    """The same for an issue or a forum: a line for each model."""
    lines = [*(f"{line}  " for line in head(view)), ""]
    if view.models:
        lines += [
            "| model | engine | load | first job | transcription | alignment | end to end | memory |",
            "|---|---|--:|--:|--:|--:|--:|--:|",
        ]
    for figures in view.models:
        cells = [f"{figures.engine} on {figures.device}", f"{_seconds(figures.load_seconds)} s"]
        cells.append(f"{_seconds(figures.first_job_seconds)} s")
        for took in (figures.transcription, figures.alignment, figures.end_to_end):
            cells.append("–" if took is None else _with_speed(took, figures.audio_seconds))
        cells.append(" + ".join(gigabytes(size) for size in figures.memory_bytes.values()))
        lines.append(f"| {' | '.join(cell.replace('|', '') for cell in (visible(figures.model), *cells))} |")
    return "\n".join([*lines, "", *(f"{line}  " for line in foot(view))]).rstrip()


def head(view: BenchView) -> Iterator[str]:
    """Which machine, which versions, which recording."""
    machine = view.machine
    fast = "" if machine.fast_cores is None else f" ({machine.fast_cores} fast)"
    memory = f"{machine.memory_bytes / 2**30:.0f} GB"
    yield f"{visible(machine.chip)}, {machine.cores} cores{fast}, {memory} · {visible(machine.system)}"
    versions = {**machine.versions, "Python": machine.python}
    # No line ends between a name and its version.
    listed = ", ".join(f"{name}{NO_BREAK}{version}" for name, version in versions.items())
    lines = textwrap.wrap(listed, NARROWEST_COLUMNS - 1, break_on_hyphens=False)
    yield from (line.replace(NO_BREAK, " ") for line in lines)
    length = f" ({clock(view.models[0].audio_seconds)})" if view.models else ""
    runs = "one run" if view.runs == 1 else f"medians of {view.runs} runs"
    yield f"{visible(view.recording)}{length}; {runs} with warm workers"


def foot(view: BenchView) -> Iterator[str]:
    """What has to be known beside the figures."""
    for figures in view.models:
        if figures.note is not None:
            yield f"{visible(figures.model)}: {visible(figures.note)}"
    for missing in view.not_measured:
        yield f"{visible(missing.model)}: not measured: {visible(missing.why)}"
    if view.disturbed_by is not None:
        yield view.disturbed_by


def rows(figures: Figures) -> Iterator[Row]:
    """One model's figures, in the order in which a recording meets them."""
    whole, audio_seconds = figures.end_to_end, figures.audio_seconds
    yield "load the model", figures.load_seconds, None, ""
    if figures.aligner is not None:
        yield "load the aligner", figures.aligner_load_seconds, None, figures.aligner
    yield "first job", figures.first_job_seconds, audio_seconds, ""
    yield "transcription", figures.transcription.seconds, audio_seconds, _range(figures.transcription)
    if figures.alignment is not None:
        yield "alignment", figures.alignment.seconds, audio_seconds, _range(figures.alignment)
        yield "end to end", whole.seconds, audio_seconds, _range(whole)
    for role, size in figures.memory_bytes.items():
        yield f"{role}'s memory", None, None, gigabytes(size)


def figures_of(seconds: float | None, audio_seconds: float | None) -> tuple[str, str, str]:
    """Seconds, how many times faster than listening, and the real-time factor."""
    if seconds is None or not audio_seconds or not seconds:
        return (_seconds(seconds) if seconds is not None else "", "", "")
    return (_seconds(seconds), _speed(audio_seconds / seconds), f"{seconds / audio_seconds:.3f}")


def _with_speed(took: Took, audio_seconds: float) -> str:
    return f"{_seconds(took.seconds)} s, {_speed(audio_seconds / took.seconds)}" if took.seconds else "–"


def _range(took: Took) -> str:
    if took.fastest_seconds == took.slowest_seconds:
        return ""
    return f"{_seconds(took.fastest_seconds)} to {_seconds(took.slowest_seconds)}"


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.2f}"


def _speed(speed: float) -> str:
    return f"{speed:.0f}×" if speed >= 10 else f"{speed:.1f}×"
