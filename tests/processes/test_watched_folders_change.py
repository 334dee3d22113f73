"""Folders that are added, changed and removed while the daemon watches."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs
from watch_desk import Desk, running, sentinel_taken, settings_for, taken, watching

from config.settings import WatchEntry
from supervisor.watch_folder import NotWatched
from supervisor.watch_list import WatchList


async def test_a_folder_added_while_running_is_watched_now_and_after_a_restart(
    inbox: Path, desk: Desk, tmp_path: Path
) -> None:
    extra = tmp_path / "extra"
    (extra / "deep").mkdir(parents=True)
    kept = WatchList(tmp_path / "watches.json")
    async with running(watching(desk, settings_for(inbox), watch_list=kept)) as watches:
        await sentinel_taken(desk, inbox)
        watches.add(WatchEntry(path=extra))
        (extra / "one.wav").write_bytes(b"1")
        await taken(desk, "one.wav", "sentinel.wav")
        watches.add(WatchEntry(path=extra, recursive=True))
        (extra / "deep" / "two.wav").write_bytes(b"2")
        await taken(desk, "one.wav", "sentinel.wav", "two.wav")
    again = watching(desk, settings_for(inbox), watch_list=kept)
    assert [(view.path, view.recursive, view.permanent) for view in again.views] == [
        (str(inbox), False, True),
        (str(extra), True, False),
    ]
    again.remove(extra)
    with pytest.raises(NotWatched):
        again.remove(extra)
    assert kept.read() == {}


async def test_a_removed_folder_is_no_longer_watched(inbox: Path, desk: Desk, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    async with running(watching(desk, settings_for(inbox, other))) as watches:
        await sentinel_taken(desk, other)
        watches.remove(other)
        assert [view.path for view in watches.views] == [str(inbox)]
        (other / "unseen.wav").write_bytes(b"x")
        await sentinel_taken(desk, inbox)
    assert desk.names == ["sentinel.wav", "sentinel.wav"]


def test_a_damaged_watch_list_costs_its_folders_and_not_the_start(tmp_path: Path) -> None:
    file = tmp_path / "watches.json"
    for damage in [b"", b"[{", b'{"path": 3}', b"\xff\xfe"]:
        file.write_bytes(damage)
        with capture_logs() as story:
            assert WatchList(file).read() == {}
        assert [line["event"] for line in story] == ["watch_list_unreadable"]
