"""Row 20, second half: a day of the whole supervisor, all of its timers, on a clock that jumps.

Runs in: the chaos run, which starts it, and a process of its own, in which all clocks are virtual.

Real are `supervisor.__main__.main` and all that it builds: settings, lock, log and its rotation, database with its
threads, dispatcher, keepers, lifecycles, restarts, probes, deadlines, `keep_alive`, memory limits, upgrades, errands
with hooks that are real programs, moves, watched folders with real scans and real file events, pruning, reload, the
canary, the API on its socket with heartbeats and timeouts, SIGHUP and SIGTERM. Not real: time (`chaos.virtual_loop`;
work of threads and hooks takes none), worker processes with their pipes (`chaos.virtual_workers`), the program that
keeps the machine awake, and a database that refuses to write for a while.

The day: six hours in which nothing comes, then recordings over the API and into two folders, and with them everything
that can go wrong; in its last hour all is well, and all must be done.
"""

import asyncio
import gc
import itertools
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import httpx

from chaos.oracle import Made, complaint_about_files, make
from chaos.tally import Tally, slope_of
from chaos.trial import Trial
from chaos.virtual_loop import VirtualLoop, threads_counted

HOURS, LEAST_HOURS = 24.0, 4.0
REAL_SECONDS, GIVEN_UP_SECONDS = 60.0, 600.0
HOUR = 3600.0
NIGHT_SHARE, LAST_HOUR = 0.25, 1.0
MIDNIGHT = 1_800_000_000.0
"""Of the virtual day, in seconds since the epoch."""

API_EVERY, FOLDER_EVERY = 480.0, 600.0
MOST_WAKE_UPS_OF_A_STILL_HOUR = 800
"""240 heartbeats, 120 + 60 looks at folders with a pause after each; the rest is the day's own."""
MOST_WAKE_UPS_OF_A_JOB, MOST_TURNS_OF_A_JOB = 400, 20_000
MOST_TASKS, MOST_TIMERS = 60, 400
MOST_BLOCKS_OF_AN_HOUR = 1_000
"""Python's own memory, in pieces of some 60 bytes. The day itself remembers its recordings, which costs some 200."""
HEARTBEAT_SECONDS, LOOK_SECONDS, PRUNE_HOURS = 15.0, 30.0, 6.0
ASLEEP_SECONDS = 1800.0
SETTLED_SECONDS = 900.0
"""By then the workers are loaded and unloaded again, and nothing happens any more."""
LOG_BYTES, LOG_FILES = 200_000, 4

CONFIG = """
whisper_backend = "fake_engines:EchoTranscriber"
alignment_backend = "fake_engines:EchoAligner"
[workers]
fallback = false
keep_alive = "10m"
memory_limit_mb = 300
[queue]
keep_finished_days = 0.3
[watching]
polling_seconds = 60
[hooks]
on_done = ["HOME/hook"]
on_failed = ["HOME/hook"]
[media]
free_disk_floor_mb = 1
[[watch]]
path = "HOME/Transcribe"
done = "HOME/taken"
[[watch]]
path = "HOME/disk/inbox"
polling = true
"""
HOOK = """#!/bin/sh
# Fails the first time for every fourth job.
if [ $((STENO_JOB_ID % 4)) = 0 ] && ! [ -e HOME/hooks/$STENO_JOB_ID ]; then : > HOME/hooks/$STENO_JOB_ID; exit 1; fi
echo "$STENO_JOB_ID $STENO_EVENT" >> HOME/hooks.log
"""


def run(trial: Trial, tally: Tally) -> None:
    """Adds a day, or what `share` asks for of it, to the row's tally."""
    hours = max(LEAST_HOURS, HOURS * min(1.0, trial.share))
    home = trial.folder / "day"
    home.mkdir()
    report, log = trial.folder / "day.json", trial.folder / "day.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("STENO_", "WHISPER_"))}
    told = [str(home), str(report), str(hours), str(trial.luck("day").randrange(1 << 32))]
    began = time.monotonic()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "chaos.virtual_day", *told],
            env={**environment, "PYTHONPATH": os.pathsep.join(sys.path[:2]), "STENO_HOME": str(home)},
            stdout=stream,
            stderr=stream,
        )
        try:
            code = process.wait(GIVEN_UP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
    seconds = time.monotonic() - began
    if not tally.expect(code == 0 and report.exists(), f"the day ended with {code}: {log.read_text()[-1500:]}"):
        return
    found = json.loads(report.read_text())
    tally.trials += found["jobs"]
    tally.faults += found["faults"]
    tally.lost += found["lost"]
    tally.changed += found["changed"]
    tally.duplicated += found["duplicated"]
    tally.wrong += [f"virtual day: {wrong}" for wrong in found["wrong"]]
    tally.figures |= found["figures"] | {f"{hours:g} virtual hours": f"{seconds:.0f} s"}
    if trial.share >= 1:
        tally.expect(seconds < REAL_SECONDS, f"the virtual day took {seconds:.0f} s")


@dataclass(frozen=True, slots=True)
class Hour:
    """What the supervisor has at the end of an hour, and what it did in it."""

    jobs_done: int
    wake_ups: int
    turns: int
    tasks: int
    threads: int
    timers: int
    blocks: int


@dataclass(slots=True)
class Found:
    """What is told to the row."""

    jobs: int = 0
    faults: int = 0
    lost: int = 0
    changed: int = 0
    duplicated: int = 0
    wrong: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)

    def expect(self, truth: object, otherwise: str) -> None:
        if not truth:
            self.wrong.append(otherwise)


class Day:
    """Everything around the supervisor: who hands over, who listens, what breaks."""

    def __init__(self, home: Path, hours: float, seed: int) -> None:
        from chaos.virtual_workers import Fates, VirtualWorkers

        self.home = home
        self.length = hours * HOUR
        self.found = Found()
        self.luck = random.Random(seed)
        self.fates = Fates(random.Random(f"{seed} fates"))
        self.workers = VirtualWorkers(self.fates)
        self.made: dict[str, Made] = {}
        """By the stem of the recording."""
        self.statuses: dict[int, str] = {}
        self.endings: Counter[int] = Counter()
        """Of each job, how often it was told to be done in the first place."""
        self.hours: list[Hour] = []
        self.prunings: list[float] = []
        self.looks = array("d")
        self.holders: list[Holder] = []
        self.heartbeats = array("d")
        self.disk_is_full = False
        self.slept: list[tuple[float, float]] = []
        self.loop: VirtualLoop

    # --- time ------------------------------------------------------------------------------------------------

    def epoch(self) -> float:
        return MIDNIGHT + self._now

    def monotonic(self) -> float:
        return 1000.0 + self._now

    @property
    def _now(self) -> float:
        return self.loop.now if hasattr(self, "loop") else 0.0

    def new_loop(self) -> VirtualLoop:
        self.loop = VirtualLoop()
        self.loop.call_soon(lambda: setattr(self, "living", self.loop.create_task(self._live(), name="the day")))
        return self.loop

    async def _until(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, moment - self.loop.now))

    # --- its course ------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        """Whatever happens, the daemon is asked to leave in the end."""
        try:
            listening = asyncio.create_task(self._listen(), name="the day's listener")
            hourly = asyncio.create_task(self._each_hour(), name="the day's hours")
            async with asyncio.TaskGroup() as parts:
                for part in (self._over_the_api(), self._into_folders(), self._troubles(), self._people()):
                    parts.create_task(part, name="a part of the day")
            await self._until_all_done()
            await self._until(self.length)
            for task in (listening, hourly):
                task.cancel()
            self._judge_timers()
        except BaseException as error:  # noqa: BLE001  the day's own boundary: the row wants to hear of it
            self.found.wrong.append(f"the day broke at {self.loop.now / HOUR:.2f} h: {error!r}")
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    async def _during_work(self, every_seconds: float, act: Callable[[], Awaitable[object]]) -> None:
        await self._until(self.length * NIGHT_SHARE)
        while True:
            await asyncio.sleep(self.luck.expovariate(1 / every_seconds))
            if self.loop.now > self.length - LAST_HOUR * HOUR:
                return
            await act()

    async def _over_the_api(self) -> None:
        await self._during_work(API_EVERY, self._submit)

    async def _submit(self) -> None:
        made = self._recording(self.home / "recordings")
        answer = await self._ask_until_taken("/v1/jobs", {"path": str(made.path), "options": {}})
        if self.luck.random() < 0.05:
            await asyncio.sleep(self.luck.uniform(0, 200))
            job_id = answer.json()["id"]
            if (await self._ask("POST", f"/v1/jobs/{job_id}/cancel")).is_success:
                await self._ask_until_taken(f"/v1/jobs/{job_id}/retry")

    async def _ask_until_taken(self, path: str, body: object = None) -> httpx.Response:
        """While the disk is full, no is the right answer."""
        while True:
            answer = await self._ask("POST", path, body)
            if answer.is_success:
                return answer
            await asyncio.sleep(60)

    async def _into_folders(self) -> None:
        await self._during_work(FOLDER_EVERY, self._drop)

    async def _drop(self) -> None:
        inbox = self.luck.choice([self.home / "Transcribe", self.home / "disk" / "inbox"])
        made = self._recording(self.home / "coming")
        while not inbox.is_dir():  # noqa: ASYNC110  it was unplugged; nobody tells us
            await asyncio.sleep(60)
        made.path.rename(inbox / made.path.name)

    def _recording(self, folder: Path) -> Made:
        number = self.luck.randrange(1 << 40)
        made = make(folder / f"{number}.wav", number % (1 << 32), chunks=self.luck.randint(1, 4))
        self.made[made.path.stem] = made
        return made

    async def _until_all_done(self) -> None:
        self.fates.crash = self.fates.hang = self.fates.crash_loading = self.fates.hang_loading = 0.0
        while self.loop.now < self.length:
            await self._retry_the_quarantined()
            if len(self.statuses) == len(self.made) and set(self.statuses.values()) == {"done"}:
                return
            await asyncio.sleep(60)

    async def _retry_the_quarantined(self) -> None:
        for job_id, status in list(self.statuses.items()):
            if status in ("failed", "cancelled"):
                await self._ask("POST", f"/v1/jobs/{job_id}/retry")

    # --- what breaks -----------------------------------------------------------------------------------------

    async def _troubles(self) -> None:
        """One after the other, so that each shows what it does."""
        troubles: Sequence[Callable[[float], Coroutine[Any, Any, None]]] = (
            self._aligner_down,
            self._model_missing,
            self._disk_full,
            self._folder_away,
            self._machine_asleep,
            self._transcriber_down,
        )
        await self._until(self.length * NIGHT_SHARE + 600)
        span = (self.length * (1 - NIGHT_SHARE) - LAST_HOUR * HOUR - 1200) / len(troubles)
        for trouble in troubles:
            ends = self.loop.now + span
            self.found.faults += 1
            await trouble(min(0.4 * span, HOUR))
            await self._until(ends)

    async def _aligner_down(self, seconds: float) -> None:
        self.fates.weather["aligner"] = "down"
        await self._ask("POST", "/v1/workers/aligner/restart")
        await asyncio.sleep(seconds)
        self.fates.weather["aligner"] = "fair"

    async def _transcriber_down(self, seconds: float) -> None:
        self.fates.weather["transcriber"] = "down"
        await self._ask("POST", "/v1/workers/transcriber/restart")
        await asyncio.sleep(seconds)
        self.fates.weather["transcriber"] = "fair"

    async def _model_missing(self, seconds: float) -> None:
        self.fates.weather["transcriber"] = "missing"
        await self._ask("POST", "/v1/workers/transcriber/restart")
        await asyncio.sleep(seconds)
        self.fates.weather["transcriber"] = "fair"

    async def _disk_full(self, seconds: float) -> None:
        self.disk_is_full = True
        await asyncio.sleep(seconds / 2)
        self.disk_is_full = False

    async def _folder_away(self, seconds: float) -> None:
        disk, drawer = self.home / "disk", self.home / "drawer"
        disk.rename(drawer)
        await asyncio.sleep(seconds)
        drawer.rename(disk)

    async def _machine_asleep(self, seconds: float) -> None:
        """While a worker works: nobody may be killed for what the clock says afterwards."""
        ends = self.loop.now + seconds
        for _ in range(3):
            while not self.workers.anybody_works and self.loop.now < ends:  # noqa: ASYNC110  nobody tells us
                await asyncio.sleep(5)
            self.slept.append((self.loop.now, self.loop.now + ASLEEP_SECONDS))
            self.loop.oversleep(ASLEEP_SECONDS)
            await asyncio.sleep(self.luck.uniform(200, 600))

    async def _people(self) -> None:
        """They look, pause, reload, restart, unload."""
        asks = itertools.cycle(
            [
                ("GET", "/v1/health?fresh=true"),
                ("POST", "/v1/queue/pause"),
                ("POST", "/v1/queue/resume"),
                ("GET", "/v1/status"),
                ("POST", "/v1/reload"),
                ("POST", "/v1/workers/transcriber/unload"),
                ("POST", "/v1/workers/aligner/restart"),
                ("GET", "/v1/examination"),
            ]
        )

        async def next_one() -> None:
            await self._ask(*next(asks))
            os.kill(os.getpid(), signal.SIGHUP)

        await self._during_work(900.0, next_one)
        await self._ask("POST", "/v1/queue/resume")

    async def _ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        socket = httpx.AsyncHTTPTransport(uds=str(self.home / "run" / "stenod.sock"), verify=False)
        async with httpx.AsyncClient(transport=socket, base_url="http://steno", timeout=900) as client:
            answer = await client.request(method, path, json=body)
        self.found.expect(
            answer.status_code in EXPECTED, f"{method} {path}: {answer.status_code} {answer.text[:200]}"
        )
        return answer

    # --- who listens -----------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        while not (self.home / "run" / "stenod.sock").exists():  # noqa: ASYNC110  nobody tells us
            await asyncio.sleep(0.1)
        reader, writer = await asyncio.open_unix_connection(str(self.home / "run" / "stenod.sock"), limit=1 << 20)
        writer.write(b"GET /v1/events HTTP/1.1\r\nhost: steno\r\n\r\n")
        while line := await reader.readline():
            if line.startswith(b":"):
                self.heartbeats.append(self.loop.now)
            elif line.startswith(b"data:") and (job := json.loads(line[5:]).get("job")) is not None:
                await self._heard_of(job)
        self.found.wrong.append("the stream of events ended")

    async def _heard_of(self, job: dict[str, Any]) -> None:
        before = self.statuses.get(job["id"])
        self.statuses[job["id"]] = job["status"]
        if job["status"] == "done" and before != "done":
            self.endings[job["id"]] += 1
        if job["status"] == "done" and job["timing"] == "word":
            complaint = complaint_about_files(self.made[Path(job["path"]).stem.split(" ")[0]], job)
            if complaint is not None:
                self.found.changed += 1
                self.found.wrong.append(complaint)

    async def _each_hour(self) -> None:
        turns = wake_ups = 0
        for number in itertools.count(1):
            await self._until(number * HOUR)
            gc.collect()
            self.hours.append(
                Hour(
                    sum(status == "done" for status in self.statuses.values()),
                    self.loop.wake_ups - wake_ups,
                    self.loop.turns - turns,
                    len(asyncio.all_tasks()),
                    threading.active_count(),
                    self.loop.timers,
                    sys.getallocatedblocks(),
                )
            )
            turns, wake_ups = self.loop.turns, self.loop.wake_ups
            print(f"hour {number}: {self.hours[-1]}", file=sys.stderr)

    # --- what must be true -----------------------------------------------------------------------------------

    def _judge_timers(self) -> None:
        """While all is still there."""
        found, night = self.found, self.length * NIGHT_SHARE
        still = self.hours[1 : int(night / HOUR)]
        quiet = max((hour.wake_ups for hour in still), default=0)
        found.figures["wake-ups of a still hour, at most"] = str(quiet)
        found.expect(quiet <= MOST_WAKE_UPS_OF_A_STILL_HOUR, f"{quiet} wake-ups in an hour in which nothing happens")
        jobs = max(1, len(self.statuses))
        wake_ups, turns = self.loop.wake_ups / jobs, self.loop.turns / jobs
        found.figures["wake-ups and turns of the day, by jobs"] = f"{wake_ups:.0f} and {turns:.0f}"
        found.expect(wake_ups < MOST_WAKE_UPS_OF_A_JOB, f"{wake_ups:.0f} wake-ups a job")
        found.expect(turns < MOST_TURNS_OF_A_JOB, f"{turns:.0f} turns a job")
        found.expect(self.loop.most_timers < MOST_TIMERS, f"{self.loop.most_timers} timers in the loop's list")
        most = max(hour.tasks for hour in self.hours)
        found.expect(most < MOST_TASKS, f"{most} tasks")
        found.figures["most timers, most tasks"] = f"{self.loop.most_timers} and {most}"
        beats = [
            later - earlier
            for earlier, later in itertools.pairwise(self.heartbeats)
            if earlier > SETTLED_SECONDS and later < night
        ]
        found.expect(beats and max(abs(beat - HEARTBEAT_SECONDS) for beat in beats) < 0.01, "heartbeats drift")
        looks = [
            later - earlier
            for earlier, later in itertools.pairwise(self.looks)
            if earlier > SETTLED_SECONDS and later < night
        ]
        found.expect(looks and all(LOOK_SECONDS <= look < LOOK_SECONDS + 1 for look in looks), "scans drift")
        expected = [n * PRUNE_HOURS * HOUR for n in range(1 + int((self.length - 1) / (PRUNE_HOURS * HOUR)))]
        late = sum(end - begin for begin, end in self.slept)
        prunings = [moment for moment in self.prunings if moment < self.length]
        on_time = len(expected) == len(prunings) and all(
            0 <= came - due <= late + 1 for due, came in zip(expected, prunings, strict=True)
        )
        found.expect(on_time, f"pruned at {self.prunings}")
        if (slope := self._growth()) is not None:
            found.figures["blocks of memory an hour"] = f"{slope:.0f}"
            found.expect(slope < MOST_BLOCKS_OF_AN_HOUR, f"{slope:.0f} blocks of memory more each hour")

    def _growth(self) -> float | None:
        # From the middle on: by then everything has happened once.
        warm = list(enumerate(self.hours))[len(self.hours) // 2 :]
        return slope_of([(number, hour.blocks) for number, hour in warm]) if len(warm) >= 6 else None

    def judge_what_is_left(self, exit_code: int) -> None:
        """After the daemon has left."""
        found = self.found
        found.jobs = len(self.made)
        found.faults += sum(
            count for what, count in self.workers.happened.items() if what.startswith(("deaths", "hangs"))
        )
        found.expect(exit_code == 0, f"exit code {exit_code}")
        undone = {job_id: status for job_id, status in self.statuses.items() if status != "done"}
        found.lost = len(self.made) - len(self.statuses) + len(undone)
        found.expect(
            not found.lost, f"of {len(self.made)} recordings {len(self.statuses)} are jobs; not done: {undone}"
        )
        twice = [job_id for job_id, count in self.endings.items() if count > 1]
        found.expect(not twice, f"done more than once: {twice}")
        with closing(sqlite3.connect(self.home / "state" / "jobs.sqlite3")) as database:
            (newest,) = database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").fetchone()
            (kept,) = database.execute("SELECT count(*) FROM jobs").fetchone()
        found.duplicated = max(0, newest - len(self.made)) + self._superfluous_files()
        found.expect(kept <= newest, "nothing is forgotten")
        found.expect(
            not self.workers.innocent, f"{len(self.workers.innocent)} killed at work: {self.workers.innocent[:3]}"
        )
        found.expect(not self.workers.living, f"{len(self.workers.living)} workers left")
        found.expect(self.workers.most_of_a_role <= 1, f"{self.workers.most_of_a_role} workers of a role at once")
        found.expect(all(not holder.lives for holder in self.holders), "the machine is kept awake for ever")
        hooked = Counter((self.home / "hooks.log").read_text().splitlines())
        unhooked = [job_id for job_id in self.statuses if not hooked[f"{job_id} done"]]
        found.expect(not unhooked, f"no hook ran for {unhooked}")
        logs = [path.stat().st_size for path in (self.home / "logs").glob("stenod.log*")]
        found.expect(len(logs) <= LOG_FILES and max(logs) <= 1.1 * LOG_BYTES, f"log files of {logs} bytes")
        found.figures["workers' ends"] = ", ".join(f"{n} {what}" for what, n in sorted(self.workers.happened.items()))
        found.figures["forgotten by the end"] = f"{newest - kept} of {newest}"
        found.figures["kept awake"] = f"{len(self.holders)} ×"

    def _superfluous_files(self) -> int:
        """Two results, JSON and SRT, for each recording; and nothing half-written anywhere."""
        results = [
            path for end in ("json", "srt") for path in self.home.rglob(f"*.{end}") if path.parent.name != "state"
        ]
        expected = {f"{stem}.{end}" for stem in self.made for end in ("json", "srt")}
        superfluous = [path for path in results if path.name not in expected] + list(self.home.rglob(".stenod-*"))
        twice = [name for name, count in Counter(path.name for path in results).items() if count > 1]
        self.found.wrong += [f"{path.name} belongs to nobody" for path in superfluous[:3]]
        return len(superfluous) + len(twice)


EXPECTED = {200, 201, 400, 404, 409, 503, 507}
"""400: its disk is away; 409: too late, or too early; 503 and 507: the disk is full."""


class Holder:
    """Stands where the program stands that keeps the machine awake."""

    def __init__(self) -> None:
        self.stdin = SimpleNamespace(close=lambda: None)
        self.returncode: int | None = None
        self._over = asyncio.Event()

    @property
    def lives(self) -> bool:
        return self.returncode is None

    async def wait(self) -> int:
        await self._over.wait()
        return 0

    def terminate(self) -> None:
        self.returncode = 0
        self._over.set()

    kill = terminate


def main() -> int:
    """`python -m chaos.virtual_day HOME REPORT HOURS SEED`."""
    parser = ArgumentParser()
    for name, kind in (("home", Path), ("report", Path), ("hours", float), ("seed", int)):
        parser.add_argument(name, type=kind)
    asked = parser.parse_args()
    home: Path = asked.home
    for folder in ("recordings", "coming", "Transcribe", "disk/inbox", "hooks", "taken"):
        (home / folder).mkdir(parents=True)
    (home / "config.toml").write_text(CONFIG.replace("HOME", str(home)))
    (home / "hook").write_text(HOOK.replace("HOME", str(home)))
    (home / "hook").chmod(0o700)
    with ExitStack() as places:
        day = Day(home, asked.hours, asked.seed)
        places.enter_context(patch.object(time, "time", day.epoch))
        places.enter_context(patch.object(time, "monotonic", day.monotonic))
        exit_code = _supervisor(day, places)
    day.judge_what_is_left(exit_code)
    asked.report.write_text(json.dumps(asdict(day.found)))
    return 0


def _supervisor(day: Day, places: ExitStack) -> int:
    """Only now imported: its defaults take the clocks as they are at that moment."""
    from chaos.virtual_workers import in_place_of_processes
    from config import logs
    from supervisor import job_database, wakefulness, watched_folder, worker_process
    from supervisor.__main__ import main as supervise
    from supervisor.job_queue import JobQueue

    prune, look, transaction = JobQueue.prune, watched_folder.WatchedFolder._look, job_database._transaction

    async def noted_prune(queue: JobQueue) -> int:
        day.prunings.append(day.loop.now)
        return await prune(queue)

    async def noted_look(folder: watched_folder.WatchedFolder, events: Any) -> float:
        if not folder.polling:
            day.looks.append(day.loop.now)
        return await look(folder, events)

    def full_disk(connection: sqlite3.Connection, begin: str, work: Any) -> Any:
        if day.disk_is_full and "IMMEDIATE" in begin:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return transaction(connection, begin, work)

    async def start_holder(_: wakefulness.Wakefulness) -> Holder:
        day.holders.append(Holder())
        return day.holders[-1]

    for name, stand_in in in_place_of_processes(day.workers).items():
        places.enter_context(patch.object(worker_process, name, stand_in))
    places.enter_context(patch.object(JobQueue, "prune", noted_prune))
    places.enter_context(patch.object(watched_folder.WatchedFolder, "_look", noted_look))
    places.enter_context(patch.object(job_database, "_transaction", full_disk))
    places.enter_context(patch.object(wakefulness.Wakefulness, "_start", start_holder))
    places.enter_context(patch.object(logs, "FILE_BYTES", LOG_BYTES))
    places.enter_context(patch.object(sys, "argv", ["stenod"]))
    places.enter_context(threads_counted())

    class Policy(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self) -> VirtualLoop:
            return day.new_loop()

    asyncio.set_event_loop_policy(Policy())
    with suppress(asyncio.CancelledError):
        return supervise()
    return -1


if __name__ == "__main__":
    sys.exit(main())
