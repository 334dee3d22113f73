"""Whose turn it is among the waiting jobs: the oldest's, but a few that suit the loaded model go before it. Pure.

Runs in: supervisor.

To exchange the transcriber's model costs its loading, seconds to half a minute. Jobs for two models in mixed order,
taken strictly by age, would pay that for nearly every job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_OVERTAKING = 32
"""No job is overtaken by as many younger ones: one may go first only if its id is less than this far from the
oldest's. With short recordings an exchange is shared by so many, and that is when it matters."""
LONGEST_SERVED_SECONDS = 300.0
"""One model is preferred for so long, then the oldest decides: exchanges of half a minute stay a tenth of the time,
and no job waits for a row of long recordings."""

Model = str | None
"""As jobs name it; None: a job that names none wants what the settings say."""


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

    def names_of(self, model: Model) -> frozenset[Model]:
        """All that jobs may call this model."""
        return self.own if model in self.own else frozenset({model})


def in_turn(waiting: Mapping[Model, Sequence[int]], turn: SchedulingHints, limit: int) -> list[int]:
    """The ids of the next `limit` jobs, as they would start if nothing came between.

    `waiting` holds for each model the ids of its jobs, at least the `limit` oldest, in order.
    """
    left = {model: list(ids) for model, ids in waiting.items() if ids}
    loaded, oldest_decides = turn.loaded, turn.oldest_decides
    order: list[int] = []
    while left and len(order) < limit:
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
    return order
