"""A random story of all that happens to jobs and daemons, told to the daemon and to the model alike.

Runs in: the stories' processes.

Time is virtual (`chaos.simulation.event_loop`), so "and now nothing more happens" is a moment and no guess.
A power cut is a copy of the database's files in the middle of the story. What a disk makes of those has its own rows.
"""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chaos.queue.modelled_queue import RUNNING, ModelledJob, ModelledQueue, facts_of
from chaos.queue.staged_daemon import KEPT_DAYS, Shift, StagedDaemon
from chaos.simulation.event_loop import VirtualLoop, threads_counted
from ipc.api_messages import Attempt, JobOptions
from ipc.transcript import Segment
from supervisor.disks.file_identity import FileIdentity
from supervisor.jobs.outcomes import LOOK_AGAIN_SECONDS, JobFailed, JobMustWait
from supervisor.store.job import Job, MoveNotAllowed

DAY_SECONDS = 86_400.0
UNSYNCED = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""No disk at all: no story is about one."""

MOST_POWER_CUTS = 2
"""Of a story: with the third that hits it a job is suspected to take the daemon along, which is row 31's matter."""


class QueueStory(RuleBasedStateMachine):
    """Rules say what happens, to the daemon and to the model alike; then both must agree."""

    stories = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).stories += 1
        self.folder = Path(tempfile.mkdtemp(prefix="steno-model-", dir=UNSYNCED))
        self.loop = VirtualLoop()
        self.model = ModelledQueue()
        self.lives = 0
        self._start(self.folder / "q0.db")

    def teardown(self) -> None:
        self._do(self.daemon.stop())
        self._do(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.folder)

    def _start(self, database: Path) -> None:
        self.daemon = self._do(StagedDaemon.start(database, self.loop, aligner_is_there=self.model.aligner_is_there))

    def _do(self, work: Any) -> Any:
        """Ends when nothing is left to be done: only then does the clock of the loop go on."""

        async def and_all_that_follows() -> Any:
            answer = await work
            await asyncio.sleep(0.001)
            return answer

        with threads_counted():
            return self.loop.run_until_complete(and_all_that_follows())

    # --- what happens ----------------------------------------------------------------------------------------

    @rule()
    def submit(self) -> None:
        async def submit() -> Job:
            job = await self.daemon.queue.add(f"/x/{len(self.model)}.wav", JobOptions(), FileIdentity(1, 2, 3, 4))
            self.daemon.dispatcher.job_added()
            return job

        job = self._do(submit())
        assert job.id not in self.model, "ids are never used again"
        self.model[job.id] = ModelledJob()

    @precondition(lambda self: self.model.those("transcribing"))
    @rule(count=st.integers(1, 3), again=st.integers(0, 2))
    def hear(self, count: int, again: int) -> None:
        """A worker that was replaced says some of it a second time, in other words."""
        (job_id,) = self.model.those("transcribing")
        job = self.model[job_id]
        first = max(0, job.heard - again)
        ids = range(first, job.heard + count)
        heard = [Segment(id=n, start=n, end=n + 1, text="so" if n >= job.heard else "changed") for n in ids]
        self._do(self.daemon.queue.store_segments(job_id, heard, float(job.heard + count)))
        job.heard += count
        job.crashes = 0  # it got further

    @precondition(lambda self: any(job.heard > job.timed for job in self.model.values() if job.status in RUNNING))
    @rule(data=st.data())
    def time_words(self, data: Any) -> None:
        job_id = data.draw(
            st.sampled_from([i for i in self.model.those(*RUNNING) if self.model[i].heard > self.model[i].timed])
        )

        async def align() -> int:
            batch = await self.daemon.queue.segments(job_id, unaligned_only=True, limit=2)
            await self.daemon.queue.store_aligned(job_id, batch)
            return len(batch)

        self.model[job_id].timed += self._do(align())

    @precondition(lambda self: self.model.those("transcribing"))
    @rule()
    def all_is_heard(self) -> None:
        """The next job may have the transcriber while this one is at the aligner."""
        (job_id,) = self.model.those("transcribing")

        async def go_on() -> None:
            await self.daemon.queue.move(job_id, "aligning")
            self.daemon.hands.shifts[job_id].transcriber_is_free()

        self._do(go_on())
        self.model[job_id].status = "aligning"

    @precondition(lambda self: self.model.those("transcribing"))
    @rule(times=st.integers(1, 2))
    def worker_dies(self, times: int) -> None:
        """Within the job: it is noted, and the job goes on."""
        (job_id,) = self.model.those("transcribing")
        self.model[job_id].crashes += times
        attempt = Attempt(role="transcriber", engine="fake", outcome="crashed", at="2026-01-02T03:04:05Z")
        self._do(self.daemon.queue.add_attempt(job_id, attempt, transcriber_crashes=self.model[job_id].crashes))

    @precondition(lambda self: self.model.those("transcribing", "aligning"))
    @rule(data=st.data(), degraded=st.booleans())
    def job_is_done(self, data: Any, degraded: bool) -> None:
        job_id = data.draw(st.sampled_from(self.model.those("transcribing", "aligning")))
        reason = "aligner_unavailable" if degraded else None

        async def way(shift: Shift) -> Job:
            await self.daemon.queue.move(job_id, "writing")
            return await self.daemon.queue.move(job_id, "done", degraded_reason=reason)

        self._do(self.daemon.hands.order(job_id, way))
        self.model[job_id].degraded = degraded
        self.model.end(job_id, "done")

    @precondition(lambda self: self.model.those("transcribing", "aligning"))
    @rule(data=st.data(), bug=st.booleans())
    def job_fails(self, data: Any, bug: bool) -> None:
        job_id = data.draw(st.sampled_from(self.model.those("transcribing", "aligning")))

        async def way(shift: Shift) -> Job:
            raise RuntimeError if bug else JobFailed("no_audio", "m", "h")

        self._do(self.daemon.hands.order(job_id, way))
        self.model.end(job_id, "failed")

    @precondition(lambda self: self.model.those("transcribing", "aligning"))
    @rule(data=st.data())
    def job_must_wait(self, data: Any) -> None:
        job_id = data.draw(st.sampled_from(self.model.those("transcribing", "aligning")))

        async def way(shift: Shift) -> Job:
            raise JobMustWait("the disk is full")

        self.model[job_id].set_back_until = self.loop.time() + LOOK_AGAIN_SECONDS
        self._do(self.daemon.hands.order(job_id, way))
        self.model[job_id].status = "waiting"

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.model)))
        before = self.model[job_id].status
        try:
            job = self._do(self.daemon.dispatcher.cancel(job_id))
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
            await self.daemon.queue.retry(job_id)
            self.daemon.dispatcher.job_added()

        try:
            self._do(retry())
        except MoveNotAllowed:
            assert before not in ("failed", "cancelled"), f"a {before} job can be tried again"
            return
        job = self.model[job_id]
        assert before in ("failed", "cancelled"), f"a {before} job cannot be tried again"
        job.status, job.crashes, job.errands, job.degraded = "waiting", 0, 0, False
        job.timed = 0  # no story gives words: all is opened again

    @rule()
    def pause_or_resume(self) -> None:
        self.model.paused = not self.model.paused
        self._do(self.daemon.dispatcher.set_paused(self.model.paused))

    @rule()
    def aligner_comes_or_goes(self) -> None:
        async def changed() -> None:
            self.daemon.let_aligner_be(self.model.aligner_is_there)
            self.daemon.dispatcher.wake()

        self.model.aligner_is_there = not self.model.aligner_is_there
        self._do(changed())

    @rule()
    def a_while_passes(self) -> None:
        self._do(asyncio.sleep(LOOK_AGAIN_SECONDS + 1))

    @rule()
    def days_pass(self) -> None:
        """What is over is forgotten; ids and all that is not over stay, or that something is still to follow."""
        finished = [id for id in self.model.those("done", "failed", "cancelled") if not self.model[id].errands]
        self._do(asyncio.sleep((KEPT_DAYS + 1) * DAY_SECONDS))
        for job_id in finished:
            del self.model[job_id]

    @rule()
    def restart(self) -> None:
        self._do(self.daemon.stop())
        self.model.restart()
        self._start(self.daemon.database)

    @precondition(lambda self: self.lives < MOST_POWER_CUTS)
    @rule()
    def power_cut(self) -> None:
        """The next daemon finds the files as they lie there now; what this one still does nobody sees."""
        self.lives += 1
        copy = self.folder / f"q{self.lives}.db"
        for suffix in ("", "-wal"):
            lying = Path(f"{self.daemon.database}{suffix}")
            if lying.exists():
                shutil.copy(lying, f"{copy}{suffix}")
        self._do(self.daemon.stop())
        self.model.restart()
        self._start(copy)

    # --- what must be true -----------------------------------------------------------------------------------

    @invariant()
    def says_what_the_model_says(self) -> None:
        self.model.upgrade_as_it_must()
        self.model.claim_as_the_dispatcher_must(self.loop.time())
        rows, counts = self._do(self.daemon.queue._database.read(facts_of))
        found = {row["id"]: tuple(row)[1:] for row in rows}
        model = {job_id: job.facts for job_id, job in self.model.items()}
        assert found == model, f"found {found}, expected {model}"
        assert counts == self.model.counts
        running = set(self.model.those(*RUNNING))
        assert self.daemon.hands.shifts.keys() == running, "a job runs that is not running, or none does"
        assert len(self.model.those("transcribing")) <= 1, "two have the transcriber"
        assert not self.daemon.running.done()
