"""One engine of a role: its deaths that count, and whether it may be tried.

Runs in: supervisor.
"""

from dataclasses import dataclass

from config.settings import RestartSettings
from ipc.worker_messages import LoadFailed, Ready, WorkerSetup
from supervisor.death import Death
from supervisor.restart_policy import deaths_that_count, delay_before_restart

BROKEN = "broken"
"""The code of an engine that died too often; any other is the engine's own for why it did not load."""


class WorkerUnavailable(Exception):
    """There is no worker to be had now: it is broken, has no model, or is stopping."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        """`broken`, `stopping`, or why the engine refused to load: `needs_model`, `model_damaged` …"""
        self.message = message
        self.hint = hint


@dataclass(slots=True, eq=False)
class EngineTally:
    """What the keeper remembers of an engine from one process to the next."""

    setup: WorkerSetup
    deaths: tuple[float, ...] = ()
    """Monotonic seconds of those that count."""
    refusal: WorkerUnavailable | None = None
    """Why it is broken; None: it is not."""
    probe_at: float = 0.0
    """From this moment on a broken engine may be tried once."""
    ready: Ready | None = None
    """What it said when it was last ready."""

    def note_death(
        self, death: Death, now: float, jitter: float, settings: RestartSettings, *, calm: bool
    ) -> float | None:
        """Seconds until it may start again; None: it is broken. One that is on trial dies only once."""
        self.deaths = deaths_that_count(self.deaths, now, was_calm=calm, settings=settings)
        delay = delay_before_restart(self.deaths, jitter, settings) if self.refusal is None else None
        if delay is None:
            self._break(
                WorkerUnavailable(
                    BROKEN,
                    f"the {self.setup.role} ({self.setup.engine}) keeps dying; last: {death.reason}",
                    f"tried again every {settings.probe_seconds:g} s, or now: steno restart {self.setup.role}",
                ),
                now,
                settings,
            )
        return delay

    def note_refusal(self, refused: LoadFailed, now: float, settings: RestartSettings) -> None:
        """It is well but cannot load: starting it over and over would not help."""
        self._break(WorkerUnavailable(refused.code, refused.message, refused.hint), now, settings)

    def note_ready(self, ready: Ready) -> None:
        """It can be used; its deaths stay counted until it has been calm."""
        self.ready = ready
        self.refusal = None

    def forget(self) -> None:
        """As if it had never died."""
        self.deaths = ()
        self.refusal = None

    def _break(self, refusal: WorkerUnavailable, now: float, settings: RestartSettings) -> None:
        self.refusal = refusal
        self.probe_at = now + settings.probe_seconds
