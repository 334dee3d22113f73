"""A circuit breaker for each engine and model of a role: deaths that count, pauses before a restart, open or not.

Runs in: supervisor.

Those of the settings are configured, those of jobs' own choice are overrides. Half open is one probe that may fail
once. Moments are seconds of one monotonic clock, the caller's.
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
"""So much of a delay is left to chance, lest two workers that died together keep coming back together."""
BROKEN = "broken"
"""The code of an engine that died too often; any other is the engine's own for why it did not load."""
ENGINE_CANNOT_WORK = frozenset({BROKEN, "no_metal", "engine_missing"})
"""It would not work with any model; the fallback engine may. The last two: what this machine or session lacks."""
NEEDS_MODEL = "needs_model"
"""The engine's own code for a model that is known and not on this machine: it may come."""
MODEL_LOOK_SECONDS = 8.0
"""The pause between two looks for a missing model: a user who has just fetched it watches the
clock, and a look costs a second of one core. A little less than LOOK_AGAIN_SECONDS: every round finds it due."""
OVERRIDE_PROBE_SECONDS = 600.0
"""How often a job's own missing model is tried without any sign that it came, as when the network is back. Each try
costs the worker the model that is warm in it."""
MOST_OVERRIDES = 16
"""Models of jobs' own choice that are remembered. To forget one costs a failed start that could have been spared."""


def deaths_that_count(
    deaths: tuple[float, ...], now: float, *, was_calm: bool, settings: RestartSettings
) -> tuple[float, ...]:
    """The death at `now` and those before it that still count: recent ones, unless the worker had been calm since."""
    if was_calm:
        return (now,)
    return (*(at for at in deaths if now - at <= settings.within_seconds), now)


def is_calm(alive_seconds: float, finished_requests: int, settings: RestartSettings) -> bool:
    """Whether a worker has shown that it can work. Time alone is not enough: it may die at its first request."""
    return finished_requests > 0 and alive_seconds >= settings.calm_seconds


def delay_before_restart(deaths: tuple[float, ...], jitter: float, settings: RestartSettings) -> float | None:
    """Seconds to wait after the last of `deaths`, those that count; None: too many, let it rest.

    One death is bad luck: the restart is immediate. From the second on a reason is more likely than chance, and the
    wait doubles. `jitter` from 0 to 1 shortens it by up to a quarter.
    """
    if len(deaths) > settings.deaths_allowed:
        return None
    if len(deaths) <= 1:
        return 0.0
    # The exponent is bounded: deaths_allowed may be large, and 2.0**1100 is an error.
    doubled = settings.first_delay_seconds * 2.0 ** min(len(deaths) - 2, 64)
    return min(doubled, settings.longest_delay_seconds) * (1.0 - JITTER_PART * jitter)


class WorkerUnavailable(StenodError):
    """There is no worker to be had now: it is broken, has no model, or is stopping.

    `code`: `broken`, `stopping`, or why the engine refused to load: `needs_model`, `model_damaged`, `no_metal` …
    """

    @property
    def is_for_the_fallback(self) -> bool:
        """Whether another engine may do what this one cannot."""
        return self.code in ENGINE_CANNOT_WORK


class EngineName(NamedTuple):
    """An engine as results and speeds name it."""

    engine: str
    model: str | None
    """None: the engine's default, which was never loaded yet."""
    device: str | None
    """None: it was never loaded yet."""


@dataclass(slots=True, eq=False)
class CircuitBreaker:
    """What the handle remembers of an engine with its model from one process to the next."""

    setup: WorkerSetup
    is_override: bool = False
    """True: the model is a job's own choice, and only such jobs miss it."""
    deaths: tuple[float, ...] = ()
    """Monotonic seconds of those that count."""
    refusal: WorkerUnavailable | None = None
    """Why it is broken; None: it is not."""
    probe_at: float = 0.0
    """From this moment on a broken engine may be tried once."""
    look_at: float = 0.0
    """From this moment on one without its model may be tried for a job that waits."""
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
        """Too many of its role's processes hang in the kernel: no other is started."""
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
        if self.is_override:
            # Any other refusal fails the job immediately, and is remembered only for those in line behind it.
            rest_seconds = OVERRIDE_PROBE_SECONDS if refused.code == NEEDS_MODEL else MODEL_LOOK_SECONDS
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


class CircuitBreakers:
    """Those of the settings, and one for each model of a job's own choice, made on demand."""

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
        """The models that jobs chose for the primary engine, in the order they were last asked for."""
        return [breaker for breaker in self._overrides.values() if breaker.setup.engine == self.primary.setup.engine]

    def __iter__(self) -> Iterator[CircuitBreaker]:
        return iter((*self.configured, *self._overrides.values()))

    def find(self, engine: str | None, model: str | None) -> CircuitBreaker | None:
        """`engine` None is the primary; `model` None is that of the settings. None: it was not asked for before."""
        configured = self._configured(engine)
        wanted = self._model_for(configured, model)
        return configured if wanted is None else self._overrides.get((configured.setup.engine, wanted))

    def of(self, engine: str | None, model: str | None) -> CircuitBreaker:
        """The same, made if need be; the override that was not asked for longest is forgotten."""
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
        """What an override would load; None: the configured one is meant."""
        if configured is not self.primary:
            model = model_of_stand_in(configured.setup.model, model)
        return None if model is None or configured.loads(model) else model
