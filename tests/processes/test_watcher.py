"""Real folders, real files, real watchdog: what is taken, how often, and what survives a lost event."""

# ruff: noqa: ASYNC240 - small files on a local disk, and nothing else runs on this loop

import os
import socket
import time
from pathlib import Path

import pytest
from eventually import eventually_async
from fake_intake import Desk, running, sentinel_taken, settings_for, taken, watching
from structlog.testing import capture_logs


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


async def test_what_only_just_misses_being_a_recording_is_named_with_the_reason(inbox: Path, desk: Desk) -> None:
    target = inbox / "notes.pdf"
    target.write_bytes(b"x")
    for name in ("link.wav", "dangling.m4a", "skipped.wav", "notes.txt"):
        (inbox / name).symlink_to(target if name != "dangling.m4a" else inbox / "gone.m4a")
    for name in ("space.wav ", "half.temp.m4a", "skipped.tmp.wav", "notes.temp.pdf", ".hidden.wav "):
        (inbox / name).write_bytes(b"x")
    async with running(watching(desk, settings_for(inbox, exclude=("skipped*",)))) as watches:
        await sentinel_taken(desk, inbox)
        passed = {(Path(one.path).name, one.why) for one in watches.views[0].passed}
    assert passed == {
        ("link.wav", "is_a_symlink"),
        ("dangling.m4a", "is_a_symlink"),
        ("space.wav ", "name_ends_in_space"),
        ("half.temp.m4a", "name_of_unfinished_file"),
    }
    assert desk.names == ["sentinel.wav"]


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
