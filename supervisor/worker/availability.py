"""Which engines and models a worker can be asked for now, why not the others, and when a missing model is looked for.

Runs in: supervisor.

What changed among the folders where models lie is a cheap sign that one may have come. Only names and times are
read, never a model; the disk may sleep, so that look runs in a thread.
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
from supervisor.worker.state_machine import Event

ModelsSeen = frozenset[tuple[str, int]]
"""Paths with their times of change, in ns."""
log = structlog.get_logger()


def folders_named(models: Sequence[str]) -> tuple[Path, ...]:
    """Those of the models that are folders of their owner's."""
    return tuple(folder for model in models if (folder := Path(model).expanduser()).is_absolute())


def models_seen(folders: Sequence[Path]) -> ModelsSeen:
    """Everything in these folders now, and in the snapshots of those that are a hub's cache.

    A download of the hub shows when a file of it is whole: only then does it get its name in a snapshot.
    """
    found: set[tuple[str, int]] = set()
    for folder in folders:
        for pattern in ("*", "models--*/snapshots/*"):
            try:
                found.update((str(path), path.lstat().st_mtime_ns) for path in folder.glob(pattern))
            except OSError:
                # Something went while we looked, or the disk is gone: whatever becomes of it is a change.
                continue
    return frozenset(found)


class Availability:
    """What the settings say is always on offer; a job's own model is tried for that job, and only then known."""

    def __init__(
        self, machine: WorkerMonitor, model_folders: Sequence[Path], on_better_offer: Callable[[], None]
    ) -> None:
        """`model_folders` are where a missing model may appear; `on_better_offer` hears that one may be there."""
        self._machine = machine
        self._model_folders = model_folders
        self._on_better_offer = on_better_offer
        self._seen: ModelsSeen | None = None
        self._looking: asyncio.Task[None] | None = None
        self._look_at = 0.0

    def refusal(self, breaker: CircuitBreaker) -> WorkerUnavailable | None:
        """Why a request for this would be refused immediately; None: it would not be."""
        if self._machine.written_off.are_too_many and breaker is not self._machine.engine:
            return self._machine.engine.refusal
        if breaker is self._machine.engine:
            return breaker.refusal if self._machine.state in ("broken", "probing") else None
        return breaker.refusal if asyncio.get_running_loop().time() < breaker.probe_at else None

    def unavailable_because(self) -> Mapping[str | None, WorkerUnavailable]:
        """Model → why a job that wants it has to wait; None: the settings' own, which has its name too."""
        primary = self._machine.breakers.primary
        found: dict[str | None, WorkerUnavailable] = {}
        for breaker in (primary, *self._machine.breakers.overrides):
            no = self.refusal(breaker)
            # Whatever else a job's own model is refused for fails the job: it does not wait.
            if no is not None and (breaker is primary or no.is_for_the_fallback or no.code == NEEDS_MODEL):
                found[breaker.setup.model] = no
                if breaker is primary:
                    found[None] = no
        return found

    def is_override(self, model: str | None) -> bool:
        """Whether a job that names this model wants another than the settings do."""
        return model is not None and not self._machine.breakers.primary.loads(model)

    @property
    def override_names(self) -> frozenset[str | None]:
        """All that jobs may call the model of the settings; None: those that name none."""
        primary = self._machine.breakers.primary
        return frozenset({None, primary.setup.model, primary.ready.model if primary.ready is not None else None})

    @property
    def loaded_names(self) -> frozenset[str | None]:
        """All that jobs may call the model that is in the worker, with the primary's engine; empty: none is."""
        engine, primary = self._machine.engine, self._machine.breakers.primary
        if self._machine.life is None or engine.setup.engine != primary.setup.engine:
            return frozenset()
        return self.override_names if engine is primary else frozenset({engine.setup.model})

    @property
    def is_promised(self) -> bool:
        """Whether a job has the worker, which is ready: it is between two of that job's requests."""
        return self._machine.in_hand > 0 and self._machine.state == "ready"

    @property
    def lacks_model(self) -> bool:
        """Whether something that was asked for has no model: who waits for it should `recheck`."""
        return any(breaker.lacks_model for breaker in self._machine.breakers)

    def recheck(self) -> None:
        """To be called every few seconds by a job that waits for a missing model; does something when it is time.

        The engine whose turn it is has no process, and is simply tried. Any other is tried when something has changed
        among the models on the disk, for the worker in its place is warm.
        """
        engine, now = self._machine.engine, asyncio.get_running_loop().time()
        if engine.lacks_model and now >= engine.look_at:
            self._machine.happen(Event.PROBE_DUE)
        if now >= self._look_at and self._missed():
            self._look_at = now + MODEL_LOOK_SECONDS
            self.look_at_disk()

    def look_at_disk(self) -> None:
        """What differs from the last look is a reason to try again what had no model."""
        # One look at a time: a disk that is gone keeps its thread for as long as it likes.
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._compare_models(), name=f"{self._machine.role}'s models")

    def close(self) -> None:
        """No job waits any more."""
        if self._looking is not None:
            self._looking.cancel()

    async def _compare_models(self) -> None:
        named = [model for breaker in self._missed() if (model := breaker.setup.model) is not None]
        seen = await run_detached(partial(models_seen, (*self._model_folders, *folders_named(named))))
        before, self._seen = self._seen, seen
        if before in (None, seen):
            return
        missed = self._missed()
        for breaker in missed:
            breaker.probe_at = 0.0
        if missed:
            log.info("models_changed", role=self._machine.role, missed=[breaker.setup.model for breaker in missed])
            self._on_better_offer()

    def _missed(self) -> Sequence[CircuitBreaker]:
        """What has no model and is not the next to run anyway."""
        return [
            breaker
            for breaker in self._machine.breakers
            if breaker.lacks_model and breaker is not self._machine.engine
        ]
