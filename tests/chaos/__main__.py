"""`make chaos`: every row of the proof, one after the other, and RESULTS.md.

Runs in: the chaos run. `python -m chaos --rows "1 3" --share 0.1 --seed 7`
"""

import argparse
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from chaos.outcomes import Outcome, remember
from chaos.results_page import results_page
from chaos.rows import ROWS
from chaos.tally import Tally
from chaos.trial import Trial

ALONE = (7, 16, 1, 8, 24)
"""What is timed most closely; these come first."""
LANES = ((18, 20, 4, 6, 26, 28), (30, 22, 5, 17, 14, 10, 11, 19, 3, 21, 15, 2, 23, 13, 12, 9, 29, 32, 33, 25, 27, 31))
"""Side by side, for most of their time is waiting."""


@dataclass(frozen=True, slots=True)
class Paper:
    """Where it is written down."""

    outcomes: Path
    page: Path


IN_FULL = Paper(Path(__file__).with_name("outcomes.json"), Path(__file__).with_name("RESULTS.md"))
QUICK_LOOK = Paper(*(Path(tempfile.gettempdir()) / f"stenod-chaos.{ending}" for ending in ("json", "md")))


def main() -> int:
    """0: every row held. 1: one did not. 2: asked for a row that there is not."""
    parser = argparse.ArgumentParser(prog="chaos", description="everything around a real daemon, broken")
    parser.add_argument(
        "--rows", default="", help="numbers of the plan, e.g. '1 3'; default: all, most of them in two lanes"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the plan's numbers; less is only a look")
    parser.add_argument("--seed", type=int, default=None, help="to repeat a run; default: a fresh one")
    asked = parser.parse_args()
    wanted = [int(row) for row in asked.rows.split()]
    if unknown := [row for row in wanted if row not in ROWS]:
        print(f"chaos: there is no row {unknown}; there are {list(ROWS)}", file=sys.stderr)
        return 2
    seed = secrets.randbelow(1 << 32) if asked.seed is None else asked.seed
    paper = IN_FULL if asked.share >= 1.0 else QUICK_LOOK
    _say(f"seed {seed}")
    if wanted:
        held = [_run(number, Trial(seed, asked.share, Path(), _say), paper) for number in wanted]
        return 0 if all(held) else 1
    QUICK_LOOK.outcomes.unlink(missing_ok=True)
    began = time.monotonic()
    run = [sys.executable, "-P", "-m", "chaos", "--share", str(asked.share), "--seed", str(seed), "--rows"]
    held = []
    for phase in ((ALONE,), LANES):
        lanes = [subprocess.Popen([*run, " ".join(map(str, rows))]) for rows in phase]
        held += [lane.wait() == 0 for lane in lanes]
    print(paper.page.read_text(encoding="utf-8"))
    _say(f"{(time.monotonic() - began) / 60:.0f} minutes; written to {paper.page}")
    return 0 if all(held) else 1


def _run(number: int, trial: Trial, paper: Paper) -> bool:
    """Whether it held. A row that breaks costs no other its figures."""
    row = ROWS[number]
    _say(f"row {number}: {row.title}")
    # Not below a long path: a socket's has 103 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="steno-chaos-", dir="/tmp"))
    began = time.monotonic()
    try:
        tally = row.run(replace(trial, folder=folder))
    except Exception as error:  # noqa: BLE001  the boundary of one row: what broke is told on the page
        traceback.print_exc()
        tally = Tally(wrong=[f"{type(error).__name__}: {error}"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seconds, date = time.monotonic() - began, f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
    outcome = Outcome(number, row.title, row.demand, tally, seconds, trial.seed, trial.share, date)
    paper.page.write_text(results_page(remember(outcome, paper.outcomes), len(ROWS)), encoding="utf-8")
    told = replace(tally, recoveries_seconds=[])
    _say(f"  {number} {'held' if tally.holds else 'MISSED'} after {seconds:.0f} s: {told}")
    return tally.holds


def _say(what: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
