"""Asks the daemon how it is, again and again, while something else breaks it: is it ever silent?

Runs in: the chaos run.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import quantiles

from daemon_under_test import DaemonUnderTest

from chaos.tally import Tally
from chaos.trial import Trial

PAUSE_SECONDS = 0.05
ANSWER_P99_SECONDS = 0.1


@contextmanager
def looked_at(daemon: DaemonUnderTest, trial: Trial, tally: Tally) -> Iterator[None]:
    """During the block; the time of an answer is judged where the whole row is run, on a machine of its own."""
    over, seconds = threading.Event(), list[float]()
    silence: list[Exception] = []

    def look() -> None:
        with daemon.client() as client:
            while not over.wait(PAUSE_SECONDS):
                asked = time.perf_counter()
                try:
                    client.get("/v1/status").raise_for_status()
                except Exception as error:  # noqa: BLE001  a thread's boundary: told below, where the row hears it
                    silence.append(error)
                    return
                seconds.append(time.perf_counter() - asked)

    onlooker = threading.Thread(target=look, name="onlooker", daemon=True)
    onlooker.start()
    try:
        yield
    finally:
        over.set()
        onlooker.join()
    tally.expect(not silence, f"the daemon did not answer: {silence}")
    if len(seconds) > 1:
        p99 = quantiles(seconds, n=100, method="inclusive")[98]
        tally.figures["status answered meanwhile"] = f"{len(seconds)} times, p99 {p99 * 1000:.0f} ms"
        tally.expect(p99 < ANSWER_P99_SECONDS or trial.share < 1, f"status answered after {p99 * 1000:.0f} ms (p99)")
