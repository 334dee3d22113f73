"""Disks that go away, do not answer or may not be read, and come back."""

# ruff: noqa: ASYNC240 - small files on a local disk, and nothing else runs on this loop

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from eventually import eventually_async
from structlog.testing import capture_logs
from watch_desk import Desk, running, sentinel_taken, settings_for, taken, watching

from supervisor.folder_probe import permission_hint
from supervisor.folder_scan import FolderScan, ScanRules, scan_folder


async def test_a_folder_that_goes_away_is_offline_and_watched_again_when_it_returns(inbox: Path, desk: Desk) -> None:
    with capture_logs() as story:
        async with running(watching(desk, settings_for(inbox, scan_seconds=0.2))) as watches:
            await sentinel_taken(desk, inbox)
            inbox.rename(inbox.with_name("unmounted"))
            await eventually_async(lambda: watches.views[0].state == "offline")
            inbox.mkdir()
            await eventually_async(lambda: watches.views[0].state == "watching")
            (inbox / "back.wav").write_bytes(b"back")
            await taken(desk, "back.wav", "sentinel.wav")
    assert [line["event"] for line in story].count("folder_offline") == 1


async def test_a_missing_folder_is_waited_for_but_the_default_one_is_made(tmp_path: Path, desk: Desk) -> None:
    absent, default = tmp_path / "disk", tmp_path / "home" / "Transcribe"
    async with running(watching(desk, settings_for(absent, default, scan_seconds=0.2), created=[default])) as watches:
        await eventually_async(lambda: [view.state for view in watches.views] == ["offline", "watching"])
        assert default.is_dir()
        assert not absent.exists()
        absent.mkdir()
        await sentinel_taken(desk, absent)


async def test_a_folder_that_does_not_answer_is_offline_and_holds_up_no_other(
    inbox: Path, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, answer = tmp_path / "dead disk", threading.Event()
    dead.mkdir()

    def scan(folder: Path, rules: ScanRules, *, inodes_hold: bool) -> FolderScan:
        if folder == dead:
            answer.wait()
        return scan_folder(folder, rules, inodes_hold=inodes_hold)

    monkeypatch.setattr("supervisor.watched_folder.scan_folder", scan)
    settings = settings_for(dead, inbox)
    looking = settings.watching.model_copy(update={"unreachable_seconds": 0.2})
    settings = settings.model_copy(update={"watching": looking})
    try:
        async with running(watching(desk, settings)) as watches:
            await eventually_async(lambda: watches.views[0].state == "offline")
            await sentinel_taken(desk, inbox)
            answer.set()
            await eventually_async(lambda: watches.views[0].state == "watching")
            await sentinel_taken(desk, dead)
    finally:
        answer.set()


def test_on_a_mac_the_hint_names_the_program_that_needs_the_permission() -> None:
    assert "/opt/venv/bin/python" in permission_hint("darwin", "/opt/venv/bin/python")
    assert "chmod" in permission_hint("linux")


@contextmanager
def forbidden(folder: Path) -> Iterator[None]:
    """Nobody may read the folder meanwhile; root, who may read everything, becomes somebody else."""
    is_root = os.geteuid() == 0
    folder.chmod(0)
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o700)


async def test_a_folder_without_permission_says_so_once_and_recovers(inbox: Path, desk: Desk) -> None:
    with capture_logs() as story:
        async with running(watching(desk, settings_for(inbox, scan_seconds=0.1))) as watches:
            with forbidden(inbox):
                await eventually_async(lambda: watches.views[0].state == "needs_permission")
            await eventually_async(lambda: watches.views[0].state == "watching")
            await sentinel_taken(desk, inbox)
    assert [line["event"] for line in story].count("folder_not_permitted") == 1
