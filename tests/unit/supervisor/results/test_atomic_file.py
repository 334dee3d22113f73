"""Files that are whole or not there, and take no name from a file that stenod did not write.

Runs in: the test process. The files are real; a file system that lacks a call is played by one that refuses it.
"""

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from supervisor.disks import held_folder
from supervisor.disks.held_folder import HeldFolder, ScopedPath, held
from supervisor.disks.temporary_names import SWAPPED, UNFINISHED, TemporaryNames
from supervisor.results import atomic_file as result_file
from supervisor.results.atomic_file import Claim, NameTaken, remove_leftovers, withdraw
from supervisor.results.file_plan import OutputRefused, open_home, unchanged

NAMES = TemporaryNames("0123456789abcdef", 7)
OVERWRITE = Claim(sets_aside=True)


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def ours(*contents: bytes, only_replaces: bool = False, sets_aside: bool = False) -> Claim:
    return Claim({sha256_of(one) for one in contents}, only_replaces=only_replaces, sets_aside=sets_aside)


def write(path: Path, content: Iterable[bytes], claim: Claim = OVERWRITE, *, private: bool = False) -> str:
    with open_home(ScopedPath(path.parent), path.name) as folder:
        return result_file.write(folder, path.name, content, NAMES, claim, private=private)


def is_there(path: Path, sha256: str) -> bool:
    with held(ScopedPath(path.parent)) as folder:
        return unchanged(folder, path.name, (sha256,))


def sweep(folder: Path, *known: bytes) -> None:
    with held(ScopedPath(folder)) as opened:
        remove_leftovers(opened, NAMES, {"srt": "talk.srt"}, {sha256_of(one) for one in known})


def all_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(params=["renameat2", "links", "neither"])
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the file system offers."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EINVAL, "this file system cannot")

    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "this file system knows no links")

    if request.param != "renameat2":
        monkeypatch.setattr(held_folder, "rename_without_replacing", refused)
        monkeypatch.setattr(held_folder, "exchange", refused)
    if request.param == "neither":
        monkeypatch.setattr(os, "link", no_links)
    return str(request.param)


def test_a_file_is_written_whole_and_its_hash_told(tmp_path: Path, disk: str) -> None:
    path = tmp_path / "talk.srt"
    sha256 = write(path, [b"neu\n", "ü".encode()])
    assert path.read_bytes() == "neu\nü".encode()
    assert sha256 == sha256_of(path.read_bytes())
    assert is_there(path, sha256)
    path.write_text("edited")
    assert not is_there(path, sha256) and not is_there(tmp_path / "gone", sha256)
    assert list(all_in(tmp_path)) == ["talk.srt"]


def test_our_own_file_is_replaced_and_leaves_nothing_behind(tmp_path: Path, disk: str) -> None:
    path = tmp_path / "talk.srt"
    write(path, [b"old"])
    write(path, [b"new"], ours(b"old"))
    write(path, [b"newest"], ours(b"old", b"new", only_replaces=True))
    assert all_in(tmp_path) == {"talk.srt": b"newest"}


@pytest.mark.parametrize("claim", [Claim(), ours(b"old"), ours(b"old", only_replaces=True)])
def test_a_file_of_somebody_else_keeps_its_name_and_its_content(tmp_path: Path, disk: str, claim: Claim) -> None:
    path = tmp_path / "talk.srt"
    path.write_bytes(b"by hand")
    with pytest.raises(NameTaken):
        write(path, [b"new"], claim)
    assert all_in(tmp_path) == {"talk.srt": b"by hand"}


def test_an_upgrade_does_not_bring_back_what_its_owner_took_away(tmp_path: Path, disk: str) -> None:
    with pytest.raises(NameTaken):
        write(tmp_path / "talk.srt", [b"new"], ours(b"old", only_replaces=True))
    assert all_in(tmp_path) == {}


def test_to_overwrite_sets_aside_what_stenod_did_not_write(tmp_path: Path, disk: str) -> None:
    path = tmp_path / "talk.srt"
    for number in range(3):
        path.write_bytes(b"by hand %d" % number)
        write(path, [b"new"], ours(b"old", b"new", sets_aside=True))
    assert all_in(tmp_path) == {
        "talk.srt": b"new",
        "talk.srt~": b"by hand 0",
        "talk.srt.~2~": b"by hand 1",
        "talk.srt.~3~": b"by hand 2",
    }
    long = tmp_path / ("ü" * 125 + ".srt")
    long.write_bytes(b"by hand")
    write(long, [b"new"])
    assert sorted(all_in(tmp_path).values()).count(b"by hand") == 1


def test_links_are_set_aside_and_never_written_through(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / "talk.srt").symlink_to(precious)
    with pytest.raises(NameTaken):
        write(tmp_path / "talk.srt", [b"text"], ours(b"precious"))
    sha256 = write(tmp_path / "talk.srt", [b"text"])
    assert precious.read_text() == "precious" and (tmp_path / "talk.srt~").is_symlink()
    assert not (tmp_path / "talk.srt").is_symlink()
    (tmp_path / "link.srt").symlink_to(tmp_path / "talk.srt")
    assert not is_there(tmp_path / "link.srt", sha256), "a link is not what we wrote"


def test_a_named_pipe_in_the_way_blocks_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "talk.srt")
    assert not is_there(tmp_path / "talk.srt", "aa")
    with pytest.raises(NameTaken):
        write(tmp_path / "talk.srt", [b"text"], ours(b"old"))


def test_the_folder_decides_who_may_read_unless_it_is_ours(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write(tmp_path / "theirs.txt", [b"text"])
        write(tmp_path / "ours.txt", [b"text"], private=True)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("theirs.txt", "ours.txt")]
    assert modes == [0o644, 0o600]


def test_a_disk_that_fails_while_flushing_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "talk.srt"
    path.write_text("old")

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(result_file, "sync", no_space)
    with pytest.raises(OutputRefused) as refused:
        write(path, [b"new"], ours(b"old"))
    assert refused.value.code == "disk_full"
    assert all_in(tmp_path) == {"talk.srt": b"old"}


def test_a_folder_in_the_way_or_gone_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "talk.srt").mkdir()
    with pytest.raises(OutputRefused) as in_the_way:
        write(tmp_path / "talk.srt", [b"text"])
    with pytest.raises(OutputRefused) as gone:
        write(tmp_path / "gone" / "talk.srt", [b"text"])
    assert (in_the_way.value.code, gone.value.code) == ("name_is_a_folder", "folder_missing")
    assert [file.name for file in tmp_path.iterdir()] == ["talk.srt"]


# --- somebody is faster -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", [Claim(), OVERWRITE, ours(b"old")])
def test_a_file_that_comes_between_our_look_and_our_writing_is_not_lost(
    tmp_path: Path, disk: str, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, give_name = tmp_path / "talk.srt", HeldFolder.give_name

    def somebody_is_faster(self: HeldFolder, present: str, wanted: str, to: HeldFolder | None = None) -> None:
        if wanted == "talk.srt" and not path.exists():
            path.write_bytes(b"faster")
        give_name(self, present, wanted, to)

    monkeypatch.setattr(HeldFolder, "give_name", somebody_is_faster)
    if claim is OVERWRITE:
        with pytest.raises(NameTaken):  # it comes again each time; each is kept
            write(path, [b"new"], claim)
        assert set(all_in(tmp_path).values()) == {b"faster"} and len(all_in(tmp_path)) > 2
    else:
        with pytest.raises(NameTaken):
            write(path, [b"new"], claim)
        assert all_in(tmp_path) == {"talk.srt": b"faster"}


@pytest.mark.parametrize("replaced_again", [False, True])
def test_a_file_saved_over_ours_just_before_the_exchange_gets_its_name_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaced_again: bool
) -> None:
    path, exchange, saved = tmp_path / "talk.srt", HeldFolder.exchange, [b"saved once", b"saved twice"]

    def saved_before(self: HeldFolder, one: str, other: str) -> bool:
        if len(saved) == 2 or (saved and replaced_again):
            (tmp_path / "editor").write_bytes(saved.pop(0))
            (tmp_path / "editor").replace(path)
        return exchange(self, one, other)

    write(path, [b"old"])
    monkeypatch.setattr(HeldFolder, "exchange", saved_before)
    with pytest.raises(NameTaken):
        write(path, [b"new"], ours(b"old"))
    if replaced_again:
        assert all_in(tmp_path) == {"talk.srt": b"saved twice", "talk.srt~": b"saved once"}
    else:
        assert all_in(tmp_path) == {"talk.srt": b"saved once"}


def test_what_others_write_in_a_tight_loop_is_all_there_in_the_end(tmp_path: Path) -> None:
    """Somebody takes the name and another as fast as can be, while we write under it again and again."""
    path, over, theirs = tmp_path / "talk.srt", threading.Event(), list[bytes]()

    def others() -> None:
        while not over.is_set() and len(theirs) < 2000:
            content = b"theirs %d" % len(theirs)
            try:
                with path.open("xb") as file:
                    file.write(content)
            except FileExistsError:
                continue
            theirs.append(content)
            os.rename(path, tmp_path / f"kept-{len(theirs)}")  # noqa: PTH104

    busy = threading.Thread(target=others)
    busy.start()
    number = written = 0
    while number < 300 or not written:  # the others end after 2000 files, so that we write at last
        number += 1
        try:
            write(path, [b"ours %d" % number], ours(b"ours %d" % (number - 1)) if number % 2 else Claim())
            written += 1
            with held(ScopedPath(tmp_path)) as folder:
                withdraw(folder, path.name, sha256_of(b"ours %d" % number), NAMES)
        except NameTaken:
            pass
    over.set()
    busy.join()
    found = [content for content in all_in(tmp_path).values() if content.startswith(b"theirs")]
    # What they moved on from this name was ours now and then: a rename by name takes what is there.
    assert written and sorted(set(theirs) - set(found)) == []


# --- kills ------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for the power cut: nothing after it is done."""


@pytest.fixture
def dead_after(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """From a kill on, nothing is tidied up."""
    unlink = HeldFolder.unlink
    dead = False

    def no_more(self: HeldFolder, name: str) -> None:
        if not dead:
            unlink(self, name)

    def killed(point: str) -> None:
        nonlocal dead
        if point == "file_swapped":
            dead = True
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(HeldFolder, "unlink", no_more)
        patch.setattr(result_file, "hit", killed)
        yield


def test_a_kill_between_exchange_and_look_loses_neither_our_file_nor_one_saved_over_it(
    tmp_path: Path, dead_after: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, exchange = tmp_path / "talk.srt", HeldFolder.exchange

    def saved_before(self: HeldFolder, one: str, other: str) -> bool:
        path.write_bytes(b"saved by its owner")
        return exchange(self, one, other)

    path.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(HeldFolder, "exchange", saved_before)
        with pytest.raises(Killed):
            write(path, [b"new"], ours(b"old"))
    monkeypatch.undo()
    sweep(tmp_path, b"old", b"new")
    assert all_in(tmp_path) == {"talk.srt": b"new", "talk.srt~": b"saved by its owner"}


def test_what_a_kill_left_is_cleared_away_by_its_own_queue_and_job_only(tmp_path: Path) -> None:
    mine = [NAMES.fresh(UNFINISHED), NAMES.fresh(UNFINISHED, "json"), NAMES.fresh(SWAPPED, "srt")]
    others = [
        TemporaryNames("0123456789abcdef", 77).fresh(UNFINISHED),
        TemporaryNames("fedcba9876543210", 7).fresh(UNFINISHED),
        TemporaryNames("fedcba9876543210", 7).fresh(SWAPPED, "srt"),
        ".stenod-7-srt.tmp",
    ]
    for name in (*mine, *others):
        (tmp_path / name).write_bytes(b"ours")
    write(tmp_path / "talk.srt", [b"whole"])
    sweep(tmp_path, b"ours")
    assert sorted(all_in(tmp_path)) == sorted([*others, "talk.srt"])


def test_a_leftover_that_a_living_process_still_writes_is_left_alone(tmp_path: Path) -> None:
    """A queue that was copied to another machine has the same installation in its names."""

    def slowly() -> Iterator[bytes]:
        sweep(tmp_path)
        yield b"whole"

    write(tmp_path / "talk.srt", slowly())
    assert all_in(tmp_path) == {"talk.srt": b"whole"}


def test_a_swapped_file_that_nobody_wrote_for_us_is_given_back(tmp_path: Path) -> None:
    (tmp_path / NAMES.fresh(SWAPPED, "srt")).write_bytes(b"by hand")
    sweep(tmp_path, b"ours")
    assert all_in(tmp_path) == {"talk.srt": b"by hand"}
    (tmp_path / NAMES.fresh(SWAPPED, "vtt")).write_bytes(b"by hand, too")
    sweep(tmp_path, b"ours")
    assert all_in(tmp_path)["kept-by-stenod.vtt"] == b"by hand, too"
