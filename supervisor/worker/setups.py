"""Settings and cores → the setup of each worker at its start.

Runs in: supervisor. Pure, except for counting the cores.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from math import floor
from pathlib import Path

import psutil

from config.engines import EngineChoice, alignment_model, fallback_model
from config.places import Places
from config.settings import Settings
from ipc.worker_messages import WorkerSetup

PERFORMANCE_CORES = ("/usr/sbin/sysctl", "-n", "hw.perflevel0.physicalcpu")
"""Prints the number of performance cores on Apple silicon."""
ANSWER_SECONDS = 2.0
QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""`200000 100000`: two cores' worth; `max 100000`: no limit. In a container it is the container's own."""
OLD_QUOTA, OLD_PERIOD = (Path(f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us") for name in ("quota", "period"))
"""The same in cgroups of the first version; -1: no limit."""


@dataclass(frozen=True, slots=True)
class Cores:
    """The processor cores that this process may use."""

    platform: str
    """sys.platform."""
    usable: int
    """Physical cores, at most as many as the system allows; two threads on one core would share it."""
    performance: int | None = None
    """The performance cores of an Apple chip; None: all cores are alike, or it is unknown."""


@dataclass(frozen=True, slots=True)
class Threads:
    """Threads of native code in each worker."""

    transcriber: int
    aligner: int


def share(cores: Cores, engine: str, *, has_aligner: bool) -> Threads:
    """How many cores each worker gets while this engine transcribes.

    On Apple's GPU the transcriber needs one core to feed it. The aligner gets the fast cores: a thread on a slow core
    would make the others wait. Without a GPU the transcriber, the slower half of the work, gets about two thirds. The
    aligner gets at least two cores where there are two: it works alone at the end of each recording.
    """
    fast = min(cores.performance or cores.usable, cores.usable)
    if engine == "mlx" and cores.platform == "darwin":
        return Threads(transcriber=1, aligner=fast)
    if not has_aligner:
        return Threads(transcriber=fast, aligner=1)
    least = min(fast, 2)
    third = max(fast // 3, 1)
    return Threads(transcriber=max(fast - third, least), aligner=max(third, least))


# --- counting ----------------------------------------------------------------------------------------------------


def cores_of_this_machine() -> Cores:
    """Reads the limits from the system; a source that cannot be read sets no limit."""
    quota_is_old = not QUOTA.exists()
    quota = f"{_read(OLD_QUOTA)} {_read(OLD_PERIOD)}" if quota_is_old else _read(QUOTA)
    return usable_cores(
        sys.platform,
        allowed=_allowed(),
        physical=psutil.cpu_count(logical=False),
        quota=quota,
        performance=_performance_cores() if sys.platform == "darwin" else None,
    )


def usable_cores(
    platform: str, *, allowed: int, physical: int | None, quota: str = "", performance: int | None = None
) -> Cores:
    """`allowed`: logical processors we may run on; `quota`: as a control group writes it, `microseconds period`."""
    limits = [allowed, *([physical] if physical else []), *_cores_of(quota)]
    return Cores(platform, max(min(limits), 1), performance)


def _cores_of(quota: str) -> list[int]:
    match quota.split():
        case [runs, period] if runs.isdigit() and period.isdigit() and int(runs) and int(period):
            # Rounded down: a thread without a full core is throttled by the system again and again.
            return [max(floor(int(runs) / int(period)), 1)]
        case _:
            return []


def _allowed() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _performance_cores() -> int | None:
    try:
        completed = subprocess.run(
            PERFORMANCE_CORES, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=True
        )
        return int(completed.stdout) or None
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class WorkerSetups:
    """The primary engine of each role, and the transcriber's fallback engine."""

    transcriber: WorkerSetup
    fallback: WorkerSetup | None
    aligner: WorkerSetup | None


def worker_setups(
    settings: Settings, choice: EngineChoice, places: Places, *, cores: Cores, log_json: bool, log_quiet: bool = False
) -> WorkerSetups:
    """The workers share the cores by their engines, unless `workers.threads` is set."""
    threads, has_aligner = settings.workers.threads, choice.aligner is not None
    shares = share(cores, choice.transcriber, has_aligner=has_aligner)
    transcriber = WorkerSetup(
        role="transcriber",
        engine=choice.transcriber,
        engine_path=choice.transcriber_path,
        engine_folders=tuple(map(str, settings.workers.engine_path)),
        model=settings.model,
        language=settings.language,
        threads=threads or shares.transcriber,
        batch_size=settings.workers.batch_size,
        models_folder=str(places.models),
        allow_download=settings.allow_download,
        # A little later than the supervisor's own deadline, so that the supervisor acts first on a hung worker.
        stuck_after_seconds=settings.deadlines.progress_seconds * 1.25,
        stuck_loading_after_seconds=settings.deadlines.boot_seconds * 1.25,
        log_level=settings.logs.level,
        log_json=log_json,
        log_file=str(places.log_file),
        log_quiet=log_quiet,
    )
    fallback = None
    if choice.fallback is not None and choice.fallback_path is not None:
        stand_in = share(cores, choice.fallback, has_aligner=has_aligner)
        fallback = transcriber.model_copy(
            update={
                "engine": choice.fallback,
                "engine_path": choice.fallback_path,
                "model": fallback_model(settings),
                "threads": threads or stand_in.transcriber,
            }
        )
    aligner = None
    if choice.aligner is not None and choice.aligner_path is not None:
        model = alignment_model(settings, choice.aligner)
        aligner = transcriber.model_copy(
            update={
                "role": "aligner",
                "engine": choice.aligner,
                "engine_path": choice.aligner_path,
                "model": model,
                "batch_size": 0,
                "threads": threads or shares.aligner,
            }
        )
    return WorkerSetups(transcriber, fallback, aligner)
