"""`steno logs`: the daemon's account as a person reads it, through rotations, for one job.

Runs in: the test process.
"""

import json
from collections.abc import Generator
from datetime import UTC, timedelta, timezone
from pathlib import Path
from typing import cast

import pytest
from typer.testing import CliRunner

from client import steno
from client.machine.log_file import JOB_FIELDS, LogLines
from client.machine.log_lines import LEVELS, day_of, line_in_words
from config.places import find_places

AT = "2026-01-02T23:04:05.123456Z"


def written(event: str, **facts: object) -> str:
    return json.dumps({**facts, "event": event, "level": "info", "timestamp": AT}) + "\n"


def events(lines: list[str]) -> list[str]:
    return [str(json.loads(line)["event"]) for line in lines]


def test_a_line_reads_like_a_sentence_and_anything_else_stays_as_it_is() -> None:
    facts = {"why": "no model", "seconds": 0.1 + 0.2, "signal": None, "role": "aligner"}
    line = json.dumps({**facts, "event": "worker_died", "level": "warning", "timestamp": AT})
    assert line_in_words(line, UTC).plain == '23:04:05 warning worker died  role=aligner why="no model" seconds=0.3'
    assert day_of(line, UTC) == "Friday, 2 January 2026"
    east = timezone(timedelta(hours=2))
    assert line_in_words(line, east).plain.startswith("01:04:05")
    assert day_of(line, east) == "Saturday, 3 January 2026"
    for other in ("Fatal Python error: Segmentation fault", "[1]", '{"level": "info"}', ""):
        assert line_in_words(other).plain == other
        assert day_of(other) == ""


@pytest.mark.parametrize("level", LEVELS)
def test_the_level_has_its_colour(level: str) -> None:
    text = line_in_words(json.dumps({"event": "e", "level": level, "timestamp": "?"}))
    assert LEVELS[level] in [span.style for span in text.spans]


def test_a_traceback_stands_below_its_line() -> None:
    line = json.dumps({"event": "job_hit_a_bug", "level": "error", "job": 3, "exception": "Traceback\n  boom"})
    assert line_in_words(line).plain == "         error   job hit a bug  job=3\nTraceback\n  boom"


def test_the_last_lines_are_found_in_whatever_file_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "stenod.log"
    (tmp_path / "stenod.log.10").write_text(written("a", job=7))
    (tmp_path / "stenod.log.2").write_text(written("b", job=7) + written("c", job=8) + written("d", job_id=7))
    (tmp_path / "stenod.log.1").write_text(written("e", jobs=7) + written("f", seconds=7))
    (tmp_path / "stenod.log.old").write_text(written("never", job=7))
    file.write_text(written("g", during_job=7) + written("h", job=70) + '{"event": "half", "job": 7')
    assert events(LogLines(file).last(4)) == ["e", "f", "g", "h"]
    assert events(LogLines(file).last(100)) == list("abcdefgh")
    assert events(LogLines(file).last(0)) == []
    assert events(LogLines(file, job_id=7).last(100)) == ["a", "b", "d", "g"]
    assert events(LogLines(file, job_id=7).last(2)) == ["d", "g"]
    with pytest.raises(FileNotFoundError):
        LogLines(tmp_path / "nothing.log").last(1)


def test_every_field_that_names_a_job_in_the_supervisors_log_is_known() -> None:
    rooms = Path(__file__).parents[4]
    code = "".join(file.read_text() for room in ("supervisor", "workers") for file in (rooms / room).glob("*.py"))
    said = {field for field in ("job", "job_id", "during_job") if f"{field}=" in code}
    assert said <= set(JOB_FIELDS)


def test_the_log_is_followed_through_half_lines_and_two_rotations_without_losing_any(tmp_path: Path) -> None:
    file = tmp_path / "stenod.log"
    file.write_text(written("a", job=7) + '{"ev')
    story = LogLines(file, job_id=7)
    assert events(story.last(10)) == ["a"]
    coming = cast(Generator[str, None, None], story.follow())
    with file.open("a") as log:
        log.write('ent": "b", "job": 7}\n')
    assert events([next(coming)]) == ["b"]
    with file.open("a") as log:
        log.write(written("written just before the turn", job=7))
    file.rename(tmp_path / "stenod.log.1")
    file.write_text(written("c", job=8) + written("d", job=7))
    assert events([next(coming), next(coming)]) == ["written just before the turn", "d"]
    file.write_text("")
    with file.open("a") as log:
        log.write(written("after it was emptied", job=7))
    assert events([next(coming)]) == ["after it was emptied"]
    coming.close()


def test_the_verb_shows_days_and_escapes_what_a_terminal_would_obey(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STENO_HOME", str(tmp_path))
    file = find_places().log_file
    file.parent.mkdir()
    file.write_text(written("file_taken", path="/a\x1b[2J\n.wav", job=3) + "Fatal \x1b[31merror\n")
    result = CliRunner().invoke(steno.app, ["logs", "--job", "3"])
    assert result.exit_code == 0
    assert "2026 —\n" in result.output
    assert result.output.endswith('file taken  job=3 path="/a\\u001b[2J\\n.wav"\n')
    everything = CliRunner().invoke(steno.app, ["logs"]).output
    assert "Fatal \\x1b[31merror" in everything
    raw = CliRunner().invoke(steno.app, ["logs", "--json", "-n", "2"]).output.splitlines()
    assert json.loads(raw[0])["path"] == "/a\x1b[2J\n.wav"
