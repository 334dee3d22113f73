"""A disk that fails under the queue's log: the daemon distrusts it, begins again in its own process, and goes on.

Runs in: the test process.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from daemon_under_test import MEMO, DaemonUnderTest, a_daemon
from eventually import eventually


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """As long as it is there, the disk fails."""
    return tmp_path / "broken"


@pytest.fixture
def daemon(broken: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DaemonUnderTest]:
    command = [sys.executable, "-P", "-m", "failing_disk"]
    whole = DaemonUnderTest.launch

    def launch(self: DaemonUnderTest) -> None:
        self.command = command
        whole(self)

    monkeypatch.setattr(DaemonUnderTest, "launch", launch)
    with a_daemon(FAILING_DISK=str(broken)) as daemon:
        yield daemon


def events(daemon: DaemonUnderTest, name: str) -> list[dict[str, Any]]:
    lines = (daemon.home / "logs" / "stenod.log").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == name]


def status_of_a_submit(daemon: DaemonUnderTest) -> int | None:
    try:
        return daemon.post("/v1/jobs", {"path": str(daemon.own(MEMO))}).status_code
    except httpx.TransportError:
        return None


def test_after_a_failed_sync_the_daemon_refuses_work_until_it_began_anew_and_then_takes_it_by_itself(
    daemon: DaemonUnderTest, broken: Path
) -> None:
    before = daemon.submit(daemon.own(MEMO))
    daemon.finished(before)
    pid, workers = daemon.pid, daemon.children()
    broken.touch()
    assert status_of_a_submit(daemon) == 507
    broken.unlink()
    eventually(lambda: status_of_a_submit(daemon) == 201, 30, "work is taken again")
    assert daemon.job(before)["status"] == "done"
    eventually(lambda: all(job["status"] == "done" for job in daemon.get("/v1/jobs")), 30, "all is done")
    assert [event["begins_anew_in_seconds"] for event in events(daemon, "disk_distrusted")] == [1]
    assert daemon.pid == pid
    assert daemon.process is not None and daemon.process.poll() is None
    left = {child.pid for child in workers} & {child.pid for child in daemon.children()}
    assert not left, "the old workers have ended and were reaped"
    assert all(child.status() != psutil.STATUS_ZOMBIE for child in daemon.children())


def test_on_a_disk_that_stays_dead_the_pauses_grow_and_the_queue_is_whole_when_it_is_mended(
    daemon: DaemonUnderTest, broken: Path
) -> None:
    kept = daemon.submit(daemon.own(MEMO))
    daemon.finished(kept)
    broken.touch()
    assert status_of_a_submit(daemon) == 507
    eventually(lambda: len(events(daemon, "queue_not_opened")) >= 2, 30, "it tried twice more")
    assert [event["begins_anew_in_seconds"] for event in events(daemon, "queue_not_opened")][:2] == [2, 4]
    assert daemon.process is not None and daemon.process.poll() is None
    broken.unlink()
    eventually(lambda: status_of_a_submit(daemon) == 201, 30, "work is taken again")
    assert daemon.job(kept)["status"] == "done"


def test_a_stop_that_is_asked_for_while_the_disk_is_distrusted_is_a_stop(
    daemon: DaemonUnderTest, broken: Path
) -> None:
    broken.touch()
    assert status_of_a_submit(daemon) == 507
    assert daemon.stop() == 0
    assert events(daemon, "daemon_stopped")
