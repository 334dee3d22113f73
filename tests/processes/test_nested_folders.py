"""Folders within watched folders: ours, hidden ones, others that are watched."""

from pathlib import Path

from eventually import eventually_async
from fake_intake import SETTLE_SECONDS, Desk, running, sentinel_taken, settings_for, taken, watching

from config.settings import Settings, WatchingSettings
from config.watch_entry import WatchEntry


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


async def test_the_innermost_folder_that_reaches_a_recording_treats_it(inbox: Path, desk: Desk) -> None:
    german, deep = inbox / "german", inbox / "deep"
    (german / "letters").mkdir(parents=True)
    deep.mkdir()
    outer = WatchEntry(path=inbox, recursive=True, polling=False)
    settings = Settings(
        watch=(
            outer,
            WatchEntry(path=german, language="de", exclude=("private*",)),
            WatchEntry(path=deep, recursive=True, language="fr"),
        ),
        watching=WatchingSettings(settle_seconds=SETTLE_SECONDS),
    )
    for name in ("german/a.wav", "german/private.wav", "german/letters/b.wav", "deep/c.wav", "d.wav"):
        (inbox / name).write_bytes(name.encode())
    async with running(watching(desk, settings)) as watches:
        await taken(desk, "a.wav", "b.wav", "c.wav", "d.wav")
        languages = {path.name: entry.language for path, entry in desk.entries.items()}
        assert languages == {"a.wav": "de", "b.wav": None, "c.wav": "fr", "d.wav": None}
        watches.remove(german)
        await taken(desk, "a.wav", "b.wav", "c.wav", "d.wav", "private.wav")
        assert desk.entries[german / "private.wav"] == outer


async def test_what_is_done_failed_or_written_inside_a_watched_folder_is_not_taken_again(
    inbox: Path, desk: Desk
) -> None:
    for folder in ("done", "failed", "out", "skip", "deep"):
        (inbox / folder).mkdir()
        (inbox / folder / f"in {folder}.wav").write_bytes(folder.encode())
    settings = settings_for(
        inbox, recursive=True, done="done", failed=inbox / "FAILED" / ".." / "failed", output="out", exclude=["skip"]
    )
    async with running(watching(desk, settings)) as watches:
        await sentinel_taken(desk, inbox)
        await eventually_async(lambda: not watches.views[0].growing)
    assert desk.names == ["in deep.wav", "sentinel.wav"]


async def test_patterns_choose_and_a_stub_in_icloud_is_told_and_left_alone(inbox: Path, desk: Desk) -> None:
    for name in ("memo.M4A", "draft 1.m4a", "dictation.ds2", "talk.wav", ".late.m4a.icloud", ".late.wav.icloud"):
        (inbox / name).write_bytes(name.encode())
    settings = settings_for(inbox, include=["*.m4a", "*.ds2", "sentinel*"], exclude=["Draft*"])
    async with running(watching(desk, settings)) as watches:
        await sentinel_taken(desk, inbox)
        (passed,) = watches.views[0].passed
        assert (passed.path, passed.why) == (str(inbox / "late.m4a"), "only_in_icloud")
        (inbox / ".late.m4a.icloud").rename(inbox / "late.m4a")
        await taken(desk, "dictation.ds2", "late.m4a", "memo.M4A", "sentinel.wav")
        await eventually_async(lambda: not watches.views[0].passed)
