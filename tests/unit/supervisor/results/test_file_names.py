"""Names of results: what the template says, and always a name that can be written and seen.

Runs in: the test process.
"""

import os
import unicodedata
from dataclasses import replace
from datetime import UTC, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from typer.testing import CliRunner

from client import steno
from client.terminal import exit_codes
from config.field_types import NAME_FIELDS, name_template
from ipc.api_messages import JobOptions
from supervisor.disks.file_identity import FileIdentity
from supervisor.disks.held_folder import ScopedPath
from supervisor.results.file_names import name_of
from supervisor.results.file_plan import plan
from supervisor.store.job import Job

NOON = 1_795_348_800 * 10**9
"""2026-11-22 12:00:00 UTC."""


def job_for(path: str, language: str | None = None, mtime_ns: int = NOON) -> Job:
    identity = FileIdentity(device=1, inode=2, size=3, mtime_ns=mtime_ns)
    return Job(
        id=7,
        path=path,
        options=JobOptions(),
        status="writing",
        identity=identity,
        created_at=0.0,
        language=language,
    )


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{stem}", "a.b"),
        ("{name}", "a.b.m4a"),
        ("{stem}.{language}", "a.b.de"),
        ("{folder} {stem}", "Memos a.b"),
        ("{date} {time} {stem}", "2026-11-22 12.00.00 a.b"),
        ("{{{stem}}}", "{a.b}"),
    ],
)
def test_every_field_stands_for_what_it_says(template: str, name: str) -> None:
    assert name_of(template, job_for("/x/Memos/a.b.m4a", "de"), local=UTC) == name
    assert name_template(template) == template


def test_the_day_is_the_one_where_the_machine_stands() -> None:
    kiritimati = timezone(timedelta(hours=14))
    assert name_of("{date} {stem}", job_for("/x/a.m4a"), local=kiritimati) == "2026-11-23 a"


def test_a_language_that_nobody_heard_is_und() -> None:
    assert name_of("{stem}.{language}", job_for("/x/a.m4a")) == "a.und"


def test_a_moved_recording_keeps_the_name_it_came_with() -> None:
    moved = replace(job_for("/x/failed/a (2).m4a"), taken_from="/x/in/a.m4a")
    assert name_of("{folder} {stem}", moved) == "in a"


@given(
    name=some.text(some.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1).filter(
        lambda name: name not in (".", "..")
    ),
    folder=some.text(some.characters(exclude_characters="/\0", exclude_categories=["Cs"])),
    fields=some.lists(some.sampled_from(NAME_FIELDS), max_size=6),
    attempt=some.sampled_from(["", " (2)", " (9999)"]),
    mtime_ns=some.integers(-(2**63), 2**63),
)
def test_whatever_a_recording_is_called_its_results_have_a_name_that_fits_and_shows(
    name: str, folder: str, fields: list[str], attempt: str, mtime_ns: int
) -> None:
    template = "".join(f"{{{field}}}" for field in [*fields, "stem"])
    chosen = name_of(template, job_for(f"/x/{folder}/{name}", "en", mtime_ns), attempt)
    assert chosen and "/" not in chosen and "Cc" not in map(unicodedata.category, chosen)
    assert chosen.endswith(attempt)
    assert len(f"{chosen}.json".encode()) <= 255


@given(
    stem=some.text(
        some.characters(exclude_characters="/", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40
    ).filter(lambda stem: stem.strip("."))
)
def test_a_player_finds_the_result_by_the_very_name_of_the_recording(stem: str) -> None:
    assert name_of("{stem}", job_for(f"/x/{stem}.mov")) == stem


@pytest.mark.parametrize(
    "stem",
    [
        "Screen Recording 2026-04-24 at 9.15.02\u202fPM",
        "r\u00e9union\u00a0: jour 1",
        "会議\u3000議事録",
        "می\u200cخواهم",
        "👩\u200d👧 family 🇩🇪",
        "\u200fשלום",
        "hyphen\u00adated",
        "e\u0301 and \u1112\u1161\u11ab",
        "\ue000\U000f0000\u0378",
        " before",
        "behind ",
        ".hidden",
        "..",
        "...",
        "semi:colon",
        "two\u2028lines",
        "\ufeffbom",
        "tag \U000e0067",
    ],
)
def test_every_character_that_a_file_system_takes_stays_in_the_results_name(stem: str, tmp_path: Path) -> None:
    recording = tmp_path / f"{stem}.mov"
    recording.write_bytes(b"x")
    planned = plan(job_for(str(recording)), ["srt", "json"], ScopedPath(recording.parent), "suffix", {})
    assert planned == {"srt": tmp_path / f"{stem}.srt", "json": tmp_path / f"{stem}.json"}
    for path in planned.values():
        path.write_bytes(b"y")
    assert {path.name for path in tmp_path.iterdir()} == {f"{stem}.{ending}" for ending in ("mov", "srt", "json")}


def test_a_recording_that_is_called_by_dots_alone_has_its_results_beside_it_and_nowhere_else(tmp_path: Path) -> None:
    for stem in (".", "..", "..."):
        planned = plan(job_for(f"{tmp_path}/{stem}.wav"), ["srt"], ScopedPath(tmp_path), "suffix", {})
        assert planned is not None
        (path,) = planned.values()
        assert os.path.split(path) == (str(tmp_path), f"{stem}.srt")


def test_only_what_a_terminal_obeys_or_a_path_ends_at_is_replaced() -> None:
    assert name_of("{stem}", job_for("/x/a\x1b[31m\r\n\t\x7f\x9bb.wav")) == "a_[31m_____b"
    assert name_of("{folder}: {stem}", job_for("/x/.in/a.wav")) == ".in: a"


def test_a_name_that_is_not_utf8_keeps_its_bytes() -> None:
    recording = os.fsdecode(b"/x/caf\xe9.wav")
    assert os.fsencode(name_of("{stem}", job_for(recording))) == b"caf\xe9"
    long = os.fsdecode(b"/x/" + b"\xe9" * 300 + b".wav")
    assert os.fsencode(name_of("{stem}", job_for(long))).startswith(b"\xe9" * 200)
    assert len(os.fsencode(name_of("{stem}", job_for(long)))) <= 250


@pytest.mark.parametrize("cluster", ["é", "👩\u200d👧\u200d👦", "e\u0301\u0323", "한", "กำ", "🇩🇪", "เก"])
def test_a_name_that_is_too_long_is_cut_between_characters_as_readers_see_them(cluster: str) -> None:
    for shift in range(len(cluster.encode())):
        chosen = name_of("{stem}", job_for(f"/x/{'a' * shift}{cluster * 250}.wav"))
        kept, mark = chosen[:-9], chosen[-9:]
        assert kept[shift:] == cluster * (len(kept[shift:]) // len(cluster))
        assert mark.startswith("~") and 250 - len(cluster.encode()) - 6 < len(f"{chosen}.json".encode()) <= 255


def test_two_long_names_that_begin_alike_stay_two() -> None:
    one, other = (name_of("{stem}", job_for(f"/x/{'ü' * 125}{end}.wav")) for end in "ab")
    assert one != other


@pytest.mark.parametrize(
    "template", ["", "{date}", "notes", "{stem", "{stem!r}", "{stem:9}", "{0}", "{stem}/x", "{x}{stem}"]
)
def test_a_template_that_names_no_file_is_refused_in_words(template: str) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        name_template(template)


def test_a_template_is_checked_before_anything_is_handed_over() -> None:
    refused = CliRunner().invoke(steno.app, ["submit", "--name", "{nonsense}", "talk.m4a"])
    assert refused.exit_code == exit_codes.USAGE
    assert "--name" in refused.output and "allowed in braces are stem" in refused.output
