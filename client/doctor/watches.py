"""The watched folders as this shell sees them, for as long as there is no daemon that could say how it fares.

Runs in: the user's shell.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from config.loader import Loaded
from ipc.status_views import Finding


def shell_view(folder: Path, is_made_at_start: bool) -> Iterator[Finding]:
    """Whether this shell may list the folder and open a file in it. A service may still be refused both."""
    try:
        _open_one_file(folder)
    except FileNotFoundError:
        if not is_made_at_start:
            yield _broken(folder, "is not there", f"connect its disk, or `mkdir -p {quote(str(folder))}`")
            return
        yield Finding(check="watch_folder", state="ok", what=f"{folder} is made when the daemon starts")
        return
    except PermissionError as refused:
        yield _broken(folder, f"cannot be read: {refused.strerror}", f"chmod u+rwx {quote(str(folder))}")
        return
    except OSError as error:
        yield _broken(
            folder, f"cannot be read: {error.strerror}", f"put a real folder there: ls -ld {quote(str(folder))}"
        )
        return
    if not os.access(folder, os.W_OK):
        remedy = f"chmod u+w {quote(str(folder))}, or set output.folder"
        yield _broken(folder, "cannot be written: no place for transcripts", remedy)
        return
    yield Finding(check="watch_folder", state="ok", what=f"{folder} can be read from this shell")


def _open_one_file(folder: Path) -> None:
    # macOS lists a protected folder and refuses its files: only an open file proves anything.
    with os.scandir(folder) as entries:
        for entry in entries:
            if stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode) and not entry.name.startswith("."):
                os.close(os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))
                return


def watched(loaded: Loaded) -> list[tuple[Path, bool]]:
    """Each folder of the settings, and whether the daemon makes it when it is missing."""
    is_ours = loaded.origins["watch"] == "default"
    return [(entry.path, is_ours) for entry in loaded.settings.watch]


def _broken(folder: Path, what: str, remedy: str) -> Finding:
    return Finding(
        check="watch_folder",
        state="broken",
        what=f"{folder} {what}",
        why="no recording there is taken",
        remedy=remedy,
    )
