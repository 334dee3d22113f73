"""How the demo narrates a job: each step once, in the order in which it happens."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from drawn_views import job
from rich.console import Console

from client.commands.demo import TRIES, DemoFailed, Demonstration
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


class QuickMachine(Demonstration):
    """Is done with the first so many recordings before the kill, and with one after it."""

    def __init__(self, home: Path, missed: int) -> None:
        super().__init__(Console(file=io.StringIO()), home)
        self.tried: list[str] = []
        self.missed = missed

    def _killed_at_work(self, role: object, recording: Path, is_the_moment: object) -> int | None:
        self.tried.append(recording.name)
        return None if len(self.tried) <= self.missed else len(self.tried)

    def _finished(self, job_id: int) -> object:  # type: ignore[override]
        crashed = SimpleNamespace(role="aligner", signal="SIGSEGV" if job_id > self.missed + 1 else None)
        return SimpleNamespace(attempts=[crashed], timing="word")

    def _show(self, job: object) -> None: ...


def test_a_moment_that_was_missed_comes_again_with_the_next_copy(tmp_path: Path) -> None:
    demo = QuickMachine(tmp_path, missed=2)
    demo._show_a_crash("aligner", tmp_path / "talk.flac", lambda event, job_id: True)
    assert demo.tried == ["talk.flac", "aligner 1.flac", "aligner 2.flac", "aligner 3.flac"]
    assert (tmp_path / "aligner 3.flac").stat().st_size


def test_a_worker_that_is_never_caught_ends_the_demo_with_a_sentence(tmp_path: Path) -> None:
    demo = QuickMachine(tmp_path, missed=TRIES)
    with pytest.raises(DemoFailed, match="caught at work"):
        demo._show_a_crash("aligner", tmp_path / "talk.flac", lambda event, job_id: True)
    assert len(demo.tried) == TRIES
