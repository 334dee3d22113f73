"""An engine's memory is asked of the kernel once a job, and given back after it."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's heap")

ROOT = Path(__file__).parents[2]
BEGIN = """
import resource
import numpy as np
from workers.whisperx.allocator import KEPT_BYTES, Heap, resident_bytes

def use(size):
    np.ones(size, np.int8)

def pages_asked_for(work, size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work(size)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize()

MODEL = np.ones(1_000_000, np.int8)
heap = Heap()
"""

A_STEP_AND_A_REST = """
SIZE = 2 * KEPT_BYTES
use(SIZE)
print(pages_asked_for(use, SIZE) < SIZE / 10)
held = resident_bytes()
heap.rest()
print(held - resident_bytes() > SIZE * 0.9)
"""

TWO_MEMOS = """
use(5 * KEPT_BYTES)
{what_the_heap_did}()
SIZE = KEPT_BYTES // 2
use(SIZE)
heap.rest()
print(pages_asked_for(use, SIZE) < SIZE / 10)
"""


def outcome_of(work: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + work], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


def test_a_step_finds_the_memory_that_the_one_before_it_freed_and_a_rest_gives_it_back() -> None:
    assert outcome_of(A_STEP_AND_A_REST) == ["True", "True"]


@pytest.mark.parametrize(
    "what_the_heap_did", ["heap.give_back", "heap.rest"], ids=["after a large model", "after a long job"]
)
def test_what_a_memo_needs_is_there_for_the_next_one(what_the_heap_did: str) -> None:
    assert outcome_of(TWO_MEMOS.format(what_the_heap_did=what_the_heap_did)) == ["True"]
