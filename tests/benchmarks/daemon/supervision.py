"""Row 6 of RESULTS.md: what it costs to be supervised, against the same calls in a bare script.

Runs in: the benchmark. `PYTHONPATH=tests:tests/support python -m benchmarks.daemon.supervision`
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import psutil
from daemon_under_test import STARTERS, TALK, DaemonUnderTest, a_daemon
from recordings import voice, wav

from benchmarks.daemon.bare_script import Cost
from client.daemon.connection import DaemonClient
from client.following.follow import follow
from config.engines import ALIGNERS, TRANSCRIBERS
from config.places import find_places
from ipc.api_messages import JobOptions
from ipc.vocabulary import Role
from ipc.worker_messages import WorkerSetup

RUNS = 5
SECONDS = 600.0
LOAD_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Supervision:
    """One recording by both ways in turns, so that a busy machine slows both down."""

    words: bool
    supervised: tuple[Cost, ...]
    """From the handing over to the news that it is done; of the supervisor and both workers."""
    bare: tuple[Cost, ...]
    supervisor_cpu_seconds: tuple[float, ...]
    """Of `supervised`, the supervisor's own."""

    @property
    def cpu_ratio(self) -> float:
        """Processor time under supervision, divided by that of the bare script."""
        return median(one.cpu_seconds for one in self.supervised) / median(one.cpu_seconds for one in self.bare)

    @property
    def wall_ratio(self) -> float:
        """The same for time on the clock; with words both workers share the work, and the script is one thread."""
        return median(one.wall_seconds for one in self.supervised) / median(one.wall_seconds for one in self.bare)

    def __str__(self) -> str:
        return (
            f"{'with' if self.words else 'without'} words: {self.cpu_ratio:.3f} x the processor time of a bare "
            f"script, {self.wall_ratio:.3f} x its time; the supervisor "
            f"{median(self.supervisor_cpu_seconds):.2f} s of it"
        )


def measure(*, words: bool, seconds: float = SECONDS, runs: int = RUNS, threads: int = 1) -> Supervision:
    """The whisperx engines on the starter models, warm, on so much of talk.flac over and over again."""
    backends = {
        "WHISPER_BACKEND": "whisperx",
        "ALIGNMENT_BACKEND": "whisperx" if words else "none",
        "STENO_WORKERS_THREADS": str(threads),
    }
    with tempfile.TemporaryDirectory() as folder, a_daemon(**STARTERS, **backends) as daemon:
        recordings = [speech_for(seconds, Path(folder) / f"{run}.wav") for run in range(runs + 1)]
        roles: tuple[Role, ...] = ("transcriber", "aligner") if words else ("transcriber",)
        for role in roles:
            daemon.wait_for_worker(role, lambda worker: worker["state"] == "ready", LOAD_SECONDS)
        supervised, bare, own = [], [], []
        with bare_script(daemon, roles, threads) as script:
            # The first of each warms up.
            for recording in recordings:
                cost, supervisor_seconds = supervised_cost(daemon, recording, roles)
                supervised.append(cost)
                own.append(supervisor_seconds)
                bare.append(script.cost_of(recording))
    return Supervision(words, tuple(supervised[1:]), tuple(bare[1:]), tuple(own[1:]))


def speech_for(seconds: float, path: Path) -> Path:
    """talk.flac again and again."""
    once = voice(TALK)
    return wav(path, np.resize(once, round(seconds * 16_000)))


def supervised_cost(daemon: DaemonUnderTest, recording: Path, roles: tuple[Role, ...]) -> tuple[Cost, float]:
    """One job's cost, and the supervisor's part of its processor time."""
    supervisor = psutil.Process(daemon.pid)
    processes = [supervisor, *(psutil.Process(daemon.worker(role)["pid"]) for role in roles)]
    before = [_cpu_seconds(process) for process in processes]
    began = time.monotonic()
    with DaemonClient(daemon.socket) as client:
        job = client.submit(str(recording), JobOptions(output_dir=str(recording.parent)))
        # The story ends with the job: to ask again and again would be a cost of its own.
        [job] = follow(client, [job.id], lambda event: None)
    ended = time.monotonic()
    assert job.status == "done" and (job.timing == "word") == ("aligner" in roles), job
    spent = [_cpu_seconds(process) - seconds for process, seconds in zip(processes, before, strict=True)]
    return Cost(ended - began, sum(spent)), spent[0]


@dataclass(slots=True)
class BareScript:
    """The bare script, its engines loaded."""

    process: "subprocess.Popen[str]" = field(repr=False)

    def cost_of(self, recording: Path) -> Cost:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{recording}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the bare script died; its traceback is above"
        return Cost(**json.loads(answer))


@contextmanager
def bare_script(daemon: DaemonUnderTest, roles: tuple[Role, ...], threads: int) -> Iterator[BareScript]:
    """With the engines, models and threads of the daemon's workers."""
    setups = [
        WorkerSetup(
            role=role,
            engine="whisperx",
            engine_path=(TRANSCRIBERS if role == "transcriber" else ALIGNERS)["whisperx"],
            model="starter",
            language="en",
            threads=threads,
            models_folder=str(find_places(daemon.environment).models),
        ).model_dump_json()
        for role in roles
    ]
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "benchmarks.daemon.bare_script", *setups],
        env=daemon.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield BareScript(process)
        finally:
            process.communicate()


def _cpu_seconds(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return float(spent.user + spent.system)


if __name__ == "__main__":
    for with_words in (False, True):
        print(measure(words=with_words), flush=True)
