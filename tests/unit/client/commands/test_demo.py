"""How the demo narrates a job: each step once, in the order in which it happens."""

import io
from pathlib import Path

from drawn_views import job
from rich.console import Console

from client.commands.demo import Demonstration
from client.views.progress import ProgressBars
from ipc.api_messages import Attempt
from ipc.events import JobChanged, JobProgressed
from ipc.status_views import RunningView


def step(phase: str | None, status: str = "transcribing") -> JobProgressed:
    facts = {"id": 8, "path": "/a/talk.flac", "status": status, "phase": phase}
    return JobProgressed(running=RunningView.model_validate(facts | {"done_seconds": 0, "audio_seconds": None}))


def test_a_crash_is_told_when_it_happens_and_no_length_before_it_is_known(tmp_path: Path) -> None:
    page = io.StringIO()
    console = Console(file=page, width=80)
    crash = Attempt(role="transcriber", engine="whisperx", outcome="crashed", signal="SIGSEGV", phase="transcribing")
    success = Attempt(role="transcriber", engine="whisperx", outcome="done")
    with ProgressBars(console, [8]) as bars:
        heard = Demonstration(console, tmp_path)._narrated(8, bars)
        for event in (
            step(None),
            step("decoding"),
            step("transcribing"),
            step("transcribing"),
            JobChanged(job=job(status="transcribing", attempts=(crash,))),
            step("decoding"),
            step("language"),
            JobChanged(job=job(status="aligning", attempts=(crash, success))),
            step("aligning", "aligning"),
        ):
            heard(event)
    assert [line.strip() for line in page.getvalue().splitlines()] == [
        "reading the recording …",
        "transcribing …",
        "1. transcriber (whisperx) crashed: SIGSEGV while transcribing",
        "detecting the language …",
        "2. transcriber (whisperx) done",
        "timing words …",
    ]
