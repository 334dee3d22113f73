"""What a daemon reads of one job is not kept in memory when the next one comes."""

import gc
import json
import tracemalloc
from collections.abc import Callable

import pytest

from ipc.api_messages import JobOptions
from ipc.transcript import Segment
from ipc.worker_messages import FROM_WORKER
from supervisor.store.job_rows import ATTEMPTS, OUTPUTS

MANY = 2_000
READ: dict[str, Callable[[int], object]] = {
    "outputs": lambda n: OUTPUTS.validate_json(f'{{"json":{{"path":"/memos/{n}.json","sha256":"{n:032x}"}}}}'),
    "attempts": lambda n: ATTEMPTS.validate_json(
        json.dumps([{"role": "aligner", "engine": "e", "outcome": "done", "at": f"at {n}"}])
    ),
    "options": lambda n: JobOptions.model_validate_json(f'{{"prompt":"names {n}"}}'),
    "segments": lambda n: Segment.model_validate_json(f'{{"id":{n},"start":0,"end":1,"text":"hello {n}"}}'),
    "frames": lambda n: FROM_WORKER.validate_json(
        f'{{"kind":"segments_transcribed","request_id":{n},"done_seconds":1,'
        f'"segments":[{{"id":{n},"start":0,"end":1,"text":"heard {n}"}}]}}'
    ),
}


@pytest.mark.parametrize("what", READ)
def test_strings_that_never_come_again_are_not_kept(what: str) -> None:
    """pydantic keeps the last 16,384 short strings it read, 1.5 MB of other people's words that nobody asks for."""
    read = READ[what]
    for number in range(100):
        read(number)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(1_000_000, 1_000_000 + MANY):
            read(number)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20 * MANY, "bytes"
