"""What a daemon's threads took for a moment is given back.

Runs in: the test process; the heap is that of a real child.
"""

import subprocess
import sys

import pytest

THREADS_THAT_ALLOCATE = """
import ctypes, sys, threading
import psutil
from supervisor.system.allocator import keep_heap_small

if sys.argv[1] == "small":
    assert keep_heap_small()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
all_there = threading.Barrier(8)

def work():
    all_there.wait()
    for size in (30_000_000, 20_000_000):  # freed once, glibc takes such from the heap
        block = libc.malloc(size)
        ctypes.memset(block, 1, size)
        above = libc.malloc(1000)
        libc.free(block)
    all_there.wait()

before = psutil.Process().memory_info().rss
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(psutil.Process().memory_info().rss - before)
"""


def kept_bytes(how: str) -> int:
    said = subprocess.run(
        [sys.executable, "-P", "-c", THREADS_THAT_ALLOCATE, how], check=True, capture_output=True, timeout=60
    )
    return int(said.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_large_buffers_of_many_threads_leave_nothing_behind() -> None:
    small, usual = kept_bytes("small"), kept_bytes("usual")
    assert small < 3_000_000
    assert usual > 10 * small, "the test would show it otherwise"
