"""What `steno status` shows, once or live: values in, rich renderables out.

Runs in: the user's shell.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from client.terminal.output import visible
from client.terminal.wording import counted
from client.views.progress_line import ProgressLine, roughly
from client.views.tables import ago, clock, cut_in_middle, gigabytes, short_name, state_text
from client.views.watches import watches_table
from ipc.api_messages import JobView
from ipc.status_views import QueueView, RunningView, StatusView, WorkerView


@dataclass(frozen=True, slots=True)
class Room:
    """How much of each list has a place on the page; None: all of it."""

    waiting: int | None = None
    watches: int | None = None
    running: int | None = None
    deaths: bool = True
    """Whether past deaths of workers are told."""
    airy: bool = True
    """Whether there are empty lines."""


def status_page(status: StatusView, now: datetime, room: Room = Room()) -> RenderableType:
    """The whole of `steno status`."""
    parts: list[list[RenderableType]] = [
        [_head(status), _counts(status.queue)],
        [workers_view(status.workers, now, deaths=room.deaths)],
    ]
    if status.running:
        parts.append([_running_view(status.running[: room.running]), *_more(len(status.running), room.running)])
    if status.queue.waiting:
        shown = status.next_up[: room.waiting]
        parts.append([_waiting_view(shown), *_more(status.queue.waiting, len(shown))])
    parts.append([watches_table(status.watches[: room.watches]), *_more(len(status.watches), room.watches)])
    lines: list[RenderableType] = []
    for part in parts:
        lines += [*([Text()] if room.airy and lines else []), *part]
    return Group(*lines)


def _head(status: StatusView) -> Text:
    daemon = status.daemon
    return Text.assemble(
        ("stenod ", "bold"), f"{visible(daemon.version)} · pid {daemon.pid} · up {clock(daemon.uptime_seconds)}"
    )


def _counts(queue: QueueView) -> Text:
    counts = Text(f"{queue.waiting} waiting · {queue.running} running · {queue.done} done · ")
    counts.append(f"{queue.failed} failed", "red" if queue.failed else "")
    if queue.eta_seconds is not None and queue.waiting:
        # With nothing in line it would be said twice: the running jobs tell it themselves.
        counts.append(f" · all done in {roughly(queue.eta_seconds)}")
    if queue.paused:
        counts.append(" · paused, run `steno resume`", "yellow")
    return counts


def _more(there_are: int, shown: int | None) -> list[RenderableType]:
    """The line under a list that was cut."""
    return [] if shown is None or there_are <= shown else [Text(f"     … and {there_are - shown} more", "dim")]


# --- workers -----------------------------------------------------------------------------------------------------


def workers_view(workers: Iterable[WorkerView], now: datetime, *, deaths: bool = True) -> RenderableType:
    """Each worker in a line; below it why it is not ready, and how it crashed last."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for worker in workers:
        grid.add_row(worker.role, state_text(worker.state), _worker_facts(worker))
        if worker.note:
            grid.add_row("", "", Text(visible(worker.note), "yellow"))
        if deaths and (death := worker.last_death) is not None:
            job = "" if death.during_job is None else f", during job {death.during_job}"
            # The note of a worker that is about to be restarted says it already.
            reason = "" if death.reason in (worker.note or "") else f": {visible(death.reason)}"
            grid.add_row("", "", Text(f"crashed {ago(death.at, now)}{reason}{job}", "dim"))
    return grid


def _worker_facts(worker: WorkerView) -> str:
    model = None if worker.model is None else cut_in_middle(visible(worker.model), 32)
    engine = (visible(worker.engine), model, worker.device and f"on {visible(worker.device)}")
    facts = [" ".join(part for part in engine if part)]
    facts += [gigabytes(worker.footprint_bytes)] if worker.footprint_bytes is not None else []
    facts += [f"pid {worker.pid}"] if worker.pid is not None else []
    facts += [counted(worker.restarts, "restart")] if worker.restarts else []
    return " · ".join(facts)


# --- jobs --------------------------------------------------------------------------------------------------------


def _list_of_jobs() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, justify="right", min_width=3)
    grid.add_column(overflow="fold")
    return grid


def _running_view(running: Iterable[RunningView]) -> RenderableType:
    """How far each running job is: its name, and below it bar and figures."""
    grid = _list_of_jobs()
    for job in running:
        grid.add_row(str(job.id), Text(short_name(job.path, 64), "bold"))
        grid.add_row("", ProgressLine(job))
    return grid


def _waiting_view(jobs: Sequence[JobView]) -> RenderableType:
    """Whose turn is next, and why it is not now."""
    notes = {job.note for job in jobs}
    common = jobs[0].note if len(notes) == 1 and jobs else None
    head = Text("waiting", "yellow").append(f": {visible(common)}" if common else "")
    grid = _list_of_jobs()
    for job in jobs:
        line = Text(short_name(job.path, 64))
        if job.note and not common:
            line.append(f"  {visible(job.note)}", "dim")
        grid.add_row(str(job.id), line)
    return Group(head, grid)
