"""Row 9 of RESULTS.md: how long a worker is away after SIGSEGV, against the bare load of its engine.

Runs in: the benchmark. `PYTHONPATH=tests:tests/support python -m benchmarks.daemon.restart`
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import psutil
from daemon_under_test import STARTERS, DaemonUnderTest, a_daemon

from client.daemon.connection import DaemonClient
from config.engines import ALIGNERS, TRANSCRIBERS
from config.places import find_places
from ipc.events import DaemonEvent, WorkerChanged
from ipc.vocabulary import Role
from ipc.worker_messages import WorkerSetup

RUNS = 5
CASES: tuple[tuple[Role, str], ...] = (("transcriber", "whisperx"), ("transcriber", "mlx"), ("aligner", "whisperx"))
READY_WITHIN_SECONDS = 180.0
WITHOUT = {"transcriber": "fake_engines:EchoTranscriber", "aligner": "fake_engines:EchoAligner"}
"""The other worker shall not take part."""
BARE = """
import sys
from importlib import import_module
from ipc.worker_messages import WorkerSetup
setup = WorkerSetup.model_validate_json(sys.argv[1])
module, _, name = setup.engine_path.partition(":")
getattr(import_module(module), name)().load(setup, lambda: None)
print("loaded", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True, slots=True)
class Start:
    """One way to a loaded engine."""

    wall_seconds: float
    cpu_seconds: float
    """Of the process with the engine in it."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Medians of several runs, taken in turns."""

    role: Role
    engine: str
    restarted: Start
    """From the signal until the daemon's clients hear `ready`."""
    bare: Start
    """From the start of a Python until `load` has returned."""

    @property
    def extra_seconds(self) -> float:
        """What supervision adds."""
        return self.restarted.wall_seconds - self.bare.wall_seconds

    def __str__(self) -> str:
        return (
            f"{self.engine} {self.role}: ready {self.restarted.wall_seconds:.2f} s after SIGSEGV "
            f"({self.restarted.cpu_seconds:.2f} s of a core), bare load {self.bare.wall_seconds:.2f} s "
            f"({self.bare.cpu_seconds:.2f} s): {self.extra_seconds:+.2f} s"
        )


def measure(role: Role, engine: str, runs: int = RUNS, threads: int = 1) -> Restart:
    """Kills a ready worker `runs` times, each time followed by a bare load in a fresh Python."""
    away, bare = [], []
    backends = {
        "WHISPER_BACKEND": engine if role == "transcriber" else WITHOUT["transcriber"],
        "ALIGNMENT_BACKEND": engine if role == "aligner" else WITHOUT["aligner"],
        "STENO_WORKERS_THREADS": str(threads),
    }
    with a_daemon(**STARTERS, **backends) as daemon:
        setup = WorkerSetup(
            role=role,
            engine=engine,
            engine_path=(TRANSCRIBERS if role == "transcriber" else ALIGNERS)[engine],
            model="starter",
            language="en",
            threads=threads,
            models_folder=str(find_places(daemon.environment).models),
        )
        daemon.wait_for_worker(role, is_ready, READY_WITHIN_SECONDS)
        for _ in range(runs):
            away.append(killed(daemon, role))
            bare.append(loaded_bare(setup, daemon.environment))
            # Its deaths are forgiven: what is measured is the first after a calm time, each time.
            daemon.post(f"/v1/workers/{role}/restart")
            daemon.wait_for_worker(role, lambda worker: not is_ready(worker))
            daemon.wait_for_worker(role, is_ready, READY_WITHIN_SECONDS)
    return Restart(role, engine, _median(away), _median(bare))


def killed(daemon: DaemonUnderTest, role: Role) -> Start:
    """A ready worker gets SIGSEGV; who listens to events is told when the next one is ready."""
    victim = int(daemon.worker(role)["pid"])
    with DaemonClient(daemon.socket) as client, client.events() as events:
        began = time.monotonic()
        os.kill(victim, signal.SIGSEGV)
        pid = next(pid for event in events if (pid := _ready_pid(event, role)) not in (None, victim))
        seconds = time.monotonic() - began
    return Start(seconds, _cpu_seconds(psutil.Process(pid)))


def loaded_bare(setup: WorkerSetup, environment: dict[str, str]) -> Start:
    """A fresh Python imports the engine's module and loads it."""
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-P", "-c", BARE, setup.model_dump_json()],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        # What a library prints on the way is not it.
        assert any(line == "loaded\n" for line in process.stdout), "the engine loads without a supervisor too"
        seconds = time.monotonic() - began
        cpu_seconds = _cpu_seconds(psutil.Process(process.pid))
        process.communicate("")
    return Start(seconds, cpu_seconds)


def is_ready(worker: dict[str, object]) -> bool:
    return worker["state"] == "ready"


def _ready_pid(event: DaemonEvent, role: Role) -> int | None:
    if isinstance(event, WorkerChanged) and event.worker.role == role and event.worker.state == "ready":
        return event.worker.pid
    return None


def _cpu_seconds(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return float(spent.user + spent.system)


def _median(starts: Sequence[Start]) -> Start:
    return Start(median(one.wall_seconds for one in starts), median(one.cpu_seconds for one in starts))


if __name__ == "__main__":
    for one_role, one_engine in CASES:
        print(measure(one_role, one_engine), flush=True)
