"""A circuit breaker for each engine and model of a role: counted deaths, delays before a restart, open or closed.

Runs in: supervisor.

Breakers from the settings are configured; breakers for models that jobs name are overrides. Half open means one
probe: a single failure opens the breaker again. Times are seconds of the caller's monotonic clock.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from config.engines import model_of_stand_in
from config.settings import RestartSettings
from ipc.errors import StenodError
from ipc.worker_messages import LoadFailed, Ready, WorkerSetup
from supervisor.worker.death import Death

JITTER_PART = 0.25
"""The random part of a delay, so that two workers that crashed together do not keep restarting together."""
BROKEN = "broken"
"""The code of an engine that crashed too often. Any other code is the engine's own reason why it did not load."""
ENGINE_CANNOT_WORK = frozenset({BROKEN, "no_metal", "engine_missing"})
"""The engine would fail with any model; the fallback engine may work. The last two: the machine or session lacks
something."""
NEEDS_MODEL = "needs_model"
"""The engine's own code for a known model that is not on this machine: it may be downloaded later."""
MODEL_LOOK_SECONDS = 8.0
"""The shortest time between two checks for a missing model. Short, because a user who has just downloaded it waits;
not shorter, because a check costs a second of one core. A little less than LOOK_AGAIN_SECONDS, so that it is due in
every round."""
OVERRIDE_PROBE_SECONDS = 600.0
"""How often a missing override is retried without a change in the model folders, for example after a network failure.
Each retry unloads the worker's warm model."""
MOST_OVERRIDES = 16
"""The number of overrides kept. Dropping one may cost a failed start that its breaker would have prevented."""


def deaths_that_count(
    deaths: tuple[float, ...], now: float, *, was_calm: bool, settings: RestartSettings
) -> tuple[float, ...]:
    """The death at `now` and the earlier ones that count: recent deaths, or none if the worker had been calm."""
    if was_calm:
        return (now,)
    return (*(at for at in deaths if now - at <= settings.within_seconds), now)


def is_calm(alive_seconds: float, finished_requests: int, settings: RestartSettings) -> bool:
    """Whether a worker has shown that it can work. Time alone is not enough: it may crash at its first request."""
    return finished_requests > 0 and alive_seconds >= settings.calm_seconds


def delay_before_restart(deaths: tuple[float, ...], jitter: float, settings: RestartSettings) -> float | None:
    """Seconds to wait after the last of `deaths`, the counted ones; None: too many, open the breaker.

    After one death the restart is immediate. From the second on, each delay is twice the last. `jitter` from 0 to 1
    shortens the delay by up to a quarter.
    """
    if len(deaths) > settings.deaths_allowed:
        return None
    if len(deaths) <= 1:
        return 0.0
    # The exponent is bounded: deaths_allowed may be large, and 2.0**1100 is an error.
    doubled = settings.first_delay_seconds * 2.0 ** min(len(deaths) - 2, 64)
    return min(doubled, settings.longest_delay_seconds) * (1.0 - JITTER_PART * jitter)


class WorkerUnavailable(StenodError):
    """No worker can serve the request now: it is broken, has no model, or is stopping.

    `code`: `broken`, `stopping`, or why the engine refused to load: `needs_model`, `model_damaged`, `no_metal` …
    """

    @property
    def is_for_the_fallback(self) -> bool:
        """Whether the fallback engine may serve the request."""
        return self.code in ENGINE_CANNOT_WORK


class EngineName(NamedTuple):
    """An engine as results and speeds name it."""

    engine: str
    model: str | None
    """None: the engine's default, which has not been loaded yet."""
    device: str | None
    """None: it has not been loaded yet."""


@dataclass(slots=True, eq=False)
class CircuitBreaker:
    """The state of one engine with its model that outlives a worker process."""

    setup: WorkerSetup
    is_override: bool = False
    """True: a job named the model, and only jobs that name it need it."""
    deaths: tuple[float, ...] = ()
    """When the counted deaths happened, in monotonic seconds."""
    refusal: WorkerUnavailable | None = None
    """Why the breaker is open; None: it is closed."""
    probe_at: float = 0.0
    """From this time on a broken engine may be probed once."""
    look_at: float = 0.0
    """From this time on an engine without its model may be retried for a job that waits."""
    ready: Ready | None = None
    """The last Ready message of this engine."""

    def note_death(
        self, death: Death, now: float, jitter: float, settings: RestartSettings, *, calm: bool
    ) -> float | None:
        """Seconds until the restart; None: the breaker opens. A death while half open opens it again."""
        self.deaths = deaths_that_count(self.deaths, now, was_calm=calm, settings=settings)
        delay = delay_before_restart(self.deaths, jitter, settings) if self.refusal is None else None
        if delay is None:
            self._break(
                WorkerUnavailable(
                    BROKEN,
                    f"the {self.setup.role} ({self.setup.engine}) keeps crashing; last: {death.reason}",
                    f"tried again every {settings.probe_seconds:g} s, or now: `steno restart {self.setup.role}`",
                ),
                now,
                settings.probe_seconds,
            )
        return delay

    def note_unkillable(self, hanging: int, now: float, settings: RestartSettings) -> None:
        """Open the breaker: too many processes of this role hang in the kernel to start another."""
        self._break(
            WorkerUnavailable(
                BROKEN,
                f"{hanging} {self.setup.role}s hang in the kernel and cannot be killed",
                "reconnect the disk that does not respond; if no disk is the cause, restart the machine",
            ),
            now,
            settings.probe_seconds,
        )

    def note_refusal(self, refused: LoadFailed, now: float, settings: RestartSettings) -> bool:
        """Open the breaker: the engine runs but cannot load, so restarts would not help. Returns whether the reason
        is new."""
        is_new = self.refusal is None or self.refusal.message != refused.message
        pause_seconds = settings.probe_seconds
        if self.is_override:
            # Any other refusal fails the job immediately; it is kept only for the jobs queued behind it.
            pause_seconds = OVERRIDE_PROBE_SECONDS if refused.code == NEEDS_MODEL else MODEL_LOOK_SECONDS
        self._break(WorkerUnavailable(refused.code, refused.message, refused.hint), now, pause_seconds)
        self.look_at = now + MODEL_LOOK_SECONDS
        return is_new

    def note_ready(self, ready: Ready) -> None:
        """Close the breaker; the deaths stay counted until the worker has been calm."""
        self.ready = ready
        self.refusal = None

    def forget(self) -> None:
        """Drop all deaths and close the breaker."""
        self.deaths = ()
        self.refusal = None

    @property
    def name(self) -> EngineName:
        """The names from its last Ready message; before that, those of the settings."""
        if self.ready is None:
            return EngineName(self.setup.engine, self.setup.model, None)
        return EngineName(self.setup.engine, self.ready.model, self.ready.device)

    @property
    def lacks_model(self) -> bool:
        """Whether the engine is refused only because its model is missing."""
        return self.refusal is not None and self.refusal.code == NEEDS_MODEL

    def loads(self, model: str) -> bool:
        """Whether `model` names this breaker's model: the name in its setup, or the name that was loaded."""
        return model == self.setup.model or (self.ready is not None and model == self.ready.model)

    def _break(self, refusal: WorkerUnavailable, now: float, pause_seconds: float) -> None:
        self.refusal = refusal
        self.probe_at = now + pause_seconds


class CircuitBreakers:
    """The configured breakers, and one override for each model that a job named, created on demand."""

    def __init__(self, setups: Sequence[WorkerSetup]) -> None:
        """`setups`: the primary engine, then perhaps the fallback."""
        self.configured = [CircuitBreaker(setup) for setup in setups]
        self._overrides: dict[tuple[str, str], CircuitBreaker] = {}

    @property
    def primary(self) -> CircuitBreaker:
        return self.configured[0]

    @property
    def fallback(self) -> CircuitBreaker | None:
        return self.configured[1] if len(self.configured) > 1 else None

    @property
    def overrides(self) -> Sequence[CircuitBreaker]:
        """The overrides of the primary engine, in the order of their last request."""
        return [breaker for breaker in self._overrides.values() if breaker.setup.engine == self.primary.setup.engine]

    def __iter__(self) -> Iterator[CircuitBreaker]:
        return iter((*self.configured, *self._overrides.values()))

    def find(self, engine: str | None, model: str | None) -> CircuitBreaker | None:
        """`engine` None: the primary. `model` None: the configured one. Returns None when it was not requested
        before."""
        configured = self._configured(engine)
        wanted = self._model_for(configured, model)
        return configured if wanted is None else self._overrides.get((configured.setup.engine, wanted))

    def of(self, engine: str | None, model: str | None) -> CircuitBreaker:
        """Like `find`, but creates a missing override; drops the least recently requested one beyond
        MOST_OVERRIDES."""
        configured = self._configured(engine)
        wanted = self._model_for(configured, model)
        if wanted is None:
            return configured
        key = (configured.setup.engine, wanted)
        override = self._overrides.pop(key, None)
        if override is None:
            override = CircuitBreaker(configured.setup.model_copy(update={"model": wanted}), is_override=True)
        self._overrides[key] = override
        if len(self._overrides) > MOST_OVERRIDES:
            del self._overrides[next(iter(self._overrides))]
        return override

    def _configured(self, engine: str | None) -> CircuitBreaker:
        if engine is None:
            return self.primary
        return next(breaker for breaker in self.configured if breaker.setup.engine == engine)

    def _model_for(self, configured: CircuitBreaker, model: str | None) -> str | None:
        """The model that an override would load; None: the configured breaker applies."""
        if configured is not self.primary:
            model = model_of_stand_in(configured.setup.model, model)
        return None if model is None or configured.loads(model) else model
