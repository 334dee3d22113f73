"""Every engine with a model that a role's worker was asked for: those of the settings, and those of jobs' own choice.

Runs in: supervisor.
"""

from collections.abc import Iterator, Sequence

from config.required_models import model_of_stand_in
from ipc.worker_messages import WorkerSetup
from supervisor.worker.circuit_breaker import EngineTally

MOST_GUESTS = 16
"""Models of jobs' own choice that are remembered. To forget one costs a failed start that could have been spared."""


class EngineTallies:
    """The residents stand in the settings; a guest is the same engine with the model of a job, tallied on demand."""

    def __init__(self, setups: Sequence[WorkerSetup]) -> None:
        """`setups`: the primary engine, then perhaps the fallback."""
        self.residents = [EngineTally(setup) for setup in setups]
        self._guests: dict[tuple[str, str], EngineTally] = {}

    @property
    def primary(self) -> EngineTally:
        return self.residents[0]

    @property
    def fallback(self) -> EngineTally | None:
        return self.residents[1] if len(self.residents) > 1 else None

    @property
    def own_choices(self) -> Sequence[EngineTally]:
        """The models that jobs chose for the primary engine, in the order they were last asked for."""
        return [tally for tally in self._guests.values() if tally.setup.engine == self.primary.setup.engine]

    def __iter__(self) -> Iterator[EngineTally]:
        return iter((*self.residents, *self._guests.values()))

    def find(self, engine: str | None, model: str | None) -> EngineTally | None:
        """`engine` None is the primary; `model` None is that of the settings. None: nobody asked for it before."""
        resident = self._resident(engine)
        wanted = self._model_for(resident, model)
        return resident if wanted is None else self._guests.get((resident.setup.engine, wanted))

    def of(self, engine: str | None, model: str | None) -> EngineTally:
        """The same, made if need be; the guest that was not asked for longest is forgotten."""
        resident = self._resident(engine)
        wanted = self._model_for(resident, model)
        if wanted is None:
            return resident
        key = (resident.setup.engine, wanted)
        guest = self._guests.pop(key, None)
        if guest is None:
            guest = EngineTally(resident.setup.model_copy(update={"model": wanted}), is_guest=True)
        self._guests[key] = guest
        if len(self._guests) > MOST_GUESTS:
            del self._guests[next(iter(self._guests))]
        return guest

    def _resident(self, engine: str | None) -> EngineTally:
        if engine is None:
            return self.primary
        return next(tally for tally in self.residents if tally.setup.engine == engine)

    def _model_for(self, resident: EngineTally, model: str | None) -> str | None:
        """What a guest would load; None: the resident itself is meant."""
        if resident is not self.primary:
            model = model_of_stand_in(resident.setup.model, model)
        return None if model is None or resident.loads(model) else model
