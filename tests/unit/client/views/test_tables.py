"""What the command shows: every state, at a narrow terminal, with names that would like to take it over.

Runs in: the test process.
"""

import json
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import get_args

import pytest
from drawn_views import CREATED, EVIL, NOW, drawn, job, status, worker
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from client.terminal import wording as reasons
from client.terminal.output import err, print_json, print_json_array, visible
from client.views import tables as views
from client.views.job import job_page
from client.views.progress import ProgressBars
from client.views.status import status_page
from ipc.api_messages import Attempt, JobError, JobOptions
from ipc.events import JobChanged, JobProgressed
from ipc.status_views import LastDeath, PassedOverView, RunningView, WatchView
from ipc.vocabulary import JobStatus, Phase


def test_a_failure_says_what_to_do() -> None:
    failed = job(status="failed", error=JobError(code="not_media", message="no audio in it", hint="play it"))
    for view in (views.job_line(failed), job_page(failed, NOW)):
        assert "no audio in it" in drawn(view)
        assert "play it" in drawn(view)


@pytest.mark.parametrize("state", get_args(JobStatus))
def test_every_job_status_has_a_style_and_shows(state: JobStatus) -> None:
    assert state in views.STYLES
    assert state in drawn(views.jobs_table([job(status=state)], NOW))
    assert drawn(views.job_line(job(status=state))).startswith(f"{state} talk.flac")


def test_every_phase_has_words() -> None:
    assert set(get_args(Phase)) <= set(reasons.PHASES)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_name_cannot_take_over_the_terminal(width: int) -> None:
    running = RunningView(id=1, path=EVIL, status="waiting", phase=EVIL, done_seconds=1, audio_seconds=None)
    evil_job = job(path=EVIL, note=EVIL, outputs={"json": EVIL}, attempts=(), error=None, language=EVIL, watch=EVIL)
    failed = job(status="failed", path=EVIL, error=JobError(code=EVIL, message=EVIL, hint=EVIL))
    waiting = job(status="waiting", path=EVIL, note=EVIL)
    attempt = Attempt(role="aligner", engine=EVIL, outcome="crashed", signal=EVIL, phase=EVIL)
    degraded = job(attempts=(attempt, attempt), degraded_reason=f"no_alignment_model:{EVIL}")
    death = LastDeath(signal=EVIL, exit_code=1, reason=EVIL, during_job=None, at=CREATED)
    evil_worker = worker(engine=EVIL, model=EVIL, device=EVIL, note="x", last_death=death)
    watch = WatchView(
        path=EVIL,
        state="watching",
        recursive=False,
        growing=(EVIL,),
        note=EVIL,
        passed=(PassedOverView(path=EVIL, why="only_in_icloud"),),
        include=(EVIL,),
        exclude=(EVIL,),
        done=EVIL,
        failed=EVIL,
        options=JobOptions(model=EVIL, output_dir=EVIL, output_name=EVIL, prompt=EVIL),
    )
    bars = ProgressBars(err(), [8, 1])
    for event in (JobChanged(job=waiting), JobProgressed(running=running)):
        bars(event)
    everything = [
        status_page(
            status(workers=(evil_worker,), running=(running,), watches=(watch,), next_up=(waiting, waiting)), NOW
        ),
        views.jobs_table([evil_job, failed], NOW),
        *(view for one in (evil_job, failed, waiting) for view in (views.job_line(one), job_page(one, NOW))),
        job_page(degraded, NOW),
        views.settings_table({"prompt": EVIL}, {"prompt": EVIL}),
        bars,
    ]
    for view in everything:
        page = drawn(view, width)
        assert not set(page) & set("\x1b\x07\u202e")
        assert max(map(cell_len, page.splitlines())) <= width


def test_a_priority_is_shown_where_it_is_not_the_usual_one() -> None:
    usual, urgent = (job(status="waiting", note="paused", priority=priority) for priority in ("normal", "now"))
    assert "priority now; paused" in drawn(views.jobs_table([urgent], NOW), 120)
    assert "priority" in drawn(job_page(urgent, NOW), 80)
    assert "priority" not in drawn(views.jobs_table([usual], NOW), 120) + drawn(job_page(usual, NOW), 80)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_names_of_every_script_leave_the_table_straight(width: int) -> None:
    names = [
        "talk.flac",
        "日本語の録音ファイル名はとても長いことがある.flac",
        "🎤🎧🎼 band.wav",
        "שלום עולם 2024.m4a",
        "تسجيل.mp3",
    ]
    table = drawn(views.jobs_table([job(path=f"/a/{name}", timing="word") for name in names], NOW), width)
    rows = table.splitlines()[2:]
    assert len({cell_len(row[: row.index("55 min ago")]) for row in rows if "55 min ago" in row}) == 1
    assert len([row for row in rows if "55 min ago" in row]) == len(names)
    # What follows a name that is read from the right stays where it is, on terminals that turn such names around.
    assert ".m4a\u200e" in table and ".mp3\u200e" in table


@settings(max_examples=50)
@given(st.text(max_size=60), st.integers(3, 40))
def test_a_name_is_cut_in_its_middle_to_what_there_is_room_for(name: str, cells: int) -> None:
    shown = views.cut_in_middle(visible(name), cells)
    assert cell_len(shown) <= cells
    if cell_len(visible(name)) <= cells:
        assert shown == visible(name)
    else:
        assert "…" in shown


def test_the_end_of_a_name_tells_as_much_as_its_beginning() -> None:
    assert views.cut_in_middle("interview with the mayor, part 2.m4a", 24) == "interview with…art 2.m4a"
    assert views.few_of(["a", "b", "c"]) == "a, b, c"
    assert views.few_of(list("abcde"), 2) == "a, b and 3 more"


def test_files_beside_the_recording_are_told_without_the_folder() -> None:
    beside = job(path="/a/talk.flac", outputs={"srt": "/a/talk.srt", "json": "/a/talk.json"}, timing="word")
    assert drawn(views.job_line(beside)).endswith("words timed  → talk.srt, .json")
    elsewhere = beside.model_copy(update={"outputs": {"srt": "/out/talk (2).srt", "json": "/out/talk.json"}})
    assert views.files_written(elsewhere) == "/out/talk (2).srt, /out/talk.json"
    assert str(PurePosixPath("/out")) in drawn(views.job_line(elsewhere), width=200)


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


def test_json_says_the_same_name_without_anything_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    name = "/rec/a\x1b[31m\x7f\x9b31m\u202f\u200d.wav"
    print_json(PassedOverView(path=name, why="is_a_symlink"))
    print_json_array([PassedOverView(path=name, why="is_a_symlink")])
    one, all_of_them = capsys.readouterr().out.splitlines()
    assert json.loads(one)["path"] == json.loads(all_of_them)[0]["path"] == name
    assert not any(unicodedata.category(letter) == "Cc" for letter in one + all_of_them)


def test_files_that_do_not_fit_beside_the_result_stand_on_their_own_line() -> None:
    written = job(outputs={"txt": "/out/where the transcripts go/talk.txt"}, audio_seconds=754.0, timing="word")
    whole = "done talk.flac  12:34, words timed  → /out/where the transcripts go/talk.txt"
    assert views.job_line(written, len(whole)).plain == whole
    first, second = views.job_line(written, len(whole) - 1).plain.splitlines()
    assert first == "done talk.flac  12:34, words timed"
    assert second.strip() == "→ /out/where the transcripts go/talk.txt"
