"""One engine of a role with one model: its deaths that count, and whether it may be tried.

Runs in: supervisor.
"""

from dataclasses import dataclass
from typing import NamedTuple

from config.settings import RestartSettings
from ipc.worker_messages import LoadFailed, Ready, WorkerSetup
from supervisor.worker.death import Death
from supervisor.worker.restart_policy import deaths_that_count, delay_before_restart

BROKEN = "broken"
"""The code of an engine that died too often; any other is the engine's own for why it did not load."""
NEEDS_MODEL = "needs_model"
"""The engine's own code for a model that is known and not on this machine: it may come."""
MODEL_LOOK_SECONDS = 8.0
"""For so long it is not asked again whether a missing model is there: somebody who has just fetched it watches the
clock, and a look costs a second of one core. A little less than LOOK_AGAIN_SECONDS: every round finds it due."""
GUEST_PROBE_SECONDS = 600.0
"""How often a job's own missing model is tried without any sign that it came, as when the network is back. Each try
costs the worker the model that is warm in it."""


class WorkerUnavailable(Exception):
    """There is no worker to be had now: it is broken, has no model, or is stopping."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        """`broken`, `stopping`, or why the engine refused to load: `needs_model`, `model_damaged` …"""
        self.message = message
        self.hint = hint


class EngineName(NamedTuple):
    """An engine as results and speeds name it."""

    engine: str
    model: str | None
    """None: the engine's default, which was never loaded yet."""
    device: str | None
    """None: it was never loaded yet."""


@dataclass(slots=True, eq=False)
class EngineTally:
    """What the keeper remembers of an engine with its model from one process to the next."""

    setup: WorkerSetup
    is_guest: bool = False
    """True: the model is a job's own choice, and nobody but such jobs misses it."""
    deaths: tuple[float, ...] = ()
    """Monotonic seconds of those that count."""
    refusal: WorkerUnavailable | None = None
    """Why it is broken; None: it is not."""
    probe_at: float = 0.0
    """From this moment on a broken engine may be tried once."""
    look_at: float = 0.0
    """From this moment on one without its model may be tried for somebody who waits."""
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
                    f"tried again every {settings.probe_seconds:g} s, or now: `steno restart {self.setup.role}`",
                ),
                now,
                settings.probe_seconds,
            )
        return delay

    def note_walled_in(self, hanging: int, now: float, settings: RestartSettings) -> None:
        """So many of its role's processes hang in the kernel that none more is started."""
        self._break(
            WorkerUnavailable(
                BROKEN,
                f"{hanging} {self.setup.role}s hang in the kernel and cannot be killed",
                "bring the disk back that does not answer; if it is none, restart the machine",
            ),
            now,
            settings.probe_seconds,
        )

    def note_refusal(self, refused: LoadFailed, now: float, settings: RestartSettings) -> bool:
        """It is well but cannot load: starting it over and over would not help. Whether that is news."""
        is_news = self.refusal is None or self.refusal.message != refused.message
        rest_seconds = settings.probe_seconds
        if self.is_guest:
            # Any other refusal fails the job at once, and is remembered only for those in line behind it.
            rest_seconds = GUEST_PROBE_SECONDS if refused.code == NEEDS_MODEL else MODEL_LOOK_SECONDS
        self._break(WorkerUnavailable(refused.code, refused.message, refused.hint), now, rest_seconds)
        self.look_at = now + MODEL_LOOK_SECONDS
        return is_news

    def note_ready(self, ready: Ready) -> None:
        """It can be used; its deaths stay counted until it has been calm."""
        self.ready = ready
        self.refusal = None

    def forget(self) -> None:
        """As if it had never died."""
        self.deaths = ()
        self.refusal = None

    @property
    def name(self) -> EngineName:
        """As it called itself when it was last ready; before that, as the settings do."""
        if self.ready is None:
            return EngineName(self.setup.engine, self.setup.model, None)
        return EngineName(self.setup.engine, self.ready.model, self.ready.device)

    @property
    def lacks_model(self) -> bool:
        """Whether it would work if only its model were there."""
        return self.refusal is not None and self.refusal.code == NEEDS_MODEL

    def loads(self, model: str) -> bool:
        """Whether this is what a job means that wants `model`, by the setting or by what was loaded for it."""
        return model == self.setup.model or (self.ready is not None and model == self.ready.model)

    def _break(self, refusal: WorkerUnavailable, now: float, rest_seconds: float) -> None:
        self.refusal = refusal
        self.probe_at = now + rest_seconds
