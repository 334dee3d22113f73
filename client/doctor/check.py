"""What a check of the doctor gets and gives: the case, its findings, and how one asks another program of ours.

Runs in: the user's shell.
"""

import os
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TypeVar

from pydantic import ValidationError

from config.engines import EngineChoice
from config.loader import ConfigError, LoadedSettings
from config.places import Places
from config.settings import Settings
from ipc.status_views import Finding, StatusView

CHECK_SECONDS = 10.0
"""For what takes milliseconds on a healthy disk."""
LONGEST_QUOTE = 200
"""Letters of an answer that is not understood."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Case:
    """What is known before any check runs: by the running daemon's environment, else by this shell's."""

    places: Places
    environment: Mapping[str, str]
    status: StatusView | None
    """None: no daemon answers."""
    refusal: str
    """Why not; empty if one does."""
    loaded: LoadedSettings | None
    choice: EngineChoice | None
    wrong: ConfigError | None
    """Why the settings cannot be used; None: they can."""
    model_check: Sequence[str]
    """The program that examines models."""

    @property
    def settings(self) -> Settings:
        """The defaults where the real ones cannot be read."""
        return Settings() if self.loaded is None else self.loaded.settings


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to check, side by side with the others."""

    group: str
    """The heading on the page."""
    name: str
    """What its finding is called if it does not return in time."""
    run: Callable[[], Iterable[Finding]]
    deadline_seconds: float = CHECK_SECONDS


def ok(check: str, what: str) -> Finding:
    return Finding(check=check, state="ok", what=what)


def warning(check: str, what: str, why: str, remedy: str) -> Finding:
    """It works, but not as it should. `why` it matters, and the command or step that fixes it."""
    return Finding(check=check, state="warning", what=what, why=why, remedy=remedy)


def broken(check: str, what: str, why: str, remedy: str) -> Finding:
    """It does not work. `why` it matters, and the command or step that fixes it."""
    return Finding(check=check, state="broken", what=what, why=why, remedy=remedy)


def missing(check: str, folder: Path, why: str) -> Finding:
    """A folder that the daemon creates when it starts, if it may. `why` it matters."""
    parent = next(one for one in folder.parents if os.path.lexists(one))
    if os.path.isdir(parent) and os.access(parent, os.W_OK | os.X_OK):  # noqa: PTH112 - raises nothing
        return ok(check, f"{folder} is created when the daemon starts")
    remedy = f"chmod u+wx {quote(str(parent))}, or choose another place with STENO_HOME"
    return broken(check, f"{folder} cannot be created: {parent} cannot be written", why, remedy)


def along(place: Path) -> str:
    """The command that shows who may enter the folder, and whose the thing in it is."""
    return f"ls -ld {quote(str(place.parent))} {quote(str(place))}"


class NoAnswer(Exception):
    """Another program of ours said nothing of use; the message says why."""


def ask(
    command: Sequence[str],
    understand: Callable[[bytes], Answer],
    deadline_seconds: float,
    environment: Mapping[str, str] | None = None,
) -> Answer:
    """What the program prints, understood. Raises NoAnswer."""
    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=deadline_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise NoAnswer(f"no answer within {deadline_seconds:g} s") from late
    except OSError as error:
        raise NoAnswer(f"{command[0]}: {error.strerror}") from error
    if not done.stdout.strip():
        complaints = done.stderr.decode(errors="replace").strip().splitlines()
        raise NoAnswer(complaints[-1] if complaints else f"exit code {done.returncode}")
    try:
        return understand(done.stdout)
    except ValidationError as wrong:
        first = done.stdout.decode(errors="replace").strip().partition("\n")[0][:LONGEST_QUOTE]
        raise NoAnswer(f"the answer is not understood: {first}") from wrong
