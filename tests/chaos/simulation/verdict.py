"""What must be true of a virtual day: of its timers, of memory, and of every recording.

Runs in: the virtual day's process.
"""

import itertools
import sqlite3
from collections import Counter
from contextlib import closing

from chaos.simulation.findings import HOUR
from chaos.simulation.world import NIGHT_SHARE, World
from chaos.tally import slope_of

MOST_WAKE_UPS_OF_A_STILL_HOUR = 900
"""240 heartbeats, 240 of the loop's watch, 120 + 60 looks at folders with a pause after each; the rest is the day's
own."""
MOST_WAKE_UPS_OF_A_JOB, MOST_TURNS_OF_A_JOB = 400, 20_000
MOST_TASKS, MOST_TIMERS = 60, 400
MOST_BLOCKS_OF_AN_HOUR = 1_000
"""Python's own memory, in pieces of some 60 bytes. The day itself remembers its recordings, which costs some 100."""
HEARTBEAT_SECONDS, LOOK_SECONDS, PRUNE_HOURS = 15.0, 30.0, 6.0
MOST_GIVEN_UP = 3
"""Of a day's recordings, hit by chance where it hurts twice in a row."""
SETTLED_SECONDS = 900.0
"""By then the workers are loaded and unloaded again, and nothing happens any more."""
LOG_BYTES, LOG_FILES = 200_000, 4


def judge(day: World, exit_code: int) -> None:
    """After the daemon has left with this code."""
    _judge_timers(day)
    _judge_what_is_left(day, exit_code)


def _judge_timers(day: World) -> None:
    found, night = day.found, day.length * NIGHT_SHARE
    still = day.hours[1 : int(night / HOUR)]
    quiet = max((hour.wake_ups for hour in still), default=0)
    if still:
        found.figures["wake-ups of a still hour, at most"] = str(quiet)
    found.expect(quiet <= MOST_WAKE_UPS_OF_A_STILL_HOUR, f"{quiet} wake-ups in an hour in which nothing happens")
    jobs = max(1, len(day.statuses))
    wake_ups, turns = day.loop.wake_ups / jobs, day.loop.turns / jobs
    found.figures["wake-ups and turns of the day, by jobs"] = f"{wake_ups:.0f} and {turns:.0f}"
    found.expect(wake_ups < MOST_WAKE_UPS_OF_A_JOB, f"{wake_ups:.0f} wake-ups a job")
    found.expect(turns < MOST_TURNS_OF_A_JOB, f"{turns:.0f} turns a job")
    found.expect(day.loop.most_timers < MOST_TIMERS, f"{day.loop.most_timers} timers in the loop's list")
    most = max(hour.tasks for hour in day.hours)
    found.expect(most < MOST_TASKS, f"{most} tasks")
    found.figures["most timers, most tasks"] = f"{day.loop.most_timers} and {most}"
    beats = [
        later - earlier
        for earlier, later in itertools.pairwise(day.heartbeats)
        if earlier > SETTLED_SECONDS and later < night
    ]
    found.expect(beats and max(abs(beat - HEARTBEAT_SECONDS) for beat in beats) < 0.01, "heartbeats drift")
    looks = [
        later - earlier
        for earlier, later in itertools.pairwise(day.looks)
        if earlier > SETTLED_SECONDS and later < night
    ]
    found.expect(looks and all(LOOK_SECONDS <= look < LOOK_SECONDS + 1 for look in looks), "scans drift")
    expected = [n * PRUNE_HOURS * HOUR for n in range(1 + int((day.length - 1) / (PRUNE_HOURS * HOUR)))]
    late = sum(end - begin for begin, end in day.slept)
    # A second for what a clock loses that is the sum of many small numbers.
    prunings = [moment for moment in day.prunings if moment < day.length - 1]
    on_time = len(expected) == len(prunings) and all(
        -1 <= came - due <= late + 1 for due, came in zip(expected, prunings, strict=True)
    )
    found.expect(on_time, f"pruned at {day.prunings}")
    if (slope := _growth(day)) is not None:
        found.figures["blocks of memory an hour"] = f"{slope:.0f}"
        found.expect(slope < MOST_BLOCKS_OF_AN_HOUR, f"{slope:.0f} blocks of memory more each hour")


def _growth(day: World) -> float | None:
    # From the middle on: by then everything has happened once.
    warm = list(enumerate(day.hours))[len(day.hours) // 2 :]
    return slope_of([(number, hour.blocks) for number, hour in warm]) if len(warm) >= 6 else None


def _judge_what_is_left(day: World, exit_code: int) -> None:
    found = day.found
    found.jobs = len(day.made)
    found.faults += sum(count for what, count in day.workers.happened.items() if what.startswith(("deaths", "hangs")))
    found.expect(exit_code == 0, f"exit code {exit_code}")
    undone = {job_id: status for job_id, status in day.statuses.items() if status != "done"}
    found.lost = len(day.made) - len(day.statuses) + len(undone)
    unseen = [stem for stem, made in day.made.items() if made is not None]
    found.expect(not unseen, f"nobody saw the words of {unseen}")
    found.expect(day.given_up <= MOST_GIVEN_UP, f"{day.given_up} jobs have segments that were given up")
    found.expect(not found.lost, f"of {len(day.made)} recordings {len(day.statuses)} are jobs; not done: {undone}")
    twice = [job_id for job_id, count in day.endings.items() if count > 1]
    found.expect(not twice, f"done more than once: {twice}")
    with closing(sqlite3.connect(day.home / "state" / "jobs.sqlite3")) as database:
        (newest,) = database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").fetchone()
        (kept,) = database.execute("SELECT count(*) FROM jobs").fetchone()
    found.duplicated = max(0, newest - len(day.made)) + _superfluous_files(day)
    found.expect(kept <= newest, "nothing is forgotten")
    found.expect(not day.workers.innocent, f"{len(day.workers.innocent)} killed at work: {day.workers.innocent[:3]}")
    found.expect(not day.workers.living, f"{len(day.workers.living)} workers left")
    found.expect(day.workers.most_of_a_role <= 1, f"{day.workers.most_of_a_role} workers of a role at once")
    found.expect(all(not holder.lives for holder in day.holders), "the machine is kept awake for ever")
    hooked = Counter((day.home / "hooks.log").read_text().splitlines())
    unhooked = [job_id for job_id in day.statuses if not hooked[f"{job_id} done"]]
    found.expect(not unhooked, f"no hook ran for {unhooked}")
    logs = [path.stat().st_size for path in (day.home / "logs").glob("stenod.log*")]
    found.expect(len(logs) <= LOG_FILES and max(logs) <= 1.1 * LOG_BYTES, f"log files of {logs} bytes")
    found.figures["workers' ends"] = ", ".join(f"{n} {what}" for what, n in sorted(day.workers.happened.items()))
    found.figures["forgotten by the end"] = f"{newest - kept} of {newest}"
    found.figures["kept awake"] = f"{len(day.holders)} ×"


def _superfluous_files(day: World) -> int:
    """Two results, JSON and SRT, for each recording; and nothing half-written anywhere."""
    results = [path for end in ("json", "srt") for path in day.home.rglob(f"*.{end}") if path.parent.name != "state"]
    expected = {f"{stem}.{end}" for stem in day.made for end in ("json", "srt")}
    superfluous = [path for path in results if path.name not in expected] + list(day.home.rglob(".stenod-*"))
    twice = [name for name, count in Counter(path.name for path in results).items() if count > 1]
    day.found.wrong += [f"{path.name} belongs to nobody" for path in superfluous[:3]]
    return len(superfluous) + len(twice)
