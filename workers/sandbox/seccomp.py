"""The system calls that decoding needs, and a BPF filter that blocks all others.

Runs in: worker (the decoder). Linux on x86-64 and ARM64; pure functions build the program, so it is tested without a
kernel. Everything not listed fails with EPERM: sockets, execve, fork, open, ptrace and future system calls.
Descriptors opened before stay usable.
"""

import ctypes
import struct
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

PR_SET_NO_NEW_PRIVS = 38
SECCOMP_CALL = (317, 277)
SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_TSYNC = 1
RET_ALLOW = 0x7FFF0000
RET_EPERM = 0x00050001
RET_ENOSYS = 0x00050026
"""The C library then tries the older call."""
RET_KILL = 0x80000000
"""Kills the whole process. Only for system calls of another architecture, which our own code never makes."""

LOAD, AND, EQUAL, AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
"""BPF operations: load a word, A & k, jump if A == k, jump if A >= k, return k."""
NUMBER_AT, ARCHITECTURE_AT, ARGUMENTS_AT = 0, 4, 16
"""Offsets in the kernel's struct seccomp_data."""
X32_BIT = 0x40000000
"""x86-64 numbers with this bit are the same calls for 32-bit pointers (x32)."""

PROT_EXEC = 4
CLONE_THREAD = 0x00010000
CLONE_NAMESPACES = 0x7E020000
"""All the flags of a thread's clone."""
AT_EMPTY_PATH = 0x1000
DESCRIPTOR_QUESTIONS = 4
"""fcntl's commands below: F_DUPFD, F_GETFD, F_SETFD, F_GETFL. F_SETOWN and F_SETSIG could send signals."""


class Architecture(NamedTuple):
    """A processor architecture as the filter needs it."""

    audit_number: int
    """AUDIT_ARCH_* of linux/audit.h."""
    column: int
    """The index of its numbers in CALLS and CONDITIONAL."""


ARCHITECTURES = {"x86_64": Architecture(0xC000003E, 0), "aarch64": Architecture(0xC00000B7, 1)}

CALLS: dict[str, tuple[int | None, int | None]] = {
    # Open descriptors.
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67),
    "pwrite64": (18, 68), "lseek": (8, 62), "fstat": (5, 80), "close": (3, 57), "ftruncate": (77, 46),
    "poll": (7, None), "ppoll": (271, 73),
    # Memory.
    "munmap": (11, 215), "mremap": (25, 216), "brk": (12, 214), "madvise": (28, 233), "membarrier": (324, 283),
    # Our own signals, locks, time, random numbers.
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132),
    "futex": (202, 98), "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "rseq": (334, 293),
    "set_robust_list": (273, 99), "restart_syscall": (219, 128), "getrandom": (318, 278),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153),
    # Identity and resource usage.
    "getpid": (39, 172), "gettid": (186, 178), "uname": (63, 160), "sysinfo": (99, 179), "getrusage": (98, 165),
    "getrlimit": (97, 163),
    # Exit.
    "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip
"""Allowed with any arguments: call → its numbers on x86-64 and ARM64; None: the architecture has no such call."""


class ArgumentCheck(NamedTuple):
    """A condition on an argument: its low word, masked, equals the value, or is below it."""

    argument: int
    mask: int = 0xFFFFFFFF
    value: int = 0
    below: bool = False
    high_word: bool = False
    """Check the upper half of a pointer instead."""


OURSELVES = ArgumentCheck(0)
"""The value is our own pid, known when the filter is built."""

CONDITIONAL: dict[str, tuple[tuple[int, int], tuple[ArgumentCheck, ...]]] = {
    "mmap": ((9, 222), (ArgumentCheck(2, mask=PROT_EXEC),)),
    "mprotect": ((10, 226), (ArgumentCheck(2, mask=PROT_EXEC),)),
    "fcntl": ((72, 25), (ArgumentCheck(1, value=DESCRIPTOR_QUESTIONS, below=True),)),
    # The C library queries an open descriptor this way. A path beside the flag would still be looked up, which
    # reveals that a file exists but nothing of its content.
    "newfstatat": ((262, 79), (ArgumentCheck(3, mask=AT_EMPTY_PATH, value=AT_EMPTY_PATH),)),
    "statx": ((332, 291), (ArgumentCheck(2, mask=AT_EMPTY_PATH, value=AT_EMPTY_PATH),)),
    # Codecs may start threads of this process, but no new process.
    "clone": ((56, 220), (ArgumentCheck(0, mask=CLONE_THREAD | CLONE_NAMESPACES, value=CLONE_THREAD),)),
    # Limits may be read and not set.
    "prlimit64": ((302, 261), (ArgumentCheck(2), ArgumentCheck(2, high_word=True))),
    # A library that aborts sends the signal to itself.
    "kill": ((62, 129), (OURSELVES,)),
    "tgkill": ((234, 131), (OURSELVES,)),
}
"""Allowed only with these arguments."""
CLONE3 = (435, 435)
"""Its flags are in memory, where no filter sees them."""


class FilterStep(NamedTuple):
    """One BPF instruction; a jump is the number of instructions to skip."""

    operation: int
    if_true: int
    if_false: int
    word: int


LAST = FilterStep(RETURN, 0, 0, RET_EPERM)


def filter_program(architecture: Architecture, own_pid: int) -> list[FilterStep]:
    """The filter as classic BPF. Pure."""
    program = [
        FilterStep(LOAD, 0, 0, ARCHITECTURE_AT),
        FilterStep(EQUAL, 1, 0, architecture.audit_number),
        FilterStep(RETURN, 0, 0, RET_KILL),
        FilterStep(LOAD, 0, 0, NUMBER_AT),
        FilterStep(AT_LEAST, 0, 1, X32_BIT),
        FilterStep(RETURN, 0, 0, RET_KILL),
    ]
    for numbers in CALLS.values():
        number = numbers[architecture.column]
        if number is not None:
            program += [FilterStep(EQUAL, 0, 1, number), FilterStep(RETURN, 0, 0, RET_ALLOW)]
    for both, demands in CONDITIONAL.values():
        program += _conditional(both[architecture.column], demands, own_pid)
    program += [FilterStep(EQUAL, 0, 1, CLONE3[architecture.column]), FilterStep(RETURN, 0, 0, RET_ENOSYS)]
    return [*program, LAST]


def _conditional(number: int, demands: Iterable[ArgumentCheck], own_pid: int) -> Iterator[FilterStep]:
    checks: list[FilterStep] = []
    for demand in demands:
        at = ARGUMENTS_AT + 8 * demand.argument + (4 if demand.high_word else 0)
        checks += [FilterStep(LOAD, 0, 0, at), FilterStep(AND, 0, 0, demand.mask)]
        value = own_pid if demand is OURSELVES else demand.value
        # If the condition is not met, the next step refuses.
        refusing = (FilterStep(AT_LEAST, 0, 1, value),) if demand.below else (FilterStep(EQUAL, 1, 0, value),)
        checks += [*refusing, LAST]
    yield FilterStep(EQUAL, 0, len(checks) + 1, number)
    yield from checks
    yield FilterStep(RETURN, 0, 0, RET_ALLOW)


def as_bytes(program: Iterable[FilterStep]) -> bytes:
    """An array of the kernel's struct sock_filter."""
    return b"".join(struct.pack("=HBBI", *step) for step in program)


def allow_only_decoding(machine_name: str, own_pid: int) -> None:
    """From now on this process and all its threads can make no other call; this cannot be undone.

    `machine_name`: as from os.uname. Raises OSError if the kernel or the processor has no such filter.
    """
    architecture = ARCHITECTURES.get(machine_name) if sys.platform.startswith("linux") else None
    if architecture is None:
        raise OSError(0, f"no system-call filter is known for {sys.platform} on {machine_name}")
    code = as_bytes(filter_program(architecture, own_pid))
    kept = ctypes.create_string_buffer(code, len(code))
    header = ctypes.create_string_buffer(
        struct.pack("@HP", len(code) // len(as_bytes([LAST])), ctypes.addressof(kept))
    )
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    # seccomp(2) and not prctl: the filter applies to every thread.
    number = SECCOMP_CALL[architecture.column]
    if libc.syscall(number, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, header):
        raise OSError(ctypes.get_errno(), "seccomp")
