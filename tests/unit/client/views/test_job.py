"""`steno show`: whatever happened to a job reads as sentences, in order, with the way out.

Runs in: the test process.
"""

from datetime import UTC
from itertools import product
from typing import get_args

import pytest
from drawn_views import CREATED, NOW, drawn, job, looks_as_before
from rich.console import RenderableType

from client.terminal.wording import DEGRADED, REMEDIES, SIGNALS, degraded_words, remedy
from client.views.job import attempt_words, consequence, job_page, sound_words, what_to_do
from ipc.api_messages import Attempt, JobError, JobView
from ipc.transcript import RecordingFacts, Track
from ipc.vocabulary import JobStatus, Outcome, Phase, Role


def attempt(role: Role, outcome: Outcome, engine: str = "mlx", **facts: object) -> Attempt:
    return Attempt.model_validate({"role": role, "engine": engine, "outcome": outcome} | facts)


def story(of: JobView) -> RenderableType:
    return job_page(of, NOW, UTC)


def at(minute: int) -> str:
    return f"2026-01-02T03:{minute:02}:05.000+00:00"


SEGFAULT = {"signal": "SIGSEGV", "phase": "transcribing"}


def test_a_job_that_made_it_through_everything() -> None:
    attempts = (
        attempt("transcriber", "crashed", done_seconds=0.0, at=at(5), **SEGFAULT),
        attempt("aligner", "crashed", "whisperx", signal="SIGKILL", phase="aligning", at=at(6)),
        attempt("transcriber", "crashed", done_seconds=754.2, at=at(9), **SEGFAULT),
        attempt("aligner", "timeout", "whisperx", phase="aligning", at=at(10)),
        attempt("transcriber", "done", "whisperx", done_seconds=3000.0, at=at(20)),
        attempt("aligner", "done", "whisperx", at=at(21)),
    )
    looks_as_before(
        "show_degraded",
        story(
            job(
                attempts=attempts,
                timing="mixed",
                degraded_reason="aligner_timeout",
                audio_seconds=3000.0,
                language="en",
                watch="/Users/me/Transcribe",
                outputs={"srt": "/a/talk.srt", "json": "/a/talk.json"},
                finished_at=at(21),
            )
        ),
    )


def test_a_job_that_killed_every_worker() -> None:
    error = JobError(
        code="transcriber_crashed",
        message="the transcriber died 3 times on this recording, at last: segmentation fault while transcribing",
        hint="`steno retry 8` tries again from 754 s; the traceback is in /logs/crashes/job-8.txt",
    )
    attempts = tuple(
        attempt("transcriber", "crashed", engine, done_seconds=754.2, at=at(minute), **SEGFAULT)
        for minute, engine in ((5, "mlx"), (9, "mlx"), (12, "whisperx"))
    )
    looks_as_before(
        "show_quarantined", story(job(status="failed", attempts=attempts, error=error, finished_at=at(12)))
    )


def test_a_refused_recording_says_what_is_wrong_and_what_to_do() -> None:
    error = JobError(code="not_media", message="/a/talk.flac is not a sound or video file", hint="convert it to WAV")
    page = drawn(story(job(status="failed", attempts=(attempt("transcriber", "failed"),), error=error)))
    assert "The transcriber (mlx) could not process the file (no crash)." in page
    assert "Failed: it is not a sound or video file." in page
    assert page.endswith("next steps\n  convert it to WAV\n  then `steno retry 8`")


def test_a_story_from_before_places_and_times_were_noted_is_told_without_them() -> None:
    old = job(status="transcribing", attempts=(attempt("transcriber", "crashed"),))
    page = drawn(story(old))
    assert "The transcriber (mlx) crashed, for an unknown reason." in page
    assert "A new worker continues from the last stored segment." in page
    assert page.endswith("In progress: transcribing.")
    assert "None" not in page


def test_what_the_daemon_did_about_a_death_is_told_as_it_was() -> None:
    dead = attempt("aligner", "crashed", "whisperx")
    running = job(status="aligning", attempts=(dead, dead))
    assert "same segments again" in consequence(running, 0)
    assert "smaller groups" in consequence(running, 1)
    assert "keep segment times" in consequence(job(attempts=(dead,)), 0)
    lost = attempt("transcriber", "timeout", done_seconds=61.0)
    assert consequence(job(status="cancelled", attempts=(lost,)), 0) == ""
    assert "continues from 1:01" in consequence(job(status="waiting", attempts=(lost,)), 0)


def test_every_attempt_is_a_sentence() -> None:
    signals, phases = [None, *SIGNALS, "signal 35"], [None, *get_args(Phase)]
    for role, outcome, signal, phase in product(get_args(Role), get_args(Outcome), signals, phases):
        words = attempt_words(attempt(role, outcome, signal=signal, phase=phase), again=True)
        assert words[0].isupper() and words.endswith(".")
        assert "None" not in words and "_" not in words


@pytest.mark.parametrize("state", get_args(JobStatus))
@pytest.mark.parametrize("note", [None, "why"])
def test_every_status_has_an_ending_and_its_next_step(state: JobStatus, note: str | None) -> None:
    page = drawn(story(job(status=state, note=note)))
    assert "None" not in page
    assert ("next steps" in page) == (state == "cancelled")


def test_every_reason_for_missing_words_has_a_remedy() -> None:
    for reason in {*DEGRADED, "no_alignment_model:sv"} - {"alignment_off"}:
        assert remedy(reason)
        assert list(what_to_do(job(degraded_reason=reason))) == [remedy(reason)]
    assert set(REMEDIES) <= set(DEGRADED)
    assert degraded_words("no_alignment_model:sv") == "no alignment model for Swedish (sv)"
    assert list(what_to_do(job(degraded_reason="something_new"))) == []


def test_an_old_story_has_dates() -> None:
    assert "2026-01-02 03:04" in drawn(job_page(job(created_at=CREATED), NOW.replace(year=2027), UTC))


def test_where_a_recording_had_several_tracks_or_odd_channels_the_story_says_what_was_heard() -> None:
    tracks = [Track(number=n, language=code, title=title) for n, code, title in ((1, "eng", None), (2, None, "Mic"))]
    several = RecordingFacts(read_seconds=1.0, track=tracks[1], other_tracks=(tracks[0],), channels_used="mix")
    assert sound_words(several) == 'track 2 ("Mic") of 2; not transcribed: 1 (eng)'
    assert 'track 2 ("Mic") of 2; not transcribed: 1 (eng)' in drawn(job_page(job(recording=several), NOW))
    assert sound_words(RecordingFacts(read_seconds=1.0, channels_used="channel 4")) == "channel 4"
    for usual in (None, RecordingFacts(read_seconds=1.0, track=tracks[0], channels_used="mono")):
        assert sound_words(usual) is None
    hostile = Track(number=2, title="\x1b[31mred", language="deu")
    assert "\x1b" not in (sound_words(several.model_copy(update={"other_tracks": (hostile,)})) or "")


def test_sound_that_gave_no_text_is_told() -> None:
    assert "unheard    1:15 of sound without text; see `unheard` in the JSON" in drawn(
        story(job(unheard_seconds=75.2))
    )
    assert "unheard" not in drawn(story(job(unheard_seconds=0.0))) + drawn(story(job()))
