"""The watched folders as this shell sees them, while there is no daemon that could say how it sees them.

Runs in: the user's shell. Stands alone: one file a check.
"""

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from shlex import quote

from client.doctor.check import Case, Check, broken, missing, ok
from ipc.status_views import Finding


def checks(case: Case) -> Iterator[Check]:
    if case.status is None and case.loaded is not None:
        is_ours = case.loaded.origins["watch"] == "default"
        for entry in case.loaded.settings.watch:
            yield Check("Watched folders", "watch_folder", partial(shell_view, entry.path, is_ours))


def shell_view(folder: Path, is_made_at_start: bool) -> Iterator[Finding]:
    """Whether this shell may list the folder and open a file in it. A service may still be refused both."""
    quoted, why = quote(str(folder)), "no recording in it is transcribed"
    try:
        _open_one_file(folder)
    except FileNotFoundError:
        if is_made_at_start:
            yield missing("watch_folder", folder, why)
        else:
            yield broken("watch_folder", f"{folder} does not exist", why, f"connect its disk, or `mkdir -p {quoted}`")
    except OSError as error:
        is_closed = isinstance(error, PermissionError)
        remedy = f"chmod u+rwx {quoted}" if is_closed else f"put a real folder there: ls -ld {quoted}"
        yield broken("watch_folder", f"{folder} cannot be read: {error.strerror}", why, remedy)
    else:
        if os.access(folder, os.W_OK):
            yield ok("watch_folder", f"{folder} can be read from this shell")
        else:
            what = f"{folder} cannot be written: no place for transcripts"
            yield broken("watch_folder", what, why, f"chmod u+w {quoted}, or set output.folder")


def _open_one_file(folder: Path) -> None:
    # macOS lists a protected folder and refuses its files: only an open file proves anything.
    with os.scandir(folder) as entries:
        for entry in entries:
            if stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode) and not entry.name.startswith("."):
                os.close(os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))
                return
