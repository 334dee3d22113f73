"""What could not be read of a recording is said wherever its job is told: never silence.

Runs in: the test process.
"""

import json
from datetime import UTC
from pathlib import Path

import pytest
from drawn_views import NOW, drawn, job

from client.views.job import ending, job_page
from client.views.tables import job_line, jobs_table
from ipc.api_messages import JobView
from ipc.transcript import RecordingFacts
from supervisor.followups.hook_command import hook_call, notification
from workers.pcm.pcm_file import keep_facts, kept_facts

WARNING = "only 12.6 s of 62.4 s could be read"
FACTS = {"read_seconds": 12.6, "claimed_seconds": 62.4, "damage": [{"code": "cut_off", "message": WARNING}]}
CUT_OFF = job(timing="word", audio_seconds=12.6, warnings=(WARNING,), recording=FACTS)
WHOLE = job(timing="word", audio_seconds=62.4)


@pytest.mark.parametrize("width", [80, 120])
def test_the_story_of_a_job_names_what_was_not_read(width: int) -> None:
    page = drawn(job_page(CUT_OFF, NOW, UTC), width)
    assert WARNING in page
    assert "warning" in page and "see the warning" in ending(CUT_OFF)
    assert "warning" not in drawn(job_page(WHOLE, NOW, UTC), width) + ending(WHOLE)


def test_the_table_of_jobs_marks_what_was_not_read() -> None:
    assert WARNING in " ".join(drawn(jobs_table([CUT_OFF], NOW), 160).split())
    assert "but" not in drawn(jobs_table([WHOLE], NOW), 160)


def test_the_line_that_submit_and_wait_end_with_says_it() -> None:
    assert WARNING in job_line(CUT_OFF).plain and job_line(CUT_OFF).plain.startswith("done")
    assert "but" not in job_line(WHOLE).plain


def test_a_job_that_lacks_words_as_well_says_both() -> None:
    both = CUT_OFF.model_copy(update={"timing": "segment", "degraded_reason": "aligner_crashed"})
    assert "the aligner crashed" in job_line(both).plain and WARNING in job_line(both).plain


def test_a_warning_cannot_take_over_the_terminal() -> None:
    assert "\x1b" not in job_line(CUT_OFF.model_copy(update={"warnings": ("\x1b[2J",)})).plain


def test_a_hook_and_a_notification_are_told() -> None:
    call = hook_call(
        ("tell",),
        "done",
        CUT_OFF,
        platform="linux",
        surroundings={},
        own_folder="/bin",
        expand=lambda name: name,
    )
    told = json.loads(call.says)["job"]
    assert told["warnings"] == [WARNING] and told["recording"]["damage"][0]["code"] == "cut_off"
    assert any(WARNING in word for word in notification("done", CUT_OFF, "linux"))


def test_the_json_of_a_job_round_trips_with_its_facts() -> None:
    assert JobView.model_validate_json(CUT_OFF.model_dump_json()) == CUT_OFF


def test_what_was_read_is_known_again_after_a_death_between_the_pcm_and_the_reply(tmp_path: Path) -> None:
    pcm_path, facts = tmp_path / "audio.s16", RecordingFacts.model_validate(FACTS)
    assert kept_facts(pcm_path) is None
    keep_facts(pcm_path, facts)
    assert kept_facts(pcm_path) == facts
    (tmp_path / "audio.s16.facts.json").write_text("{")
    assert kept_facts(pcm_path) is None, "half of it is as good as nothing"
