"""The daemon's lock: one holder, named to the others, gone with the holder.

Runs in: the test process, and a child that holds the lock.
"""

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from eventually import eventually

from supervisor.system.single_instance import AlreadyRunning, DaemonLock, LockRefused

ROOT = Path(__file__).parents[4]
HOLDER = """
import sys, pathlib
from supervisor.system.single_instance import DaemonLock
lock = DaemonLock.acquire(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_daemon_is_refused_with_the_pid_of_the_first_and_let_in_after_it(tmp_path: Path) -> None:
    place = tmp_path / "state" / "daemon.lock"
    with DaemonLock.acquire(place):
        with pytest.raises(AlreadyRunning, match=str(os.getpid())) as refused:
            DaemonLock.acquire(place)
        assert refused.value.pid == os.getpid()
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
    DaemonLock.acquire(place).release()


def test_a_killed_daemon_leaves_no_stale_lock(tmp_path: Path) -> None:
    place = tmp_path / "daemon.lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert holder.stdin is not None and holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(AlreadyRunning) as refused:
            DaemonLock.acquire(place)
        assert refused.value.pid == holder.pid
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdin.close()
        holder.stdout.close()
    DaemonLock.acquire(place).release()


@pytest.mark.parametrize("call", ["ftruncate", "pwrite"])
def test_a_disk_without_room_for_its_number_keeps_no_daemon_from_holding_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    place = tmp_path / "daemon.lock"
    monkeypatch.setattr(os, call, full)
    with DaemonLock.acquire(place):
        with pytest.raises(AlreadyRunning, match=r"a daemon is already running$") as refused:
            DaemonLock.acquire(place)
        assert refused.value.pid is None


@pytest.mark.parametrize("number", ["gone", "no process has it"])
def test_the_number_of_the_daemon_before_is_not_told_as_that_of_the_holder(tmp_path: Path, number: str) -> None:
    """Between its lock and its number, what a holder's file says is somebody else's."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    place = tmp_path / "daemon.lock"
    with DaemonLock.acquire(place):
        place.write_text(f"{gone.pid if number == 'gone' else 10**18}\n")
        with pytest.raises(AlreadyRunning) as refused:
            DaemonLock.acquire(place)
        assert refused.value.pid is None


def _can_be_locked(place: Path) -> bool:
    try:
        DaemonLock.acquire(place).release()
    except AlreadyRunning:
        return False
    return True


def test_children_do_not_keep_the_lock(tmp_path: Path) -> None:
    place = tmp_path / "daemon.lock"
    lock = DaemonLock.acquire(place)
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, close_fds=False
    )
    assert child.stdin is not None
    try:
        lock.release()
        # The kernel lets a parent go on a moment before the child's close-on-exec descriptors are closed.
        eventually(lambda: _can_be_locked(place), 2)
    finally:
        child.stdin.close()
        child.wait()


def test_a_lock_file_somebody_removed_does_not_let_two_daemons_in(tmp_path: Path) -> None:
    place = tmp_path / "daemon.lock"
    first = DaemonLock.acquire(place)
    place.unlink()
    # The old file's lock guards nothing any more; the new one does, for everybody who comes later.
    with DaemonLock.acquire(place), pytest.raises(AlreadyRunning):
        DaemonLock.acquire(place)
    first.release()
    first.release()


def test_a_symlink_or_a_folder_in_the_locks_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "folder").mkdir()
    for name in ("link", "folder"):
        with pytest.raises(LockRefused, match=name):
            DaemonLock.acquire(tmp_path / name)
    assert not (tmp_path / "elsewhere").exists()
