"""The table of waiting jobs: their order for each priority and model, what they will need, and the claim.

Runs in: supervisor. Every function needs a transaction around it.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from ipc.errors import OneReason
from ipc.vocabulary import JobStatus, Priority
from supervisor.store.job import Job
from supervisor.store.job_rows import fetch_job, job_from
from supervisor.store.schedule import WEIGHTS, Model, SchedulingHints, in_turn

# Word for word as in the index, which is found by that.
MODEL = "coalesce(json_extract(options, '$.model'), '')"
PRIORITY = "coalesce(json_extract(options, '$.priority'), 'normal')"
ON_PROBATION = "(transcriber_crashes >= 2 OR daemon_deaths >= 3)"
WAITING = f"FROM jobs INDEXED BY jobs_by_priority WHERE status = 'waiting' AND {ON_PROBATION} = ? AND {PRIORITY} = ?"
ANY_TURN = SchedulingHints()
USUAL_JOBS = 20
"""The number of done jobs that tell the usual length of a recording."""


class Backlog(NamedTuple):
    """What is known of all waiting jobs before their recordings are opened."""

    jobs: dict[Model, int]
    """How many there are for each model."""
    usual_audio_seconds: float | None
    """How long the last recordings were; None: none is done."""


class QueueFull(OneReason):
    """As many jobs wait as the settings allow."""

    code = "queue_full"


@dataclass(frozen=True, slots=True)
class QueueState:
    """The whole queue in a few facts, all of one moment."""

    counts: dict[JobStatus, int]
    """How many jobs are in each state; all states are there."""
    paused: bool
    next_up: Sequence[Job]


def claim_next(connection: sqlite3.Connection, turn: SchedulingHints) -> Job | None:
    """The waiting job whose turn it is, now transcribing. None: no job can start, or the queue is paused."""
    if is_paused(connection):
        return None
    for on_probation in (False, True):
        first = {
            priority: {
                model: ids
                for model in _models(connection, on_probation, priority)
                if turn.may_have(model) and (ids := _ids(connection, on_probation, priority, model, 1, turn))
            }
            for priority in turn.priorities
        }
        for job_id in in_turn(first, turn, 1):
            claimed = connection.execute(
                """UPDATE jobs SET status = 'transcribing', claims = claims + 1, note = NULL
                WHERE id = ? RETURNING *""",
                (job_id,),
            ).fetchall()
            return job_from(claimed[0])
    return None


def any_waits(connection: sqlite3.Connection, priority: Priority) -> bool:
    """Whether a job of this priority waits, able to start or not."""
    question = f"SELECT 1 {WAITING} LIMIT 1"
    return any(connection.execute(question, (suspect, priority)).fetchone() for suspect in (False, True))


def refuse_when_full(connection: sqlite3.Connection, most_waiting: int) -> None:
    """Raises QueueFull where one more may not wait."""
    (waiting,) = connection.execute("SELECT jobs FROM job_counts WHERE status = 'waiting'").fetchone()
    if waiting >= most_waiting:
        raise QueueFull(
            f"{waiting} jobs wait already; the setting queue.most_waiting is the limit",
            "wait for jobs to finish, or raise queue.most_waiting",
        )


def queue_state(connection: sqlite3.Connection, turn: SchedulingHints, limit: int) -> QueueState:
    """`next_up`: the first `limit` waiting jobs as they will be claimed; last those whose model is not there."""
    order: list[int] = []
    without_model: list[int] = []
    for on_probation in (False, True):
        if len(order) < limit:
            waiting = {
                priority: {
                    model: _ids(connection, on_probation, priority, model, limit)
                    for model in _models(connection, on_probation, priority)
                }
                for priority in WEIGHTS
            }
            for of_model in waiting.values():
                without_model += sorted(id for model in turn.missing & of_model.keys() for id in of_model.pop(model))
            order += in_turn(waiting, turn, limit - len(order))
    next_up = [fetch_job(connection, job_id) for job_id in (order + without_model)[:limit]]
    counts = {row["status"]: row["jobs"] for row in connection.execute("SELECT * FROM job_counts")}
    return QueueState(counts, is_paused(connection), next_up)


def backlog(connection: sqlite3.Connection) -> Backlog:
    """Milliseconds, also where 100,000 jobs wait: it counts in an index, and looks at few done jobs."""
    jobs: dict[Model, int] = {}
    for model, count in connection.execute(
        f"""SELECT {MODEL}, count(*) FROM jobs INDEXED BY jobs_by_priority WHERE status = 'waiting'
        GROUP BY {ON_PROBATION}, {PRIORITY}, {MODEL}"""
    ):
        jobs[model or None] = jobs.get(model or None, 0) + count
    last = connection.execute(
        "SELECT audio_seconds FROM jobs WHERE status = 'done' ORDER BY id DESC LIMIT ?", (USUAL_JOBS,)
    )
    lengths = [length for (length,) in last if length is not None]
    return Backlog(jobs, fmean(lengths) if lengths else None)


def is_paused(connection: sqlite3.Connection) -> bool:
    """Whether nothing is claimed."""
    (is_on,) = connection.execute("SELECT is_on FROM switches WHERE name = 'paused'").fetchone()
    return bool(is_on)


def _models(connection: sqlite3.Connection, on_probation: bool, priority: Priority) -> Iterator[Model]:
    """Every model that a waiting job names; one step in the index for each, however many jobs there are."""
    comparison, last = ">=", ""
    question = f"SELECT {MODEL} {WAITING} AND {MODEL} {{}} ? ORDER BY {MODEL} LIMIT 1"
    while row := connection.execute(question.format(comparison), (on_probation, priority, last)).fetchone():
        comparison, last = ">", row[0]
        yield last or None


def _ids(
    connection: sqlite3.Connection,
    on_probation: bool,
    priority: Priority,
    model: Model,
    limit: int,
    turn: SchedulingHints = ANY_TURN,
) -> Sequence[int]:
    rows = connection.execute(
        f"""SELECT id {WAITING} AND {MODEL} = ? AND id NOT IN (SELECT value FROM json_each(?))
        AND (? OR daemon_deaths < 3) ORDER BY id LIMIT ?""",
        (on_probation, priority, model or "", json.dumps(list(turn.deferred)), turn.suspects_too, limit),
    )
    return [row[0] for row in rows]
