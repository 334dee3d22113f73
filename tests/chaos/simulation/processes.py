"""What stands where processes, their pipes and their signals stand, so that virtual workers can live behind it.

Runs in: the virtual day's process.

All of it is in `supervisor.worker.child_process`: the places of multiprocessing's spawn context, of the pipe's two
threads, and of `os.kill`.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from chaos.simulation.workers import VirtualWorker, VirtualWorkers
from ipc.pipe import BadFrame
from ipc.worker_messages import FromWorker, ToWorker, WorkerSetup


class End:
    """An end of a pipe that nothing goes through."""

    def __init__(self, other: "End | None" = None) -> None:
        self.other = other
        self.worker: VirtualWorker

    def close(self) -> None:
        """There is nothing."""


class VirtualLine:
    """Stands where WorkerLine stands, without its threads."""

    def __init__(
        self, end: End, name: str, heard: Callable[[FromWorker], None], ended: Callable[[BadFrame | None], None]
    ) -> None:
        assert end.other is not None
        self._worker = end.other.worker
        self._worker.begin(heard, ended)

    def send(self, message: ToWorker) -> None:
        self._worker.is_told(message)

    def acknowledge(self) -> None:
        """There is always room."""

    def shutdown(self) -> None:
        """Nobody listens any more."""


class VirtualSpawn:
    """Stands where multiprocessing's spawn context stands."""

    def __init__(self, workers: VirtualWorkers) -> None:
        self._workers = workers

    def Pipe(self, duplex: bool) -> tuple[End, End]:
        theirs = End()
        return End(theirs), theirs

    def Process(self, target: object, args: tuple[Any, ...], name: str, daemon: bool) -> VirtualWorker:
        setup, theirs, _ = args
        worker = VirtualWorker(self._workers, WorkerSetup.model_validate_json(setup))
        theirs.worker = worker
        return worker


def in_place_of_processes(workers: VirtualWorkers) -> dict[str, object]:
    """What takes which name's place in `supervisor.worker.child_process`."""
    return {"SPAWN": VirtualSpawn(workers), "WorkerChannel": VirtualLine, "os": SimpleNamespace(kill=workers.kill)}
