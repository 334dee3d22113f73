"""A group of processes that share so much memory, and whose greediest the kernel ends when that is gone.

Runs in: the chaos run. Linux, as root; cgroups of version 1 or 2.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")


def may_group() -> bool:
    """Whether this machine lets us make such a group."""
    with suppress(OSError), control_group(1 << 40):
        return True
    return False


@contextmanager
def control_group(memory_bytes: int) -> Iterator[Path]:
    """Empty at first; whoever is still in it at the end goes back to where we are. Raises OSError."""
    first = MOUNT / "memory" if (MOUNT / "memory").is_dir() else MOUNT
    group = first / f"stenod-chaos-{os.getpid()}"
    group.mkdir()
    try:
        limit = "memory.limit_in_bytes" if first != MOUNT else "memory.max"
        (group / limit).write_text(str(memory_bytes))
        yield group
    finally:
        move(first, (int(pid) for pid in (group / "cgroup.procs").read_text().split()))
        group.rmdir()


def move(group: Path, pids: Iterable[int]) -> None:
    """What they take from now on counts for the group."""
    for pid in pids:
        with suppress(ProcessLookupError):
            (group / "cgroup.procs").write_text(str(pid))
