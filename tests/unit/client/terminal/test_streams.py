"""What the command says where stdout or stderr is closed, full or cannot encode it: a sentence, never a traceback.

Runs in: the test process; the command is a process of its own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

STENO = f"{sys.executable} -P -m client.steno"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STENO_", "PYTHONIOENCODING"))}
    return {**kept, "STENO_HOME": str(tmp_path)}


def typed(words: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """`steno …` with a shell's redirections."""
    return subprocess.run(
        f"exec {STENO} {words}", shell=True, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    "words", ["config show", "config show --json", "jobs --help", "--version", "completion zsh", "demo"]
)
@pytest.mark.parametrize(("where", "why"), [("/dev/full", "No space left"), ("&-", "Bad file descriptor")])
def test_an_answer_that_cannot_be_written_is_a_sentence_and_exit_code_74(
    words: str, where: str, why: str, home: Mapping[str, str]
) -> None:
    if where == "/dev/full" and not Path(where).exists():
        pytest.skip("macOS has no /dev/full")
    done = typed(f"{words} >{where}", home)
    assert (done.returncode, done.stdout) == (74, "")
    assert f"standard output cannot be written: {why}" in done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("where", ["/dev/full", "&-"])
def test_talk_that_cannot_be_written_changes_no_exit_code(where: str, home: Mapping[str, str]) -> None:
    if where == "/dev/full" and not Path(where).exists():
        pytest.skip("macOS has no /dev/full")
    assert typed(f"status 2>{where}", home).returncode == 69
    done = typed(f"config show 2>{where}", home)
    assert done.returncode == 0
    assert "whisper_backend" in done.stdout


def test_a_closed_stdin_is_no_terminal(home: Mapping[str, str]) -> None:
    done = typed("config check <&-", home)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", ["config show", "config show --json", "--help"])
def test_a_reader_that_leaves_early_is_no_fault(words: str, home: Mapping[str, str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-P", "-m", "client.steno", *words.split()]
    done = subprocess.run(command, env=home, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("words", ["--help", "config show", "status"])
def test_what_an_encoding_lacks_is_written_otherwise(words: str, home: Mapping[str, str]) -> None:
    done = typed(words, {**home, "PYTHONIOENCODING": "ascii"})
    assert "Traceback" not in done.stderr
    assert done.returncode == (69 if words == "status" else 0)
    assert (done.stdout + done.stderr).isascii()


def test_json_stays_json_in_any_encoding(home: Mapping[str, str]) -> None:
    environment = {**home, "STENO_OUTPUT_NAME": "…{stem} 🎧", "PYTHONIOENCODING": "ascii"}
    told = json.loads(typed("config show --json", environment).stdout)
    assert told["output.name"]["value"] == "…{stem} 🎧"


def test_a_system_error_is_a_sentence(home: Mapping[str, str]) -> None:
    # No mode keeps root out, and a name that is too long keeps everybody out.
    long = {**home, "STENO_HOME": f"{home['STENO_HOME']}/{'x' * 300}"}
    done = typed("transcribe nothing.wav", long)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "File name too long" in done.stderr


def test_no_daemon_is_a_json_object_for_scripts(home: Mapping[str, str]) -> None:
    done = typed("status --json", home)
    assert done.returncode == 69
    assert json.loads(done.stdout)["error"]["code"] == "no_daemon"
    assert "no daemon answers" in done.stderr
    assert typed("status", home).stdout == ""


def test_a_table_in_a_pipe_ends_without_spaces(home: Mapping[str, str]) -> None:
    lines = typed("config show", home).stdout.splitlines()
    assert len(lines) > 20
    assert not [line for line in lines if line != line.rstrip()]


def test_it_says_its_version(home: Mapping[str, str]) -> None:
    done = typed("--version", home)
    assert done.returncode == 0
    assert done.stdout.startswith("stenod 0.")


@pytest.mark.parametrize("verb", ["", "submit", "watch add", "transcribe", "doctor"])
def test_no_switch_names_its_type(verb: str, home: Mapping[str, str]) -> None:
    assert "bool" not in typed(f"{verb} --help", home).stdout


@pytest.mark.parametrize("ending", ["", "sys.exit(3)"])
def test_what_is_still_in_the_buffer_when_a_command_ends_counts_too(ending: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("macOS has no /dev/full")
    script = f"import sys\nfrom client.terminal.streams import with_streams\ndef run():\n print(1)\n {ending}\n"
    command = [sys.executable, "-P", "-c", f"{script}with_streams(run)"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 74
    assert done.stderr.splitlines()[0] == "steno: standard output cannot be written: No space left on device"
