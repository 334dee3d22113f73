"""Settings and cores → what each worker is told at its start.

Runs in: supervisor. Pure, but for counting the cores.
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
"""Apple's own name for the faster of its two kinds of cores."""
ANSWER_SECONDS = 2.0
QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""`200000 100000`: two cores' worth; `max 100000`: no limit. In a container it is the container's own."""
OLD_QUOTA, OLD_PERIOD = (Path(f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us") for name in ("quota", "period"))
"""The same in cgroups of the first version; -1: no limit."""


@dataclass(frozen=True, slots=True)
class Cores:
    """What this process may compute on."""

    platform: str
    """sys.platform."""
    usable: int
    """Real cores, at most what the system allows; two threads on one core would share it."""
    performance: int | None = None
    """The faster ones of an Apple chip; None: all are alike, or it is not known."""


@dataclass(frozen=True, slots=True)
class Threads:
    """Of native code, in each worker."""

    transcriber: int
    aligner: int


def share(cores: Cores, engine: str, *, has_aligner: bool) -> Threads:
    """Who gets how many cores, while this engine transcribes.

    On Apple's GPU it needs a core to feed it, and the aligner has the fast ones: a thread on a slow core would make
    the others wait. On the processor alone transcription, the slower half of the work, has about two thirds. The
    aligner has at least two, where there are two: it works alone at the end of each recording.
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
    """Asks the system; what does not answer limits nothing."""
    quota_is_old = not QUOTA.exists()
    told = f"{_read(OLD_QUOTA)} {_read(OLD_PERIOD)}" if quota_is_old else _read(QUOTA)
    return usable_cores(
        sys.platform,
        allowed=_allowed(),
        physical=psutil.cpu_count(logical=False),
        quota=told,
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
            # Half a core too many is a thread that the system puts to sleep again and again.
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
        asked = subprocess.run(PERFORMANCE_CORES, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=True)
        return int(asked.stdout) or None
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class WorkerSetups:
    """The primary engine of each role, and the engine that may stand in for the transcriber."""

    transcriber: WorkerSetup
    fallback: WorkerSetup | None
    aligner: WorkerSetup | None


def worker_setups(
    settings: Settings, choice: EngineChoice, places: Places, *, cores: Cores, log_json: bool, log_quiet: bool = False
) -> WorkerSetups:
    """The workers share the cores as suits their engines, unless `workers.threads` says otherwise."""
    told, has_aligner = settings.workers.threads, choice.aligner is not None
    shares = share(cores, choice.transcriber, has_aligner=has_aligner)
    transcriber = WorkerSetup(
        role="transcriber",
        engine=choice.transcriber,
        engine_path=choice.transcriber_path,
        engine_folders=tuple(map(str, settings.workers.engine_path)),
        model=settings.model,
        language=settings.language,
        threads=told or shares.transcriber,
        batch_size=settings.workers.batch_size,
        models_folder=str(places.models),
        allow_download=settings.allow_download,
        # A little later than the supervisor's own deadline: a worker that still can speaks first.
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
                "threads": told or stand_in.transcriber,
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
                "threads": told or shares.aligner,
            }
        )
    return WorkerSetups(transcriber, fallback, aligner)
