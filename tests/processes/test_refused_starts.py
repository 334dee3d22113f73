"""A daemon that cannot start says why, and its exit code tells a service manager, even where nothing can be said.

Runs in: the test process; the daemon is a real child.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import pytest

from ipc.program import program


def start(home: Path, stderr: int | IO[bytes], **environment: str) -> subprocess.CompletedProcess[bytes]:
    owner = {name: value for name, value in os.environ.items() if not name.startswith("STENO_")}
    return subprocess.run(
        program("supervisor"),
        env={**owner, "STENO_HOME": str(home), **environment},
        stderr=stderr,
        check=False,
        timeout=60,
    )


WRONG_SETTING = {"STENO_MEDIA_LONGEST_HOURS": "many"}


@pytest.mark.parametrize(
    ("environment", "lock_is_a_folder", "code", "words"),
    [
        (WRONG_SETTING, False, os.EX_CONFIG, b"longest_hours"),
        ({}, True, os.EX_CANTCREAT, b"cannot be opened: Is a directory"),
    ],
)
def test_the_exit_code_says_why_whether_or_not_stderr_can_be_written(
    tmp_path: Path, environment: Mapping[str, str], lock_is_a_folder: bool, code: int, words: bytes
) -> None:
    if lock_is_a_folder:
        (tmp_path / "state" / "daemon.lock").mkdir(parents=True)
    heard = start(tmp_path, subprocess.PIPE, **environment)
    assert heard.returncode == code, heard.stderr
    assert words in heard.stderr
    if sys.platform == "linux":
        with Path("/dev/full").open("wb") as full:
            assert start(tmp_path, full, **environment).returncode == code
