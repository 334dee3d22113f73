"""What is written is whole or not there, and on the disk before its name is."""

import errno
import os
import stat
from pathlib import Path

import pytest

from ipc.durable_file import sync_path, write_durably


def test_a_file_is_replaced_whole_and_synced_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "list.json"
    file.write_bytes(b"old")
    synced: list[tuple[bool, bytes]] = []
    whole = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), file.read_bytes()))
        whole(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr("sys.platform", "linux")
    write_durably(file, b"new", 0o644)
    assert synced == [(False, b"old"), (True, b"new")]
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"new", 0o644)


def test_a_disk_that_fails_leaves_the_old_file_alone_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "list.json"
    file.write_bytes(b"old")

    def fails(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fails)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        write_durably(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EBADF])
def test_a_file_system_that_cannot_sync_folders_still_syncs_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "file").touch()

    def refuses(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuses)
    monkeypatch.setattr("sys.platform", "linux")
    sync_path(tmp_path)
    with pytest.raises(OSError, match=os.strerror(number)):
        sync_path(tmp_path / "file")
