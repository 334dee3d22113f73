"""What `steno status` shows, once or live: values in, rich renderables out.

Runs in: the user's shell.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from client.terminal import visible
from client.views import ago, base_name, clock, gigabytes, phase_words, plain_table, state_text
from ipc.status_views import RunningView, StatusView, WatchView, WorkerView

BAR_WIDTH = 16


def status_page(status: StatusView, now: datetime) -> RenderableType:
    """The whole of `steno status`."""
    daemon, queue = status.daemon, status.queue
    head = Text.assemble(
        ("stenod ", "bold"), f"{daemon.version} · pid {daemon.pid} · up {clock(daemon.uptime_seconds)}"
    )
    counts = Text(f"{queue.waiting} waiting · {queue.running} running · {queue.done} done · {queue.failed} failed")
    if queue.paused:
        counts.append(" · paused, `steno resume` goes on", "yellow")
    parts: list[RenderableType] = [head, counts, Text(), workers_view(status.workers, now)]
    if status.running:
        parts.append(running_table(status.running))
    parts.append(watches_table(status.watches))
    return Group(*parts)


def workers_view(workers: Iterable[WorkerView], now: datetime) -> RenderableType:
    """Each worker in a line; below it why it is not ready, and how it died last."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for worker in workers:
        grid.add_row(worker.role, state_text(worker.state), _worker_facts(worker))
        if worker.note:
            grid.add_row("", "", Text(visible(worker.note), "yellow"))
        if (death := worker.last_death) is not None:
            job = "" if death.during_job is None else f", during job {death.during_job}"
            grid.add_row("", "", Text(f"died {ago(death.at, now)}: {visible(death.reason)}{job}", "dim"))
    return grid


def _worker_facts(worker: WorkerView) -> str:
    facts = [
        " ".join(part for part in (worker.engine, worker.model, worker.device and f"on {worker.device}") if part)
    ]
    facts += [f"pid {worker.pid}"] if worker.pid is not None else []
    facts += [gigabytes(worker.footprint_bytes)] if worker.footprint_bytes is not None else []
    facts += [f"{worker.restarts} restart{'s' * (worker.restarts != 1)}"] if worker.restarts else []
    return visible(" · ".join(facts))


def running_table(running: Iterable[RunningView]) -> RenderableType:
    """How far each running job is."""
    table = plain_table("id", "running", "progress", "")
    for job in running:
        table.add_row(str(job.id), base_name(job.path), _bar(job), phase_words(job.status, job.phase))
    return table


def _bar(job: RunningView) -> Text:
    if not job.audio_seconds:
        return Text(clock(job.done_seconds) if job.done_seconds else "–", "dim")
    share = min(job.done_seconds / job.audio_seconds, 1.0)
    full = round(share * BAR_WIDTH)
    return Text.assemble(
        ("━" * full, "cyan"),
        ("━" * (BAR_WIDTH - full), "bright_black"),
        f" {share:4.0%} of {clock(job.audio_seconds)}",
    )


def watches_table(watches: Sequence[WatchView]) -> RenderableType:
    """The watched folders and what grows in them."""
    if not watches:
        return Text("no folder is watched: `steno watch add DIR`", "dim")
    table = plain_table("watched folder", "state", "")
    for watch in watches:
        about = [] if not watch.recursive else ["with folders within"]
        about += [] if watch.permanent else ["added by `steno watch add`"]
        about += [f"growing: {', '.join(base_name(name) for name in watch.growing)}"] if watch.growing else []
        table.add_row(visible(watch.path), state_text(watch.state), "; ".join(about))
    return table
