"""Which disks a path leads over, name by name: a symbolic link may lead to another disk than its name says.

Runs in: supervisor, in a thread.
"""

import os
import stat
from collections.abc import Iterator, Sequence

from supervisor.disks.mounts import Mount, mount_of

LINKS_FOLLOWED = 40
"""As many as Linux follows."""


def disks_on_the_way(path: str, mounts: Sequence[Mount]) -> Iterator[Mount]:
    """The disk of each name on the way, before that is touched; links are followed as the system would.

    Ends early at what is not there, or may not be entered: that is for the work itself to find out.
    """
    here, left, links = "/", [name for name in path.split("/") if name], 0
    while True:
        mount = mount_of(here, mounts)
        if mount is not None:
            yield mount
        if not left:
            return
        name = left.pop(0)
        if name in (".", ".."):
            here = os.path.dirname(here) if name == ".." else here  # noqa: PTH120 - text alone
            continue
        there = f"{here.rstrip('/')}/{name}"
        mount = mount_of(there, mounts)
        if mount is not None:
            yield mount
        try:
            is_link = stat.S_ISLNK(os.lstat(there).st_mode)
            target = os.readlink(there) if is_link else None  # noqa: PTH115
        except (OSError, ValueError):
            return
        if target is None:
            here = there
            continue
        links += 1
        if links > LINKS_FOLLOWED:
            return
        left = [part for part in target.split("/") if part] + left
        here = "/" if target.startswith("/") else here
