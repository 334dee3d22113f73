"""Folders within watched folders: ours, hidden ones, others that are watched."""

from pathlib import Path

from eventually import eventually_async
from watch_desk import Desk, running, sentinel_taken, settings_for, taken, watching


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
