"""`make bench`: every row, one after the other, and RESULTS.md.

Runs in: the benchmark. `python -m benchmarks --rows "1 4" --runs 1 --speech DIR`
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks.contestants.contestant import PEERS, ROOT
from benchmarks.course import WHISPER_BASE, Course
from benchmarks.figures import Failure, Machine, Outcome, Section
from benchmarks.kept_outcomes import keep, kept
from benchmarks.machine import others_share, this_machine
from benchmarks.results_page import FULL_RUNS, QUIET_SHARE, Occasion, doubts, results_page
from benchmarks.rows import ALL, Row, offered_rows
from benchmarks.speech.speech_folder import SpeechFolderError, read_speech_folder

RESULTS = Path(__file__).with_name("RESULTS.md")
QUICK_LOOK = ROOT / ".bench" / "quick-look.md"
MEASURED = ROOT / ".bench" / "measured"
FAILURE_LINES = 12


def main() -> int:
    asked = _asked()
    if not (PEERS / "python").exists() or not WHISPER_BASE.exists():
        return _refused("the peers are not installed: run `make bench-setup`")
    load_average = os.getloadavg()
    _say(f"load average {' '.join(f'{load:.2f}' for load in load_average)}")
    try:
        real = read_speech_folder(asked.speech.resolve()) if asked.speech else None
    except SpeechFolderError as error:
        return _refused(str(error))
    folder = Path(tempfile.mkdtemp(prefix="steno-course-"))
    course = Course(folder, asked.runs, max(2, psutil.cpu_count() or 1), _say, asked.shrink, real)
    try:
        offered = offered_rows(course)
        wanted = asked.rows.split() or list(offered)
        page, file = "", QUICK_LOOK
        if unknown := [row for row in wanted if row not in offered]:
            return _refused(f"there is no row {', '.join(unknown)}; there are {', '.join(offered)}")
        machine = this_machine()
        others = kept(MEASURED, [row for row in offered if row not in wanted]) if asked.add else []
        outcomes = {outcome.row: outcome for outcome in others}
        for row in wanted:
            outcomes[row] = _measured(row, offered[row], course, machine)
            keep(MEASURED, outcomes[row])
            # After each row: a run takes hours, and what breaks it should not cost what it has found.
            found = [outcomes[row] for row in offered if row in outcomes]
            occasion = Occasion(course.threads, load_average, tuple(row for row in ALL if row not in outcomes))
            page = results_page(machine, occasion, found)
            file = QUICK_LOOK if doubts(occasion, found) else RESULTS
            file.write_text(page, encoding="utf-8")
    finally:
        course.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(page)
    _say(f"written to {file.relative_to(ROOT)}")
    return 1 if any(isinstance(outcome.result, Failure) for outcome in outcomes.values()) else 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description="stenod side by side with its peers")
    parser.add_argument("--rows", default="", help="numbers of the table, e.g. '1 real-4'; default: all")
    parser.add_argument(
        "--runs", type=int, default=FULL_RUNS, help=f"of each side; fewer than {FULL_RUNS} is only a quick look"
    )
    parser.add_argument("--shrink", type=float, default=1.0, help="divide the recordings' lengths by this")
    parser.add_argument("--speech", type=Path, help="a folder of real speech, as README.md says; adds its rows")
    parser.add_argument("--add", action="store_true", help="to the rows that were measured before")
    return parser.parse_args()


def _measured(number: str, row: Row, course: Course, machine: Machine) -> Outcome:
    """A row that fails costs no other its figures."""
    title, measure = row
    _say(f"row {number}: {title}")
    share = others_share()
    if share > QUIET_SHARE:
        _say(f"  warning: somebody else uses {share:.0%} of this machine; the figures will not be worth much")
    date, began = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", time.monotonic()
    result: Section | Failure
    try:
        result = measure()
    except Exception:  # noqa: BLE001  the boundary of one row: what fails there is told on the page
        why = traceback.format_exc().strip()
        _say(f"  failed: {why.splitlines()[-1]}")
        result = Failure(title, "\n".join(why.splitlines()[-FAILURE_LINES:]))
    minutes = (time.monotonic() - began) / 60
    return Outcome(number, result, share, date, machine.commit, course.runs, course.shrink, minutes)


def _refused(why: str) -> int:
    print(f"bench: {why}", file=sys.stderr)
    return 2


def _say(what: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
