"""One program is named for Full Disk Access, and the way to allow it can be followed in the system's own dialog.

Runs in: the test process.
"""

import re
import sys
from pathlib import Path
from typing import NoReturn

import psutil
import pytest
from rules.test_imports import ROOMS, ROOT
from sample_installation import PROGRAM, sample_installation

from config.disk_access import granted_program, how_to_allow, program_of_this_process
from launchd.installation import doubts
from launchd.launch_agent import property_list
from supervisor.disks.file_identity import refusal_of
from supervisor.health.self_check import watch_finding
from supervisor.watch.access_check import FolderProbe, permission_hint
from supervisor.watch.folder_state import FolderCondition

FRAMEWORK = "/opt/homebrew/Cellar/python@3.12/3.12.8/Frameworks/Python.framework/Versions/3.12/Resources/Python.app"


@pytest.mark.parametrize(
    ("executable", "program"),
    [
        (f"{FRAMEWORK}/Contents/MacOS/Python", FRAMEWORK),
        ("/Applications/Xcode.app/Contents/Python3.framework/Resources/Python.app/Contents/MacOS/Python",
         "/Applications/Xcode.app/Contents/Python3.framework/Resources/Python.app"),
        ("/Users/me/.local/share/uv/python/bin/python3.12", "/Users/me/.local/share/uv/python/bin/python3.12"),
    ],
)  # fmt: skip
def test_a_program_inside_an_application_is_allowed_as_that_application(executable: str, program: str) -> None:
    assert granted_program(Path(executable)) == Path(program)


def test_the_process_itself_is_asked_and_not_the_link_that_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert program_of_this_process() == Path(psutil.Process().exe())
    monkeypatch.setattr(psutil.Process, "exe", lambda self: f"{FRAMEWORK}/Contents/MacOS/Python")
    assert program_of_this_process() == Path(FRAMEWORK)

    def refuse(self: psutil.Process) -> NoReturn:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "exe", refuse)
    assert program_of_this_process() == Path(sys.executable).resolve()


def test_the_path_stands_on_a_line_of_its_own_for_a_dialog_that_hides_it() -> None:
    *words, last = how_to_allow(Path(FRAMEWORK)).splitlines()
    assert last == FRAMEWORK
    assert all(said in " ".join(words) for said in ("Full Disk Access", "Cmd-Shift-G", "steno service restart"))


def test_all_who_speak_of_it_name_the_same_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.watch.access_check.program_of_this_process", lambda: PROGRAM)
    monkeypatch.setattr("supervisor.watch.folder_state.sys.platform", "darwin")
    hint = permission_hint("darwin")
    probed = FolderProbe("/Users/me/Documents", "needs_permission", f"Operation not permitted: {hint}")
    condition = FolderCondition(Path("/Users/me/Documents"))
    condition.unread(PermissionError(1, "Operation not permitted"))
    monkeypatch.setattr("supervisor.disks.file_identity.program_of_this_process", lambda: PROGRAM)
    told = [
        hint,
        refusal_of(Path("/Users/me/talk.wav"), PermissionError(1, "Operation not permitted")).hint,
        watch_finding(probed, "darwin").remedy,
        condition.note or "",
        " ".join(doubts(sample_installation(is_system=True))),
    ]
    assert all(text.endswith(how_to_allow(PROGRAM)) for text in told)
    assert "the program that Privacy" not in property_list(sample_installation())


def test_the_way_through_the_settings_is_written_in_one_place() -> None:
    speak = [
        str(file.relative_to(ROOT))
        for room in ROOMS
        for file in (ROOT / room).rglob("*.py")
        if re.search(r"Privacy & Security", file.read_text(encoding="utf-8"))
    ]
    assert speak == ["config/disk_access.py"]
