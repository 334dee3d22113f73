"""The file system of a folder, from the list of mounts. Pure.

Runs in: supervisor.

The system reports changes made on this machine. It does not report those of other machines on a network disk, on some
disks none at all (https://github.com/gorakhargosh/watchdog/issues/409), and inodes there may be temporary numbers.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil

# fmt: off
NETWORK = frozenset({
    "9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "davfs2", "ftp",
    "gfs2", "glusterfs", "gpfs", "lustre", "macfuse", "mfs", "ncpfs", "nfs", "nfs4", "ocfs2", "osxfuse",
    "panfs", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs", "webdav", "wslfs",
})
"""Including file systems that virtual machines share with their host."""
LOCAL_FUSE = frozenset({
    "fuse.bindfs", "fuse.cryfs", "fuse.encfs", "fuse.exfat", "fuse.exfat-fuse", "fuse.gocryptfs", "fuse.lxcfs",
    "fuse.mergerfs", "fuse.ntfs", "fuse.ntfs-3g", "fuse.securefs", "fuse.squashfuse", "fuse.veracrypt",
})
"""Any other FUSE file system (sshfs, rclone, s3fs …) is a disk on another machine; `fuseblk` is local."""
# fmt: on


MOUNTINFO = Path("/proc/self/mountinfo")
"""Only on Linux."""
ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system."""

    point: str
    """Absolute."""
    kind: str
    """The file system's type: `apfs`, `ext4`, `smbfs` …"""
    identity: str = ""
    """Distinguishes it from another mount at the same point; empty if the system has no such id."""

    @property
    def name(self) -> str:
        """Unique for this mount, as far as the system reports it."""
        return f"{self.identity} {self.point}"


def mounts_now() -> Sequence[Mount]:
    """All mounts, in the order of mounting. Accesses no disk; empty if a sandbox hides them."""
    try:
        if MOUNTINFO.exists():
            return mounts_of(MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape"))
        return [Mount(one.mountpoint, one.fstype, one.device) for one in psutil.disk_partitions(all=True)]
    except (OSError, RuntimeError):
        return []


@lru_cache(maxsize=1)
def mounts_of(mountinfo: str) -> Sequence[Mount]:
    """The mounts of Linux's table, see proc_pid_mountinfo(5): pure. It is read at each access and seldom changes."""
    found = []
    for line in mountinfo.splitlines():
        facts, _, kind = line.partition(" - ")
        fields = facts.split(" ")
        if len(fields) >= 5 and kind:
            found.append(Mount(ESCAPED.sub(_unescaped, fields[4]), kind.split(" ")[0], fields[0]))
    return tuple(found)


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 8))


def is_on_network(folder: Path) -> bool:
    """Whether other machines may write to the disk without events here. Blocks as long as the disk does."""
    mount = mount_of(os.path.realpath(folder), mounts_now())
    return mount is not None and is_network(mount.kind)


def mount_of(path: str, mounts: Iterable[Mount]) -> Mount | None:
    """The mount with the longest point above this absolute path; of two at one point the later, which is on top."""
    found: Mount | None = None
    for mount in mounts:
        is_around = path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
        if is_around and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def is_network(kind: str) -> bool:
    """Whether the system does not report other machines' changes to this type of file system."""
    kind = kind.lower()
    return kind in NETWORK or (kind.startswith("fuse.") and kind not in LOCAL_FUSE) or kind == "fuse"
