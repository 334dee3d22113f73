"""The daemon's self-check: whether it may read the watched folders and write where it has to.

Runs in: supervisor.

A service may lack permissions of a shell: macOS grants them per program, and a service has another environment. So
`steno doctor` asks the daemon, and the daemon tries.
"""

import asyncio
import errno
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from shlex import quote
from typing import assert_never

from config.places import Places
from ipc.status_views import Finding
from supervisor.disks.foreign_disks import DiskNotAnswering, disks
from supervisor.store.sqlite.database import JobQueueBroken
from supervisor.system.reload import LiveSettings
from supervisor.watch.access_check import FolderProbe, permission_hint

ANSWER_SECONDS = 5.0
"""A sleeping disk wakes within this time; a lost network disk never answers."""


class SelfCheck:
    """Created once; every check is fresh."""

    def __init__(
        self,
        settings: LiveSettings,
        places: Places,
        probe_watches: Callable[[], Awaitable[Sequence[FolderProbe]]],
        write_nothing: Callable[[], Awaitable[None]],
    ) -> None:
        """`probe_watches` probes each watched folder with a deadline; `write_nothing` is an empty transaction."""
        self._settings = settings
        self._places = places
        self._probe_watches = probe_watches
        self._write_nothing = write_nothing

    async def findings(self) -> list[Finding]:
        """All checks, in parallel."""
        places, outputs = self._places, self._settings.current.output.folder
        ours = {"spool_folder": places.spool, "state_folder": places.state, "log_folder": places.logs}
        looks = [self._writing(check, folder) for check, folder in ours.items()]
        if outputs is not None:
            looks.append(self._writing("output_folder", outputs, is_made_later=True))
        watches, queue, written = await asyncio.gather(self._watches(), self._queue(), asyncio.gather(*looks))
        return [*watches, queue, *written]

    async def _watches(self) -> list[Finding]:
        return [watch_finding(probed, sys.platform) for probed in await self._probe_watches()]

    async def _queue(self) -> Finding:
        file = self._places.database
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                is_there = await disks().look(file, partial(_is_there, file))
                await self._write_nothing()
        except (TimeoutError, DiskNotAnswering):
            return _broken("queue_file", f"{file} did not answer for {ANSWER_SECONDS:g} s", "`steno service restart`")
        except JobQueueBroken as broken:
            return _broken("queue_file", broken.message, broken.hint)
        except OSError as error:
            what = f"the daemon cannot stat {file}: {error.strerror}"
            return _broken("queue_file", what, _remedy(error, file.parent))
        if not is_there:
            return _broken(
                "queue_file",
                f"{file} was removed while the daemon used it",
                "bring it back, or `steno service restart` for an empty queue",
            )
        return Finding(check="queue_file", state="ok", what=f"the daemon can write its queue, {file}")

    async def _writing(self, check: str, folder: Path, *, is_made_later: bool = False) -> Finding:
        writing = disks().look(folder, partial(_write_a_little, folder, is_made_later))
        try:
            await asyncio.wait_for(writing, ANSWER_SECONDS)
        except (TimeoutError, DiskNotAnswering):
            return _broken(check, f"{folder} did not answer for {ANSWER_SECONDS:g} s", "is its disk still there?")
        except FileNotFoundError:
            return _broken(check, f"{folder} is not there", f"mkdir -p {quote(str(folder))}")
        except OSError as error:
            what = f"the daemon cannot write to {folder}: {error.strerror}"
            return _broken(check, what, _remedy(error, folder))
        return Finding(check=check, state="ok", what=f"the daemon can write to {folder}")


def _is_there(file: Path) -> bool:
    """Raises OSError if it cannot be determined: Path.exists raises only for some errors, and returns False for
    others."""
    try:
        file.stat()
    except FileNotFoundError:
        return False
    return True


def _write_a_little(folder: Path, is_made_later: bool) -> None:
    place = folder.parent if is_made_later and not folder.exists() else folder
    # Unnamed on Linux; elsewhere hidden, and unlinked as soon as it is open. The first block reveals a full disk.
    with tempfile.TemporaryFile(prefix=".stenod-", dir=place, buffering=0) as file:
        file.write(b"\0" * 4096)


def _remedy(error: OSError, folder: Path) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"free some space there: `du -xh -d 1 {quote(str(folder))} | sort -h` shows what is large"
        case errno.EACCES | errno.EPERM:
            return f"chmod u+rwx {quote(str(folder))}"
        case _:
            return f"look at it: ls -ld {quote(str(folder))}"


def watch_finding(probed: FolderProbe, platform: str) -> Finding:
    """What came of it, with the remedy."""
    folder, hint = probed.path, permission_hint(platform)
    note = probed.note.removesuffix(f": {hint}")
    match probed.state:
        case "ok":
            return Finding(check="watch_folder", state="ok", what=f"the daemon can read and write {folder}")
        case "needs_permission":
            return Finding(
                check="watch_folder",
                state="broken",
                what=f"the daemon may not read {folder}: {note}",
                why="its recordings are not processed"
                + ("; macOS grants access to a program, not to a user" if platform == "darwin" else ""),
                remedy=hint if platform == "darwin" else f"chmod u+rx {quote(folder)}",
            )
        case "not_writable":
            return Finding(
                check="watch_folder",
                state="broken",
                what=f"the daemon may not write to {folder}: {note}",
                why="transcripts are written beside their recordings, unless output.folder says otherwise",
                remedy=hint if probed.note.endswith(hint) else f"chmod u+w {quote(folder)}, or set output.folder",
            )
        case "offline":
            # The folder may be a file, or its disk unplugged: its recordings are not processed either way.
            return Finding(
                check="watch_folder",
                state="broken",
                what=f"{folder} is offline: {note}",
                why="its recordings are processed once it is back; nothing is lost meanwhile",
                remedy=f"connect its disk, or `mkdir -p {quote(folder)}`, or `steno watch remove {quote(folder)}`",
            )
        case "timed_out":
            return Finding(
                check="watch_folder",
                state="broken",
                what=f"{folder} does not answer: {note}",
                why="a network disk went away, or macOS waits for the answer to an unseen dialog",
                remedy="mount it again; on a Mac look for a dialog on its screen",
            )
        case unknown:
            assert_never(unknown)


def _broken(check: str, what: str, remedy: str) -> Finding:
    return Finding(check=check, state="broken", what=what, why="jobs cannot continue without it", remedy=remedy)
