"""Every command of README.md and of the HTTP API's page runs as printed, in order, in bash and line by line in zsh.

Runs in: the test process; the shells in a home of their own.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from client import steno

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = ROOT / "tests" / "support"
README = (ROOT / "README.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
PAGES = {name: ROOT / name for name in ("README.md", "docs/http-api.md")}
SHELL_SECONDS = 400.0
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STAND_INS = {
    # make demo and make test would run us, and themselves, again: .ci runs them; here only their targets must exist.
    "make": f'cd {ROOT} && exec /usr/bin/env -S -i PATH="$REAL_PATH" make -n "$@" > /dev/null',
    "launchctl": f'exec {sys.executable} {SUPPORT}/fake_service_managers.py launchctl "$@"',
    "systemctl": f'exec {sys.executable} {SUPPORT}/fake_service_managers.py systemctl "$@"',
    # Programs of other systems, and of root.
    "brew": "exit 0",
    "sudo": 'echo "would run as root: $*"',
}


def commands_of(text: str) -> list[list[str]]:
    """The commands of each console block; a line that ends in a backslash goes on."""
    blocks = []
    for block in BLOCK.findall(text):
        lines = re.sub(r"\\\n", "", block).splitlines()
        blocks.append([line.removeprefix("$ ") for line in lines if line.startswith("$ ")])
    return [block for block in blocks if block]


@pytest.fixture
def home() -> Iterator[Path]:
    # Not pytest's tmp_path: a socket's path has 103 bytes at most.
    place = Path(tempfile.mkdtemp(prefix="steno-readme-", dir="/tmp"))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def test_every_command_named_in_passing_is_one_that_steno_knows() -> None:
    passages = re.sub(r"^```.*?^```$", "", README + OPERATIONS, flags=re.MULTILINE | re.DOTALL)
    named = sorted(set(re.findall(r"`(?:sudo \S*/)?(?:steno) ([^`]+)`", passages)) - {"VERB --help"})
    assert len(named) > 30
    # Flags are read before --help is obeyed, so one that does not exist is found and nothing is done.
    answers = {words: CliRunner().invoke(steno.app, [*without_marks(words), "--help"]) for words in named}
    assert {words: answer.output for words, answer in answers.items() if answer.exit_code} == {}


def without_marks(words: str) -> list[str]:
    """A synopsis as somebody types it: `[--wait]` and `ID…` hold no word of the command line's own."""
    return shlex.split(re.sub(r"[\[\]…]", "", words).replace("| source", ""))


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_does_what_it_says_in_bash(home: Path, page: str) -> None:
    commands = [command for block in commands_of(PAGES[page].read_text(encoding="utf-8")) for command in block]
    assert len(commands) > 8
    script = "\n".join(
        f"echo {'=' * 8} >&2; set -x\n{command}\n{{ code=$?; set +x; }} 2>/dev/null\n"
        f"[ $code = 0 ] || {{ echo FAILED $code >&2; exit 1; }}"
        for command in commands
    )
    code, told = run_in_shell(home, ["bash", "-c", script])
    assert code == 0, told[-4000:]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh, the shell of a Mac, is not installed")
@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_does_what_it_says_line_by_line_in_an_interactive_zsh(home: Path, page: str) -> None:
    """As a user pastes them into Terminal: without start-up files, and with an interactive shell's rules."""
    commands = [command for block in commands_of(PAGES[page].read_text(encoding="utf-8")) for command in block]
    lines = "".join(f"{command}\n[ $? = 0 ] || exit 71\n" for command in commands)
    code, told = run_in_shell(home, ["zsh", "-f", "-i"], f"{lines}exit 0\n")
    assert code == 0, told[-4000:]


def run_in_shell(home: Path, shell: list[str], typed: str = "") -> tuple[int, str]:
    """Its exit code, and all that it and its commands printed."""
    stand_ins = home / "stand-ins"
    stand_ins.mkdir()
    for name, does in STAND_INS.items():
        program = stand_ins / name
        program.write_text(f"#!/bin/sh\n{does}\n", encoding="utf-8")
        program.chmod(0o755)
    services = home / "services"
    services.mkdir()
    venv = Path(sys.executable).parent
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TERM") if name in os.environ}
    story, keys = home / "story.log", home / "typed"
    keys.write_text(typed, encoding="utf-8")
    with story.open("wb") as told, keys.open("rb") as stdin:
        process = subprocess.Popen(
            shell,
            cwd=ROOT,
            env={
                **kept,
                "HOME": str(home),
                "PATH": f"{stand_ins}:{venv}:{os.environ['PATH']}",
                "FAKE_SERVICES": str(services),
                "REAL_PATH": os.environ["PATH"],
                "EDITOR": "true",
                "COLUMNS": "100",
            },
            stdin=stdin,
            stdout=told,
            stderr=told,
            start_new_session=True,
        )
        try:
            code = process.wait(SHELL_SECONDS)
        finally:
            stop_whatever_lives_in(home)
    return code, story.read_text(encoding="utf-8", errors="replace")


def stop_whatever_lives_in(home: Path) -> None:
    """Ends the daemons, the service's among them, and whatever else the shell left."""
    left = [process for process in psutil.process_iter() if home_of(process) == str(home)]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
    _, stubborn = psutil.wait_procs(left, timeout=15)
    for process in stubborn:
        process.kill()
    assert not stubborn, stubborn


def home_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("HOME")
    except (psutil.Error, OSError):
        return None
