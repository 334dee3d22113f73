"""A recording moved to `done`: never over another file, never lost, wherever a kill came before.

Runs in: the test process. The files are real.
"""

import errno
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.disks import held_folder
from supervisor.disks.access import NoLongerWanted
from supervisor.disks.file_identity import look_at, read_identity
from supervisor.disks.held_folder import NO_LINKS, HeldFolder, ScopedPath
from supervisor.disks.temporary_names import LEAVING, UNFINISHED, TemporaryNames
from supervisor.followups import archive as source_mover
from supervisor.followups.archive import Archived, MovePutOff, move_recording

NAMES = TemporaryNames("0123456789abcdef", 7)

SOUND = b"sound of a meeting" * 1000
WHEN_NS = 1_700_000_000_123_456_789


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    place = Path("/dev/shm")
    if not place.is_dir() or place.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system to copy to")
    with tempfile.TemporaryDirectory(dir=place, prefix="steno-test-") as folder:
        yield Path(folder)


def recording(folder: Path, name: str = "a.m4a", content: bytes = SOUND) -> Path:
    path = folder / name
    path.write_bytes(content)
    os.utime(path, ns=(WHEN_NS, WHEN_NS))
    return path


def moved(source: Path, folder: Path, known: object = None) -> Archived | None:
    known = known or read_identity(source)
    return move_recording(ScopedPath(source), known, ScopedPath(folder), NAMES)  # type: ignore[arg-type]


def everything_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_it_is_moved_and_stays_what_it_was(inbox: Path) -> None:
    source = recording(inbox)
    before = read_identity(source)
    assert moved(source, inbox / "done") == Archived(inbox / "done" / "a.m4a", before)
    assert not source.exists()
    assert everything_in(inbox / "done") == {"a.m4a": SOUND}


def test_it_takes_a_free_name_and_nothing_is_overwritten(inbox: Path) -> None:
    done = inbox / "done"
    done.mkdir()
    recording(done, content=b"an older one")
    (done / "a (2).m4a").symlink_to("nowhere")
    result = moved(recording(inbox), done)
    assert result is not None and result.path == done / "a (3).m4a"
    assert (done / "a.m4a").read_bytes() == b"an older one"


def test_a_name_taken_in_the_last_moment_is_not_overwritten_either(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = inbox / "done"
    give_name = HeldFolder.give_name

    def somebody_is_faster(self: HeldFolder, present: str, wanted: str, to: HeldFolder | None = None) -> None:
        if wanted == "a.m4a":
            (done / wanted).write_bytes(b"faster")
        give_name(self, present, wanted, to)

    monkeypatch.setattr(HeldFolder, "give_name", somebody_is_faster)
    result = moved(recording(inbox), done)
    assert result is not None and everything_in(done) == {"a.m4a": b"faster", "a (2).m4a": SOUND}


@pytest.mark.parametrize("number", [*sorted(NO_LINKS), None])
def test_a_disk_that_lacks_the_newer_calls_is_served_too(
    inbox: Path, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    def cannot(*_: object, **__: object) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    def no_links(*_: object, **__: object) -> None:
        assert number is not None
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(held_folder, "rename_without_replacing", cannot)
    if number is not None:
        monkeypatch.setattr(os, "link", no_links)
    done = inbox / "done"
    done.mkdir()
    recording(done, content=b"an older one")
    source = recording(inbox)
    result = moved(source, done)
    assert result is not None and not source.exists()
    assert everything_in(done) == {"a.m4a": b"an older one", "a (2).m4a": SOUND}


def test_only_the_last_folder_is_made(inbox: Path) -> None:
    source = recording(inbox)
    with pytest.raises(MovePutOff) as put_off:
        moved(source, inbox / "unplugged" / "done")
    assert put_off.value.hint and source.exists() and not (inbox / "unplugged").exists()


def test_what_is_not_the_recording_any_more_is_left_alone(inbox: Path) -> None:
    source = recording(inbox)
    known = read_identity(source)
    recording(inbox, content=SOUND.upper())
    os.utime(source)
    assert moved(source, inbox / "done", known) is None
    assert everything_in(inbox) == {"a.m4a": SOUND.upper()}
    source.unlink()
    assert moved(source, inbox / "done", known) is None
    source.symlink_to(recording(inbox, "b.m4a"))
    assert moved(source, inbox / "done", known) is None
    assert source.is_symlink() and everything_in(inbox / "done") == {}


def test_a_recording_that_was_only_touched_is_moved_as_it_is_now(inbox: Path) -> None:
    source = recording(inbox)
    known = read_identity(source)
    os.utime(source)
    now = read_identity(source)
    assert moved(source, inbox / "done", known) == Archived(inbox / "done" / "a.m4a", now)


def test_a_recording_exchanged_between_look_and_move_keeps_its_place(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = recording(inbox)
    newer = recording(inbox, "newer", b"another meeting")
    give_name = HeldFolder.give_name

    def exchanged(self: HeldFolder, present: str, wanted: str, to: HeldFolder | None = None) -> None:
        if newer.exists():
            newer.replace(source)
        give_name(self, present, wanted, to)

    monkeypatch.setattr(HeldFolder, "give_name", exchanged)
    assert moved(source, inbox / "done") is None
    assert everything_in(inbox) == {"a.m4a": b"another meeting"}
    assert everything_in(inbox / "done") == {}


class Killed(BaseException):
    """Stands for the power cut: nothing after it is done."""


@pytest.mark.parametrize("killed_at", [1, 2, 3])
def test_after_a_kill_at_any_step_it_is_moved_once(
    inbox: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    source, done = recording(inbox), inbox / "done"
    known = read_identity(source)
    done.mkdir()
    recording(done, content=b"an older one")
    synced = 0

    def killed(self: HeldFolder) -> None:
        nonlocal synced
        synced += 1
        if synced == killed_at:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(HeldFolder, "sync", killed)
        if killed_at > 2:
            moved(source, done, known)  # and the database never heard of it
        else:
            with pytest.raises(Killed):
                moved(source, done, known)
    assert moved(source, done, known) == Archived(done / "a (2).m4a", known)
    assert not source.exists()
    assert everything_in(done) == {"a.m4a": b"an older one", "a (2).m4a": SOUND}


def test_a_link_of_an_older_stenod_that_was_killed_is_moved_once(inbox: Path) -> None:
    source, done = recording(inbox), inbox / "done"
    done.mkdir()
    os.link(source, done / "a.m4a")
    result = moved(source, done)
    assert result is not None and not source.exists() and everything_in(done) == {"a.m4a": SOUND}


@pytest.mark.parametrize("swapped", ["source", "target"])
@pytest.mark.parametrize("kernel_walks", [True, False])
def test_below_a_watched_folder_no_link_is_followed_at_either_end(
    inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: str, kernel_walks: bool
) -> None:
    def cannot(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    if not kernel_walks:
        monkeypatch.setattr(held_folder, "open_beneath", cannot)
    inbox.chmod(0o777)  # shared with others: they can have made any link in it
    private = tmp_path / "private"
    private.mkdir()
    (inbox / "sub").mkdir()
    source = recording(inbox / "sub")
    known = read_identity(source)
    if swapped == "source":
        (inbox / "sub").rename(private / "sub")
        (inbox / "sub").symlink_to(private / "sub")
        assert move_recording(ScopedPath(source, inbox), known, ScopedPath(inbox / "done", inbox), NAMES) is None
        assert everything_in(private / "sub") == {"a.m4a": SOUND}
        assert everything_in(inbox / "done") == {}
    else:
        (inbox / "done").symlink_to(private)
        with pytest.raises(MovePutOff):
            move_recording(ScopedPath(source, inbox), known, ScopedPath(inbox / "done", inbox), NAMES)
        assert source.exists() and not list(private.iterdir())


def test_done_may_be_a_link_that_only_the_owner_can_have_made(inbox: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    inbox.chmod(0o755)
    (inbox / "done").symlink_to("../archive")
    source = recording(inbox)
    result = move_recording(
        ScopedPath(source, inbox), read_identity(source), ScopedPath(inbox / "done", inbox), NAMES
    )
    assert result is not None and result.path == archive / "a.m4a"
    assert everything_in(archive) == {"a.m4a": SOUND}


def test_a_second_copy_beside_it_on_the_same_disk_is_not_taken_for_it(inbox: Path) -> None:
    done = inbox / "done"
    done.mkdir()
    recording(done)
    source = recording(inbox)
    result = moved(source, done)
    assert result is not None and result.path == done / "a (2).m4a"
    assert everything_in(done) == {"a.m4a": SOUND, "a (2).m4a": SOUND}


def test_one_that_is_there_already_stays_there(inbox: Path) -> None:
    source = recording(inbox)
    known = read_identity(source)
    assert moved(source, inbox) == Archived(source, known)
    assert everything_in(inbox) == {"a.m4a": SOUND}


def test_a_name_of_255_bytes_still_finds_a_free_one(inbox: Path) -> None:
    done, name = inbox / "done", "ü" * 125 + ".m4a"
    done.mkdir()
    recording(done, name, b"an older one")
    result = moved(recording(inbox, name), done)
    assert result is not None and result.path.name.endswith("ü (2).m4a")


# --- to another disk --------------------------------------------------------------------------------------------


def test_to_another_disk_it_is_copied_whole_and_then_taken_away(inbox: Path, other_disk: Path) -> None:
    source, done = recording(inbox), other_disk / "done"
    source.chmod(0o640)
    known = read_identity(source)
    result = moved(source, done)
    assert result == Archived(done / "a.m4a", replace(look_at(done / "a.m4a"), sha256=known.sha256))
    assert (result.identity.mtime_ns, (done / "a.m4a").stat().st_mode & 0o777) == (WHEN_NS, 0o640)
    assert not source.exists() and everything_in(done) == {"a.m4a": SOUND}


@pytest.mark.parametrize(("owner", "name"), [(HeldFolder, "sync"), (source_mover, "_take_away")])
def test_a_kill_during_a_copy_costs_neither_the_recording_nor_a_second_copy(
    inbox: Path, other_disk: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    source, done = recording(inbox), other_disk / "done"
    known = read_identity(source)

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, killed)
        with pytest.raises(Killed):
            moved(source, done)
    assert source.exists()
    result = moved(source, done, known)
    assert result is not None and result.path == done / "a.m4a"
    assert not source.exists() and everything_in(done) == {"a.m4a": SOUND}


def test_half_a_copy_of_a_killed_daemon_is_swept_before_the_next_try(inbox: Path, other_disk: Path) -> None:
    (other_disk / NAMES.fresh(UNFINISHED)).write_bytes(SOUND[:100])
    theirs = TemporaryNames("fedcba9876543210", 7).fresh(UNFINISHED)
    (other_disk / theirs).write_bytes(SOUND[:100])
    assert moved(recording(inbox), other_disk) is not None
    assert everything_in(other_disk) == {"a.m4a": SOUND, theirs: SOUND[:100]}


def test_a_recording_exchanged_before_its_old_name_goes_keeps_it(
    inbox: Path, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = recording(inbox)
    newer, give_name = recording(inbox, "newer", b"another meeting"), HeldFolder.give_name

    def exchanged(self: HeldFolder, present: str, wanted: str, to: HeldFolder | None = None) -> None:
        if wanted.endswith(LEAVING):
            newer.replace(source)
        give_name(self, present, wanted, to)

    monkeypatch.setattr(HeldFolder, "give_name", exchanged)
    result = moved(source, other_disk)
    assert result is not None and everything_in(other_disk) == {"a.m4a": SOUND}
    assert everything_in(inbox) == {"a.m4a": b"another meeting"}


def test_a_recording_whose_old_name_was_taken_away_when_the_power_went_gets_it_back(
    inbox: Path, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise Killed

    source = recording(inbox)
    known = read_identity(source)
    with monkeypatch.context() as patch:
        patch.setattr(HeldFolder, "unlink", killed)
        with pytest.raises(Killed):
            moved(source, other_disk)
    result = moved(source, other_disk, known)
    assert result is not None and not source.exists() and everything_in(inbox) == {}
    assert everything_in(other_disk)[result.path.name] == SOUND


def test_a_stop_ends_a_copy_and_leaves_no_half_of_it(inbox: Path, other_disk: Path) -> None:
    source, signs = recording(inbox), 0

    def stop(side: str) -> None:
        nonlocal signs
        signs += 1
        if list(other_disk.iterdir()):
            raise NoLongerWanted(side)

    with pytest.raises(NoLongerWanted):
        move_recording(ScopedPath(source), read_identity(source), ScopedPath(other_disk), NAMES, stop)
    assert signs > 1 and source.exists() and not list(other_disk.iterdir())


def test_a_full_disk_leaves_the_recording_where_it_is(
    inbox: Path, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    source = recording(inbox)
    monkeypatch.setattr(source_mover, "sync", full)
    with pytest.raises(MovePutOff):
        moved(source, other_disk)
    assert source.exists() and not list(other_disk.iterdir())


def test_a_copy_that_does_not_read_back_the_same_is_thrown_away(
    inbox: Path, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = recording(inbox)
    known = read_identity(source)

    def spoilt(descriptor: int) -> None:
        os.pwrite(descriptor, b"\0\0\0", 5)

    monkeypatch.setattr(source_mover, "sync", spoilt)
    with pytest.raises(MovePutOff):
        moved(source, other_disk, known)
    assert everything_in(inbox) == {"a.m4a": SOUND} and not list(other_disk.iterdir())
