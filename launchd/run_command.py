"""A short-lived program, run to its end with a deadline: launchctl, systemctl.

Runs in: the installer.
"""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from launchd.refusal import ServiceRefused


@dataclass(frozen=True, slots=True)
class Answer:
    """How a program ended and what it said."""

    words: tuple[str, ...]
    exit_code: int
    output: str
    complaint: str
    """stderr, or stdout where there was none."""


def run(words: Sequence[str], deadline_seconds: float) -> Answer:
    """Raises ServiceRefused if the program is not there or does not end in time."""
    try:
        ended = subprocess.run(
            words,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=deadline_seconds,
            encoding="utf-8",
            errors="replace",
            # What it says is read by us.
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except FileNotFoundError:
        raise ServiceRefused(
            f"there is no {words[0]} here", "`steno serve` runs the daemon without a service manager"
        ) from None
    except OSError as error:
        raise ServiceRefused(f"{words[0]} cannot be run: {error.strerror}", "") from error
    except subprocess.TimeoutExpired:
        raise ServiceRefused(
            f"`{' '.join(words)}` did not end within {deadline_seconds:.0f} s", "try it by hand; the machine may swap"
        ) from None
    return Answer(tuple(words), ended.returncode, ended.stdout, (ended.stderr or ended.stdout).strip())
