"""What a worker says of its memory on a Mac: the footprint, and never an exception in place of a heartbeat.

Runs in: the test process.
"""

import ctypes
import errno
import os
import struct
from typing import NoReturn

import psutil
import pytest

from workers import footprint
from workers.footprint import RUSAGE_INFO, RUSAGE_INFO_V4_FIELDS, footprint_on_macos, phys_footprint


class RusageInfoV4(ctypes.Structure):
    """<sys/resource.h> of macOS 14, the fields whose place others have published; the rest is padding."""

    _fields_ = (
        ("ri_uuid", ctypes.c_uint8 * 16),
        ("first_five", ctypes.c_uint64 * 5),
        ("ri_wired_size", ctypes.c_uint64),
        ("ri_resident_size", ctypes.c_uint64),
        ("ri_phys_footprint", ctypes.c_uint64),
        ("until_logical_writes", ctypes.c_uint64 * 20),
        ("ri_lifetime_max_phys_footprint", ctypes.c_uint64),
        ("the_last_six", ctypes.c_uint64 * 6),
    )


@pytest.mark.parametrize(
    ("field", "offset"),
    [
        ("user_time", 16),
        ("resident_size", 64),
        ("phys_footprint", 72),
        ("diskio_bytesread", 144),
        ("lifetime_max_phys_footprint", 240),
        ("runnable_time", 288),
    ],
)
def test_each_field_stands_where_the_system_writes_it(field: str, offset: int) -> None:
    assert RUSAGE_INFO.size == ctypes.sizeof(RusageInfoV4) == 296
    assert 16 + 8 * RUSAGE_INFO_V4_FIELDS.index(field) == offset


def test_the_footprint_is_read_out_of_what_the_system_filled_in() -> None:
    filled = RusageInfoV4(ri_resident_size=5, ri_phys_footprint=1_234_567_890, ri_lifetime_max_phys_footprint=7)
    assert RusageInfoV4.ri_phys_footprint.offset == 72
    assert phys_footprint(bytes(filled)) == 1_234_567_890
    with pytest.raises(struct.error):
        phys_footprint(bytes(filled)[:-1])


@pytest.mark.parametrize("refusal", [OSError(errno.EPERM, "not permitted"), AttributeError("no such call")])
def test_where_the_system_does_not_tell_the_resident_size_is_what_counts(refusal: Exception) -> None:
    def refuse(pid: int) -> NoReturn:
        assert pid == os.getpid()
        raise refusal

    resident = footprint_on_macos(psutil.Process(), refuse)
    assert resident > 10_000_000


def test_no_refusal_of_all_calls_ends_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: psutil.Process) -> NoReturn:
        raise psutil.AccessDenied(self.pid)

    monkeypatch.setattr(psutil.Process, "memory_full_info", refuse)
    monkeypatch.setattr(psutil.Process, "memory_info", refuse)
    monkeypatch.setattr(footprint.sys, "platform", "darwin")
    monkeypatch.setattr(footprint, "LIBPROC", "/no/such/library.dylib")
    assert footprint.footprint_bytes(psutil.Process()) == 0


def test_a_call_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    class Libproc:
        def __init__(self, name: str, use_errno: bool) -> None:
            assert name == "/usr/lib/libproc.dylib"

        def proc_pid_rusage(self, pid: int, flavor: int, buffer: ctypes.Array[ctypes.c_char]) -> int:
            assert flavor == 4
            if pid == 1:
                ctypes.set_errno(errno.EPERM)
                return -1
            ctypes.memmove(buffer, bytes(RusageInfoV4(ri_phys_footprint=42)), len(buffer))
            return 0

    monkeypatch.setattr(footprint.ctypes, "CDLL", Libproc)
    assert footprint_on_macos(psutil.Process(), footprint.rusage_of) == 42
    with pytest.raises(PermissionError):
        footprint.rusage_of(1)
