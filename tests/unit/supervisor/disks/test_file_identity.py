"""Which files are taken, and how each refusal is told.

Runs in: the test process.
"""

import errno
import hashlib
import os
import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.disks import file_identity, held_folder
from supervisor.disks.file_identity import FileRefused, follow, look_at, read_identity


def test_a_recording_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "-a\nb ü.mp3"
    path.write_bytes(b"sound" * 1000)
    quick, whole = look_at(path), read_identity(path)
    assert quick.sha256 is None
    assert whole.sha256 == hashlib.sha256(b"sound" * 1000).hexdigest()
    assert (whole.size, whole.inode, whole.mtime_ns) == (5000, path.stat().st_ino, path.stat().st_mtime_ns)
    assert (quick.device, quick.inode, quick.size) == (whole.device, whole.inode, whole.size)


def test_a_large_file_is_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.wav"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    tracemalloc.start()
    read_identity(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 2_000_000


def symlink(path: Path) -> None:
    target = path.with_name("target")
    target.write_bytes(b"x")
    path.symlink_to(target)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


REFUSALS: list[tuple[str, Callable[[Path], Any]]] = [
    ("not_found", lambda path: None),
    ("is_a_symlink", symlink),
    ("is_a_symlink", lambda path: path.symlink_to("/nowhere")),
    ("is_a_directory", Path.mkdir),
    ("not_a_regular_file", os.mkfifo),
    ("not_a_regular_file", unix_socket),
    ("empty_file", Path.touch),
]


@pytest.mark.parametrize(("code", "make"), REFUSALS)
@pytest.mark.parametrize("look", [look_at, read_identity])
def test_what_is_no_recording_is_refused_at_once(
    tmp_path: Path, look: Callable[[Path], object], code: str, make: Callable[[Path], Any]
) -> None:
    path = tmp_path / "a.mp3"
    make(path)
    with pytest.raises(FileRefused) as refused:
        look(path)
    assert refused.value.code == code
    assert str(path) in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (Path("a.mp3"), "bad_name"),
        (Path("/x/\0.mp3"), "bad_name"),
        (Path("/x/\udcff.mp3"), "bad_name"),
        (Path("/dev/null"), "not_a_regular_file"),
        (Path("/etc/passwd/a.mp3"), "not_found"),
    ],
)
def test_names_that_cannot_be_kept_are_refused(path: Path, code: str) -> None:
    with pytest.raises(FileRefused) as refused:
        look_at(path)
    assert refused.value.code == code
    refused.value.message.encode()


def test_a_name_too_long_for_the_file_system_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused) as refused:
        look_at(tmp_path / ("n" * 300))
    assert refused.value.code == "bad_name"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(FileRefused) as refused:
        look_at(path)
    assert refused.value.code == "not_readable"


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda path: path.write_bytes(b"y" * 2000),
        lambda path: os.utime(path, ns=(1, 1)),
        lambda path: (path.with_name("new").write_bytes(b"x" * 1000), path.with_name("new").replace(path)),
    ],
)
def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[Path], object]
) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"x" * 1000)
    real = file_identity._sha256

    def read_slowly(*arguments: Any) -> str:
        answer = real(*arguments)
        meanwhile(path)
        return answer

    monkeypatch.setattr(file_identity, "_sha256", read_slowly)
    with pytest.raises(FileRefused) as refused:
        read_identity(path)
    assert refused.value.code == "changed_while_read"


@pytest.mark.parametrize(
    ("mode", "others_may_write", "is_refused"),
    [
        (0o600, True, True),
        (0o600, False, False),
        (0o644, True, False),
    ],
)
@pytest.mark.parametrize("look", [look_at, read_identity])
def test_a_private_file_with_a_second_name_in_a_shared_folder_is_not_read_to_others(
    tmp_path: Path, look: Callable[..., object], mode: int, others_may_write: bool, is_refused: bool
) -> None:
    inbox, private = tmp_path / "inbox", tmp_path / "private.wav"
    inbox.mkdir()
    inbox.chmod(0o777 if others_may_write else 0o755)
    private.write_bytes(b"sound")
    private.chmod(mode)
    os.link(private, inbox / "a.wav")
    if is_refused:
        with pytest.raises(FileRefused) as refused:
            look(inbox / "a.wav", inbox)
        assert refused.value.code == "linked_elsewhere"
    else:
        look(inbox / "a.wav", inbox)
    look(private)


def test_a_link_that_becomes_a_file_while_it_is_followed_is_refused_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = tmp_path / "a.wav"
    symlink(recording)
    read = os.readlink

    def exchanged(name: str, *, dir_fd: int | None = None) -> str:
        recording.unlink()
        recording.write_bytes(b"a file of its own")
        return read(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "readlink", exchanged)
    with pytest.raises(FileRefused) as refused:
        follow(recording)
    assert (refused.value.code, refused.value.hint) == ("is_a_symlink", "hand it over again")


@pytest.mark.parametrize("kernel_walks", [True, False])
@pytest.mark.parametrize("look", [look_at, read_identity])
def test_below_a_watched_folder_no_folder_may_be_a_link_and_above_it_any_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: Callable[..., object], kernel_walks: bool
) -> None:
    def cannot(*_: object) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    if not kernel_walks:
        monkeypatch.setattr(held_folder, "open_beneath", cannot)
    private, real = tmp_path / "private", tmp_path / "real"
    for folder in (private, real / "deep" / "er"):
        folder.mkdir(parents=True)
        (folder / "a.wav").write_bytes(b"sound")
    inbox = tmp_path / "inbox"
    inbox.symlink_to(real)
    look(inbox / "deep" / "er" / "a.wav", inbox)
    (real / "deep" / "er").rename(real / "before")
    (real / "deep" / "er").symlink_to(private)
    for path in (inbox / "deep" / "er" / "a.wav", inbox / "deep" / ".." / ".." / "private" / "a.wav"):
        with pytest.raises(FileRefused) as refused:
            look(path, inbox)
        assert refused.value.code == "is_a_symlink"
    look(inbox / "deep" / "er" / "a.wav")


def test_what_a_path_led_to_when_it_was_handed_over_is_kept(tmp_path: Path) -> None:
    (tmp_path / "annex").mkdir()
    (tmp_path / "annex" / "SHA256E-aa.wav").write_bytes(b"sound")
    (tmp_path / "talks").mkdir()
    (tmp_path / "talks" / "a.wav").symlink_to("../annex/SHA256E-aa.wav")
    (tmp_path / "by").symlink_to("talks")
    found = follow(tmp_path / "by" / "a.wav")
    assert (found.target, found.home) == (str(tmp_path / "annex" / "SHA256E-aa.wav"), str(tmp_path / "talks"))
    assert found.identity == look_at(tmp_path / "annex" / "SHA256E-aa.wav")
