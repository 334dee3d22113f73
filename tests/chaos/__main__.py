"""`make chaos`: every row of the proof, one after the other, and RESULTS.md.

Runs in: the chaos run. `python -m chaos --rows "1 3" --share 0.1 --seed 7`
"""

import argparse
import secrets
import shutil
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from chaos.results_page import Outcome, remember, results_page
from chaos.rows import ROWS
from chaos.tally import Tally
from chaos.trial import Trial

RESULTS = Path(__file__).with_name("RESULTS.md")
OUTCOMES = Path(__file__).with_name("outcomes.json")
"""What RESULTS.md is drawn from: a row that is run again, in full, replaces its own line and no other."""
QUICK_LOOK = Path(tempfile.gettempdir()) / "stenod-chaos.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="chaos", description="everything around a real daemon, broken")
    parser.add_argument("--rows", default="", help="numbers of the plan, e.g. '1 3'; default: all")
    parser.add_argument("--share", type=float, default=1.0, help="of the plan's numbers; less is only a look")
    parser.add_argument("--seed", type=int, default=None, help="to repeat a run; default: a fresh one")
    asked = parser.parse_args()
    wanted = [int(row) for row in asked.rows.split()] or list(ROWS)
    if unknown := [row for row in wanted if row not in ROWS]:
        print(f"chaos: there is no row {unknown}; there are {list(ROWS)}", file=sys.stderr)
        return 2
    seed = secrets.randbelow(1 << 32) if asked.seed is None else asked.seed
    _say(f"seed {seed}")
    outcomes = [_outcome(number, seed, asked.share) for number in wanted]
    if asked.share < 1.0:
        QUICK_LOOK.write_text(results_page(outcomes, len(wanted)), encoding="utf-8")
    file = QUICK_LOOK if asked.share < 1.0 else RESULTS
    print(file.read_text(encoding="utf-8"))
    _say(f"written to {file}")
    return 0 if all(outcome.tally.holds for outcome in outcomes) else 1


def _outcome(number: int, seed: int, share: float) -> Outcome:
    """A row that breaks costs no other its figures."""
    row = ROWS[number]
    _say(f"row {number}: {row.title}")
    # Not below a long path: a socket's has 103 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="steno-chaos-", dir="/tmp"))
    began = time.monotonic()
    try:
        tally = row.run(Trial(seed, share, folder, _say))
    except Exception as error:  # noqa: BLE001  the boundary of one row: what broke is told on the page
        traceback.print_exc()
        tally = Tally(wrong=[f"{type(error).__name__}: {error}"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    date = f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
    outcome = Outcome(number, row.title, row.demand, tally, time.monotonic() - began, seed, share, date)
    if share == 1.0:
        RESULTS.write_text(results_page(remember(outcome, OUTCOMES), len(ROWS)), encoding="utf-8")
    told = replace(tally, recoveries_seconds=[])
    _say(f"  {'held' if tally.holds else 'MISSED'} after {outcome.seconds:.0f} s: {told}")
    return outcome


def _say(what: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
