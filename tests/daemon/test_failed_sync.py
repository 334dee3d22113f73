"""A disk that fails under the queue's log: the daemon refuses that work, loses none, and takes work again by itself.

Runs in: the test process. strace makes SQLite's syncs fail.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from chaos.disks.failing_calls import tracer_of
from daemon_under_test import MEMO, DaemonUnderTest, a_daemon
from eventually import eventually

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace makes the syncs fail")
SYNCS = "fdatasync,fsync"


@contextmanager
def syncs_fail(daemon: DaemonUnderTest, listing: Path) -> Iterator[None]:
    """Every sync of the daemon fails within the block."""
    inject = ("-e", f"trace={SYNCS}", "-e", f"inject={SYNCS}:error=EIO")
    tracer = subprocess.Popen(["strace", "-f", "-qqq", *inject, "-o", str(listing), "-p", str(daemon.pid)])
    try:
        eventually(lambda: tracer_of(daemon.pid), 20, "strace is attached")
        yield
    finally:
        tracer.terminate()
        tracer.wait(20)


def worker_pids(daemon: DaemonUnderTest) -> list[int]:
    return [worker["pid"] for worker in daemon.get("/v1/status")["workers"]]


def test_work_that_cannot_be_synced_is_refused_and_taken_once_the_disk_is_well(tmp_path: Path) -> None:
    with a_daemon() as daemon:
        before = daemon.submit(daemon.own(MEMO))
        daemon.finished(before)
        pid, workers = daemon.pid, worker_pids(daemon)
        with syncs_fail(daemon, tmp_path / "calls"):
            answer = daemon.post("/v1/jobs", {"path": str(daemon.own(MEMO))})
            assert answer.status_code == 507, answer.text
            assert "INJECTED" in (tmp_path / "calls").read_text()
            assert daemon.job(before)["status"] == "done", "questions are answered meanwhile"
        taken = daemon.submit(daemon.own(MEMO))
        daemon.finished(taken)
        assert {job["id"]: job["status"] for job in daemon.get("/v1/jobs")} == {before: "done", taken: "done"}
        assert daemon.pid == pid
        assert workers == worker_pids(daemon), "no worker pays for a disk"
        daemon.kill()
        daemon.start()
        assert {job["id"] for job in daemon.get("/v1/jobs")} == {before, taken}


def test_a_stop_while_no_sync_succeeds_is_a_stop(tmp_path: Path) -> None:
    with a_daemon() as daemon, syncs_fail(daemon, tmp_path / "calls"):
        assert daemon.post("/v1/jobs", {"path": str(daemon.own(MEMO))}).status_code == 507
        assert daemon.stop() == 0
