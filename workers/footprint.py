"""What this process costs the machine, as the system itself judges it.

Runs in: worker.

On macOS the resident size leaves out what was compressed and what Metal holds. The footprint is what Activity Monitor
shows and what the system ends processes for (https://developer.apple.com/documentation/xcode/reducing-your-app-s-memory-use).
`proc_pid_rusage` tells it to every process of the same user. psutil's `memory_full_info` asks for a task port
instead, which can be refused, or block on a machine without a screen.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Callable

import psutil

LIBPROC = "/usr/lib/libproc.dylib"
RUSAGE_INFO_V4 = 4
RUSAGE_INFO_V4_FIELDS = (
    *("user_time", "system_time", "pkg_idle_wkups", "interrupt_wkups", "pageins"),
    *("wired_size", "resident_size", "phys_footprint", "proc_start_abstime", "proc_exit_abstime"),
    *("child_user_time", "child_system_time", "child_pkg_idle_wkups", "child_interrupt_wkups", "child_pageins"),
    *("child_elapsed_abstime", "diskio_bytesread", "diskio_byteswritten"),
    *("cpu_time_qos_default", "cpu_time_qos_maintenance", "cpu_time_qos_background", "cpu_time_qos_utility"),
    *("cpu_time_qos_legacy", "cpu_time_qos_user_initiated", "cpu_time_qos_user_interactive"),
    *("billed_system_time", "serviced_system_time", "logical_writes", "lifetime_max_phys_footprint"),
    *("instructions", "cycles", "billed_energy", "serviced_energy", "interval_max_phys_footprint", "runnable_time"),
)
"""struct rusage_info_v4 of <sys/resource.h>: `uint8_t ri_uuid[16]`, then a uint64_t `ri_…` for each of these."""
RUSAGE_INFO = struct.Struct(f"=16x{len(RUSAGE_INFO_V4_FIELDS)}Q")

Rusage = Callable[[int], bytes]
"""A process's id → its filled `rusage_info_v4`. Raises OSError or AttributeError where the system has none."""


def footprint_bytes(process: psutil.Process) -> int:
    """What the process costs the machine. Never raises and never waits for another process."""
    if sys.platform == "darwin":
        return footprint_on_macos(process, rusage_of)
    else:  # noqa: RET505  without it, mypy finds one of the two unreachable on each platform
        return int(process.memory_info().rss)


def footprint_on_macos(process: psutil.Process, rusage: Rusage) -> int:
    """Its footprint; where the system does not tell it, its resident size; where nothing is told, 0."""
    try:
        return phys_footprint(rusage(process.pid))
    except (OSError, AttributeError, struct.error):
        pass
    try:
        return int(process.memory_info().rss)
    except (OSError, psutil.Error):
        return 0


def phys_footprint(raw: bytes) -> int:
    """The footprint in a `struct rusage_info_v4`, in bytes. Raises struct.error for anything else."""
    return int(RUSAGE_INFO.unpack(raw)[RUSAGE_INFO_V4_FIELDS.index("phys_footprint")])


def rusage_of(pid: int) -> bytes:
    """`proc_pid_rusage(pid, RUSAGE_INFO_V4)`. Raises OSError where it fails, AttributeError where there is none."""
    raw = ctypes.create_string_buffer(RUSAGE_INFO.size)
    if ctypes.CDLL(LIBPROC, use_errno=True).proc_pid_rusage(pid, RUSAGE_INFO_V4, raw):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return raw.raw
