"""The moves a job may make.

Runs in: the test process.
"""

from itertools import product
from typing import get_args

import pytest

from ipc.api_messages import JobOptions
from ipc.vocabulary import FINISHED, JobStatus
from supervisor.disks.file_identity import FileIdentity
from supervisor.store.job import ALLOWED_MOVES, RUNNING, Job, MoveNotAllowed, check_move

STATES: tuple[JobStatus, ...] = get_args(JobStatus)


def job_that_is(status: JobStatus) -> Job:
    identity = FileIdentity(device=1, inode=2, size=3, mtime_ns=4)
    return Job(id=7, path="/x/a.mp3", options=JobOptions(), status=status, identity=identity, created_at=0.0)


def test_every_state_has_its_moves_and_is_waiting_running_or_finished() -> None:
    assert set(ALLOWED_MOVES) == set(STATES) == {"waiting"} | RUNNING | FINISHED
    assert not RUNNING & FINISHED


@pytest.mark.parametrize(("here", "there"), list(product(STATES, STATES)))
def test_a_move_is_refused_exactly_when_the_table_lacks_it(here: JobStatus, there: JobStatus) -> None:
    if there in ALLOWED_MOVES[here]:
        check_move(job_that_is(here), there)
    else:
        with pytest.raises(MoveNotAllowed, match=f"job 7 is {here}; it cannot become {there}"):
            check_move(job_that_is(here), there)


def test_every_running_job_can_be_put_back_cancelled_and_failed() -> None:
    assert all({"waiting", "cancelled", "failed"} <= ALLOWED_MOVES[status] for status in RUNNING)


def test_what_is_done_stays_done_and_what_failed_can_only_wait_again() -> None:
    assert ALLOWED_MOVES["done"] == frozenset()
    assert ALLOWED_MOVES["failed"] == ALLOWED_MOVES["cancelled"] == frozenset({"waiting"})
    assert [status for status in STATES if job_that_is(status).is_finished] == ["done", "failed", "cancelled"]
