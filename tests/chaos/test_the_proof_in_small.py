"""Most rows of the proof at a twentieth of its numbers, with fresh luck in each run of the suite.

Runs in: the test process. `make chaos` is the whole of it.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.rows import ROWS
from chaos.trial import Trial

SHARE = float(os.environ.get("STENOD_CHAOS_SHARE", "0.05"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not tmp_path, which is too long for the socket of a daemon that lives some folders below it."""
    folder = Path(tempfile.mkdtemp(prefix="steno-chaos-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


ONLY_IN_FULL = {4, 20, 23, 26, 27, 28, 30, 31, 33}
"""Too long at a twentieth."""


@pytest.mark.parametrize("number", sorted(set(ROWS) - ONLY_IN_FULL), ids=lambda number: ROWS[number].title)
def test_nothing_is_lost(number: int, folder: Path, chaos_seed: int) -> None:
    tally = ROWS[number].run(Trial(chaos_seed, SHARE, folder, print))
    assert tally.holds, f"seed {chaos_seed}, row {number}: {tally}"
    assert tally.trials, "a row that tried nothing proves nothing"
