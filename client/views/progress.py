"""Progress of the jobs that a command waits for, below what it prints; silent where there is no terminal.

Runs in: the user's shell.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeGuard

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from client.terminal.errors import NoDaemon
from client.terminal.output import visible
from client.terminal.wording import phase_words
from client.views.progress_line import NARROW_BAR, WIDE_BAR, WIDE_COLUMNS, bar, progress_words, roughly
from client.views.tables import STYLES, base_name, cut_in_middle
from ipc.api_messages import JobView
from ipc.events import DaemonEvent, JobChanged, JobProgressed
from ipc.status_views import QueueView, RunningView
from ipc.vocabulary import FINISHED

DRAWN_A_SECOND = 4
BETWEEN_LOOKS_SECONDS = 2.0
"""The daemon is asked at most this often how long its whole queue will take."""
SHORTEST_NAME_CELLS, PERCENT_CELLS = 8, 5
ITS_TURN = "queued"
Row = tuple[str, float | None, Text]
"""Name, share of the work that is done, figures."""


class ProgressBars:
    """A bar for each running job of ours and, for many files, one for all of them. Pass it to `follow` as `heard`."""

    def __init__(
        self,
        console: Console,
        job_ids: Iterable[int],
        clock: Callable[[], float] = time.monotonic,
        ask_queue: Callable[[], QueueView] | None = None,
    ) -> None:
        """`ask_queue` returns the state of the whole queue; it is asked now and then while there are several jobs."""
        self._clock = clock
        self._ask_queue = ask_queue
        self._queue: tuple[QueueView, float] | None = None
        """The state of the queue, and when it was asked for (monotonic)."""
        self._jobs: dict[int, JobView | None] = dict.fromkeys(job_ids)
        """None: no event about it yet."""
        self._running: dict[int, tuple[RunningView, float]] = {}
        """How far, and when that was (monotonic)."""
        self._console = console
        self._why_lost: str | None = None
        """Why no event reaches us; None: events do."""
        self._live: Live | None = None

    def __enter__(self) -> Self:
        self._show()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hide()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The bars are away for as long as something is printed."""
        self._hide()
        yield
        self._show()

    def lost(self, gone: NoDaemon) -> None:
        """The daemon does not answer, and the command waits for it."""
        self._why_lost = gone.message

    def __call__(self, event: DaemonEvent) -> None:
        self._why_lost = None
        match event:
            case JobChanged(job=job) if job.id in self._jobs:
                self._jobs[job.id] = job
                if job.status in FINISHED or job.status == "waiting":
                    self._running.pop(job.id, None)
                elif (known := self._running.get(job.id)) is not None:
                    self._running[job.id] = (_at_status(known[0], job), known[1])
            case JobProgressed(running=running) if running.id in self._jobs:
                self._running[running.id] = (running, self._clock())
            case _:
                pass
        self._look_at_queue()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """A line for each running job, then one for all, then why nothing moves."""
        # A copy: events come in while another thread draws.
        running = dict(self._running)
        rows = [self._row(*known) for known in running.values()]
        rows += [_beginning(job) for job in self._jobs.values() if _is_running(job) and job.id not in running]
        if len(self._jobs) > 1:
            rows.append(self._overall())
        width = options.max_width
        bar_width = WIDE_BAR if width >= WIDE_COLUMNS else NARROW_BAR
        grid = Table.grid(padding=(0, 1))
        # What the figures leave is for the names: neither is of use without the other.
        figures = max((cell_len(told.plain) for _, _, told in rows), default=0)
        room = width - bar_width - PERCENT_CELLS - figures - 2
        names = max((cell_len(name) for name, _, _ in rows), default=0)
        longest = min(names, max(min(room, width // 3), SHORTEST_NAME_CELLS))
        grid.add_column(no_wrap=True, min_width=longest)
        grid.add_column(no_wrap=True, min_width=bar_width + PERCENT_CELLS)
        grid.add_column(no_wrap=True, overflow="ellipsis")
        for name, share, told in rows:
            grid.add_row(cut_in_middle(name, longest), bar(share, bar_width), told)
        if rows:
            yield grid
        if self._why_lost is not None:
            yield Text(f"{visible(self._why_lost)}; waiting for it", STYLES["waiting"])
            return
        waiting = [job for job in self._jobs.values() if job is not None and job.status == "waiting"]
        if waiting and not running:
            whose = f"{base_name(waiting[0].path)}: " if len(self._jobs) == 1 else ""
            yield Text(f"{whose}waiting: {visible(waiting[0].note or ITS_TURN)}", STYLES["waiting"])

    # ---------------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        if not self._console.is_terminal:
            return
        # A new one each time: one that was shown before would begin by going up over what was printed since.
        self._live = Live(
            console=self._console,
            get_renderable=lambda: self,
            refresh_per_second=DRAWN_A_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def _hide(self) -> None:
        if self._live is not None:
            self._live.stop()

    def _look_at_queue(self) -> None:
        if self._ask_queue is None or len(self._jobs) < 2 or not self._console.is_terminal:
            return
        if self._queue is None or self._clock() - self._queue[1] >= BETWEEN_LOOKS_SECONDS:
            self._queue = (self._ask_queue(), self._clock())

    def _row(self, running: RunningView, heard_at: float) -> Row:
        if running.eta_seconds is not None:
            left = max(running.eta_seconds - (self._clock() - heard_at), 0.0)
            running = running.model_copy(update={"eta_seconds": left})
        told = Text(progress_words(running, with_place=False, in_full=False))
        return base_name(running.path), running.share, told

    def _overall(self) -> Row:
        known = [job for job in self._jobs.values() if job is not None]
        finished = sum(job.status in FINISHED for job in known)
        failed = sum(job.status == "failed" for job in known)
        waiting = sum(job.status == "waiting" for job in known)
        under_way = sum(running.share or 0.0 for running, _ in list(self._running.values()))
        told = Text(f"{finished} of {len(self._jobs)}")
        told.append(f" · {failed} failed" if failed else "", STYLES["failed"])
        told.append(f" · {waiting} waiting" if waiting else "")
        told.append(self._time_left(len(self._jobs) - finished) if waiting else "")
        return "all files", (finished + under_way) / len(self._jobs), told

    def _time_left(self, ours: int) -> str:
        """For the whole queue: which of it comes before the last of ours is not known."""
        if self._queue is None or (seconds := self._queue[0].eta_seconds) is None:
            return ""
        queue, asked_at = self._queue
        left = roughly(max(seconds - (self._clock() - asked_at), 0.0))
        return f" · {left} left" if queue.waiting + queue.running <= ours else f" · {left} for all jobs"


def _is_running(job: JobView | None) -> TypeGuard[JobView]:
    return job is not None and job.status != "waiting" and job.status not in FINISHED


def _at_status(running: RunningView, job: JobView) -> RunningView:
    """After a change of status its phase, speed and time left are unknown; its share stays."""
    if running.status == job.status:
        return running
    return running.model_copy(update={"status": job.status, "phase": None, "speed": None, "eta_seconds": None})


def _beginning(job: JobView) -> Row:
    """A running job without progress so far."""
    return base_name(job.path), None, Text(phase_words(job.status, None))
