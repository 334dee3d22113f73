"""What others own or may write is not obeyed, wherever on the way to it they could.

Runs in: the test process.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from config import ownership
from config.loader import ConfigError, load
from config.logs import start_logging
from config.ownership import Trust, UnsafePath, fault_of, make_private, open_own, refuse_unless_ours
from config.places import find_places
from supervisor.worker.death import CrashReports, Death

US, OTHER, ROOT = 1000, 1001, 0
DEATH = Death("SIGSEGV", -11, "aligning", "crashed", "segmentation fault", "", 0.0, 1)
TRUST = Trust(US, frozenset({ROOT}))


def found(mode: int, uid: int = US, gid: int = 4_000_000, kind: int = stat.S_IFREG) -> os.stat_result:
    return os.stat_result((kind | mode, 1, 2, 1, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("what", "is_refused"),
    [
        (found(0o644), False),
        (found(0o600, ROOT), False),
        (found(0o644, OTHER), True),
        (found(0o400, OTHER), True),
        (found(0o666), True),
        (found(0o602, ROOT), True),
        (found(0o755, kind=stat.S_IFDIR), False),
        (found(0o777, kind=stat.S_IFDIR), True),
        (found(0o1777, ROOT, kind=stat.S_IFDIR), False),
        (found(0o1777, OTHER, kind=stat.S_IFDIR), True),
        (found(0o1666), True),
        (found(0o777, kind=stat.S_IFLNK), False),
        (found(0o777, OTHER, kind=stat.S_IFLNK), True),
    ],
)
def test_a_file_is_obeyed_that_we_or_root_own_and_nobody_else_may_write(
    what: os.stat_result, is_refused: bool
) -> None:
    assert (fault_of("/x", what, TRUST) is not None) is is_refused


def test_a_group_may_write_only_if_nobody_else_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "is_private_group", lambda gid, owner, trust: gid == 5)
    assert fault_of("/x", found(0o664, gid=5), TRUST) is None
    refused = fault_of("/x", found(0o664, gid=6), TRUST)
    assert refused is not None and refused.remedy == "chmod g-w /x"


def test_a_group_is_private_by_its_members_and_by_whose_first_group_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class One:
        def __init__(self, name: str, uid: int, gid: int) -> None:
            self.pw_name, self.pw_uid, self.pw_gid = name, uid, gid

    people = {one.pw_name: one for one in (One("we", US, 7), One("other", OTHER, 8), One("root", 0, 0))}
    members = {7: [], 8: [], 9: ["other", "we"], 10: ["we", "root", "long gone"]}

    class Group:
        def __init__(self, gid: int) -> None:
            self.gr_mem = members[gid]

    monkeypatch.setattr(ownership.grp, "getgrgid", Group)
    monkeypatch.setattr(ownership.pwd, "getpwnam", people.__getitem__)
    monkeypatch.setattr(ownership.pwd, "getpwall", lambda: list(people.values()))
    told = {gid: ownership.is_private_group(gid, US, TRUST) for gid in (7, 8, 9, 10, 11)}
    assert told == {7: True, 8: False, 9: False, 10: True, 11: True}


def writable_folder(place: Path) -> Path:
    place.chmod(0o777)
    return place


def test_a_folder_above_that_others_may_write_is_named_with_its_mode_and_the_command(tmp_path: Path) -> None:
    home = tmp_path / "a" / "b"
    make_private(home)
    (home / "config.toml").write_text("")
    refuse_unless_ours(home / "config.toml")
    writable_folder(tmp_path / "a")
    with pytest.raises(UnsafePath) as refused:
        refuse_unless_ours(home / "config.toml")
    assert refused.value.filename == str(tmp_path / "a")
    assert "0777" in refused.value.why and refused.value.remedy == f"chmod go-w {tmp_path / 'a'}"
    with pytest.raises(UnsafePath):
        refuse_unless_ours(home / "not there" / "yet")
    (tmp_path / "a").chmod(0o1777)
    refuse_unless_ours(home / "config.toml")


def test_a_link_is_followed_and_every_folder_on_both_ways_is_looked_at(tmp_path: Path) -> None:
    make_private(tmp_path / "dotfiles" / "steno")
    make_private(tmp_path / "home")
    file, link = tmp_path / "dotfiles" / "steno" / "config.toml", tmp_path / "home" / "config.toml"
    file.write_text("")
    link.symlink_to("../dotfiles/steno/config.toml")
    refuse_unless_ours(link)
    for wrong in (file, tmp_path / "dotfiles", tmp_path / "home"):
        before = stat.S_IMODE(wrong.stat().st_mode)
        wrong.chmod(0o777)
        with pytest.raises(UnsafePath) as refused:
            refuse_unless_ours(link)
        assert refused.value.filename == str(wrong)
        wrong.chmod(before)
    link.unlink()
    link.symlink_to(link)
    with pytest.raises(OSError, match="symbolic links"):
        refuse_unless_ours(link)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("named", ["home", "home/config.toml", "home/link"])
def test_what_another_user_owns_is_refused_also_a_link_of_his_to_our_own_file(tmp_path: Path, named: str) -> None:
    make_private(tmp_path / "home")
    (tmp_path / "home" / "config.toml").write_text("")
    (tmp_path / "home" / "link").symlink_to("config.toml")
    os.chown(tmp_path / named, 2002, 2002, follow_symlinks=False)
    with pytest.raises(UnsafePath, match="belongs to user 2002"):
        refuse_unless_ours(tmp_path / "home" / "link")


@pytest.mark.parametrize("name", ["config.toml", ".env.pipeline"])
def test_settings_that_others_may_write_are_refused_with_the_command_that_mends_it(tmp_path: Path, name: str) -> None:
    places = find_places({"STENO_HOME": str(tmp_path)})
    (tmp_path / name).write_text("")
    load(places, {})
    (tmp_path / name).chmod(0o666)
    with pytest.raises(ConfigError, match=r"may be written by everybody.*chmod go-w"):
        load(places, {})


def test_missing_folders_are_made_private_whatever_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        make_private(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(mask)
    assert [stat.S_IMODE((tmp_path / one).stat().st_mode) for one in ("a", "a/b", "a/b/c")] == [0o700] * 3


def a_link(place: Path, victim: Path) -> None:
    place.symlink_to(victim)


def a_second_name(place: Path, victim: Path) -> None:
    os.link(victim, place)


def a_pipe(place: Path, victim: Path) -> None:
    os.mkfifo(place)


@pytest.mark.parametrize("trap", [a_link, a_second_name, a_pipe])
@pytest.mark.parametrize("owns_file", [True, False])
def test_the_log_writes_into_no_file_that_somebody_put_in_its_place(
    tmp_path: Path, trap: Callable[[Path, Path], None], owns_file: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    victim, log = tmp_path / "profile", tmp_path / "logs" / "stenod.log"
    victim.write_text("mine\n")
    make_private(log.parent)
    trap(log, victim)
    try:
        start_logging("info", True, log, owns_file=owns_file)
        structlog.get_logger().info("hello")
    finally:
        structlog.reset_defaults()
    assert victim.read_text() == "mine\n"
    assert "log_file_unavailable" in capsys.readouterr().err


def test_the_log_is_private(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "stenod.log"
    try:
        start_logging("info", True, log, owns_file=True, quiet=True)
        structlog.get_logger().info("hello")
    finally:
        structlog.reset_defaults()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600 and "hello" in log.read_text()


def test_a_crash_report_follows_no_link(tmp_path: Path) -> None:
    victim = tmp_path / "profile"
    victim.write_text("mine\n")
    reports = CrashReports(tmp_path / "crashes")
    make_private(reports.folder)
    (reports.folder / "job-1.txt").symlink_to(victim)
    for _ in range(2):
        written = reports.write(1, DEATH)
        assert victim.read_text() == "mine\n" and "SIGSEGV" in written.read_text()
    assert stat.S_IMODE(written.stat().st_mode) == 0o600


def test_a_pipe_in_a_files_place_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError):
        open_own(tmp_path / "pipe", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with pytest.raises(UnsafePath, match="no regular file"):
        open_own(tmp_path / "pipe", os.O_RDONLY)
