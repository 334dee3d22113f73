"""Row 29: clocks that leap, in stories with two clocks that anybody may set, and under libfaketime where that is.

Runs in: the chaos run.
"""

import asyncio
import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asked_queue import jobs_in
from daemon_under_test import MEMO, STARTERS, DaemonUnderTest
from eventually import eventually

from chaos.tally import Tally
from chaos.trial import Trial
from config.logs import set_level
from config.settings import QueueSettings
from ipc.api_messages import JobOptions
from supervisor.disks.file_identity import FileIdentity
from supervisor.store.job import Job
from supervisor.store.jobs import JobQueue
from supervisor.store.outbox import Event, NewFollowUp

TITLE = "Clocks that leap"
DEMAND = (
    "200 stories of 40 starts, settings of the clock and weeks that pass, 10 of them with a real daemon: no job is "
    "forgotten before half of its days are over, none that something is still to follow; all that is put off comes "
    "due; and all is forgotten in the end"
)
STORIES, STEPS, REAL_STORIES = 200, 40, 10
DAY = 86_400.0
KEPT_DAYS = 14.0
IN_2026 = 1_790_000_000.0
CLOCKS = (0.0, 40.0, 951_782_400.0, IN_2026, IN_2026 + 100 * DAY, 2_147_483_648.0, 4_090_000_000.0, 250_000_000_000.0)
"""1970, a dead battery's; the leap day of 2000; now; next quarter; 2038 and its second; 2099; and the year 9892."""
LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")
OFFSETS = ("+100d", "-20780d", "+26000d", "-3d", "+400d")
HOOK = "#!/bin/sh\n[ -e HOME/go ] || exit 1\necho $STENO_JOB_ID >> HOME/ran\n"
CONFIG = '[hooks]\non_done = ["HOME/hook"]\ntries = 20\n'


def run(trial: Trial) -> Tally:
    """Stories first, then the real thing."""
    tally = Tally()
    set_level("error")
    for number in range(trial.number(STORIES)):
        place = trial.folder / f"story{number}"
        place.mkdir()
        asyncio.run(_story(place, trial.luck(f"story {number}"), tally))
    library = next((one for pattern in LIBRARIES for one in Path("/").glob(pattern[1:])), None)
    if library is None:
        tally.figures["under libfaketime"] = "not tried: it is not on this machine"
        return tally
    for number in range(trial.number(REAL_STORIES, least=0)):
        _real_story(trial.folder / f"real{number}", library, trial.luck(f"real {number}"), tally)
    return tally


# --- two clocks of our own ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class Clocks:
    """What the queue is shown, and what has really passed."""

    wall: float = IN_2026
    steady: float = 0.0
    passed: float = 0.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds
        self.passed += seconds


class OneHookEach:
    """Every end is followed by one follow-up."""

    def after(self, job: Job, event: Event) -> Sequence[NewFollowUp]:
        return [NewFollowUp("hook", event)]

    def wake(self) -> None:
        """Nobody runs them but the story."""


@dataclass(slots=True)
class Story:
    """One queue through all its lives."""

    folder: Path
    clocks: Clocks
    over: dict[int, float] = field(default_factory=dict)
    """Job → when it was really over."""
    owed: set[int] = field(default_factory=set)

    async def begin(self) -> JobQueue:
        settings = QueueSettings(keep_finished_days=KEPT_DAYS)
        clocks = self.clocks
        queue = await JobQueue.open(self.folder / "q.db", settings, lambda: clocks.wall, lambda: clocks.steady)
        queue.aftermath = OneHookEach()
        return queue

    async def end_jobs(self, queue: JobQueue, luck: random.Random) -> None:
        for _ in range(luck.randint(1, 3)):
            job = await queue.add("/x/a.mp3", JobOptions(), FileIdentity(1, 2, 3, 4))
            await queue.move(job.id, "failed")
            self.over[job.id] = self.clocks.passed
            self.owed.add(job.id)

    async def follow_up(self, queue: JobQueue, luck: random.Random) -> None:
        """What is due is done, or put off for a while."""
        errand = await queue.follow_ups.first("hook", skip=())
        if errand is None or errand.due_at > self.clocks.wall:
            return
        if luck.random() < 0.5:
            await queue.follow_ups.put_off(errand, errand.tries + 1, self.clocks.wall + luck.uniform(2, 3600))
            return
        await queue.follow_ups.strike(errand)
        self.owed.discard(errand.job_id)

    async def prune(self, queue: JobQueue, tally: Tally) -> None:
        await queue.history.prune()
        known = {job.id for job in await jobs_in(queue, limit=10_000)}
        for job_id in sorted(self.over.keys() - known):
            days = (self.clocks.passed - self.over.pop(job_id)) / DAY
            if job_id in self.owed:
                tally.lost += 1
                tally.wrong.append(f"job {job_id} is forgotten, and its hook is still owed")
            if days < KEPT_DAYS / 2:
                tally.lost += 1
                tally.wrong.append(f"job {job_id} is forgotten after {days:.2f} days")


async def _story(folder: Path, luck: random.Random, tally: Tally) -> None:
    story = Story(folder, Clocks())
    queue = await story.begin()
    try:
        for _ in range(STEPS):
            match luck.randrange(6):
                case 0:  # the machine starts with some clock or other, and perhaps NTP sets it
                    await queue.close()
                    story.clocks.steady = luck.uniform(0, 100)
                    story.clocks.wall = luck.choice(CLOCKS)
                    queue = await story.begin()
                    tally.faults += 1
                case 1:
                    story.clocks.wall = luck.choice(CLOCKS) + luck.uniform(-DAY, DAY)
                    tally.faults += 1
                case 2:
                    story.clocks.pass_by(luck.uniform(0, DAY / 4))
                case 3:
                    await story.end_jobs(queue, luck)
                case 4:
                    await story.follow_up(queue, luck)
                case _:
                    await story.prune(queue, tally)
        await _to_the_end(story, queue, tally)
    finally:
        await queue.close()
        shutil.rmtree(folder)


async def _to_the_end(story: Story, queue: JobQueue, tally: Tally) -> None:
    """The clock is right again and stays so: all that was owed comes due, and then all is forgotten."""
    tally.trials += len(story.over)
    story.clocks.wall = IN_2026 + story.clocks.passed
    for _ in range(10_000):
        errand = await queue.follow_ups.first("hook", skip=())
        if errand is None:
            break
        if errand.due_at > story.clocks.wall:
            tally.expect(errand.due_at - story.clocks.wall < 2 * DAY, f"a hook is due in {errand.due_at:.0f}")
            story.clocks.pass_by(3600)
        else:
            await queue.follow_ups.strike(errand)
            story.owed.discard(errand.job_id)
    tally.expect(not story.owed, f"hooks of {len(story.owed)} jobs never came due")
    for _ in range(int(4 * (KEPT_DAYS + 1))):
        story.clocks.pass_by(DAY / 4)
        await story.prune(queue, tally)
    left = sum((await queue.counts()).values())
    tally.expect(left == 0, f"{left} jobs are never forgotten")


# --- a real daemon -----------------------------------------------------------------------------------------------


def _real_story(home: Path, library: Path, luck: random.Random, tally: Tally) -> None:
    """Jobs whose hooks cannot run yet, starts with wrong clocks, then a right one: all are known, all hooks run."""
    home.mkdir()
    (home / "hook").write_text(HOOK.replace("HOME", str(home)))
    (home / "hook").chmod(0o700)
    (home / "config.toml").write_text(CONFIG.replace("HOME", str(home)))
    # Not the stubs: under libfaketime Python's own sleep raises EINVAL.
    daemon = DaemonUnderTest(home, STARTERS)
    right = dict(daemon.environment)
    try:
        daemon.start()
        jobs = [_done(daemon, number) for number in range(3)]
        daemon.stop()
        for offset in luck.sample(OFFSETS, 3):
            faked = {"LD_PRELOAD": str(library), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
            daemon.environment = {**right, **faked, "FAKETIME_NO_CACHE": "1"}
            daemon.start()
            jobs.append(_done(daemon, len(jobs)))
            time.sleep(0.5)
            known = len(daemon.get("/v1/jobs"))
            tally.expect(known == len(jobs), f"with the clock at {offset} {known} of {len(jobs)} jobs are known")
            daemon.stop()
            tally.faults += 1
        daemon.environment = right
        (home / "go").touch()
        daemon.start()
        ran = home / "ran"
        eventually(
            lambda: ran.exists() and set(ran.read_text().split()) == set(map(str, jobs)), 60, "every hook runs"
        )
        tally.trials += len(jobs)
        tally.lost += len(jobs) - len(daemon.get("/v1/jobs"))
        tally.count("jobs under libfaketime", len(jobs))
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.stop()


def _done(daemon: DaemonUnderTest, number: int) -> int:
    recording = daemon.home / f"{number}.flac"
    recording.write_bytes(MEMO.read_bytes() + bytes(number + 1))
    return int(daemon.finished(daemon.submit(recording))["id"])
