"""Row 21: the queue and who runs it, against a model of both, in thousands of random stories.

Runs in: the chaos run; the stories in processes of their own, one a core.

Real are the queue, its database, the dispatcher, the turns, the upgrades, the board, the transitions and their tasks.
The story itself stands where JobRunner stands: it decides what becomes of the jobs that were started. Time is virtual
(`chaos.virtual_loop`), so "and now nothing more happens" is a moment and no guess. A power cut is a copy of the
database's files from the midst of it all; what a disk makes of those has rows of its own.
"""

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import structlog
from daemon_under_test import TESTS
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from chaos.tally import Tally
from chaos.trial import Trial
from chaos.virtual_loop import VirtualLoop, threads_counted
from config.settings import QueueSettings, Settings
from ipc.api_messages import Attempt, JobError, JobOptions, JobStatus
from ipc.transcript import Segment
from supervisor.errand_rows import Event, NewErrand
from supervisor.event_bus import EventBus
from supervisor.job import FileIdentity, Job, MoveNotAllowed
from supervisor.job_board import JobBoard
from supervisor.job_dispatcher import JOBS_AT_ONCE, JobDispatcher
from supervisor.job_queue import JobQueue
from supervisor.setbacks import LOOK_AGAIN_SECONDS, JobFailed, JobMustWait
from supervisor.upgrades import Upgrades

TITLE = "The queue against its model"
DEMAND = "5,000 random stories of everything that happens to jobs and daemons: the queue says what the model says"
STORIES, STEPS = 5_000, 20
PROCESSES = 2
KEPT_DAYS, DAY_SECONDS = 1.0, 86_400.0
PROBATION_CRASHES = 2
RUNNING: frozenset[JobStatus] = frozenset({"transcribing", "aligning", "writing"})
UNSYNCED = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""No disk at all: no story is about one."""

Way = Callable[["Shift"], Awaitable[Job]]


@dataclass(slots=True)
class Shift:
    """A job that the dispatcher has started, in the hands of the story."""

    job: Job
    transcriber_is_free: Callable[[], None]
    orders: "asyncio.Queue[Way]"


class Hands:
    """Stands where JobRunner stands: every started job waits for its orders."""

    def __init__(self) -> None:
        self.shifts: dict[int, Shift] = {}
        self.queue: JobQueue

    async def run(self, job: Job, step: object, transcriber_is_free: Callable[[], None]) -> Job:
        assert job.id not in self.shifts, f"job {job.id} is started twice"
        shift = self.shifts[job.id] = Shift(job, transcriber_is_free, asyncio.Queue())
        try:
            return await (await shift.orders.get())(shift)
        finally:
            del self.shifts[job.id]

    async def upgrade(self, job: Job, step: object) -> Job:
        return await self.queue.finish_upgrade(job.id, degraded_reason=None, timing="word")

    def clear_spool(self, job_id: int) -> None:
        """There is none."""


class AlwaysAHook:
    """Every end is followed by one errand."""

    def after(self, job: Job, event: Event) -> Sequence[NewErrand]:
        return [NewErrand("hook", event)]

    def wake(self) -> None:
        """Nobody runs them."""


@dataclass(slots=True)
class Model:
    """What must be true of a job."""

    status: JobStatus = "waiting"
    heard: int = 0
    timed: int = 0
    claims: int = 0
    crashes: int = 0
    errands: int = 0
    degraded: bool = False
    set_back_until: float = 0.0


class QueueStory(RuleBasedStateMachine):
    """Rules say what happens, to the daemon and to the model alike; then both must agree."""

    stories = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).stories += 1
        self.folder = Path(tempfile.mkdtemp(prefix="steno-model-", dir=UNSYNCED))
        self.loop = VirtualLoop()
        self.model: dict[int, Model] = {}
        self.paused = False
        self.aligner_is_there = True
        self.lives = 0
        self._do(self._start(self.folder / "q0.db"))

    def teardown(self) -> None:
        self._do(self._stop())
        self._do(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.folder)

    # --- the daemon ------------------------------------------------------------------------------------------

    async def _start(self, database: Path) -> None:
        self.database = database
        self.queue = await JobQueue.open(database, QueueSettings(keep_finished_days=KEPT_DAYS), now=self.loop.time)
        self.queue.aftermath = AlwaysAHook()
        self.hands = Hands()
        self.hands.queue = self.queue
        offer = SimpleNamespace(
            refusals=dict, lacks_model=False, own_names=frozenset({None}), loaded_names=frozenset()
        )
        self.transcriber, self.aligner = (
            SimpleNamespace(view=SimpleNamespace(state="ready", note=None), fallback_engine=None, offer=offer)
            for _ in range(2)
        )
        self._let_aligner_be()
        board = JobBoard(EventBus(), clock=self.loop.time)
        hands, transcriber, aligner = cast(Any, self.hands), cast(Any, self.transcriber), cast(Any, self.aligner)
        upgrades = Upgrades(self.queue, hands, aligner, board)
        limits = Settings.model_validate({"media": {"free_disk_floor_mb": 0}})
        self.dispatcher = JobDispatcher(self.queue, hands, transcriber, upgrades, board, limits, self.folder)
        self.running = asyncio.ensure_future(self.dispatcher.run())

    async def _stop(self) -> None:
        self.running.cancel()
        await asyncio.wait([self.running])
        assert self.running.cancelled(), f"the dispatcher ended: {self.running.exception()!r}"
        await self.queue.close()

    def _let_aligner_be(self) -> None:
        self.aligner.view.state = "ready" if self.aligner_is_there else "broken"

    def _do(self, work: Any) -> Any:
        """Ends when nothing is left to be done: only then does the clock of the loop go on."""

        async def and_all_that_follows() -> Any:
            answer = await work
            await asyncio.sleep(0.001)
            return answer

        with threads_counted():
            return self.loop.run_until_complete(and_all_that_follows())

    # --- the model -------------------------------------------------------------------------------------------

    def _in(self, *statuses: JobStatus) -> list[int]:
        return [job_id for job_id, job in self.model.items() if job.status in statuses]

    def _claim_as_the_dispatcher_must(self) -> None:
        while not self.paused and not self._in("transcribing") and len(self._in(*RUNNING)) < JOBS_AT_ONCE:
            waiting = [(self.model[job_id], job_id) for job_id in self._in("waiting")]
            free = [(job, job_id) for job, job_id in waiting if job.set_back_until <= self.loop.time()]
            if not free:
                return
            job, _ = min(free, key=lambda one: (one[0].crashes >= PROBATION_CRASHES, one[1]))
            job.status = "transcribing"
            job.claims += 1

    def _ends(self, job_id: int, status: JobStatus) -> None:
        job = self.model[job_id]
        job.status = status
        job.errands += status in ("done", "failed")

    def _upgrade_as_it_must(self) -> None:
        for job in self.model.values():
            if self.aligner_is_there and job.status == "done" and job.degraded:
                job.degraded = False
                job.errands += 1

    # --- what happens ----------------------------------------------------------------------------------------

    @rule()
    def submit(self) -> None:
        async def submit() -> Job:
            job = await self.queue.add(f"/x/{len(self.model)}.wav", JobOptions(), FileIdentity(1, 2, 3, 4))
            self.dispatcher.job_added()
            return job

        job = self._do(submit())
        assert job.id not in self.model, "ids are never used again"
        self.model[job.id] = Model()

    @precondition(lambda self: self._in("transcribing"))
    @rule(count=st.integers(1, 3), again=st.integers(0, 2))
    def hear(self, count: int, again: int) -> None:
        """A worker that was replaced says some of it a second time, in other words."""
        (job_id,) = self._in("transcribing")
        job = self.model[job_id]
        first = max(0, job.heard - again)
        ids = range(first, job.heard + count)
        heard = [Segment(id=n, start=n, end=n + 1, text="so" if n >= job.heard else "changed") for n in ids]
        self._do(self.queue.store_segments(job_id, heard, float(job.heard + count)))
        job.heard += count

    @precondition(lambda self: any(job.heard > job.timed for job in self.model.values() if job.status in RUNNING))
    @rule(data=st.data())
    def time_words(self, data: Any) -> None:
        job_id = data.draw(
            st.sampled_from([i for i in self._in(*RUNNING) if self.model[i].heard > self.model[i].timed])
        )

        async def align() -> int:
            batch = await self.queue.segments(job_id, unaligned_only=True, limit=2)
            await self.queue.store_aligned(job_id, batch)
            return len(batch)

        self.model[job_id].timed += self._do(align())

    @precondition(lambda self: self._in("transcribing"))
    @rule()
    def all_is_heard(self) -> None:
        """The next job may have the transcriber while this one is at the aligner."""
        (job_id,) = self._in("transcribing")

        async def go_on() -> None:
            await self.queue.move(job_id, "aligning")
            self.hands.shifts[job_id].transcriber_is_free()

        self._do(go_on())
        self.model[job_id].status = "aligning"

    @precondition(lambda self: self._in("transcribing"))
    @rule(times=st.integers(1, 2))
    def worker_dies(self, times: int) -> None:
        """Within the job: it is noted, and the job goes on."""
        (job_id,) = self._in("transcribing")
        self.model[job_id].crashes += times
        attempt = Attempt(role="transcriber", engine="fake", outcome="crashed", at="2026-01-02T03:04:05Z")
        self._do(self.queue.add_attempt(job_id, attempt, transcriber_crashes=self.model[job_id].crashes))

    @precondition(lambda self: self._in("transcribing", "aligning"))
    @rule(data=st.data(), degraded=st.booleans())
    def job_is_done(self, data: Any, degraded: bool) -> None:
        job_id = data.draw(st.sampled_from(self._in("transcribing", "aligning")))
        reason = "aligner_unavailable" if degraded else None

        async def way(shift: Shift) -> Job:
            await self.queue.move(job_id, "writing")
            return await self.queue.move(job_id, "done", degraded_reason=reason)

        self._order(job_id, way)
        self.model[job_id].degraded = degraded
        self._ends(job_id, "done")

    @precondition(lambda self: self._in("transcribing", "aligning"))
    @rule(data=st.data(), bug=st.booleans())
    def job_fails(self, data: Any, bug: bool) -> None:
        job_id = data.draw(st.sampled_from(self._in("transcribing", "aligning")))

        async def way(shift: Shift) -> Job:
            raise RuntimeError if bug else JobFailed(JobError(code="no_audio", message="m", hint="h"))

        self._order(job_id, way)
        self._ends(job_id, "failed")

    @precondition(lambda self: self._in("transcribing", "aligning"))
    @rule(data=st.data())
    def job_must_wait(self, data: Any) -> None:
        job_id = data.draw(st.sampled_from(self._in("transcribing", "aligning")))

        async def way(shift: Shift) -> Job:
            raise JobMustWait("the disk is full")

        self.model[job_id].set_back_until = self.loop.time() + LOOK_AGAIN_SECONDS
        self._order(job_id, way)
        self.model[job_id].status = "waiting"

    def _order(self, job_id: int, way: Way) -> None:
        async def order() -> None:
            self.hands.shifts[job_id].orders.put_nowait(way)

        self._do(order())

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.model)))
        before = self.model[job_id].status
        try:
            job = self._do(self.dispatcher.cancel(job_id))
        except MoveNotAllowed:
            assert before in ("done", "failed", "cancelled"), f"a {before} job can be cancelled"
            return
        assert job.status == "cancelled"
        assert before not in ("done", "failed", "cancelled"), f"a {before} job cannot be cancelled"
        self.model[job_id].status = "cancelled"

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def retry(self, data: Any) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.model)))
        before = self.model[job_id].status

        async def retry() -> None:
            await self.queue.retry(job_id)
            self.dispatcher.job_added()

        try:
            self._do(retry())
        except MoveNotAllowed:
            assert before not in ("failed", "cancelled"), f"a {before} job can be tried again"
            return
        job = self.model[job_id]
        assert before in ("failed", "cancelled"), f"a {before} job cannot be tried again"
        job.status, job.crashes, job.errands, job.degraded = "waiting", 0, 0, False

    @rule()
    def pause_or_resume(self) -> None:
        self.paused = not self.paused
        self._do(self.dispatcher.set_paused(self.paused))

    @rule()
    def aligner_comes_or_goes(self) -> None:
        async def changed() -> None:
            self._let_aligner_be()
            self.dispatcher.wake()

        self.aligner_is_there = not self.aligner_is_there
        self._do(changed())

    @rule()
    def a_while_passes(self) -> None:
        self._do(asyncio.sleep(LOOK_AGAIN_SECONDS + 1))

    @rule()
    def days_pass(self) -> None:
        """What is over is forgotten; ids and all that is not over stay."""
        finished = self._in("done", "failed", "cancelled")
        self._do(asyncio.sleep((KEPT_DAYS + 1) * DAY_SECONDS))
        for job_id in finished:
            del self.model[job_id]

    @rule()
    def restart(self) -> None:
        self._do(self._stop())
        self._all_running_wait()
        self._do(self._start(self.database))

    @rule()
    def power_cut(self) -> None:
        """The next daemon finds the files as they lie there now; what this one still does nobody sees."""
        self.lives += 1
        copy = self.folder / f"q{self.lives}.db"
        for suffix in ("", "-wal"):
            lying = Path(f"{self.database}{suffix}")
            if lying.exists():
                shutil.copy(lying, f"{copy}{suffix}")
        self._do(self._stop())
        self._all_running_wait()
        self._do(self._start(copy))

    def _all_running_wait(self) -> None:
        for job in self.model.values():
            job.set_back_until = 0.0
            if job.status in RUNNING:
                job.status = "waiting"

    # --- what must be true -----------------------------------------------------------------------------------

    @invariant()
    def says_what_the_model_says(self) -> None:
        self._upgrade_as_it_must()
        self._claim_as_the_dispatcher_must()
        rows, counts = self._do(self.queue._database.read(_all_facts))
        found = {row["id"]: tuple(row)[1:] for row in rows}
        model = {job_id: _facts(job) for job_id, job in self.model.items()}
        assert found == model, f"found {found}, expected {model}"
        assert counts == _counted(self.model.values())
        assert self.hands.shifts.keys() == set(self._in(*RUNNING)), "a job runs that is not running, or none does"
        assert len(self._in("transcribing")) <= 1, "two have the transcriber"
        assert not self.running.done()


FACTS = """SELECT id, status,
    (SELECT count(*) FROM segments WHERE job_id = jobs.id AND content LIKE '%"so"%') AS heard,
    (SELECT count(*) FROM segments WHERE job_id = jobs.id AND aligned) AS timed,
    claims, transcriber_crashes AS crashes,
    (SELECT count(*) FROM errands WHERE job_id = jobs.id) AS errands,
    status = 'done' AND degraded_reason IS NOT NULL AS degraded
    FROM jobs"""


def _all_facts(connection: sqlite3.Connection) -> tuple[list[sqlite3.Row], dict[str, int]]:
    counts = {row["status"]: row["jobs"] for row in connection.execute("SELECT * FROM job_counts WHERE jobs > 0")}
    return connection.execute(FACTS).fetchall(), counts


def _facts(job: Model) -> tuple[JobStatus, int, int, int, int, int, bool]:
    return (
        job.status,
        job.heard,
        job.timed,
        job.claims,
        job.crashes,
        job.errands,
        job.degraded and job.status == "done",
    )


def _counted(jobs: Iterable[Model]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for job in jobs:
        counts[job.status] = counts.get(job.status, 0) + 1
    return counts


def tell_stories(luck: int, stories: int) -> tuple[int, str | None]:
    """How many were told, and how the shortest bad one goes."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    limits = settings(
        max_examples=stories,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        print_blob=False,
        report_multiple_bugs=False,
    )
    try:
        run_state_machine_as_test(seed(luck)(QueueStory), settings=limits)
    except Exception as error:  # noqa: BLE001  the boundary of all stories: whatever a bad one raises is its end
        told = "; ".join(getattr(error, "__notes__", []))
        return QueueStory.stories, f"{type(error).__name__}: {error}; {told}"
    return QueueStory.stories, None


def run(trial: Trial) -> Tally:
    """Hypothesis shrinks what it finds to the shortest story."""
    tally = Tally()
    luck = trial.luck()
    each = max(1, trial.number(STORIES) // PROCESSES)
    command = [sys.executable, "-P", "-m", "chaos.queue_model", str(each)]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    tellers = [
        subprocess.Popen([*command, str(luck.randrange(1 << 32))], env=environment, stdout=subprocess.PIPE)
        for _ in range(PROCESSES)
    ]
    for teller in tellers:
        said, _ = teller.communicate()
        if tally.expect(teller.returncode == 0, f"the stories ended with {teller.returncode}"):
            stories, bad = json.loads(said.splitlines()[-1])
            tally.trials += stories
            tally.expect(bad is None, f"a story ended badly: {bad}")
    tally.figures["steps of a story, at most"] = str(STEPS)
    return tally


if __name__ == "__main__":
    print(json.dumps(tell_stories(int(sys.argv[2]), int(sys.argv[1]))))
