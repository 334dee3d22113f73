"""Progress of the jobs that a command waits for, below what it prints; silent where there is no terminal.

Runs in: the user's shell.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from client.progress_line import NARROW_BAR, WIDE_BAR, WIDE_COLUMNS, bar, progress_words
from client.reasons import phase_words
from client.terminal import visible
from client.views import STYLES, base_name, cut_in_middle
from ipc.api_messages import JobView
from ipc.events import Event, JobChanged, JobProgressed
from ipc.status_views import RunningView

FINISHED = {"done", "failed", "cancelled"}
DRAWN_A_SECOND = 4
ITS_TURN = "waiting for its turn"


class ProgressBars:
    """A bar for each running job of ours and, for many files, one for all of them. Pass it to `follow` as `heard`."""

    def __init__(self, console: Console, job_ids: Iterable[int], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._jobs: dict[int, JobView | None] = dict.fromkeys(job_ids)
        """None: not heard of yet."""
        self._running: dict[int, tuple[RunningView, float]] = {}
        """How far, and when that was (monotonic)."""
        self._live = Live(
            console=console,
            get_renderable=lambda: self,
            refresh_per_second=DRAWN_A_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._is_shown = console.is_terminal

    def __enter__(self) -> Self:
        if self._is_shown:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The bars are away for as long as something is printed."""
        self._live.stop()
        yield
        if self._is_shown:
            self._live.start()

    def __call__(self, event: Event) -> None:
        match event:
            case JobChanged(job=job) if job.id in self._jobs:
                self._jobs[job.id] = job
                if job.status in FINISHED or job.status == "waiting":
                    self._running.pop(job.id, None)
                elif (known := self._running.get(job.id)) is not None:
                    update = {"status": job.status, "audio_seconds": job.audio_seconds}
                    self._running[job.id] = (known[0].model_copy(update=update), known[1])
            case JobProgressed(running=running) if running.id in self._jobs:
                self._running[running.id] = (running, self._clock())
            case _:
                pass

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """A line for each job on its way, then one for all; a single job has only the one."""
        rows = [self._row(job) for job in self._jobs.values() if job is not None and self._is_under_way(job)]
        if len(self._jobs) > 1:
            rows.append(self._overall())
        width = options.max_width
        bar_width = WIDE_BAR if width >= WIDE_COLUMNS else NARROW_BAR
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, overflow="ellipsis")
        # A third of the line for names: figures are of no use without them, nor they without figures.
        longest = min(max((cell_len(name) for name, _, _ in rows), default=0), max(width // 3, 8))
        for name, share, told in rows:
            grid.add_row(cut_in_middle(name, longest), bar(share, bar_width), told)
        yield grid

    # ---------------------------------------------------------------------------------------------------------

    def _is_under_way(self, job: JobView) -> bool:
        return job.status not in FINISHED and (job.status != "waiting" or len(self._jobs) == 1)

    def _row(self, job: JobView) -> tuple[str, float | None, Text]:
        name = base_name(job.path)
        if job.status == "waiting":
            return name, None, Text(visible(job.note or ITS_TURN), STYLES["waiting"])
        if (known := self._running.get(job.id)) is None:
            return name, None, Text(phase_words(job.status, None))
        running, at = known
        if running.eta_seconds is not None:
            left = max(running.eta_seconds - (self._clock() - at), 0.0)
            running = running.model_copy(update={"eta_seconds": left})
        return name, running.share, Text(progress_words(running, with_place=False, in_full=False))

    def _overall(self) -> tuple[str, float, Text]:
        known = [job for job in self._jobs.values() if job is not None]
        finished = sum(job.status in FINISHED for job in known)
        failed = sum(job.status == "failed" for job in known)
        waiting = [job for job in known if job.status == "waiting"]
        # A copy: events come in while another thread draws.
        under_way = sum(running.share or 0.0 for running, _ in list(self._running.values()))
        told = Text(f"{finished} of {len(self._jobs)} files")
        told.append(f" · {failed} failed" if failed else "", STYLES["failed"])
        told.append(f" · {len(waiting)} waiting" if waiting else "")
        if waiting and waiting[0].note and len(waiting) + finished == len(self._jobs):
            told.append(f": {visible(waiting[0].note)}", STYLES["waiting"])
        return "all files", (finished + under_way) / len(self._jobs), told
