"""Row 21: the queue against a model of it, a few lines long, in thousands of random stories.

Runs in: the chaos run.
"""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from chaos.tally import Tally
from chaos.trial import Trial
from config.settings import QueueSettings
from ipc.api_messages import JobOptions
from ipc.transcript import Segment
from supervisor.job import FileIdentity, MoveNotAllowed
from supervisor.job_queue import JobQueue

TITLE = "The queue against its model"
DEMAND = "5,000 random stories of submits, claims, moves, segments and restarts: the queue says what the model says"
STORIES, STEPS = 5_000, 20
RUNNING = ("transcribing", "aligning", "writing")


class QueueStory(RuleBasedStateMachine):
    """`model` is what must be true: status and segments of every job."""

    stories = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).stories += 1
        self.folder = Path(tempfile.mkdtemp(prefix="steno-model-"))
        self.loop = asyncio.new_event_loop()
        self.model: dict[int, tuple[str, int]] = {}
        self.inode = 0
        self.queue = self._do(JobQueue.open(self.folder / "q.db", QueueSettings()))

    def teardown(self) -> None:
        self._do(self.queue.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    @rule()
    def submit(self) -> None:
        self.inode += 1
        job = self._do(self.queue.add(f"/x/{self.inode}.wav", JobOptions(), FileIdentity(1, self.inode, 3, 4)))
        self.model[job.id] = ("waiting", 0)

    @rule()
    def claim(self) -> None:
        waiting = [job_id for job_id, (status, _) in self.model.items() if status == "waiting"]
        job = self._do(self.queue.claim_next())
        assert (None if job is None else job.id) == (waiting[0] if waiting else None), "the oldest first"
        if job is not None:
            self.model[job.id] = ("transcribing", self.model[job.id][1])

    @precondition(lambda self: any(status == "transcribing" for status, _ in self.model.values()))
    @rule(count=st.integers(1, 3), data=st.data())
    def hear(self, count: int, data: Any) -> None:
        heard_now = [job_id for job_id, (status, _) in self.model.items() if status == "transcribing"]
        job_id = data.draw(st.sampled_from(heard_now))
        _, stored = self.model[job_id]
        heard = [Segment(id=stored + n, start=stored + n, end=stored + n + 1, text="so") for n in range(count)]
        self._do(self.queue.store_segments(job_id, heard, float(stored + count)))
        self.model[job_id] = ("transcribing", stored + count)

    @precondition(lambda self: self.model)
    @rule(status=st.sampled_from(["waiting", *RUNNING, "done", "failed", "cancelled"]), data=st.data())
    def move(self, status: Any, data: Any) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.model)))
        before, stored = self.model[job_id]
        try:
            job = self._do(self.queue.move(job_id, status))
        except MoveNotAllowed:
            return
        assert before not in ("done",) or status != "cancelled", "what is done cannot be cancelled"
        self.model[job_id] = (job.status, stored)

    @rule()
    def restart(self) -> None:
        """As after a power cut: whatever ran, waits, with what it had."""
        self._do(self.queue.close())
        self.queue = self._do(JobQueue.open(self.folder / "q.db", QueueSettings()))
        for job_id, (status, stored) in self.model.items():
            if status in RUNNING:
                self.model[job_id] = ("waiting", stored)

    @invariant()
    def says_what_the_model_says(self) -> None:
        jobs = self._do(self.queue.jobs(None, 1_000))
        assert {job.id: job.status for job in jobs} == {id: status for id, (status, _) in self.model.items()}
        for job_id, (status, stored) in self.model.items():
            if status not in ("failed", "cancelled"):
                assert self._do(self.queue.count_segments(job_id)) == stored

    def _do(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)


def run(trial: Trial) -> Tally:
    """Hypothesis shrinks what it finds to the shortest story."""
    tally = Tally()
    QueueStory.stories = 0
    limits = settings(
        max_examples=trial.number(STORIES),
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(trial.seed)(QueueStory), settings=limits)
    except AssertionError as error:
        tally.wrong.append(f"a story ended badly: {error}")
    tally.trials = QueueStory.stories
    return tally
