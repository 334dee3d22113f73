"""Whose turn it is among the waiting jobs: the oldest's, but a few that suit the loaded model go before it. Pure.

Runs in: supervisor.

Jobs of priority `now` go first, between two batches of a running job. The others take turns by their shares.
Within a priority, the loaded model and age decide.

To exchange the transcriber's model costs its loading, seconds to half a minute. Jobs for two models in mixed order,
taken strictly by age, would pay that for nearly every job.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from ipc.vocabulary import Priority

WEIGHTS: Mapping[Priority, int] = MappingProxyType({"now": 16, "normal": 4, "archive": 1})
"""While jobs of several priorities wait, this many of each start: 4 normal ones for each one of the archive. At most
this many of `now` go before one batch of a running job."""
_STRIDE = {priority: WEIGHTS["now"] // weight for priority, weight in WEIGHTS.items()}
MOST_OVERTAKING = 32
"""No job is overtaken by as many younger ones: one may go first only if its id is less than this far from the
oldest's. With short recordings an exchange is shared by that many, and that is when it matters."""
LONGEST_SERVED_SECONDS = 300.0
"""How long one model is preferred; then the oldest decides: exchanges of half a minute stay a tenth of the time,
and no job waits for a row of long recordings."""

Model = str | None
"""As jobs name it; None: a job that names none wants what the settings say."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How far each priority is ahead of its share (stride scheduling)."""

    ahead: Mapping[Priority, int] = field(default_factory=dict)

    def next(self, waiting: Collection[Priority]) -> Priority:
        """Of the priorities with waiting jobs, the one that is behind the others."""
        if "now" in waiting:
            return "now"
        return min(waiting, key=lambda priority: (self._ahead_of(priority), -WEIGHTS[priority]))

    def after(self, claimed: Priority) -> "Shares":
        """One more job of this priority was started. A priority without jobs saves nothing up."""
        if claimed == "now":
            return self
        here = self._ahead_of(claimed)
        ahead = {priority: max(self._ahead_of(priority) - here, 0) for priority in WEIGHTS}
        return Shares(ahead | {claimed: _STRIDE[claimed]})

    def _ahead_of(self, priority: Priority) -> int:
        return self.ahead.get(priority, _STRIDE[priority])


@dataclass(frozen=True, slots=True)
class SchedulingHints:
    """What decides who is next, besides the line itself."""

    own: frozenset[Model] = frozenset({None})
    """All that jobs may call the settings' own model."""
    loaded: frozenset[Model] = frozenset()
    """All that they may call the one that is in the worker; empty: none is."""
    missing: frozenset[Model] = frozenset()
    """What cannot be had just now; its jobs stay in line."""
    deferred: frozenset[int] = frozenset()
    """Jobs that wait for something else just now."""
    suspects_too: bool = True
    """Jobs during which the daemon died may start: nothing else runs."""
    oldest_decides: bool = False
    """The loaded model has had its time."""
    priorities: frozenset[Priority] = frozenset(WEIGHTS)
    """Those whose jobs may start now."""
    loaded_only: bool = False
    """No job may start that wants another model than the loaded one."""
    shares: Shares = Shares()

    def may_have(self, model: Model) -> bool:
        """Whether a job that wants this model may start."""
        return model not in self.missing and (model in self.loaded or not self.loaded_only)

    def names_of(self, model: Model) -> frozenset[Model]:
        """All that jobs may call this model."""
        return self.own if model in self.own else frozenset({model})


def in_turn(
    waiting: Mapping[Priority, Mapping[Model, Sequence[int]]], turn: SchedulingHints, limit: int
) -> list[int]:
    """The ids of the next `limit` jobs, as they would start if nothing came between.

    `waiting` holds for each priority and model the ids of the jobs, at least the `limit` oldest, in order.
    """
    lines = {
        priority: {model: list(ids) for model, ids in of_model.items() if ids}
        for priority, of_model in waiting.items()
        if any(of_model.values())
    }
    loaded, oldest_decides, shares = turn.loaded, turn.oldest_decides, turn.shares
    order: list[int] = []
    while lines and len(order) < limit:
        priority = shares.next(lines)
        shares, left = shares.after(priority), lines[priority]
        heads = {ids[0]: model for model, ids in left.items()}
        oldest = min(heads)
        suiting = min((job_id for job_id, model in heads.items() if model in loaded), default=oldest)
        job_id = oldest if oldest_decides or suiting - oldest >= MOST_OVERTAKING else suiting
        model = heads[job_id]
        if model not in loaded:
            loaded, oldest_decides = turn.names_of(model), False
        order.append(job_id)
        del left[model][0]
        if not left[model]:
            del left[model]
        if not left:
            del lines[priority]
    return order
