"""Names of results: what the template says, and always a name that can be written and seen.

Runs in: the test process.
"""

from dataclasses import replace
from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as some
from typer.testing import CliRunner

from client import exit_codes, steno
from config.section import NAME_FIELDS, name_template
from ipc.api_messages import JobOptions
from supervisor.job import FileIdentity, Job
from supervisor.result_names import name_of

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
    assert chosen and not chosen.startswith(".") and "/" not in chosen
    assert chosen.isprintable() and chosen.endswith(attempt)
    assert len(f"{chosen}.json".encode()) <= 255


@pytest.mark.parametrize(
    "template", ["", "{date}", "notes", "{stem", "{stem!r}", "{stem:9}", "{0}", "{stem}/x", "{x}{stem}"]
)
def test_a_template_that_names_no_file_is_refused_in_words(template: str) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        name_template(template)


def test_a_template_is_checked_before_anything_is_handed_over() -> None:
    refused = CliRunner().invoke(steno.app, ["submit", "--name", "{nonsense}", "talk.m4a"])
    assert refused.exit_code == exit_codes.USAGE
    assert "--name" in refused.output and "allowed in braces is stem" in refused.output
