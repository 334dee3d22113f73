"""All rows of the proof, in the order of the plan.

Runs in: the chaos run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from chaos.clients import exchanged_files, socket_fuzz, strangers
from chaos.disks import damaged_databases, dying_disks, full_disks, many_queues, owners_files, power_cuts, starvation
from chaos.queue import arrivals, backlog, cancels, leaping_clocks, queue_model
from chaos.recordings import media_corpus, odd_recordings, sandbox_escapes
from chaos.restarts import daemon_killers, shutdowns, soak, supervisor_kills, syscall_kills, twins
from chaos.tally import Tally
from chaos.trial import Trial
from chaos.workers import (
    aligner_down,
    boot_failures,
    hangs,
    kill_points,
    parent_death,
    poison,
    real_engines,
    torn_frames,
    worker_chaos,
)


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
    4: _row(syscall_kills),
    5: _row(power_cuts),
    6: _row(parent_death),
    7: _row(torn_frames),
    8: _row(hangs),
    9: _row(boot_failures),
    10: _row(poison),
    11: _row(aligner_down),
    12: _row(full_disks),
    13: _row(starvation),
    14: _row(media_corpus),
    15: _row(arrivals),
    16: _row(socket_fuzz),
    17: _row(strangers),
    18: _row(backlog),
    19: _row(shutdowns),
    20: _row(soak),
    21: _row(queue_model),
    22: _row(damaged_databases),
    23: _row(real_engines),
    24: _row(twins),
    25: _row(odd_recordings),
    26: _row(owners_files),
    27: _row(dying_disks),
    28: _row(many_queues),
    29: _row(leaping_clocks),
    30: _row(exchanged_files),
    31: _row(daemon_killers),
    32: _row(sandbox_escapes),
    33: _row(cancels),
}
