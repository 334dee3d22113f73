"""Folders that are added, changed and removed while the daemon watches."""

from pathlib import Path

import pytest
from eventually import eventually_async
from fake_intake import Desk, running, sentinel_taken, settings_for, taken, watching
from structlog.testing import capture_logs

from config.watch_entry import WatchEntry
from supervisor.system.reload import LiveSettings
from supervisor.watch.entries import WatchList
from supervisor.watch.watcher import NotWatched


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


async def test_settings_read_again_change_what_changed_and_leave_the_rest_as_it_was(
    inbox: Path, desk: Desk, tmp_path: Path
) -> None:
    leaving, coming, kept = (tmp_path / name for name in ("leaving", "coming", "kept"))
    for folder in (leaving, coming, kept):
        folder.mkdir()
    slow = {"settle_seconds": 60.0}
    before = settings_for(inbox, leaving, kept, **slow)  # type: ignore[arg-type]
    live = LiveSettings(before)
    async with running(watching(desk, live)) as watches:
        watches.add(WatchEntry(path=kept, language="sv"))
        (kept / "growing.wav").write_bytes(b"g")
        (inbox / "a.wav").write_bytes(b"a")
        (inbox / "not.wav").write_bytes(b"n")
        await eventually_async(lambda: [len(view.growing) for view in watches.views] == [2, 0, 1])
        live.current = settings_for(inbox, coming, kept, language="de", exclude=["not*"], recursive=True)
        watches.settings_changed()
        assert [view.path for view in watches.views] == [str(folder) for folder in (inbox, kept, coming)]
        assert [len(view.growing) for view in watches.views] == [2, 1, 0], "what was seen is not forgotten"
        (leaving / "unseen.wav").write_bytes(b"u")
        (inbox / "deep").mkdir()
        (inbox / "deep" / "b.wav").write_bytes(b"b")
        await sentinel_taken(desk, coming)
        await taken(desk, "a.wav", "b.wav", "growing.wav", "sentinel.wav")
        languages = {path.name: entry.language for path, entry in desk.entries.items()}
        assert languages == {"a.wav": "de", "b.wav": "de", "growing.wav": "sv", "sentinel.wav": "de"}


async def test_a_folder_taken_off_comes_back_when_its_settings_are_read_again(inbox: Path, desk: Desk) -> None:
    async with running(watching(desk, settings_for(inbox))) as watches:
        watches.remove(inbox)
        watches.settings_changed()
        await sentinel_taken(desk, inbox)


def test_an_old_list_is_read_and_a_folder_of_the_settings_can_be_added_otherwise(
    inbox: Path, desk: Desk, tmp_path: Path
) -> None:
    kept = WatchList(tmp_path / "watches.json")
    (tmp_path / "watches.json").write_text('[{"path": "/old", "recursive": true}]')
    settings = settings_for(inbox, on_done=["notify"])
    watches = watching(desk, settings, watch_list=kept)
    assert watches.entry(Path("/old")) == WatchEntry(path=Path("/old"), recursive=True)
    watches.add(WatchEntry(path=inbox, language="de", done=Path("done")))
    again = watching(desk, settings, watch_list=kept).entry(inbox)
    assert again is not None
    assert (again.language, again.done, again.on_done) == ("de", Path("done"), ("notify",))
