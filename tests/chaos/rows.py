"""All rows of the proof, in the order of the plan.

Runs in: the chaos run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from chaos import aligner_down, kill_points, parent_death, poison, supervisor_kills, twins, worker_chaos
from chaos.tally import Tally
from chaos.trial import Trial


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the plan."""

    title: str
    demand: str
    run: Callable[[Trial], Tally]


def _row(module: ModuleType) -> Row:
    return Row(module.TITLE, module.DEMAND, module.run)


ROWS: dict[int, Row] = {
    1: _row(worker_chaos),
    2: _row(kill_points),
    3: _row(supervisor_kills),
    6: _row(parent_death),
    10: _row(poison),
    11: _row(aligner_down),
    24: _row(twins),
}
