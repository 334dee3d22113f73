"""`steno status`: every state in its place, at any size of the terminal.

Runs in: the test process.
"""

from typing import get_args

import pytest
from drawn_views import CREATED, NOW, QUEUE, drawn, job, looks_as_before, status, worker
from rich.console import Console

from client.views import tables as views
from client.views.live import FOOTER, fitting
from client.views.progress_line import bar, roughly
from client.views.status import status_page, workers_view
from client.views.watches import watches_table
from ipc.api_messages import JobOptions
from ipc.status_views import LastDeath, PassedOverView, RunningView, StatusView, WatchView, WorkerState

DEATH = LastDeath(
    signal="SIGSEGV",
    exit_code=-11,
    reason="segmentation fault (SIGSEGV) while transcribing",
    during_job=3,
    at=CREATED,
)
HALF_WAY = RunningView(
    id=12,
    path="/in/A very long conversation about nothing in particular, with the mayor, second part.m4a",
    status="transcribing",
    phase="transcribing",
    done_seconds=2700,
    audio_seconds=5400,
    speed=23.4,
    eta_seconds=131,
    share=0.43,
)
TRANSCRIBER = worker(
    role="transcriber",
    engine="mlx",
    model="large-v3-turbo",
    device="metal",
    state="busy",
    pid=4712,
    restarts=1,
    last_death=DEATH,
    footprint_bytes=2_310_000_000,
)


def a_full_page() -> StatusView:
    needs = worker(state="broken", restarts=6, note="needs model small: `steno models pull small`")
    decoding = HALF_WAY.model_copy(
        update={
            "id": 13,
            "path": "/in/日本語の録音 🎤.flac",
            "phase": "decoding",
            "audio_seconds": None,
            "speed": None,
            "eta_seconds": None,
            "share": None,
        }
    )
    waiting = (
        job(id=14, path="/in/שלום עולם 2024.m4a", status="waiting"),
        job(id=15, path="/in/b.m4a", status="waiting", note="the disk was full; free some space"),
    )
    permission = (
        "allow it in System Settings > Privacy & Security > Full Disk Access for /opt/stenod/.venv/bin/python3.12"
    )
    watches = (
        WatchView(
            path="/Users/me/Transcribe",
            state="watching",
            recursive=True,
            growing=tuple(f"/Users/me/Transcribe/{number}.wav" for number in range(15)),
            passed=(PassedOverView(path="/Users/me/Transcribe/a.m4a", why="only_in_icloud"),),
            options=JobOptions(language="de", formats=("srt", "md")),
            done="/Users/me/Done",
        ),
        WatchView(path="/Volumes/NAS/in", state="offline", recursive=False, polling=True, note="it is not mounted"),
        WatchView(
            path="/Users/me/Documents", state="needs_permission", recursive=False, permanent=False, note=permission
        ),
    )
    return status(workers=(TRANSCRIBER, needs), running=(HALF_WAY, decoding), next_up=waiting, watches=watches)


def test_the_whole_page_looks_as_it_should() -> None:
    looks_as_before("status", status_page(a_full_page(), NOW))


def test_an_idle_daemon_needs_few_lines_and_says_what_to_do_next() -> None:
    idle = QUEUE.model_copy(update={"waiting": 0, "running": 0})
    page = drawn(status_page(status(workers=(worker(),), queue=idle), NOW))
    assert page.splitlines()[-1] == "no folder is watched: `steno watch add DIR`"
    assert "None" not in page and "waiting\n" not in page


def test_the_end_of_the_queue_is_told_where_it_is_known_and_something_waits() -> None:
    known = QUEUE.model_copy(update={"eta_seconds": 5400.0})
    assert "1 failed · all done in 1 h 30 min" in drawn(status_page(status(queue=known), NOW))
    assert "all done" not in drawn(status_page(status(queue=QUEUE), NOW))
    alone = known.model_copy(update={"waiting": 0})
    assert "all done" not in drawn(status_page(status(queue=alone), NOW)), "the running job says it"


def test_a_pause_is_said_once_and_with_the_way_out() -> None:
    paused = QUEUE.model_copy(update={"paused": True, "running": 0, "waiting": 2})
    why = "the queue is paused; `steno resume` lets it go on"
    page = drawn(
        status_page(status(queue=paused, next_up=[job(id=i, status="waiting", note=why) for i in (4, 5)]), NOW)
    )
    assert page.count("paused;") == 1
    assert "paused, run `steno resume`" in page


def test_a_worker_about_to_be_restarted_tells_its_death_once() -> None:
    dead = TRANSCRIBER.model_copy(update={"state": "backing_off", "note": f"restarting after: {DEATH.reason}"})
    page = drawn(workers_view([dead], NOW))
    assert page.count("segmentation fault") == 1
    assert "crashed 55 min ago, during job 3" in page


@pytest.mark.parametrize("state", get_args(WorkerState))
def test_every_worker_state_has_a_style_and_shows(state: WorkerState) -> None:
    assert state in views.STYLES
    assert state.replace("_", " ") in drawn(workers_view([worker(state=state)], NOW))


@pytest.mark.parametrize("state", get_args(WatchView.model_fields["state"].annotation))
def test_every_folder_state_has_a_style_and_shows(state: str) -> None:
    assert state in views.STYLES
    page = drawn(watches_table([WatchView.model_validate({"path": "/in", "state": state, "recursive": False})]))
    assert page == f"{state.replace('_', ' ')}  /in"


@pytest.mark.parametrize(("width", "height"), [(40, 5), (40, 24), (80, 12), (80, 24), (120, 24), (120, 60)])
def test_the_live_page_never_scrolls_and_says_what_it_left_out(width: int, height: int) -> None:
    full = a_full_page()
    crowded = full.model_copy(
        update={
            "watches": full.watches * 12,
            "next_up": full.next_up * 5,
            "queue": QUEUE.model_copy(update={"waiting": 30}),
        }
    )
    console = Console(width=width, height=height, color_system=None, force_terminal=True)
    lines = [
        "".join(segment.text for segment in line).rstrip()
        for line in console.render_lines(fitting(crowded, NOW, console), pad=False)
    ]
    assert max(len(line) for line in lines) <= width
    if height < 12:
        return  # the screen crops the rest: what matters most stands first
    assert lines[0].startswith("stenod")
    if width >= 80:
        assert len(lines) <= height
        assert lines[-1] == FOOTER
        assert any("… and" in line and "more" in line for line in lines)


def test_times_to_come_are_no_more_exact_than_they_can_be() -> None:
    told = [roughly(seconds) for seconds in (0.0, 9.9, 12, 44, 58, 131, 3599, 3600, 5400, 40_000)]
    assert told == ["seconds", "seconds", "10 s", "45 s", "1 min", "2 min", "1 h", "1 h", "1 h 30 min", "11 h"]


def test_a_bar_is_full_only_when_it_is() -> None:
    assert [bar(share, 4).plain for share in (None, 0.0, 0.999, 1.0)] == [
        "━━━━     ",
        "━━━━   0%",
        "━━━━  99%",
        "━━━━ 100%",
    ]
    assert [bar(share, 4).spans[0].end for share in (0.5, 0.999, 1.0)] == [2, 3, 4]
