"""Every command in the README is run as it stands there, in order, by a shell in a home of its own."""

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


def test_no_remark_stands_inside_a_console_block() -> None:
    """zsh, the shell of a Mac, takes `#` on its command line for a word."""
    assert not [line for block in BLOCK.findall(README) for line in block.splitlines() if re.search(r"(^|\s)#", line)]


def test_every_command_named_in_passing_is_one_that_steno_knows() -> None:
    passages = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    named = sorted(set(re.findall(r"`(?:sudo \S*/)?(?:steno) ([^`]+)`", passages)) - {"VERB --help"})
    assert len(named) > 30
    # Flags are read before --help is obeyed, so one that does not exist is found and nothing is done.
    answers = {words: CliRunner().invoke(steno.app, [*without_marks(words), "--help"]) for words in named}
    assert {words: answer.output for words, answer in answers.items() if answer.exit_code} == {}


def without_marks(words: str) -> list[str]:
    """A synopsis as somebody types it: `[--wait]` and `ID…` hold no word of the command line's own."""
    return shlex.split(re.sub(r"[\[\]…]", "", words).replace("| source", ""))


def test_every_command_in_the_readme_does_what_it_says(home: Path) -> None:
    blocks = commands_of(README)
    assert sum(map(len, blocks)) > 20
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
    script = "\n".join(
        f"echo {'=' * 8} >&2; set -x\n{command}\n{{ code=$?; set +x; }} 2>/dev/null\n"
        f"[ $code = 0 ] || {{ echo FAILED $code >&2; exit 1; }}"
        for block in blocks
        for command in block
    )
    story = home / "story.log"
    with story.open("wb") as told:
        shell = subprocess.Popen(
            ["bash", "-c", script],
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
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
        )
        try:
            code = shell.wait(400)
        finally:
            stop_whatever_lives_in(home)
    assert code == 0, story.read_text(encoding="utf-8", errors="replace")[-4000:]


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
