"""A contestant's side of a comparison: load once, then take a turn for each line that asks for one.

Runs in: a contestant's process, under the product's Python or the peers'. Imports the standard library alone.

`python -m benchmarks.MODULE NAME SETUP`, SETUP as JSON. The first line on stdout says that all is loaded; each
line of JSON on stdin is a turn, and is answered by a line that says how long it took and what came of it.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Asked = dict[str, Any]
Turn = Callable[[], dict[str, Any]]
"""What is timed."""
Loaded = Callable[[Asked], Turn]
"""Gets ready for one turn, untimed: whatever both sides need to have in memory."""
Load = Callable[[Asked], Loaded]


def take_turns(contestants: Mapping[str, Load]) -> None:
    """Until stdin ends. What libraries print goes to stderr: stdout belongs to the answers."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)

        def say(answer: dict[str, Any]) -> None:
            print(json.dumps(answer), file=answers, flush=True)

        began = time.perf_counter()
        loaded = contestants[sys.argv[1]](json.loads(sys.argv[2]))
        say({"load_seconds": time.perf_counter() - began, "peak_bytes": peak_bytes()})
        for line in sys.stdin:
            turn = loaded(json.loads(line))
            began, cpu_began = time.perf_counter(), time.process_time()
            answer = turn()
            seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
            say({**answer, "seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": peak_bytes()})


def peak_bytes() -> int:
    """The most memory this process ever held."""
    status = Path("/proc/self/status")
    if status.exists():
        # ru_maxrss would be inherited from whoever started us.
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
