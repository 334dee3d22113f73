"""The workers as the daemon sees them, the device each really uses, and whether the canary went through both.

Runs in: the user's shell.
"""

import platform
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import assert_never

from client.daemon.connection import DaemonClient
from client.doctor.check import CHECK_SECONDS, Case, Check, broken, ok, warning
from client.views.tables import ago, gigabytes
from config.engines import EngineChoice
from ipc.status_views import CanaryView, Finding, HealthView, WorkerView

EXAMINATION_SECONDS = 20.0
"""The daemon gives each watched folder ten."""
BEYOND_CANARY_SECONDS = 5.0
"""The daemon itself gives up on the canary; after this much longer the client stops waiting for its answer."""
WINDOW_SECONDS = 30.0
"""Whisper processes this much at a time. A shorter clip takes as long, so its real-time factor says little."""
NEEDS_MODEL = re.compile(r"\bneeds model ([^\s:]+)")
"""How the note of a worker begins that waits for a model."""


def checks(case: Case) -> Iterator[Check]:
    if case.status is None:
        what = "not checked: workers, their devices, the self-test, and what the daemon may read and write"
        unseen = warning("workers", what, "only a running daemon can tell", "start it, then run `steno doctor` again")
        yield Check("Workers", "workers", lambda: [unseen])
        return
    socket, workers = case.places.socket, case.status.workers
    found = [
        *worker_findings(workers, case.choice, str(case.places.logs / "crashes"), datetime.now(UTC)),
        *device_findings(workers, case.choice, sys.platform, platform.machine()),
    ]
    yield Check("Workers", "workers", lambda: found)
    inside = EXAMINATION_SECONDS + CHECK_SECONDS
    yield Check("As the daemon sees it", "inside_the_daemon", lambda: _examination(socket), inside)
    if any(worker.state == "broken" for worker in workers):
        yield Check("Workers", "canary", lambda: [UNSENT])
        return
    canary_seconds = case.settings.health.canary_seconds + BEYOND_CANARY_SECONDS
    yield Check("Workers", "canary", lambda: _canary(socket, canary_seconds), canary_seconds + CHECK_SECONDS)


def _examination(socket: Path) -> list[Finding]:
    """What the daemon finds when it tries its own folders."""
    with DaemonClient(socket, EXAMINATION_SECONDS) as daemon:
        return daemon.examination()


def _canary(socket: Path, answer_seconds: float) -> Iterator[Finding]:
    """A fresh one, through both workers."""
    with DaemonClient(socket, answer_seconds) as daemon:
        yield canary_finding(daemon.health(fresh=True))


def worker_findings(
    workers: Sequence[WorkerView], choice: EngineChoice | None, crashes: str, now: datetime
) -> Iterator[Finding]:
    """`choice`: what the settings ask for; None: they cannot be read. `crashes`: where tracebacks are kept."""
    for worker in workers:
        yield _worker_finding(worker, crashes, now)
    transcriber = next((worker for worker in workers if worker.role == "transcriber"), None)
    if transcriber is not None and choice is not None and transcriber.engine == choice.fallback:
        what = f"the fallback engine {transcriber.engine} replaces {choice.transcriber}"
        why = f"{choice.transcriber} crashed too often or could not be loaded; the fallback is slower"
        yield warning("fallback", what, why, "steno restart transcriber")
    if choice is not None and choice.aligner is None:
        yield ok("aligner", "no aligner: ALIGNMENT_BACKEND=none, segment times only")


def _worker_finding(worker: WorkerView, crashes: str, now: datetime) -> Finding:
    name = " ".join(part for part in (worker.engine, worker.model) if part)
    facts = f"{worker.role}: {name}" + (f" on {worker.device}" if worker.device else "")
    facts += f", {gigabytes(worker.footprint_bytes)}" if worker.footprint_bytes else ""
    death = worker.last_death
    note = f": {worker.note}" if worker.note else ""
    died = f", crashed {ago(death.at, now)}" if death is not None else ""
    died += f": {death.reason}" if death is not None and death.reason not in note else ""
    match worker.state:
        case "ready" | "busy":
            return ok(worker.role, f"{facts}, {worker.state}{died}")
        case "unloaded":
            return ok(worker.role, f"{facts}, unloaded until there is work{died}")
        case "starting" | "backing_off" | "stopping" | "stopped":
            what = f"{facts}, {worker.state.replace('_', ' ')}{note}{died}"
            remedy = "check again in a minute: `steno status --watch`"
            return warning(worker.role, what, "it is not ready yet, and jobs that need it wait", remedy)
        case "broken":
            why = _cost(worker) + (f"; tracebacks are in {crashes}" if death is not None else "")
            return broken(worker.role, f"{worker.role} ({name}) is broken{note}{died}", why, _remedy(worker))
        case unknown:
            assert_never(unknown)


def _remedy(worker: WorkerView) -> str:
    if (missing := NEEDS_MODEL.search(worker.note or "")) is not None:
        return f"steno models pull {missing[1]}"
    if worker.refusal == "no_metal":
        return "run stenod on the Mac itself, with a user logged in; in a virtual machine: WHISPER_BACKEND=whisperx"
    if worker.last_death is None and worker.note:
        return f"do that, then `steno restart {worker.role}`"
    return f"steno restart {worker.role}; `steno logs` tells how it crashed"


def _cost(worker: WorkerView) -> str:
    if worker.role == "aligner":
        return "jobs finish with segment times only, and get their word times once it is back"
    return "no job can be transcribed; they wait"


def device_findings(
    workers: Sequence[WorkerView], choice: EngineChoice | None, platform: str, machine: str
) -> Iterator[Finding]:
    """What a Mac's user has to know: `platform` is sys.platform, `machine` platform.machine()."""
    if (platform, machine) != ("darwin", "arm64") or (choice is not None and choice.transcriber == "mlx"):
        return  # the fallback on the CPU has a finding of its own
    for worker in workers:
        if worker.role == "transcriber" and worker.device == "cpu":
            what = f"the transcriber ({worker.engine}) runs on the CPU of a machine with a Metal GPU"
            why = "MLX on Metal is several times faster; CTranslate2 has no Metal"
            yield warning("device", what, why, "WHISPER_BACKEND=mlx, then `steno service restart`")


# --- the canary --------------------------------------------------------------------------------------------------


UNSENT = warning(
    "canary",
    "Self-test skipped: a worker is broken, see above.",
    "only a recording that goes through both workers proves that they work",
    "fix the worker, then run `steno doctor` again",
)


def canary_finding(health: HealthView) -> Finding:
    """How a short recording went through both workers a moment ago."""
    canary = health.canary
    if canary is None:
        remedy = "run `steno doctor` again once both workers are ready: `steno status --watch`"
        what = "Self-test skipped: nothing proves that the workers transcribe."
        return warning("canary", what, "a worker may be ready and still fail at its work", remedy)
    if not canary.healthy:
        what = f"the self-test failed, a short recording was not transcribed: {canary.detail}"
        remedy = (
            "first fix what else is broken here; if nothing is: steno restart transcriber; "
            "steno restart aligner; and `steno logs` if it fails again"
        )
        return broken("canary", what, "a recording submitted now would fail as well", remedy)
    return _healthy_canary(canary)


def _healthy_canary(canary: CanaryView) -> Finding:
    factor = canary.real_time_factor
    if not factor:
        return ok("canary", f"self-test {canary.detail}")
    took_seconds = factor * canary.audio_seconds
    speed = f"{1 / factor:.0f}" if factor <= 0.1 else f"{1 / factor:.2g}"
    took = f"{canary.audio_seconds:.1f} s of speech in {took_seconds:.1f} s ({speed}× real time)"
    what = f"{took}: {canary.detail}"
    if took_seconds <= WINDOW_SECONDS:
        return ok("canary", what)
    why = "longer recordings are slower than listening to them, and the queue grows while you record"
    return warning("canary", what, why, "choose a smaller model: STENO_MODEL=small or base")
