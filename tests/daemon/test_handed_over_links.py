"""Recordings that are handed over by links: followed once, and the target's identity kept.

Runs in: the test process.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_under_test import DaemonUnderTest, a_daemon
from recordings import tone, wav


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonUnderTest]:
    with a_daemon() as running:
        yield running


@pytest.fixture
def annex(daemon: DaemonUnderTest, request: pytest.FixtureRequest) -> Path:
    """As git-annex keeps large files: under names of their own, with links where people look."""
    place = daemon.home / str(request.node.name)[:40]
    (place / "objects").mkdir(parents=True)
    wav(place / "objects" / "SHA256E-aa.wav", tone(2.0))
    wav(place / "objects" / "SHA256E-bb.wav", tone(4.0, hertz=880.0))
    (place / "talks").mkdir()
    (place / "talks" / "monday.wav").symlink_to("../objects/SHA256E-aa.wav")
    return place


def seconds_of(job: dict[str, object]) -> float:
    outputs = job["outputs"]
    assert isinstance(outputs, dict)
    return float(json.loads(Path(outputs["json"]).read_text())["duration"])


def test_a_link_is_followed_and_its_results_lie_beside_it_under_its_name(
    daemon: DaemonUnderTest, annex: Path
) -> None:
    job = daemon.finished(daemon.submit(annex / "talks" / "monday.wav"))
    assert (job["status"], job["path"]) == ("done", str(annex / "talks" / "monday.wav"))
    assert set(job["outputs"].values()) == {str(annex / "talks" / f"monday.{end}") for end in ("json", "srt")}
    assert seconds_of(job) == pytest.approx(2.0, abs=0.1)
    assert len(list((annex / "objects").iterdir())) == 2


def test_a_link_that_leads_elsewhere_later_changes_nothing_about_what_was_handed_over(
    daemon: DaemonUnderTest, annex: Path
) -> None:
    link = annex / "talks" / "monday.wav"
    daemon.post("/v1/queue/pause")
    job_id = daemon.submit(link)
    link.unlink()
    link.symlink_to("../objects/SHA256E-bb.wav")
    daemon.post("/v1/queue/resume")
    job = daemon.finished(job_id)
    assert job["status"] == "done" and seconds_of(job) == pytest.approx(2.0, abs=0.1)


def test_a_folder_on_the_path_that_becomes_a_link_later_leads_nobody_astray(
    daemon: DaemonUnderTest, annex: Path
) -> None:
    wav(annex / "talks" / "tuesday.wav", tone(2.0))
    private = annex / "private"
    private.mkdir()
    wav(private / "tuesday.wav", tone(4.0, hertz=880.0))
    daemon.post("/v1/queue/pause")
    job_id = daemon.submit(annex / "talks" / "tuesday.wav")
    (annex / "talks").rename(annex / "before")
    (annex / "talks").symlink_to(private)
    daemon.post("/v1/queue/resume")
    job = daemon.finished(job_id)
    assert job["status"] == "failed" and job["error"]["code"] == "is_a_symlink"
    assert [path.name for path in private.iterdir()] == ["tuesday.wav"]


def test_results_lie_in_the_folder_that_a_link_on_the_path_led_to(daemon: DaemonUnderTest, annex: Path) -> None:
    wav(annex / "talks" / "wednesday.wav", tone(2.0))
    (annex / "this week").symlink_to("talks")
    daemon.post("/v1/queue/pause")
    job_id = daemon.submit(annex / "this week" / "wednesday.wav")
    (annex / "this week").unlink()
    (annex / "this week").symlink_to("objects")
    daemon.post("/v1/queue/resume")
    job = daemon.finished(job_id)
    assert job["status"] == "done"
    assert {Path(output).parent for output in job["outputs"].values()} == {annex / "talks"}
