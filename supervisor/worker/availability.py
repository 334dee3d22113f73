"""Which engines and models a worker can serve now, why not the others, and when to look for a missing model.

Runs in: supervisor.

A change in the model folders is a cheap sign that a missing model may have arrived. The check reads only names and
modification times, never a model. It runs in a thread because a sleeping disk may take seconds to answer.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import structlog

from supervisor.system.threads import run_detached
from supervisor.worker.circuit_breaker import (
    MODEL_LOOK_SECONDS,
    NEEDS_MODEL,
    CircuitBreaker,
    WorkerUnavailable,
)
from supervisor.worker.monitor import WorkerMonitor
from supervisor.worker.state_machine import LifecycleEvent

ModelFolderSnapshot = frozenset[tuple[str, int]]
"""Paths with their modification times in nanoseconds."""
log = structlog.get_logger()


def folders_named(models: Sequence[str]) -> tuple[Path, ...]:
    """The models that are absolute paths to a folder of the user's."""
    return tuple(folder for model in models if (folder := Path(model).expanduser()).is_absolute())


def snapshot_model_folders(folders: Sequence[Path]) -> ModelFolderSnapshot:
    """Every entry of these folders, and of the snapshots folders where one of them is a Hugging Face Hub cache.

    The hub client names a file in a snapshot only when its download is complete.
    """
    found: set[tuple[str, int]] = set()
    for folder in folders:
        for pattern in ("*", "models--*/snapshots/*"):
            try:
                found.update((str(path), path.lstat().st_mtime_ns) for path in folder.glob(pattern))
            except OSError:
                # An entry was deleted during the scan, or the disk is gone. The next scan will see the difference.
                continue
    return frozenset(found)


class Availability:
    """The configured engines are always offered; a model that a job names is known once a job has requested it."""

    def __init__(
        self, machine: WorkerMonitor, model_folders: Sequence[Path], on_models_changed: Callable[[], None]
    ) -> None:
        """`model_folders`: where a missing model may appear; `on_models_changed` is called when one may have
        appeared."""
        self._machine = machine
        self._model_folders = model_folders
        self._on_models_changed = on_models_changed
        self._seen: ModelFolderSnapshot | None = None
        self._scan: asyncio.Task[None] | None = None
        self._next_scan_at = 0.0

    def refusal(self, breaker: CircuitBreaker) -> WorkerUnavailable | None:
        """Why a request for this engine and model would be refused immediately; None: it would be served."""
        if self._machine.written_off.are_too_many and breaker is not self._machine.engine:
            return self._machine.engine.refusal
        if breaker is self._machine.engine:
            return breaker.refusal if self._machine.state in ("broken", "probing") else None
        return breaker.refusal if asyncio.get_running_loop().time() < breaker.probe_at else None

    def unavailable_because(self) -> Mapping[str | None, WorkerUnavailable]:
        """Model → why a job that wants it has to wait. The configured model is listed twice: by its name and as
        None."""
        primary = self._machine.breakers.primary
        found: dict[str | None, WorkerUnavailable] = {}
        for breaker in (primary, *self._machine.breakers.overrides):
            refusal = self.refusal(breaker)
            # Any other refusal of a model that the job named fails the job, so it is not a reason to wait.
            if refusal is not None and (
                breaker is primary or refusal.is_for_the_fallback or refusal.code == NEEDS_MODEL
            ):
                found[breaker.setup.model] = refusal
                if breaker is primary:
                    found[None] = refusal
        return found

    def is_override(self, model: str | None) -> bool:
        """Whether this model differs from the configured one."""
        return model is not None and not self._machine.breakers.primary.loads(model)

    @property
    def override_names(self) -> frozenset[str | None]:
        """Every name that jobs use for the configured model; None: jobs that name no model."""
        primary = self._machine.breakers.primary
        return frozenset({None, primary.setup.model, primary.ready.model if primary.ready is not None else None})

    @property
    def loaded_names(self) -> frozenset[str | None]:
        """Every name that jobs use for the loaded model of the primary's engine; empty: none is loaded."""
        engine, primary = self._machine.engine, self._machine.breakers.primary
        if self._machine.life is None or engine.setup.engine != primary.setup.engine:
            return frozenset()
        return self.override_names if engine is primary else frozenset({engine.setup.model})

    @property
    def is_promised(self) -> bool:
        """Whether the ready worker is reserved by a job that is between two of its requests."""
        return self._machine.in_hand > 0 and self._machine.state == "ready"

    @property
    def lacks_model(self) -> bool:
        """Whether the model of any requested engine is missing: a job that waits for it should call `recheck`."""
        return any(breaker.lacks_model for breaker in self._machine.breakers)

    def recheck(self) -> None:
        """Called every few seconds by a job that waits for a missing model; returns immediately when no check is due.

        The current engine has no process, so it is probed directly. Any other engine is tried only after a change in
        the model folders, because trying it replaces a warm worker.
        """
        engine, now = self._machine.engine, asyncio.get_running_loop().time()
        if engine.lacks_model and now >= engine.look_at:
            self._machine.happen(LifecycleEvent.PROBE_DUE)
        if now >= self._next_scan_at and self._without_model():
            self._next_scan_at = now + MODEL_LOOK_SECONDS
            self.look_at_disk()

    def look_at_disk(self) -> None:
        """Compare the model folders with the last scan; a difference makes engines without a model due for a
        retry."""
        # One scan at a time: a disk that is gone can block its thread without limit.
        if self._scan is None or self._scan.done():
            self._scan = asyncio.create_task(self._compare_models(), name=f"{self._machine.role}'s models")

    def close(self) -> None:
        """Cancel a running scan: no job waits any longer."""
        if self._scan is not None:
            self._scan.cancel()

    async def _compare_models(self) -> None:
        named = [model for breaker in self._without_model() if (model := breaker.setup.model) is not None]
        seen = await run_detached(partial(snapshot_model_folders, (*self._model_folders, *folders_named(named))))
        before, self._seen = self._seen, seen
        if before in (None, seen):
            return
        missed = self._without_model()
        for breaker in missed:
            breaker.probe_at = 0.0
        if missed:
            log.info("models_changed", role=self._machine.role, missed=[breaker.setup.model for breaker in missed])
            self._on_models_changed()

    def _without_model(self) -> Sequence[CircuitBreaker]:
        """Engines without their model, except the current one, which is probed directly."""
        return [
            breaker
            for breaker in self._machine.breakers
            if breaker.lacks_model and breaker is not self._machine.engine
        ]
