"""Where the socket may be, and who is at its other end: real files, real sockets.

Runs in: the test process.
"""

import contextlib
import os
import socket
import stat
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.api import unix_socket as api_socket
from supervisor.api.unix_socket import SocketRefused, bind


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="steno-", dir="/tmp") as name:
        yield Path(name) / "run"


def test_the_kernels_word_on_the_peer_is_read_strictly() -> None:
    xucred = struct.pack("@IIh16I", 0, 501, 2, 20, 12, *[0] * 14)
    assert len(xucred) == 76  # sizeof(struct xucred) on macOS
    assert api_socket.uid_of_xucred(xucred) == 501
    assert api_socket.uid_of_ucred(struct.pack("@iII", 4711, 1000, 1000)) == 1000
    for wrong in (b"", xucred[:-1], xucred + b"\0", struct.pack("@I", 1) + xucred[4:]):
        with pytest.raises(ValueError, match="xucred"):
            api_socket.uid_of_xucred(wrong)
    with pytest.raises(ValueError, match="ucred"):
        api_socket.uid_of_ucred(b"")


@pytest.mark.parametrize("answer", [OSError("gone"), b"", b"\xff" * 12])
def test_an_unclear_peer_does_not_enter(answer: OSError | bytes) -> None:
    class Connection:
        def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
            if isinstance(answer, OSError):
                raise answer
            return answer

    assert not api_socket.peer_may_enter(Connection())


# --- the socket's place --------------------------------------------------------------------------------------------


def test_the_socket_is_private_from_birth_and_the_mask_is_put_back(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    mask = os.umask(0o022)
    try:
        with contextlib.closing(bind(folder / "s")):
            assert stat.S_IMODE((folder / "s").stat().st_mode) == 0o600
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(mask)


def test_a_dead_daemons_socket_is_replaced_and_a_living_ones_is_not(folder: Path) -> None:
    path = folder / "s"
    bind(path).close()
    assert path.exists()
    with contextlib.closing(bind(path)):
        with pytest.raises(SocketRefused, match="already running"):
            bind(path)
        assert path.exists()


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses there, as where no process listens any more")
def test_a_living_daemon_with_a_full_backlog_is_not_taken_for_dead(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as busy, contextlib.ExitStack() as crowd:
        busy.bind(str(folder / "s"))
        busy.listen(0)
        for _ in range(3):
            waiting = crowd.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(str(folder / "s"))
        with pytest.raises(SocketRefused, match="already running"):
            bind(folder / "s")


def test_what_is_not_a_stale_socket_is_never_removed(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "file").write_text("mine")
    (folder / "link").symlink_to(folder / "file")
    for name in ("file", "link"):
        with pytest.raises(SocketRefused, match="in the way"):
            bind(folder / name)
    assert (folder / "file").read_text() == "mine"


def test_a_folder_that_is_a_link_a_file_or_somebody_elses_is_refused(folder: Path, tmp_path: Path) -> None:
    folder.symlink_to(tmp_path)
    with pytest.raises(SocketRefused, match="cannot be used"):
        bind(folder / "s")
    (folder.parent / "file").touch()
    with pytest.raises(SocketRefused, match="cannot be used"):
        bind(folder.parent / "file" / "s")
    if os.geteuid() == 0:
        (folder.parent / "theirs").mkdir()
        os.chown(folder.parent / "theirs", 54321, 54321)
        with pytest.raises(SocketRefused, match="belongs to user 54321"):
            bind(folder.parent / "theirs" / "s")


def test_a_path_too_long_for_a_mac_is_refused_everywhere_before_anything_is_made(folder: Path) -> None:
    path = folder / ("é" * 50)
    with pytest.raises(SocketRefused, match="103 is the most") as refusal:
        bind(path)
    assert "STENO_HOME" in refusal.value.hint
    assert not folder.exists()
