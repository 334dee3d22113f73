"""Workers that were killed and live on: they hang in the kernel, where no signal reaches them.

Runs in: supervisor.
"""

from collections.abc import Callable

from supervisor.worker.child_process import WorkerProcess

MOST_WRITTEN_OFF = 4
"""Of one role. Each keeps its memory: with so many, no other is started."""


class WrittenOff:
    """Those of one role; another took the place of each."""

    def __init__(self, one_ended: Callable[[bool], None]) -> None:
        """`one_ended` hears of each that ended after all, and whether it was one too many until then."""
        self._processes: list[WorkerProcess] = []
        self._one_ended = one_ended

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(process.pid for process in self._processes)

    @property
    def are_too_many(self) -> bool:
        """Whether no further worker is started."""
        return len(self._processes) >= MOST_WRITTEN_OFF

    def add(self, process: WorkerProcess) -> str:
        """It hangs from now on; in words."""

        def ended() -> None:
            were_too_many = self.are_too_many
            self._processes.remove(process)
            self._one_ended(were_too_many)

        self._processes.append(process)
        process.on_end_after_all = ended
        return f"worker {process.pid} hangs in the kernel and cannot be killed; a new one took its place"
