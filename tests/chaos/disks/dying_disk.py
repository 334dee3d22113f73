"""A small disk of FUSE that can stop answering, as a hard NFS mount does when its server goes away.

Runs in: a process of its own: `python dying_disk.py MOUNT_POINT FOLDER`. Shows the files of the folder, read-only.
SIGUSR1: it answers nothing any more. SIGUSR2: it answers again, what was asked meanwhile too. SIGTERM: unmounted.
Speaks the kernel's protocol (linux/fuse.h, 7.31) without a library; needs root and /dev/fuse.
"""

import ctypes
import errno
import os
import signal
import struct
import sys
from pathlib import Path
from types import FrameType

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT, BATCH = (
    1, 2, 3, 14, 15, 17, 18, 25, 26, 27, 28, 29, 36, 42,
)  # fmt: skip
UNANSWERED = (FORGET, INTERRUPT, BATCH)
ROOT = 1


class DyingDisk:
    """Files by number, from 2 on, in the order of their names."""

    def __init__(self, point: str, folder: Path) -> None:
        self.files = sorted(folder.iterdir())
        self.held: list[bytes] = []
        self.is_dead = False
        self.device = os.open("/dev/fuse", os.O_RDWR)
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={self.device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if libc.mount(b"dying", point.encode(), b"fuse.dying", 0, options):
            sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
        self.unmount = lambda: libc.umount2(point.encode(), 2)

    def die(self, number: int, frame: FrameType | None) -> None:
        self.is_dead = True

    def revive(self, number: int, frame: FrameType | None) -> None:
        self.is_dead = False
        while self.held:
            self.answer(self.held.pop(0))

    def end(self, number: int, frame: FrameType | None) -> None:
        self.unmount()
        os._exit(0)

    def serve(self) -> None:
        print("mounted", flush=True)
        while True:
            request = os.read(self.device, 1 << 20)
            if self.is_dead:
                self.held.append(request)
            else:
                self.answer(request)

    def answer(self, request: bytes) -> None:
        _, what, unique, node = struct.unpack_from("<IIQQ", request)
        body = request[40:]
        if what in UNANSWERED:
            return
        payload = self.payload(what, node, body)
        code, sent = (0, payload) if isinstance(payload, bytes) else (-payload, b"")
        os.write(self.device, struct.pack("<IiQ", 16 + len(sent), code, unique) + sent)

    def payload(self, what: int, node: int, body: bytes) -> bytes | int:
        """What is answered, or an errno."""
        if what == INIT:
            return struct.pack("<IIIIHHII", 7, 31, 65536, 0, 12, 10, 65536, 1).ljust(64, b"\0")
        if what == LOOKUP:
            name = body.split(b"\0")[0].decode()
            found = [number for number, file in enumerate(self.files, 2) if file.name == name]
            return struct.pack("<QQQQII", found[0], 0, 0, 0, 0, 0) + self.facts(found[0]) if found else errno.ENOENT
        if what == GETATTR:
            return struct.pack("<QII", 0, 0, 0) + self.facts(node)
        if what in (OPEN, OPENDIR):
            return struct.pack("<QII", 0, 1, 0)  # nothing is kept in the system's memory
        if what == READ:
            _, at, size = struct.unpack_from("<QQI", body)
            return self.files[node - 2].read_bytes()[at : at + size]
        if what == STATFS:
            return struct.pack("<QQQQQIIII", 0, 0, 0, 0, 0, 4096, 255, 4096, 0).ljust(80, b"\0")
        return b"" if what in (RELEASE, FLUSH, READDIR, RELEASEDIR) else errno.ENOSYS

    def facts(self, node: int) -> bytes:
        size, mode, links = (0, 0o40755, 2) if node == ROOT else (self.files[node - 2].stat().st_size, 0o100644, 1)
        times = (1_700_000_000,) * 3
        return struct.pack(
            "<QQQQQQIIIIIIIIII", node, size, -(-size // 512), *times, 0, 0, 0, mode, links, 0, 0, 0, 4096, 0
        )


if __name__ == "__main__":
    disk = DyingDisk(sys.argv[1], Path(sys.argv[2]))
    signal.signal(signal.SIGUSR1, disk.die)
    signal.signal(signal.SIGUSR2, disk.revive)
    signal.signal(signal.SIGTERM, disk.end)
    disk.serve()
