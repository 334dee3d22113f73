"""Tables: values in, rich renderables out. Knows no terminal, no clock and no daemon.

Runs in: the user's shell.
"""

import posixpath
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import PurePosixPath

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from client.terminal.output import visible
from client.terminal.wording import degraded_words
from ipc.api_messages import JobView

STYLES = {
    "ready": "green",
    "busy": "cyan",
    "starting": "yellow",
    "backing_off": "yellow",
    "broken": "bold red",
    "unloaded": "dim",
    "stopping": "dim",
    "stopped": "dim",
    "waiting": "yellow",
    "transcribing": "cyan",
    "aligning": "cyan",
    "writing": "cyan",
    "done": "green",
    "failed": "bold red",
    "cancelled": "dim",
    "watching": "green",
    "offline": "red",
    "needs_permission": "red",
}
LEFT_TO_RIGHT_MARK = "\u200e"
SHORTEST_NAME_CELLS, LONGEST_NAME_CELLS = 12, 40
FIGURES_CELLS = 44
"""What the other columns of the table of jobs need, but for the last."""


# --- small things ------------------------------------------------------------------------------------------------


def base_name(path: str) -> str:
    """The file's name, safe to show."""
    name = visible(posixpath.basename(path) or path)
    # On a terminal that turns Arabic and Hebrew around, figures to the right of such a name would be drawn into it.
    return name + LEFT_TO_RIGHT_MARK if any(unicodedata.bidirectional(one) in ("R", "AL") for one in name) else name


def cut_in_middle(text: str, cells: int) -> str:
    """At most this many cells wide: `long interv…mayor.m4a`. The end of a name tells as much as its beginning."""
    if cell_len(text) <= cells:
        return text
    tail_cells = max((cells - 1) * 2 // 5, 0)
    tail = text
    while cell_len(tail) > tail_cells:
        tail = tail[1:]
    return set_cell_size(text, max(cells - 1 - cell_len(tail), 0)).rstrip() + "…" + tail


def short_name(path: str, cells: int = LONGEST_NAME_CELLS) -> str:
    """The file's name, safe to show and not too long."""
    return cut_in_middle(base_name(path), cells)


def clock(seconds: float | None) -> str:
    """`1:02:03`, `4:05`; `–` for what is not known."""
    if seconds is None:
        return "–"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def ago(iso: str, now: datetime) -> str:
    """How long since this moment, in one unit."""
    past = max(now - datetime.fromisoformat(iso), timedelta())
    for unit, seconds in (("d", 86_400), ("h", 3600), ("min", 60)):
        if past.total_seconds() >= seconds:
            return f"{int(past.total_seconds() // seconds)} {unit} ago"
    return f"{int(past.total_seconds())} s ago"


def gigabytes(size_bytes: int) -> str:
    """`2.3 GB`, `70 MB`."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"


def few_of(names: Sequence[str], most: int = 3, count: int = 0) -> str:
    """`a, b, c and 12 more`. `count`: how many there are, where not all of them are named."""
    shown, more = ", ".join(names[:most]), max(count, len(names)) - min(most, len(names))
    return f"{shown} and {more} more" if more > 0 else shown


def state_text(state: str) -> Text:
    """A state's name in its colour."""
    return Text(state.replace("_", " "), STYLES.get(state, ""))


def plain_table(*columns: str) -> Table:
    """A table with a line under its head, numbers to the right."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in ("id", "length", "size") else "left",
            no_wrap=column in ("id", "status", "length", "progress", "since", "state", "size", "setting"),
            overflow="fold",
        )
    return table


# --- jobs --------------------------------------------------------------------------------------------------------


def jobs_table(jobs: Sequence[JobView], now: datetime) -> RenderableType:
    """Newest first, one line a job where there is room for it."""
    return _JobsTable(jobs, now) if jobs else Text("no jobs", "dim")


class _JobsTable:
    """Names get half of what the figures leave, and are cut rather than wrapped."""

    def __init__(self, jobs: Sequence[JobView], now: datetime) -> None:
        self._jobs = jobs
        self._now = now

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        name_cells = max((options.max_width - FIGURES_CELLS) // 2, SHORTEST_NAME_CELLS)
        table = plain_table("id", "status", "recording", "length", "since", "result")
        for job in self._jobs:
            table.add_row(
                str(job.id),
                state_text(job.status),
                Text(short_name(job.path, min(name_cells, LONGEST_NAME_CELLS)), no_wrap=True),
                clock(job.audio_seconds),
                ago(job.finished_at or job.created_at, self._now),
                result_text(job),
            )
        yield table


def result_text(job: JobView) -> Text:
    """What came of a job, or why it waits, in a few words."""
    match job.status:
        case "done" if job.degraded_reason not in (None, "alignment_off"):
            reasons = [degraded_words(job.degraded_reason or ""), *map(visible, job.warnings)]
            return Text(f"{_timing(job)}: {'; '.join(reasons)}", "yellow")
        case "done" if job.warnings:
            told = _timing(job) if job.timing is not None else visible(job.note or "done")
            return Text(f"{told}, but {visible('; '.join(job.warnings))}", "yellow")
        case "done":
            return Text(_timing(job) if job.timing is not None else visible(job.note or ""))
        case "failed" if job.error is not None:
            return Text(without_path(job.error.message, job.path), "red")
        case _:
            urgency = None if job.priority == "normal" else f"priority {job.priority}"
            return Text("; ".join(filter(None, (urgency, visible(job.note or "")))), "dim")


def files_written(job: JobView) -> str:
    """`talk.srt, .json`, with the folder where it is not the recording's."""
    paths = [PurePosixPath(path) for path in job.outputs.values()]
    first = paths[0]
    beside = first.parent == PurePosixPath(job.path).parent
    others = [path.suffix if path.with_suffix("") == first.with_suffix("") else str(path) for path in paths[1:]]
    return visible(", ".join([first.name if beside else str(first), *others]))


def without_path(message: str, path: str) -> str:
    """Beside the recording's name its path says nothing new, and takes all the room."""
    return visible(message.replace(path, "it", 1) if message.startswith(f"{path} ") else message)


def _timing(job: JobView) -> str:
    match job.timing:
        case "word":
            return "words timed"
        case "mixed":
            return "some words timed"
        case "segment" | None:
            return "segments timed"


def job_line(job: JobView, width: int | None = None) -> Text:
    """A finished job in one line; in two where its files do not fit into `width` cells."""
    line = Text.assemble((job.status, STYLES[job.status]), " ", base_name(job.path))
    match job.status:
        case "done":
            length = "" if job.audio_seconds is None else f"{clock(job.audio_seconds)}, "
            line.append(f"  {length}").append_text(result_text(job))
            if job.outputs:
                written = f"  → {files_written(job)}"
                fits = width is None or line.cell_len + cell_len(written) <= width
                line.append(written if fits else f"\n     {written}")
        case "failed" if job.error is not None:
            line.append(f"  {without_path(job.error.message, job.path)}\n       {visible(job.error.hint)}")
        case _:
            line.append(f"  {visible(job.note)}" if job.note else "")
    return line


# --- this machine ------------------------------------------------------------------------------------------------


def settings_table(values: Mapping[str, str], origins: Mapping[str, str]) -> RenderableType:
    """Each setting, its value and who said so."""
    table = plain_table("setting", "value", "from")
    for key, value in values.items():
        origin = origins[key]
        table.add_row(key, visible(value), Text(visible(origin), "dim" if origin == "default" else ""))
    return table
