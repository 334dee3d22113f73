"""The steps of an install, an uninstall or a restart: frozen values, shown by `--print` or executed.

Runs in: the installer.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, assert_never

from launchd.owner import Owner

SHORT_SECONDS = 20.0
"""launchctl and systemctl answer in milliseconds; a machine that swaps may take this long."""


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """Creates the folder and its missing parents. Does nothing if it exists."""

    path: Path
    owner: Owner | None = None
    """The owner of the new folder, when root makes it for a user."""


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Atomic. Readable by all users, writable only by its owner: launchd refuses a looser mode."""

    path: Path
    text: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """Does nothing if the file does not exist."""

    path: Path


@dataclass(frozen=True, slots=True)
class Run:
    """A program that must exit with 0."""

    words: tuple[str, ...]
    deadline_seconds: float = SHORT_SECONDS
    fine: frozenset[int] = frozenset()
    """Other exit codes that count as success."""
    again_on: frozenset[int] = frozenset()
    """Exit codes of temporary failures: the command is retried."""
    again_seconds: float = 0.0
    """How long it is retried."""


@dataclass(frozen=True, slots=True)
class Await:
    """Waits until the daemon has `ended`, or the service manager has `forgotten` it. Neither notifies us: we poll."""

    wanted: Literal["ended", "forgotten"]
    deadline_seconds: float


InstallStep = MakeFolder | WriteFile | RemoveFile | Run | Await


def in_shell(step: InstallStep) -> str:
    """The step as lines that a shell would understand."""
    match step:
        case MakeFolder(path, owner):
            made = shlex.join(("mkdir", "-p", "-m", "700", str(path)))
            return made if owner is None else f"{made} && {shlex.join(('chown', owner.name, str(path)))}"
        case WriteFile(path, text, mode):
            name = shlex.quote(str(path))
            return f"cat > {name} << 'END'\n{text.removesuffix(chr(10))}\nEND\nchmod {mode:o} {name}"
        case RemoveFile(path):
            return shlex.join(("rm", "-f", str(path)))
        case Run(words, again_on=again_on, again_seconds=seconds):
            codes = " or ".join(map(str, sorted(again_on)))
            return shlex.join(words) + (f"  # again on {codes}, for {seconds:.0f} s" if again_on else "")
        case Await(wanted, seconds):
            return f"# wait until it has {'been ' * (wanted == 'forgotten')}{wanted}, at most {seconds:.0f} s"
        case _:
            assert_never(step)
