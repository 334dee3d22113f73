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

from supervisor import source_mover
from supervisor.file_identity import look_at, read_identity
from supervisor.source_mover import Moved, MovePutOff, move_recording

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


def moved(source: Path, folder: Path, known: object = None) -> Moved | None:
    return move_recording(source, known or read_identity(source), folder, job_id=7)  # type: ignore[arg-type]


def everything_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_it_is_moved_and_stays_what_it_was(inbox: Path) -> None:
    source = recording(inbox)
    before = read_identity(source)
    assert moved(source, inbox / "done") == Moved(inbox / "done" / "a.m4a", before)
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
    link = os.link

    def somebody_is_faster(source: Path, target: Path, **how: bool) -> None:
        if target.name == "a.m4a":
            target.write_bytes(b"faster")
        link(source, target, **how)

    monkeypatch.setattr(os, "link", somebody_is_faster)
    result = moved(recording(inbox), done)
    assert result is not None and everything_in(done) == {"a.m4a": b"faster", "a (2).m4a": SOUND}


@pytest.mark.parametrize("number", sorted(source_mover.NO_LINKS))
def test_a_disk_without_hard_links_is_served_too(inbox: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

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
    assert moved(source, inbox / "done", known) == Moved(inbox / "done" / "a.m4a", now)


def test_a_recording_exchanged_between_look_and_move_keeps_its_place(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = recording(inbox)
    newer = recording(inbox, "newer", b"another meeting")
    link = os.link

    def exchanged(present: Path, target: Path, **how: bool) -> None:
        newer.replace(source)
        link(present, target, **how)

    monkeypatch.setattr(os, "link", exchanged)
    assert moved(source, inbox / "done") is None
    assert everything_in(inbox) == {"a.m4a": b"another meeting"}
    assert everything_in(inbox / "done") == {}


def test_a_recording_exchanged_before_its_old_name_goes_keeps_it(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = recording(inbox)
    newer = recording(inbox, "newer", b"another meeting")
    monkeypatch.setattr(source_mover, "sync_folder", lambda folder: newer.exists() and newer.replace(source))
    result = moved(source, inbox / "done")
    assert result is not None and everything_in(inbox / "done") == {"a.m4a": SOUND}
    assert everything_in(inbox) == {"a.m4a": b"another meeting"}


class Killed(BaseException):
    """Stands for the power cut: nothing after it is done."""


@pytest.mark.parametrize("last_step", ["link", "unlink", "never"])
def test_after_a_kill_at_any_step_it_is_moved_once(
    inbox: Path, monkeypatch: pytest.MonkeyPatch, last_step: str
) -> None:
    source, done = recording(inbox), inbox / "done"
    known = read_identity(source)
    done.mkdir()
    recording(done, content=b"an older one")
    with monkeypatch.context() as patch:
        if last_step == "link":

            def killed(path: Path) -> None:
                raise Killed

            patch.setattr(source_mover, "sync_folder", killed)
        elif last_step == "unlink":

            def killed_after(path: Path) -> None:
                if path == inbox:
                    raise Killed

            patch.setattr(source_mover, "sync_folder", killed_after)
        if last_step == "never":
            moved(source, done, known)  # and the database never heard of it
        else:
            with pytest.raises(Killed):
                moved(source, done, known)
    assert moved(source, done, known) == Moved(done / "a (2).m4a", known)
    assert not source.exists()
    assert everything_in(done) == {"a.m4a": b"an older one", "a (2).m4a": SOUND}


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
    assert moved(source, inbox) == Moved(source, known)
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
    assert result == Moved(done / "a.m4a", replace(look_at(done / "a.m4a"), sha256=known.sha256))
    assert (result.identity.mtime_ns, (done / "a.m4a").stat().st_mode & 0o777) == (WHEN_NS, 0o640)
    assert not source.exists() and everything_in(done) == {"a.m4a": SOUND}


@pytest.mark.parametrize("names", [("sync_folder",), ("_take_away",)])
def test_a_kill_during_a_copy_costs_neither_the_recording_nor_a_second_copy(
    inbox: Path, other_disk: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    source, done = recording(inbox), other_disk / "done"
    known = read_identity(source)

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        for name in names:
            patch.setattr(source_mover, name, killed)
        with pytest.raises(Killed):
            moved(source, done)
    assert source.exists()
    result = moved(source, done, known)
    assert result is not None and result.path == done / "a.m4a"
    assert not source.exists() and everything_in(done) == {"a.m4a": SOUND}


def test_half_a_copy_of_a_killed_daemon_is_swept_before_the_next_try(inbox: Path, other_disk: Path) -> None:
    (other_disk / ".stenod-7-recording.tmp").write_bytes(SOUND[:100])
    assert moved(recording(inbox), other_disk) is not None
    assert everything_in(other_disk) == {"a.m4a": SOUND}


def test_a_stop_ends_a_copy_and_leaves_no_half_of_it(inbox: Path, other_disk: Path) -> None:
    source = recording(inbox)
    with pytest.raises(MovePutOff):
        move_recording(source, read_identity(source), other_disk, 7, is_stopping=lambda: True)
    assert source.exists() and not list(other_disk.iterdir())


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
