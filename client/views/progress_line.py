"""How far a running job is: its bar, and the figures beside it.

Runs in: the user's shell.
"""

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from client.terminal.wording import phase_words
from client.views.tables import clock
from ipc.status_views import RunningView

WIDE_COLUMNS = 90
NARROW_BAR, WIDE_BAR = 12, 24
FULL, EMPTY = ("━", "cyan"), ("━", "bright_black")


def bar(share: float | None, width: int) -> Text:
    """`━━━━━━━━  42%`; only the track where the share is not known."""
    full = 0 if share is None else int(min(share, 1.0) * width)
    drawn = Text.assemble((FULL[0] * full, FULL[1]), (EMPTY[0] * (width - full), EMPTY[1]))
    # Down, never up: 100% is for what is done.
    return drawn.append("     " if share is None else f" {int(min(share, 1.0) * 100):3}%")


class ProgressLine:
    """Bar and figures of one running job, as fully as the place allows."""

    def __init__(self, job: RunningView) -> None:
        self._job = job

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        is_wide = options.max_width >= WIDE_COLUMNS
        told = Text(progress_words(self._job, with_place=True, in_full=is_wide))
        if self._job.share is not None:
            told = bar(self._job.share, WIDE_BAR if is_wide else NARROW_BAR).append("  ").append_text(told)
        yield told


def progress_words(job: RunningView, *, with_place: bool, in_full: bool) -> str:
    """`transcribing 1:00 of 9:30 · 4.2× · 2 min left`; in full it says what 4.2× means."""
    place = ""
    if with_place and job.audio_seconds and job.phase in ("decoding", "transcribing", "aligning", "paused"):
        place = f" {clock(min(job.done_seconds, job.audio_seconds))} of {clock(job.audio_seconds)}"
    told = [f"{phase_words(job.status, None if job.status == 'writing' else job.phase)}{place}"]
    if job.speed is not None:
        told.append(f"{job.speed:.0f}×" if job.speed >= 10 else f"{job.speed:.1f}×")
        told[-1] += " real time" if in_full else ""
    if job.eta_seconds is not None:
        told.append(f"{roughly(job.eta_seconds)} left")
    return " · ".join(told)


def roughly(seconds: float) -> str:
    """A time to come, as exact as an estimate is."""
    if seconds < 10:
        return "seconds"
    if seconds < 55:
        return f"{round(seconds / 5) * 5} s"
    minutes = max(round(seconds / 60), 1)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest and hours < 10 else f"{round(minutes / 60)} h"
