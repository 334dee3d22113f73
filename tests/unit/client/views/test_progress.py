"""What stands below the lines of a command that waits, for one file and for fifty.

Runs in: the test process.
"""

import io

from drawn_views import QUEUE, drawn, job
from rich.console import Console

from client.terminal.errors import NoDaemon
from client.views.progress import ProgressBars
from ipc.events import JobChanged, JobProgressed
from ipc.status_views import QueueView, RunningView


class Turned:
    """A clock that stands until it is turned."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def moved(job_id: int, path: str = "/a/talk.flac", **facts: object) -> JobProgressed:
    known = {"phase": "transcribing", "status": "transcribing", "done_seconds": 60, "audio_seconds": 100}
    return JobProgressed(running=RunningView.model_validate({"id": job_id, "path": path} | known | facts))


def bars_of(*job_ids: int, clock: Turned | None = None, terminal: bool = True) -> tuple[ProgressBars, io.StringIO]:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=80, color_system=None)
    return ProgressBars(console, job_ids, clock or Turned()), screen


def test_one_file_has_one_bar_whose_time_runs_down_between_two_steps() -> None:
    clock = Turned()
    bars, _ = bars_of(8, clock=clock)
    bars(JobChanged(job=job(status="waiting", note="the queue is paused; `steno resume` lets it go on")))
    assert drawn(bars) == "talk.flac: waiting: the queue is paused; `steno resume` lets it go on"
    bars(JobChanged(job=job(status="transcribing")))
    assert drawn(bars) == "talk.flac ━━━━━━━━━━━━      transcribing"
    bars(moved(8, share=0.5, speed=4.24, eta_seconds=180))
    assert drawn(bars) == "talk.flac ━━━━━━━━━━━━  50% transcribing · 4.2× · 3 min left"
    clock.now = 60.0
    assert drawn(bars).endswith("2 min left")
    bars(JobChanged(job=job(status="transcribing", audio_seconds=100)))
    assert drawn(bars).endswith("2 min left")
    bars(JobChanged(job=job(status="aligning")))
    assert drawn(bars) == "talk.flac ━━━━━━━━━━━━  50% timing words"
    bars.lost(NoDaemon("no daemon answers at /run", ""))
    assert drawn(bars).endswith("no daemon answers at /run; waiting for it")
    bars(JobChanged(job=job(status="done")))
    assert drawn(bars) == ""


def test_fifty_files_have_bars_for_those_that_run_and_one_for_all() -> None:
    bars, _ = bars_of(*range(50))
    for number in range(50):
        state = "done" if number < 9 else "failed" if number == 9 else "waiting"
        bars(JobChanged(job=job(id=number, path=f"/a/{number}.wav", status=state)))
    long_name = "/a/a recording with a rather long name, of which the end tells most 10.wav"
    for number, path, share in ((10, long_name, 0.25), (11, "/a/11.wav", 0.75)):
        bars(JobChanged(job=job(id=number, path=path, status="transcribing")))
        bars(moved(number, path, share=share))
    bars(moved(99, "/somebody/else.wav"))
    assert drawn(bars).splitlines() == [
        "a recording wit…ost 10.wav ━━━━━━━━━━━━  25% transcribing",
        "11.wav                     ━━━━━━━━━━━━  75% transcribing",
        "all files                  ━━━━━━━━━━━━  22% 10 of 50 · 1 failed · 38 waiting",
    ]
    assert max(map(len, drawn(bars, width=60).splitlines())) <= 60


def test_many_files_tell_how_long_the_queue_takes_and_whether_it_is_theirs_alone() -> None:
    clock, asked = Turned(), []
    queue = QUEUE.model_copy(update={"waiting": 2, "running": 1, "eta_seconds": 600.0})

    def ask() -> QueueView:
        asked.append(clock.now)
        return queue

    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    bars = ProgressBars(console, range(3), clock, ask)
    for number in range(3):
        bars(JobChanged(job=job(id=number, path=f"/a/{number}.wav", status="waiting" if number else "transcribing")))
    bars(moved(0, "/a/0.wav", share=0.4))
    assert drawn(bars).splitlines()[-1].endswith("0 of 3 · 2 waiting · 10 min left")
    clock.now = 120.0
    assert drawn(bars).splitlines()[-1].endswith("8 min left"), "it runs down by itself"
    assert len(asked) == 1, "and the daemon is not asked at every event"
    queue = queue.model_copy(update={"waiting": 9})
    bars(moved(0, "/a/0.wav", share=0.5))
    assert drawn(bars).splitlines()[-1].endswith("2 waiting · 10 min for all jobs")
    queue = queue.model_copy(update={"eta_seconds": None})
    clock.now = 240.0
    bars(moved(0, "/a/0.wav", share=0.6))
    assert drawn(bars).splitlines()[-1].endswith("2 waiting")


def test_percent_and_time_stay_whole_beside_long_names_at_80_columns() -> None:
    queue = QUEUE.model_copy(update={"waiting": 20, "running": 1, "eta_seconds": 60.0})
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    bars = ProgressBars(console, range(12), Turned(), lambda: queue)
    name = "/a/an interview whose name tells all about it, and then some, and the year 2026.m4a"
    for number in range(12):
        state = "transcribing" if number == 0 else "failed" if number < 3 else "waiting"
        bars(JobChanged(job=job(id=number, path=name, status=state)))
    bars(moved(0, name, share=0.42, speed=4.2, eta_seconds=61))
    first, overall = drawn(bars).splitlines()
    assert first.endswith("42% transcribing · 4.2× · 1 min left")
    assert overall.endswith(" 20% 2 of 12 · 2 failed · 9 waiting · 1 min for all jobs")
    assert first.startswith("an i") and "all" in overall


def test_where_there_is_no_terminal_nothing_is_drawn() -> None:
    bars, screen = bars_of(8, terminal=False)
    with bars:
        bars(moved(8, share=0.5))
        with bars.aside():
            pass
    assert screen.getvalue() == ""


def test_what_is_printed_aside_is_not_drawn_over() -> None:
    bars, screen = bars_of(8)
    with bars:
        bars(moved(8, share=0.5))
        with bars.aside():
            screen.write("done other.flac\nwith two lines\n")
    after = screen.getvalue().partition("two lines\n")[2]
    assert "\x1b[1A" not in after.partition("━")[0]
