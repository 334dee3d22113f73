"""No test reaches the launchctl or the systemctl of the machine it runs on."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rules.test_imports import ROOMS, ROOT, files_of
from service_stand_ins import NAMES, REFUSED, StandIns

SYSTEM_PATH = re.compile(r"(^|:)/usr/s?bin(:|$)")
BRING_THEIR_OWN = {"tests/daemon/test_service.py", "tests/daemon/test_readme.py"}
"""They put fakes of both managers in front of the system's folders."""
RUN_NOTHING = {
    "tests/support/fake_service_managers.py",
    "tests/unit/supervisor/followups/test_hook_command.py",
    "tests/unit/launchd/test_unit.py",
    "tests/systemd/container.py",
    "tests/benchmarks/contestants/contestant.py",
    "tests/support/terminal_picture.py",
    "tests/rules/test_service_managers.py",
}
"""They print such a path, compare one, set it in a container of their own, or for a peer that knows no services."""


@pytest.mark.parametrize("name", NAMES)
def test_a_test_finds_the_stand_in_first_and_it_refuses_to_change_anything(name: str, stand_ins: StandIns) -> None:
    assert Path(shutil.which(name) or "").parent == stand_ins.folder
    done = subprocess.run([name, "--user", "bootout", "gui/501/dev.stenod"], capture_output=True, check=False)
    assert done.returncode == REFUSED
    assert stand_ins.calls() == [f"{name} --user bootout gui/501/dev.stenod"]


@pytest.mark.parametrize("words", [["launchctl", "print", "gui/501"], ["systemctl", "--user", "show", "x.service"]])
def test_a_question_finds_no_session_and_is_no_fault_of_the_test(words: list[str], stand_ins: StandIns) -> None:
    assert subprocess.run(words, capture_output=True, check=False).returncode == 1
    assert stand_ins.calls() == []


@pytest.mark.parametrize("program", ["launchctl", "systemctl"])
def test_the_product_calls_its_service_manager_by_name_so_that_the_path_decides(program: str) -> None:
    files = [file for room in ROOMS for file in files_of(room)]
    assert not [file for file in files if re.search(rf"/s?bin/{program}", file.read_text(encoding="utf-8"))]


def test_no_test_sets_a_path_that_leads_around_the_stand_ins() -> None:
    wrong = set[str]()
    for file in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Attribute(value=ast.Name(id="os"), attr="defpath"):
                    wrong.add(str(file.relative_to(ROOT)))
                case ast.Constant(value=str(text)) if SYSTEM_PATH.search(text) and len(text) < 200:
                    wrong.add(str(file.relative_to(ROOT)))
                case _:
                    pass
    assert wrong - BRING_THEIR_OWN - RUN_NOTHING - {"tests/support/service_stand_ins.py"} == set()


def test_those_that_bring_their_own_bring_both() -> None:
    for file in BRING_THEIR_OWN:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert all(re.search(rf'"{name}"', text) for name in NAMES), file
