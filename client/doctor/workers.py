"""The workers as the daemon sees them, the device each really uses, and how the canary came through both.

Runs in: the user's shell.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import assert_never

from client.views.tables import ago, gigabytes
from config.engines import EngineChoice
from ipc.status_views import CanaryView, Finding, HealthView, WorkerView

WINDOW_SECONDS = 30.0
"""Whisper looks at so much at a time: a short clip costs as much, and says nothing about real time before."""
NEEDS_MODEL = re.compile(r"\bneeds model ([^\s:]+)")
"""How a worker's note begins that waits for a model."""


def worker_findings(
    workers: Sequence[WorkerView], choice: EngineChoice | None, crashes: str, now: datetime
) -> Iterator[Finding]:
    """`choice`: what the settings ask for; None: they cannot be read. `crashes`: where tracebacks are kept."""
    for worker in workers:
        yield _worker_finding(worker, crashes, now)
    transcriber = next((worker for worker in workers if worker.role == "transcriber"), None)
    if transcriber is not None and choice is not None and transcriber.engine == choice.fallback:
        yield Finding(
            check="fallback",
            state="warning",
            what=f"the fallback engine {transcriber.engine} stands in for {choice.transcriber}",
            why=f"{choice.transcriber} died too often or could not be loaded; the fallback is slower",
            remedy="steno restart transcriber",
        )
    if choice is not None and choice.aligner is None:
        yield Finding(check="aligner", state="ok", what="no aligner: ALIGNMENT_BACKEND=none, segment times only")


def _worker_finding(worker: WorkerView, crashes: str, now: datetime) -> Finding:
    name = " ".join(part for part in (worker.engine, worker.model) if part)
    facts = f"{worker.role}: {name}" + (f" on {worker.device}" if worker.device else "")
    facts += f", {gigabytes(worker.footprint_bytes)}" if worker.footprint_bytes else ""
    death = worker.last_death
    note = f": {worker.note}" if worker.note else ""
    died = f", died {ago(death.at, now)}" if death is not None else ""
    died += f": {death.reason}" if death is not None and death.reason not in note else ""
    match worker.state:
        case "ready" | "busy":
            return Finding(check=worker.role, state="ok", what=f"{facts}, {worker.state}{died}")
        case "unloaded":
            return Finding(check=worker.role, state="ok", what=f"{facts}, unloaded until there is work{died}")
        case "starting" | "backing_off" | "stopping" | "stopped":
            return Finding(
                check=worker.role,
                state="warning",
                what=f"{facts}, {worker.state.replace('_', ' ')}{note}{died}",
                why="it is not ready yet, and what needs it waits",
                remedy="look again in a minute: `steno status --watch`",
            )
        case "broken":
            return Finding(
                check=worker.role,
                state="broken",
                what=f"{worker.role} ({name}) is broken{note}{died}",
                why=_cost(worker) + (f"; tracebacks are in {crashes}" if death is not None else ""),
                remedy=_remedy(worker),
            )
        case unknown:
            assert_never(unknown)


def _remedy(worker: WorkerView) -> str:
    if (missing := NEEDS_MODEL.search(worker.note or "")) is not None:
        return f"steno models pull {missing[1]}"
    if worker.last_death is None and worker.note:
        return f"do that, then `steno restart {worker.role}`"
    return f"steno restart {worker.role}; `steno logs` tells how it died"


def _cost(worker: WorkerView) -> str:
    if worker.role == "aligner":
        return "jobs finish with segment times only, and gain their words once it is back"
    return "no job can be transcribed; they wait"


def device_findings(workers: Sequence[WorkerView], platform: str, machine: str) -> Iterator[Finding]:
    """What a Mac's user has to know: `platform` is sys.platform, `machine` platform.machine()."""
    if (platform, machine) != ("darwin", "arm64"):
        return
    for worker in workers:
        if worker.role == "transcriber" and worker.device == "cpu":
            yield Finding(
                check="device",
                state="warning",
                what=f"the transcriber ({worker.engine}) runs on the CPU of a machine with a Metal GPU",
                why="MLX on Metal is several times faster; CTranslate2 has no Metal"
                if worker.engine != "mlx"
                else "MLX found no Metal: a virtual machine or a session without graphics has none",
                remedy="WHISPER_BACKEND=mlx, then `steno service restart`"
                if worker.engine != "mlx"
                else "run stenod on the machine itself, outside of virtual machines",
            )


def rosetta_findings(platform: str, machine: str, proc_translated: int | None) -> Iterator[Finding]:
    """`proc_translated` is macOS's sysctl.proc_translated: 1 under Rosetta, 0 native, None where there is none."""
    if platform == "darwin" and machine == "x86_64" and proc_translated == 1:
        yield Finding(
            check="rosetta",
            state="broken",
            what="this Python is an Intel build and runs under Rosetta on Apple silicon",
            why="MLX has no Intel build, and everything else is several times slower",
            remedy="install a native Python (`/opt/homebrew/bin/brew install python@3.12`), then `make clean setup`",
        )


UNSENT = Finding(
    check="canary",
    state="warning",
    what="no canary was sent: a worker is broken, see above",
    why="only a recording that comes through both workers proves that they work",
    remedy="fix the worker, then `steno doctor` again",
)


def canary_finding(health: HealthView) -> Finding:
    """How a short recording came through both workers a moment ago."""
    canary = health.canary
    if canary is None:
        return Finding(
            check="canary",
            state="warning",
            what="no canary was sent: nothing proves that the workers transcribe",
            why="a worker may be ready and still fail at its work",
            remedy="`steno doctor` again once both workers are ready: `steno status --watch`",
        )
    if not canary.healthy:
        return Finding(
            check="canary",
            state="broken",
            what=f"a short recording did not come through: {canary.detail}",
            why="a recording handed over now would fare no better",
            remedy="fix first what else is broken here; if nothing is: steno restart transcriber; "
            "steno restart aligner; and `steno logs` if it fails again",
        )
    return _healthy_canary(canary)


def _healthy_canary(canary: CanaryView) -> Finding:
    factor = canary.real_time_factor
    if not factor:
        return Finding(check="canary", state="ok", what=canary.detail)
    took_seconds = factor * canary.audio_seconds
    speed = f"{1 / factor:.0f}" if factor <= 0.1 else f"{1 / factor:.2g}"
    took = f"{canary.audio_seconds:.1f} s of speech in {took_seconds:.1f} s ({speed}× real time)"
    what = f"{took}: {canary.detail}"
    if took_seconds <= WINDOW_SECONDS:
        return Finding(check="canary", state="ok", what=what)
    return Finding(
        check="canary",
        state="warning",
        what=what,
        why="longer recordings are slower than listening to them, and the queue grows while you record",
        remedy="choose a smaller model: STENO_MODEL=small or base",
    )
