"""Cases of a row side by side: most of their time they wait, for a disk or for a start.

Runs in: the chaos run.
"""

import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from chaos.tally import Tally

LANES = 4
"""On two cores."""

Case = TypeVar("Case")


def side_by_side(cases: Sequence[Case], work: Callable[[Case, Tally], None], into: Tally, lanes: int = LANES) -> None:
    """Each case counts for itself; one that breaks is wrong, and costs no other its figures."""
    counting = threading.Lock()

    def run(case: Case) -> None:
        tally = Tally()
        try:
            work(case, tally)
        except Exception as error:  # noqa: BLE001  the boundary of one case: what broke is told on the page
            traceback.print_exc()
            tally.wrong.append(f"{case}: {type(error).__name__}: {error}")
        with counting:
            into.add(tally)

    with ThreadPoolExecutor(lanes) as threads:
        list(threads.map(run, cases))
