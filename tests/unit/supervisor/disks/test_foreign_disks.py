"""Disks that stop answering: a deadline for every touch, few threads however many ask, and back by themselves."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import eventually_async

from supervisor.disks.access import DiskAccess, NoLongerWanted, with_heartbeats
from supervisor.disks.foreign_disks import ACCESSES_AT_ONCE, DiskNotAnswering, ForeignDisks, disks_on_the_way
from supervisor.disks.mounts import Mount, mounts_of

ROOT = Mount("/", "ext4", "1")
SOON = 0.15


class DyingDisk:
    """A folder that is said to be a disk; what touches it may hang."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers = threading.Event()
        self.answers.set()
        self.touched = 0
        self.mounts = [ROOT, Mount(str(folder), "nfs4", "7")]

    def look(self) -> str:
        self.touched += 1
        self.answers.wait()
        return "seen"


@pytest.fixture
def dying(tmp_path: Path) -> Iterator[DyingDisk]:
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "a.wav").write_bytes(b"a")
    disk = DyingDisk(tmp_path / "share")
    yield disk
    disk.answers.set()


@pytest.fixture
async def disks(dying: DyingDisk, monkeypatch: pytest.MonkeyPatch) -> ForeignDisks:
    return ForeignDisks(
        mounts=lambda: dying.mounts, look_seconds=SOON, work_seconds=SOON, first_probe_seconds=3_600.0
    )


def disk_threads() -> int:
    return sum(thread.name == "disk" for thread in threading.enumerate())


async def silent(disks: ForeignDisks, dying: DyingDisk) -> None:
    dying.answers.clear()
    with pytest.raises(DiskNotAnswering):
        await disks.look(dying.folder / "a.wav", dying.look)


async def test_a_look_that_gets_no_answer_ends_at_its_deadline_and_names_the_disk(
    disks: ForeignDisks, dying: DyingDisk
) -> None:
    assert await disks.look(dying.folder / "a.wav", dying.look) == "seen"
    dying.answers.clear()
    with pytest.raises(DiskNotAnswering, match="does not answer") as refused:
        await disks.look(dying.folder / "a.wav", dying.look)
    assert not dying.answers.is_set(), "it ended although the disk never answered"
    assert refused.value.disk == str(dying.folder)
    assert [silence.disk for silence in disks.silent] == [str(dying.folder)]


async def test_a_thousand_looks_at_a_dead_disk_make_a_few_threads(disks: ForeignDisks, dying: DyingDisk) -> None:
    before = disk_threads()
    dying.answers.clear()
    asked = [disks.look(dying.folder / "a.wav", dying.look) for _ in range(300)]
    assert all(isinstance(one, DiskNotAnswering) for one in await asyncio.gather(*asked, return_exceptions=True))
    for _ in range(700):
        with pytest.raises(DiskNotAnswering):
            await disks.look(dying.folder / "a.wav", dying.look)
    assert dying.touched <= ACCESSES_AT_ONCE
    await eventually_async(lambda: disk_threads() <= before + ACCESSES_AT_ONCE)


async def test_a_dead_disk_keeps_nobody_from_another(disks: ForeignDisks, dying: DyingDisk, tmp_path: Path) -> None:
    dying.answers.clear()
    stuck = [asyncio.ensure_future(disks.look(dying.folder / "a.wav", dying.look)) for _ in range(50)]
    await eventually_async(lambda: dying.touched >= ACCESSES_AT_ONCE)
    assert await disks.look(tmp_path, lambda: "other") == "other"
    await asyncio.gather(*stuck, return_exceptions=True)
    assert await disks.look(tmp_path, lambda: "other") == "other"


async def test_a_link_to_a_dead_disk_is_known_for_what_it_is(
    disks: ForeignDisks, dying: DyingDisk, tmp_path: Path
) -> None:
    link = tmp_path / "inbox"
    link.symlink_to(dying.folder)
    await silent(disks, dying)
    touched = dying.touched
    with pytest.raises(DiskNotAnswering):
        await disks.look(link / "a.wav", dying.look)
    assert dying.touched == touched, "a disk that is known to be silent is not touched again"


async def test_a_disk_that_answers_again_is_used_again_and_whoever_waited_hears_of_it(
    disks: ForeignDisks, dying: DyingDisk
) -> None:
    heard: list[bool] = []
    disks.on_answer = lambda: heard.append(True)
    await silent(disks, dying)
    dying.answers.set()
    await eventually_async(lambda: not disks.silent)
    assert heard == [True]
    assert await disks.look(dying.folder / "a.wav", dying.look) == "seen"


async def test_a_probe_finds_a_disk_that_answers_others_although_it_keeps_a_thread(dying: DyingDisk) -> None:
    disks = ForeignDisks(mounts=lambda: dying.mounts, look_seconds=SOON, first_probe_seconds=0.05)
    await silent(disks, dying)
    await eventually_async(lambda: not disks.silent)
    disks.close()


async def test_another_disk_at_the_same_place_is_not_taken_for_the_dead_one(
    disks: ForeignDisks, dying: DyingDisk
) -> None:
    await silent(disks, dying)
    dying.mounts = [ROOT, Mount(str(dying.folder), "nfs4", "8")]
    assert await disks.look(dying.folder / "a.wav", lambda: "new") == "new"


async def test_work_goes_on_for_as_long_as_it_gives_signs_of_life(disks: ForeignDisks, dying: DyingDisk) -> None:
    def slow(access: DiskAccess) -> int:
        for _ in range(6):
            time.sleep(SOON / 2)
            access.heartbeat()
        return 6

    assert await disks.work(dying.folder / "a.wav", slow) == 6


async def test_work_that_was_given_up_changes_nothing_when_it_wakes(disks: ForeignDisks, dying: DyingDisk) -> None:
    named: list[bytes] = []
    ended: list[BaseException] = []

    def write(access: DiskAccess) -> None:
        try:
            for block in with_heartbeats(iter([b"a", b"b"]), access):
                dying.answers.wait()
                named.append(block)
            named.append(b"renamed")
        except BaseException as error:
            ended.append(error)
            raise

    dying.answers.clear()
    with pytest.raises(DiskNotAnswering):
        await disks.work(dying.folder / "a.wav", write)
    dying.answers.set()
    await eventually_async(lambda: ended)
    assert isinstance(ended[0], NoLongerWanted)
    assert b"renamed" not in named


async def test_what_the_work_raises_is_raised(disks: ForeignDisks, dying: DyingDisk) -> None:
    def refuses() -> None:
        raise FileNotFoundError(2, "gone")

    with pytest.raises(FileNotFoundError):
        await disks.look(dying.folder / "missing", refuses)


def test_every_disk_on_the_way_is_named_before_it_is_touched(tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir()
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to(far / ".." / "far")
    mounts = [ROOT, Mount(str(far), "nfs4", "9")]

    def names(path: str) -> list[str]:
        return [mount.point for mount in disks_on_the_way(path, mounts)]

    assert str(far) in names(f"{tmp_path}/a/x.wav")
    assert str(far) not in names(f"{tmp_path}/c/x.wav")
    (tmp_path / "loop").symlink_to("loop")
    assert set(names(f"{tmp_path}/loop/x")) == {"/"}
    assert set(names("/nul\0here")) == {"/"}


def test_the_table_of_mounts_is_read_with_blanks_in_names() -> None:
    line = r"36 35 98:0 /mnt1 /mnt/two\040words rw,noatime master:1 - nfs4 server:/share rw"
    assert mounts_of(line + "\nnonsense\n") == (Mount("/mnt/two words", "nfs4", "36"),)
