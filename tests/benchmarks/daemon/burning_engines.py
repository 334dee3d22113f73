"""Engines that need no model and keep a core busy, as real ones do: nobody gets the processor as a present.

Runs in: worker. Named by import path, `benchmarks.daemon.burning_engines:BurningTranscriber`; tests/ is on the path.
"""

import time

from fake_engines import EchoAligner, EchoTranscriber


def burn(cpu_seconds: float) -> None:
    """So much of a core's time, however long that takes."""
    until = time.thread_time() + cpu_seconds
    while time.thread_time() < until:
        pass


class BurningTranscriber(EchoTranscriber):
    """One chunk costs `pace` seconds of a core."""

    def work(self) -> None:
        burn(self.pace_seconds)


class BurningAligner(EchoAligner):
    """One segment costs `pace` seconds of a core."""

    def work(self) -> None:
        burn(self.pace_seconds)
