"""What the command shows: every state, at a narrow terminal, with names that would like to take it over.

Runs in: the test process.
"""

import io
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from client import views
from client.status_page import status_page, workers_view
from client.terminal import visible
from ipc.api_messages import Attempt, JobError, JobStatus, JobView
from ipc.status_views import (
    DaemonView,
    LastDeath,
    QueueView,
    RunningView,
    StatusView,
    WatchView,
    WorkerState,
    WorkerView,
)
from ipc.worker_messages import Phase

CREATED = "2026-01-02T03:04:05.000+00:00"
NOW = datetime.fromisoformat(CREATED) + timedelta(minutes=55)
QUEUE = QueueView(waiting=12, running=1, done=431, failed=1, paused=False)
DAEMON = DaemonView(pid=4711, version="0.1.0", uptime_seconds=98_765.2)
HALF_WAY = RunningView(
    id=7, path="/a/b.wav", status="aligning", phase="aligning", done_seconds=900, audio_seconds=3600
)
EVIL = "/x/\x1b]0;owned\x07\n[red]\u202egnp.exe"


def drawn(view: RenderableType, width: int = 80) -> str:
    """The view as plain text on a terminal of this width, without the padding to the right."""
    page = io.StringIO()
    Console(file=page, width=width, markup=False, highlight=False, emoji=False, color_system=None).print(view)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())


def job(**facts: object) -> JobView:
    return JobView.model_validate({"id": 8, "path": "/a/talk.flac", "status": "done", "created_at": CREATED} | facts)


def worker(**facts: object) -> WorkerView:
    known = {"role": "aligner", "engine": "whisperx", "model": None, "device": None, "state": "ready", "pid": None}
    return WorkerView.model_validate(known | {"restarts": 0, "last_death": None} | facts)


def status(**facts: object) -> StatusView:
    return StatusView.model_validate({"daemon": DAEMON, "workers": (), "queue": QUEUE, "watches": ()} | facts)


def test_the_status_page_tells_who_works_on_what_and_why_not() -> None:
    death = LastDeath(
        signal="SIGSEGV", exit_code=-11, reason="segmentation fault while transcribing", during_job=3, at=CREATED
    )
    page = drawn(
        status_page(
            status(
                queue=QUEUE.model_copy(update={"paused": True}),
                workers=(
                    worker(
                        role="transcriber", engine="mlx", model="turbo", device="metal", state="busy", pid=4712
                    ).model_copy(update={"restarts": 1, "last_death": death, "footprint_bytes": 2_310_000_000}),
                    worker(state="broken", restarts=6, note="needs model small"),
                ),
                running=(
                    RunningView(
                        id=7,
                        path="/a/b.wav",
                        status="aligning",
                        phase="aligning",
                        done_seconds=900,
                        audio_seconds=3600,
                    ),
                ),
                watches=(WatchView(path="/in", state="offline", recursive=True, growing=("/in/long.m4a",)),),
            ),
            NOW,
        )
    )
    for fact in (
        "stenod 0.1.0 · pid 4711 · up 27:26:05",
        "12 waiting · 1 running · 431 done · 1 failed · paused",
        "transcriber  busy    mlx turbo on metal · pid 4712 · 2.3 GB · 1 restart\n",
        "died 55 min ago: segmentation fault while transcribing",
        "aligner      broken  whisperx · 6 restarts\n",
        "needs model small",
        "━━━━━━━━━━━━━━━━  25% of 1:00:00   timing words",
        "growing: long.m4a",
    ):
        assert fact in page


def test_a_jobs_story_is_told_crash_by_crash() -> None:
    attempts = (
        Attempt(role="transcriber", engine="mlx", outcome="crashed", signal="SIGSEGV", phase="transcribing"),
        Attempt(role="transcriber", engine="mlx", outcome="crashed"),
        Attempt(role="transcriber", engine="whisperx", outcome="done"),
        Attempt(role="aligner", engine="whisperx", outcome="timeout", phase="aligning"),
        Attempt(role="aligner", engine="whisperx", outcome="failed", phase="loading"),
    )
    degraded = job(
        attempts=attempts, timing="mixed", degraded_reason="aligner_timeout", outputs={"srt": "/a/talk.srt"}
    )
    page = drawn(views.job_story(degraded, NOW))
    assert page.endswith(
        "1. the transcriber (mlx) died of SIGSEGV while transcribing\n"
        "2. the transcriber (mlx) died\n"
        "3. the transcriber (whisperx) did its part\n"
        "4. the aligner (whisperx) made no progress while timing words and was replaced\n"
        "5. the aligner (whisperx) could not do it while loading the model"
    )
    assert "some words timed: the aligner took too long" in page
    assert "/a/talk.srt" in page


def test_a_failure_says_what_to_do() -> None:
    failed = job(status="failed", error=JobError(code="not_media", message="no audio in it", hint="play it"))
    for view in (views.job_line(failed), views.job_story(failed, NOW)):
        assert "no audio in it" in drawn(view)
        assert "play it" in drawn(view)


@pytest.mark.parametrize("state", get_args(WorkerState))
def test_every_worker_state_has_a_style_and_shows(state: WorkerState) -> None:
    assert state in views.STYLES
    assert state.replace("_", " ") in drawn(workers_view([worker(state=state)], NOW))


@pytest.mark.parametrize("state", get_args(JobStatus))
def test_every_job_status_has_a_style_and_shows(state: JobStatus) -> None:
    assert state in views.STYLES
    assert state in drawn(views.jobs_table([job(status=state)], NOW))
    assert drawn(views.job_line(job(status=state))).startswith(f"{state} talk.flac")


def test_every_phase_has_words() -> None:
    assert set(get_args(Phase)) <= set(views.PHASES)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_name_cannot_take_over_the_terminal(width: int) -> None:
    running = RunningView(id=1, path=EVIL, status="waiting", phase=EVIL, done_seconds=1, audio_seconds=None)
    evil_job = job(path=EVIL, note=EVIL, outputs={"json": EVIL}, attempts=(), error=None, language=EVIL)
    failed = job(status="failed", path=EVIL, error=JobError(code=EVIL, message=EVIL, hint=EVIL))
    attempt = Attempt(role="aligner", engine=EVIL, outcome="crashed", signal=EVIL, phase=EVIL)
    death = LastDeath(signal=EVIL, exit_code=1, reason=EVIL, during_job=None, at=CREATED)
    evil_worker = worker(engine=EVIL, model=EVIL, device=EVIL, note=EVIL, last_death=death)
    watch = WatchView(path=EVIL, state="watching", recursive=False, growing=(EVIL,))
    everything = [
        status_page(status(workers=(evil_worker,), running=(running,), watches=(watch,)), NOW),
        views.jobs_table([evil_job, failed], NOW),
        *(view for one in (evil_job, failed) for view in (views.job_line(one), views.job_story(one, NOW))),
        views.job_story(job(attempts=(attempt,)), NOW),
        views.settings_table({"prompt": EVIL}, {"prompt": EVIL}),
    ]
    for view in everything:
        page = drawn(view, width)
        assert not set(page) & set("\x1b\x07\u202e")
        assert max(map(len, page.splitlines())) <= width


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=30))
def test_what_is_visible_is_one_line_that_any_terminal_can_print(text: str) -> None:
    shown = visible(text)
    assert shown.encode("utf-8").decode() == shown
    assert len(shown.splitlines()) <= 1
    assert all(letter.isprintable() or letter.isspace() or ord(letter) > 0xA0 for letter in shown)
    assert visible("Grüße 🎤 日本語.wav") == "Grüße 🎤 日本語.wav"


def test_times_read_like_times() -> None:
    assert [views.clock(seconds) for seconds in (None, 0, 59.6, 3599, 3600, 36_000)] == [
        "–",
        "0:00",
        "1:00",
        "59:59",
        "1:00:00",
        "10:00:00",
    ]
    then = datetime(2026, 1, 1, tzinfo=UTC)
    later = [then + timedelta(seconds=seconds) for seconds in (-5, 59, 60, 7200, 200_000)]
    told = [views.ago(then.isoformat(), now) for now in later]
    assert told == [
        "0 s ago",
        "59 s ago",
        "1 min ago",
        "2 h ago",
        "2 d ago",
    ]
