"""A watched folder tried from inside: what is wrong with it, and that trying leaves nothing behind."""

import errno
import os
import tempfile
import threading
from pathlib import Path

import pytest
from eventually import eventually_async
from fake_intake import Desk, settings_for, watching

from supervisor.watch.access_check import FolderProbe, permission_hint, probe_folder


def test_a_good_folder_is_ok_and_as_it_was(inbox: Path) -> None:
    (inbox / "memo.m4a").write_bytes(b"x")
    os.mkfifo(inbox / "a pipe that nobody writes to")
    before = inbox.stat().st_nlink, sorted(inbox.iterdir())
    assert probe_folder(inbox, [inbox, inbox / "done"]) == FolderProbe(str(inbox), "ok")
    assert (inbox.stat().st_nlink, sorted(inbox.iterdir())) == before


def test_a_missing_folder_and_one_that_is_a_file_are_offline(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert probe_folder(tmp_path / "gone", []).state == "offline"
    found = probe_folder(tmp_path / "file", [])
    assert found.state == "offline"
    assert os.strerror(errno.ENOTDIR) in found.note


@pytest.mark.parametrize("forbidden", ["folder", "files"])
def test_listing_is_not_enough_a_file_must_open(inbox: Path, monkeypatch: pytest.MonkeyPatch, forbidden: str) -> None:
    (inbox / "memo.m4a").write_bytes(b"x")
    call = "scandir" if forbidden == "folder" else "open"

    def refuse(path: object, *rest: object) -> int:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)

    monkeypatch.setattr(os, call, refuse)
    found = probe_folder(inbox, [])
    assert found.state == "needs_permission"
    assert os.strerror(errno.EPERM) in found.note


def test_one_forbidden_file_among_others_does_not_condemn_the_folder(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (inbox / name).touch()
    really_open = os.open

    def refuse_one(path: str, *rest: int) -> int:
        if path.endswith("a"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return really_open(path, *rest)

    monkeypatch.setattr(os, "open", refuse_one)
    assert probe_folder(inbox, []).state == "ok"


def test_where_results_cannot_be_written_is_named(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = probe_folder(inbox, [inbox, inbox / "no" / "such"])
    assert found.state == "not_writable"
    assert str(inbox / "no" / "such") in found.note

    def read_only(**where: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "somewhere")

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    found = probe_folder(inbox, [inbox])
    assert (found.state, found.note) == ("not_writable", f"{inbox}: {os.strerror(errno.EROFS)}")


async def test_a_disk_that_does_not_answer_costs_a_limited_time_and_one_thread(
    inbox: Path, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, asked, before = threading.Event(), [], set(threading.enumerate())

    def ours() -> list[threading.Thread]:
        return [thread for thread in set(threading.enumerate()) - before if thread.name == "disk"]

    def probe(folder: Path, written_to: object) -> FolderProbe:
        asked.append(folder)
        if folder == inbox:
            answer.wait()
        return FolderProbe(str(folder), "ok")

    monkeypatch.setattr("supervisor.watch.folder.probe_folder", probe)
    settings = settings_for(inbox, tmp_path)
    looking = settings.watching.model_copy(update={"unreachable_seconds": 0.2})
    watches = watching(desk, settings.model_copy(update={"watching": looking}))
    try:
        for _ in range(2):
            assert [found.state for found in await watches.probe()] == ["timed_out", "ok"]
        assert asked.count(inbox) == 1
    finally:
        answer.set()
    await eventually_async(lambda: not ours())
    assert [found.state for found in await watches.probe()] == ["ok", "ok"]


def test_the_hint_fits_the_platform() -> None:
    assert "Full Disk Access" in permission_hint("darwin")
    assert "chmod" in permission_hint("linux")
