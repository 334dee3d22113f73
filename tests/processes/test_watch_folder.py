"""Real folders, real files, real watchdog: what is taken, how often, and what survives a lost event."""

# ruff: noqa: ASYNC240 - small files on a local disk, and nothing else runs on this loop

import asyncio
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from eventually import eventually_async
from structlog.testing import capture_logs
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from config.settings import WatchEntry, WatchingSettings
from supervisor.file_identity import FileRefused
from supervisor.folder_probe import permission_hint
from supervisor.folder_scan import FolderScan, scan_folder
from supervisor.job import FileIdentity
from supervisor.watch_folder import NotWatched, WatchFolders
from supervisor.watch_list import WatchList

SETTLE_SECONDS = 0.15
NEVER_SECONDS = 3600.0


class Desk:
    """Takes files as the queue does: remembers exactly what it saw, refuses what it is told to."""

    def __init__(self) -> None:
        self.taken: list[Path] = []
        self.content: dict[Path, bytes] = {}
        self.refused: list[Path] = []
        self.failures_left = 0
        self._known: set[tuple[Path, FileIdentity]] = set()

    async def take(self, path: Path) -> None:
        if self.failures_left:
            self.failures_left -= 1
            raise OSError(28, "No space left on device")
        content = path.read_bytes()
        if content == b"refuse":
            self.refused.append(path)
            raise FileRefused("not_a_recording", f"{path} is none", "convert it")
        facts = path.stat()
        self._known.add((path, FileIdentity(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)))
        self.taken.append(path)
        self.content[path] = content

    async def is_known(self, path: Path, identity: FileIdentity) -> bool:
        return (path, identity) in self._known

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in self.taken)


class DeafObserver(Observer):  # type: ignore[misc, valid-type]  # watchdog's Observer is chosen at run time
    """Alive, and never says a word: what an overflow looks like from outside."""

    def dispatch_events(self, event_queue: object) -> None:
        event_queue.get(block=True)  # type: ignore[attr-defined]


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def desk() -> Desk:
    return Desk()


Watch = tuple[tuple[WatchEntry, ...], WatchingSettings]


def settings_for(
    *folders: Path,
    scan_seconds: float = NEVER_SECONDS,
    recursive: bool = False,
    settle_seconds: float = SETTLE_SECONDS,
) -> Watch:
    entries = tuple(WatchEntry(path=folder, recursive=recursive) for folder in folders)
    return entries, WatchingSettings(settle_seconds=settle_seconds, scan_seconds=scan_seconds)


@asynccontextmanager
async def running(watches: WatchFolders) -> AsyncIterator[WatchFolders]:
    task = asyncio.create_task(watches.run())
    try:
        yield watches
        assert not task.done(), "the watching ended by itself"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def watching(desk: Desk, settings: Watch, **rest: object) -> WatchFolders:
    return WatchFolders(*settings, desk.take, desk.is_known, **rest)  # type: ignore[arg-type]


async def taken(desk: Desk, *names: str) -> None:
    await eventually_async(lambda: desk.names == sorted(names), what=f"taken: {sorted(names)}")


async def sentinel_taken(desk: Desk, folder: Path) -> None:
    """A file dropped last and taken proves that whatever lay there before had its chance."""
    sentinel = folder / "sentinel.wav"
    sentinel.write_bytes(b"last")
    await eventually_async(lambda: sentinel in desk.taken, what="the sentinel")


async def test_files_already_there_are_taken_oldest_first(inbox: Path, desk: Desk) -> None:
    for age, name in enumerate(["c.m4a", "a.m4a", "b.MP3"]):
        (inbox / name).write_bytes(name.encode())
        os.utime(inbox / name, (1_000_000 + age, 1_000_000 + age))
    async with running(watching(desk, settings_for(inbox))):
        await taken(desk, "c.m4a", "a.m4a", "b.MP3")
    assert [path.name for path in desk.taken] == ["c.m4a", "a.m4a", "b.MP3"]


async def test_a_slowly_copied_file_is_taken_once_and_whole(inbox: Path, desk: Desk) -> None:
    recording = inbox / "talk.m4a"
    settings = settings_for(inbox, settle_seconds=0.8)
    async with running(watching(desk, settings)) as watches:
        with recording.open("wb") as copy:
            for _ in range(8):
                copy.write(b"x" * 1000)
                copy.flush()
                next_write = time.monotonic() + 0.2
                await eventually_async(lambda at=next_write: time.monotonic() >= at)  # type: ignore[misc]
                assert not desk.taken, "taken while it was still growing"
            assert watches.views[0].growing == (str(recording),)
        await taken(desk, "talk.m4a")
        await sentinel_taken(desk, inbox)
        assert not any(view.growing for view in watches.views)
    assert desk.taken.count(recording) == 1
    assert len(desk.content[recording]) == 8000


async def test_two_hundred_files_at_once_are_each_taken_once(inbox: Path, desk: Desk) -> None:
    names = [f"memo {number}.m4a" for number in range(200)]
    async with running(watching(desk, settings_for(inbox))):
        for name in names:
            (inbox / name).write_bytes(name.encode())
        await taken(desk, *names)


async def test_a_changed_file_is_taken_again_and_an_unchanged_one_is_not(inbox: Path, desk: Desk) -> None:
    (inbox / "same.wav").write_bytes(b"one")
    (inbox / "changed.wav").write_bytes(b"one")
    async with running(watching(desk, settings_for(inbox))):
        await taken(desk, "same.wav", "changed.wav")
        (inbox / "changed.wav").write_bytes(b"another")
        await taken(desk, "same.wav", "changed.wav", "changed.wav")
    async with running(watching(desk, settings_for(inbox))) as again:
        await sentinel_taken(desk, inbox)
        assert again.views[0].growing == ()
    assert desk.names == ["changed.wav", "changed.wav", "same.wav", "sentinel.wav"]


async def test_when_every_event_is_lost_the_scan_still_finds_the_file(inbox: Path, desk: Desk) -> None:
    async with running(watching(desk, settings_for(inbox, scan_seconds=0.3), make_observer=DeafObserver)):
        await sentinel_taken(desk, inbox)
        (inbox / "late.wav").write_bytes(b"late")
        await taken(desk, "late.wav", "sentinel.wav")


async def test_an_event_alone_is_enough_long_before_the_next_scan(inbox: Path, desk: Desk) -> None:
    async with running(watching(desk, settings_for(inbox))):
        await sentinel_taken(desk, inbox)
        part = inbox / "talk.m4a.part"
        part.write_bytes(b"whole")
        part.rename(inbox / "talk.m4a")
        await taken(desk, "sentinel.wav", "talk.m4a")


@pytest.mark.parametrize("killed", ["observer", "emitter"])
async def test_a_dead_observer_is_replaced_and_its_events_come_back(inbox: Path, desk: Desk, killed: str) -> None:
    made: list[BaseObserver] = []

    def make_observer() -> BaseObserver:
        made.append(Observer())
        return made[-1]

    async with running(watching(desk, settings_for(inbox, scan_seconds=0.3), make_observer=make_observer)):
        await sentinel_taken(desk, inbox)
        if killed == "observer":
            made[0].stop()
        else:
            for emitter in made[0].emitters:
                emitter.stop()
        await eventually_async(lambda: len(made) == 2 and made[1].emitters, what="a second observer")
        (inbox / "after.wav").write_bytes(b"after")
        await taken(desk, "after.wav", "sentinel.wav")
    for observer in made:
        await asyncio.to_thread(observer.join, 5)
        assert not observer.is_alive()


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


async def test_nothing_but_finished_recordings_is_ever_taken(inbox: Path, desk: Desk, tmp_path: Path) -> None:
    outside = tmp_path / "outside.wav"
    outside.write_bytes(b"outside")
    for name in [
        *("talk.json", "talk.srt", "talk.vtt", "talk.txt", "talk.tsv", "talk.md", "notes.pdf"),
        *(
            "talk.m4a.part",
            "talk.m4a.crdownload",
            "talk.temp.m4a",
            "talk.m4a~",
            "~$talk.m4a",
            ".talk.m4a",
            "._talk.m4a",
        ),
    ]:
        (inbox / name).write_bytes(b"x")
    (inbox / "empty.wav").touch()
    (inbox / "link.wav").symlink_to(outside)
    (inbox / "folder.wav").mkdir()
    os.mkfifo(inbox / "fifo.wav")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(inbox / "socket.wav"))
        async with running(watching(desk, settings_for(inbox))) as watches:
            await sentinel_taken(desk, inbox)
            assert desk.names == ["sentinel.wav"]
            assert watches.views[0].growing == (str(inbox / "empty.wav"),)
            (inbox / "empty.wav").write_bytes(b"content at last")
            await taken(desk, "empty.wav", "sentinel.wav")


STRANGE = ["two\nlines.wav", "-rf.wav", "ü" * 125 + ".wav", "a\x1b[31m.wav", " .wav", "日本語.opus"]


async def test_strange_names_are_names(inbox: Path, desk: Desk) -> None:
    for name in STRANGE:
        (inbox / name).write_bytes(b"x")
    async with running(watching(desk, settings_for(inbox))):
        await taken(desk, *STRANGE)


@pytest.mark.skipif(os.name != "posix" or os.uname().sysname == "Darwin", reason="APFS refuses such names itself")
async def test_a_name_that_is_not_utf8_is_passed_over_and_said_once(inbox: Path, desk: Desk) -> None:
    Path(os.fsdecode(os.fsencode(inbox) + b"/caf\xe9.wav")).write_bytes(b"x")
    with capture_logs() as story:
        async with running(watching(desk, settings_for(inbox, scan_seconds=0.2))) as watches:
            await sentinel_taken(desk, inbox)
            watches.views[0].model_dump_json()
    passed = [line for line in story if line["event"] == "file_passed_over"]
    assert [line["reason"] for line in passed] == ["name_is_not_utf8"]
    assert desk.names == ["sentinel.wav"]


async def test_a_refused_file_is_said_once_and_left_alone_until_it_changes(inbox: Path, desk: Desk) -> None:
    bad = inbox / "bad.wav"
    bad.write_bytes(b"refuse")
    with capture_logs() as story:
        async with running(watching(desk, settings_for(inbox, scan_seconds=0.2))):
            await sentinel_taken(desk, inbox)
            (inbox / "later.wav").write_bytes(b"later")
            await taken(desk, "later.wav", "sentinel.wav")
            assert desk.refused == [bad]
            bad.chmod(0o600)
            await eventually_async(lambda: len(desk.refused) == 2, what="another try after its permissions changed")
            bad.write_bytes(b"good now")
            await taken(desk, "bad.wav", "later.wav", "sentinel.wav")
    assert [line["hint"] for line in story if line["event"] == "file_refused"] == ["convert it"] * 2


async def test_a_full_disk_costs_a_file_one_scan_and_not_the_watching(inbox: Path, desk: Desk) -> None:
    desk.failures_left = 1
    (inbox / "talk.wav").write_bytes(b"x")
    with capture_logs() as story:
        async with running(watching(desk, settings_for(inbox, scan_seconds=0.2))):
            await taken(desk, "talk.wav")
    assert [line["event"] for line in story if line["log_level"] == "warning"] == ["file_not_taken"]


async def test_a_recursive_watch_looks_into_folders_but_not_into_ours_or_hidden_ones(
    inbox: Path, desk: Desk, tmp_path: Path
) -> None:
    for folder in ["deep/deeper", "spool", ".git", "Half.download", "Photos.photoslibrary"]:
        (inbox / folder).mkdir(parents=True)
        (inbox / folder / f"in {folder.replace('/', ' ')}.wav").write_bytes(folder.encode())
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "linked.wav").write_bytes(b"x")
    (inbox / "linked").symlink_to(tmp_path / "elsewhere")
    # The spool is named through a link: it is the same folder all the same.
    (tmp_path / "spool link").symlink_to(inbox / "spool")
    settings = settings_for(inbox, recursive=True)
    async with running(watching(desk, settings, excluded=[tmp_path / "spool link", tmp_path / "missing"])):
        await sentinel_taken(desk, inbox)
        assert desk.names == ["in deep deeper.wav", "sentinel.wav"]
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "moved in.wav").write_bytes(b"y")
        (tmp_path / "new").rename(inbox / "new")
        await taken(desk, "in deep deeper.wav", "moved in.wav", "sentinel.wav")


async def test_a_folder_watched_twice_gives_one_job_a_file(inbox: Path, desk: Desk) -> None:
    inner = inbox / "inner"
    inner.mkdir()
    (inner / "early.wav").write_bytes(b"x")
    async with running(watching(desk, settings_for(inbox, inner, recursive=True, scan_seconds=0.2))) as watches:
        (inner / "late.wav").write_bytes(b"y")
        await sentinel_taken(desk, inner)
        await eventually_async(lambda: not any(view.growing for view in watches.views))
    assert desk.names == ["early.wav", "late.wav", "sentinel.wav"]


async def test_a_folder_that_does_not_answer_is_offline_and_holds_up_no_other(
    inbox: Path, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, answer = tmp_path / "dead disk", threading.Event()
    dead.mkdir()

    def scan(folder: Path, recursive: bool, excluded: Sequence[Path]) -> FolderScan:
        if folder == dead:
            answer.wait()
        return scan_folder(folder, recursive, excluded)

    monkeypatch.setattr("supervisor.watched_folder.scan_folder", scan)
    entries, looking = settings_for(dead, inbox)
    settings = (entries, looking.model_copy(update={"unreachable_seconds": 0.2}))
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


async def test_a_folder_added_while_running_is_watched_now_and_after_a_restart(
    inbox: Path, desk: Desk, tmp_path: Path
) -> None:
    extra = tmp_path / "extra"
    (extra / "deep").mkdir(parents=True)
    kept = WatchList(tmp_path / "watches.json")
    async with running(watching(desk, settings_for(inbox), watch_list=kept)) as watches:
        await sentinel_taken(desk, inbox)
        watches.add(extra, recursive=False)
        (extra / "one.wav").write_bytes(b"1")
        await taken(desk, "one.wav", "sentinel.wav")
        watches.add(extra, recursive=True)
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
