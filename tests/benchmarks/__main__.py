"""`make bench`: every row, one after the other, and RESULTS.md.

Runs in: the benchmark. `python -m benchmarks --rows "1 4" --runs 1`
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks import aligner_row, batched_row, daemon_rows, lengths_row, memo_row, mlx_row, overlap_row
from benchmarks.contestant import PEERS, ROOT
from benchmarks.course import Course
from benchmarks.figures import Failure, Outcome, Section
from benchmarks.machine import others_share, this_machine
from benchmarks.results_page import QUIET_SHARE, Occasion, results_page

RUNS = 5
RESULTS = Path(__file__).with_name("RESULTS.md")
QUICK_LOOK = ROOT / ".bench" / "quick-look.md"
FAILURE_LINES = 12

Row = Callable[[], Section]


def rows(course: Course) -> dict[str, tuple[str, Row]]:
    """Number → title and what measures it, in the order of the table."""
    lengths = lengths_row.Lengths(course)
    return {
        "1": (memo_row.TITLE, lambda: memo_row.memo(course)),
        "2": (lengths_row.WORDS_TITLE, lambda: lengths_row.words(lengths)),
        "3": (overlap_row.TITLE, lambda: overlap_row.overlap(course)),
        "4": (aligner_row.TITLE, lambda: aligner_row.aligner(course)),
        "5": (mlx_row.TITLE, lambda: mlx_row.mlx(course)),
        "6": (daemon_rows.SUPERVISION_TITLE, lambda: daemon_rows.supervised(course)),
        "7": (lengths_row.MEMORY_TITLE, lambda: lengths_row.memory(lengths)),
        "8": (daemon_rows.QUEUE_TITLE, lambda: daemon_rows.crowded(course)),
        "9": (daemon_rows.RESTART_TITLE, lambda: daemon_rows.restarted(course)),
        "10": (batched_row.TITLE, lambda: batched_row.batched(course)),
        "growth": (lengths_row.GROWTH_TITLE, lambda: lengths_row.growth(lengths)),
    }


def main() -> int:
    asked = _asked()
    if not (PEERS / "python").exists():
        print("bench: the peers are not installed: run `make bench-setup`", file=sys.stderr)
        return 2
    load_average, began = os.getloadavg(), time.monotonic()
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    _say(f"load average {' '.join(f'{load:.2f}' for load in load_average)}")
    folder = Path(tempfile.mkdtemp(prefix="steno-course-"))
    try:
        course = Course(folder, asked.runs, max(2, psutil.cpu_count() or 1), _say, asked.shrink)
        offered = rows(course)
        wanted = asked.rows.split() or list(offered)
        if unknown := [row for row in wanted if row not in offered]:
            print(f"bench: there is no row {', '.join(unknown)}; there are {', '.join(offered)}", file=sys.stderr)
            return 2
        machine, outcomes = this_machine(), list[Outcome]()
        for row in wanted:
            outcomes.append(_measured(row, *offered[row]))
            # After each row: a run takes an hour, and what breaks it should not cost what it has found.
            doubts = _doubts(asked, left_out=[row for row in offered if row not in {one.row for one in outcomes}])
            minutes = (time.monotonic() - began) / 60
            occasion = Occasion(date, asked.runs, course.threads, load_average, minutes, doubts)
            page = results_page(machine, occasion, sorted(outcomes, key=lambda one: list(offered).index(one.row)))
            file = QUICK_LOOK if doubts else RESULTS
            file.write_text(page, encoding="utf-8")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(page)
    _say(f"written to {file.relative_to(ROOT)}")
    return 1 if any(isinstance(outcome.result, Failure) for outcome in outcomes) else 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description="stenod side by side with its peers")
    parser.add_argument("--rows", default="", help="numbers of the table, e.g. '1 4'; default: all")
    parser.add_argument("--runs", type=int, default=RUNS, help="of each side; fewer than 5 is only a quick look")
    parser.add_argument("--shrink", type=float, default=1.0, help="divide the recordings' lengths by this")
    return parser.parse_args()


def _measured(row: str, title: str, measure: Row) -> Outcome:
    """A row that fails costs no other its figures."""
    _say(f"row {row}: {title}")
    share = others_share()
    if share > QUIET_SHARE:
        _say(f"  warning: somebody else uses {share:.0%} of this machine; the figures will not be worth much")
    try:
        return Outcome(row, measure(), share)
    except Exception:  # noqa: BLE001  the boundary of one row: what fails there is told on the page
        why = traceback.format_exc().strip()
        _say(f"  failed: {why.splitlines()[-1]}")
        return Outcome(row, Failure(title, "\n".join(why.splitlines()[-FAILURE_LINES:])), share)


def _doubts(asked: argparse.Namespace, left_out: list[str]) -> tuple[str, ...]:
    doubts = []
    if asked.runs < RUNS:
        doubts.append(f"{asked.runs} run(s) instead of {RUNS}")
    if asked.shrink != 1.0:
        doubts.append(f"recordings {asked.shrink:g} times shorter than their names say")
    if left_out:
        doubts.append(f"without row {', '.join(left_out)}")
    return tuple(doubts)


def _say(what: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
