"""An engine's memory is asked of the kernel once a job, and given back after it."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's heap")

ROOT = Path(__file__).parents[2]
WORK = """
import resource
import numpy as np
import psutil
from workers.heap import give_freed_memory_back, keep_freed_memory

BUFFER_BYTES, PAGE_BYTES = 200 * 1024 * 1024, 4096

def pages_asked_for():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def step():
    np.ones(BUFFER_BYTES, np.int8)

keep_freed_memory()
step()
before = pages_asked_for()
for _ in range(5):
    step()
print(pages_asked_for() - before < BUFFER_BYTES / PAGE_BYTES / 10)
held = psutil.Process().memory_info().rss
give_freed_memory_back()
print(held - psutil.Process().memory_info().rss > BUFFER_BYTES * 0.9)
"""


LITTLE = """
import numpy as np
import psutil
from workers.heap import KEPT_BYTES, give_freed_memory_back, keep_freed_memory

keep_freed_memory()
np.ones(KEPT_BYTES // 2, np.int8)
held = psutil.Process().memory_info().rss
give_freed_memory_back()
print(held - psutil.Process().memory_info().rss < KEPT_BYTES / 10)
"""


def test_what_a_memo_needs_is_there_for_the_next_one() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LITTLE], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["True"]


def test_a_step_finds_the_memory_that_the_one_before_it_freed_and_a_rest_gives_it_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORK], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["True", "True"]
