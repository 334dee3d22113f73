"""What an install, an uninstall or a restart consists of: frozen values, shown by `--print` or carried out.

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
    """With the missing ones above it; nothing if it is there."""

    path: Path
    owner: Owner | None = None
    """Who is to own what is made, when root makes it for a user."""


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Whole or not at all. Readable by everybody, writable by its owner: launchd refuses anything looser."""

    path: Path
    text: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """Nothing if it is gone."""

    path: Path


@dataclass(frozen=True, slots=True)
class Run:
    """A program that has to exit with 0."""

    words: tuple[str, ...]
    deadline_seconds: float = SHORT_SECONDS
    fine: frozenset[int] = frozenset()
    """Other exit codes that mean the same here."""
    again_on: frozenset[int] = frozenset()
    """Exit codes that pass by themselves."""
    again_seconds: float = 0.0
    """For so long."""


@dataclass(frozen=True, slots=True)
class Await:
    """Until the daemon has `ended`, or the service manager has `forgotten` it: neither tells us, so we ask."""

    wanted: Literal["ended", "forgotten"]
    deadline_seconds: float


Step = MakeFolder | WriteFile | RemoveFile | Run | Await


def in_shell(step: Step) -> str:
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
