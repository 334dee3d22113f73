"""Smoke test of the chaos proof: three rows at a twentieth of their numbers, with a fresh seed in each suite.

Runs in: the test process. `make chaos` runs every row in full, `make chaos SHARE=0.05` every row in small.
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


SMOKE = (1, 3, 5)
"""Workers die, the daemon is killed, the power is cut: the three promises that everything else leans on."""


@pytest.mark.parametrize("number", SMOKE, ids=lambda number: ROWS[number].title)
def test_nothing_is_lost(number: int, folder: Path, chaos_seed: int) -> None:
    tally = ROWS[number].run(Trial(chaos_seed, SHARE, folder, print))
    assert tally.holds, f"seed {chaos_seed}, row {number}: {tally}"
    assert tally.trials, "a row that tried nothing proves nothing"
