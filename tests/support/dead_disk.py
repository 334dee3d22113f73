"""A disk that fails: a file system in user space that responds until SIGUSR1. Linux, root.

Runs in: the test process, and in a program of its own: `python dead_disk.py FOLDER FILE` shows FILE as FOLDER/1.wav,
2.wav and so on; after SIGUSR1 it no longer responds, as on a hard NFS mount whose server is gone; SIGTERM ends it.
"""

import ctypes
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

CAN_DIE = sys.platform == "linux" and os.geteuid() == 0 and Path("/dev/fuse").exists()
LOOKUP, GETATTR, OPEN, READ, STATFS, INIT, OPENDIR = 1, 3, 14, 15, 17, 26, 27
SILENT = (2, 36, 42)
"""FORGET, INTERRUPT and BATCH_FORGET: no answer is expected."""
FINE = (18, 25, 28, 29, 34)
DETACHED = 2
"""MNT_DETACH."""
TIMES = 1_700_000_000


@contextmanager
def dead_disk(folder: Path, file: Path) -> Iterator[subprocess.Popen[str]]:
    """Mounted, and responds until SIGUSR1. Processes that wait for it are released at the end."""
    folder.mkdir()
    program = [sys.executable, __file__, str(folder), str(file)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as disk:
        try:
            assert disk.stdout is not None
            assert disk.stdout.readline() == "mounted\n"
            yield disk
        finally:
            disk.kill()
            ctypes.CDLL(None).umount2(str(folder).encode(), DETACHED)


def attributes(number: int, size: int) -> bytes:
    """struct fuse_attr: the folder is number 1."""
    size, mode, links = (0, 0o40755, 2) if number == 1 else (size, 0o100644, 1)
    blocks = (size + 511) // 512
    return struct.pack(
        "<QQQQQQIIIIIIIIII", number, size, blocks, TIMES, TIMES, TIMES, 0, 0, 0, mode, links, 0, 0, 0, 4096, 0
    )


def answer_to(operation: int, number: int, body: bytes, content: bytes) -> bytes | int:
    """The answer's payload, or the error's number. Pure."""
    match operation:
        case _ if operation == INIT:
            return struct.pack("<IIIIHHIIHHI7I", 7, 31, 65536, 0, 12, 10, 65536, 1, 32, 0, 0, *[0] * 7)[:64]
        case _ if operation == LOOKUP:
            stem, _, ending = body.split(b"\0")[0].decode().partition(".")
            if ending != "wav" or not stem.isdigit():
                return 2
            found = int(stem) + 1
            return struct.pack("<QQQQII", found, 0, 0, 0, 0, 0) + attributes(found, len(content))
        case _ if operation == GETATTR:
            return struct.pack("<QII", 0, 0, 0) + attributes(number, len(content))
        case _ if operation in (OPEN, OPENDIR):
            return struct.pack("<QII", 0, 1, 0)  # nothing of it is kept in memory
        case _ if operation == READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            return content[offset : offset + size]
        case _ if operation == STATFS:
            return struct.pack("<QQQQQIIII", 0, 0, 0, 0, 0, 4096, 255, 4096, 0).ljust(80, b"\0")
        case _:
            return b"" if operation in FINE else 38


def serve(folder: str, content: bytes) -> NoReturn:
    device = os.open("/dev/fuse", os.O_RDWR)
    told = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"dead_disk", folder.encode(), b"fuse", 0, told):
        sys.exit("mount: " + os.strerror(ctypes.get_errno()))
    dead = False

    def die(*signal_and_frame: object) -> None:
        nonlocal dead
        dead = True

    signal.signal(signal.SIGUSR1, die)
    print("mounted", flush=True)
    while True:
        request = os.read(device, 1 << 20)
        _, operation, unique, number = struct.unpack_from("<IIQQ", request)
        if dead or operation in SILENT:
            continue
        answer = answer_to(operation, number, request[40:], content)
        payload, error = (b"", answer) if isinstance(answer, int) else (answer, 0)
        os.write(device, struct.pack("<IiQ", 16 + len(payload), -error, unique) + payload)


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]).read_bytes())
