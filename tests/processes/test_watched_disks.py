"""Disks that go away, do not answer or may not be read, and come back."""

# ruff: noqa: ASYNC240 - small files on a local disk, and nothing else runs on this loop

import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from eventually import eventually_async
from fake_intake import Desk, running, sentinel_taken, settings_for, taken, watching
from structlog.testing import capture_logs
from watchdog.observers.api import BaseObserver

from config.watch_entry import WatchEntry
from supervisor.watch.access_check import permission_hint
from supervisor.watch.scan import FolderScan, ScanRules, scan_folder


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

    monkeypatch.setattr("supervisor.watch.folder.scan_folder", scan)
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
                assert permission_hint(sys.platform) in (watches.views[0].note or "")
                assert [probe.state for probe in await watches.probe()] == ["needs_permission"]
            await eventually_async(lambda: watches.views[0].state == "watching")
            await sentinel_taken(desk, inbox)
    assert [line["event"] for line in story].count("folder_not_permitted") == 1


async def test_the_empty_place_of_an_unmounted_disk_is_offline_and_nothing_is_done_twice(
    inbox: Path, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_mounted, away = True, tmp_path / "away"

    def scan(folder: Path, rules: ScanRules, *, inodes_hold: bool) -> FolderScan:
        return replace(scan_folder(folder, rules, inodes_hold=inodes_hold), is_mount_point=is_mounted)

    monkeypatch.setattr("supervisor.watch.folder.scan_folder", scan)
    (inbox / "before.wav").write_bytes(b"before")
    async with running(watching(desk, settings_for(inbox, scan_seconds=0.2))) as watches:
        await sentinel_taken(desk, inbox)
        away.mkdir()
        is_mounted = False
        for file in list(inbox.iterdir()):
            file.rename(away / file.name)
        (inbox / ".hidden").touch()
        await eventually_async(lambda: watches.views[0].state == "offline")
        assert "not mounted" in (watches.views[0].note or "")
        assert [probe.state for probe in await watches.probe()] == ["offline"]
        is_mounted = True
        for file in list(away.iterdir()):
            file.rename(inbox / file.name)
        (inbox / "new.wav").write_bytes(b"new")
        await taken(desk, "before.wav", "new.wav", "sentinel.wav")
        assert (watches.views[0].state, watches.views[0].note) == ("watching", None)
        # Somebody uses the place without its disk: then it is a folder like any other.
        is_mounted = False
        (inbox / "without.wav").write_bytes(b"without")
        await taken(desk, "before.wav", "new.wav", "sentinel.wav", "without.wav")


async def test_a_network_disk_is_polled_without_an_observer_and_without_trust_in_its_inodes(
    inbox: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.watch.folder.is_on_network", lambda folder: True)
    settings = settings_for(inbox, polling=None)
    looking = settings.watching.model_copy(update={"polling_seconds": 0.2})
    settings = settings.model_copy(update={"watching": looking})

    def no_observer() -> BaseObserver:
        raise AssertionError("a network disk has no events")

    async with running(watching(desk, settings, make_observer=no_observer)) as watches:
        await sentinel_taken(desk, inbox)
        assert watches.views[0].polling
        # The server gives the same file another number.
        shutil.copy2(inbox / "sentinel.wav", inbox / "copy")
        (inbox / "copy").rename(inbox / "sentinel.wav")
        (inbox / "late.wav").write_bytes(b"late")
        await taken(desk, "late.wav", "sentinel.wav")
        watches.add(watches.entry(inbox).model_copy(update={"language": "de"}))  # type: ignore[union-attr]
        (inbox / "german.wav").write_bytes(b"german")
        await taken(desk, "german.wav", "late.wav", "sentinel.wav")
        assert desk.entries[inbox / "german.wav"].language == "de"


async def test_an_owner_may_want_polling_or_events_whatever_the_disk(
    inbox: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.watch.folder.is_on_network", lambda folder: True)
    async with running(watching(desk, settings_for(inbox, polling=False))) as watches:
        await sentinel_taken(desk, inbox)
        (inbox / "by event.wav").write_bytes(b"x")
        await taken(desk, "by event.wav", "sentinel.wav")
        assert not watches.views[0].polling
        watches.add(WatchEntry(path=inbox, polling=True))
        assert watches.views[0].polling
