"""A daemon whose descriptors a crowd of clients has used up: it keeps its head, and goes on once they leave.

Runs in: the test process.
"""

import contextlib
import os
import resource
import socket
import sys
from pathlib import Path

import psutil
import pytest
from daemon_under_test import MEMO, DaemonUnderTest, a_daemon
from eventually import eventually

from supervisor.api import unix_socket as patient_listener

FEW = 40
CROWD = 60
COMPLAINTS_ALLOWED = 40
"""One a second, and some time."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="another process's limits cannot be set there")


def complaints(daemon: DaemonUnderTest) -> int:
    return daemon.log.read_text().count("out of system resource")


def test_a_crowd_that_takes_all_descriptors_neither_floods_the_log_nor_keeps_the_daemon_from_going_on() -> None:
    with a_daemon() as daemon:
        daemon.wait_for_worker("aligner", lambda worker: worker["state"] == "ready")
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (FEW, FEW))
        with contextlib.ExitStack() as crowd:
            for _ in range(CROWD):
                client = crowd.enter_context(socket.socket(socket.AF_UNIX))
                client.connect(str(daemon.socket))
            eventually(lambda: psutil.Process(daemon.pid).num_fds() == FEW, 10, "no descriptor is left")
            eventually(lambda: complaints(daemon), 10, "the daemon says what it lacks")
        eventually(daemon.answers, 20, "it answers again")
        assert daemon.finished(daemon.submit(daemon.own(MEMO)))["status"] == "done"
        assert complaints(daemon) < COMPLAINTS_ALLOWED


def test_a_listener_without_descriptors_says_so_once_and_then_that_nobody_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with patient_listener.PatientListener(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        monkeypatch.chdir(tmp_path)
        listener.bind("s")
        listener.listen()
        client.connect("s")
        os.close(next_one := os.dup(client.fileno()))
        resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, hard))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                listener.accept()
            with pytest.raises(BlockingIOError):
                listener.accept()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        monkeypatch.setattr(patient_listener, "PATIENCE_SECONDS", 0.0)
        eventually(lambda: _accepts(listener), 5, "it takes them again")


def _accepts(listener: socket.socket) -> bool:
    with contextlib.suppress(BlockingIOError):
        listener.accept()[0].close()
        return True
    return False
