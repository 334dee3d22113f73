"""How fast each model is on this machine, and how much sound is in a file: learned from jobs, the newest most.

Runs in: supervisor.

Kept in memory, on the event loop; `load_speeds` and `store_speeds` have it on disk and need a transaction. A
measurement that a power cut takes is no loss.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

from ipc.status_views import SpeedView
from ipc.transcript import EngineUsed
from ipc.vocabulary import Role

MOST_ROWS = 100
"""Of each table: models come and go, and anybody may name a file as he likes. The ones used last are kept."""


Stage = Literal["decoding", "transcribing", "aligning"]
ROLE_OF: dict[Stage, Role] = {"transcribing": "transcriber", "aligning": "aligner"}
"""Decoding is no model's work."""
HALF_LIFE_AUDIO_SECONDS = 3600.0
"""After so much newer audio an older job counts half …"""
HALF_LIFE_JOBS = 20
"""… and after so many newer jobs, however short they were."""
A_MOMENT_SECONDS = 0.001
LONGEST_SUFFIX = 8
"""A longer one is part of a name with a dot in it."""
Suffix = str


@dataclass(frozen=True, slots=True)
class Rate:
    """Sums over jobs: seconds of audio, and what they cost, in seconds of work or in bytes."""

    audio_seconds: float = 0.0
    cost: float = 0.0
    measured_at: float = 0.0
    """Seconds since the epoch."""

    def after(self, audio_seconds: float, cost: float, now: float) -> "Rate":
        """With one more job; a short one weighs as little as it lasts, and makes older ones fade all the same."""
        kept = 0.5 ** max(audio_seconds / HALF_LIFE_AUDIO_SECONDS, 1 / HALF_LIFE_JOBS)
        return Rate(self.audio_seconds * kept + audio_seconds, self.cost * kept + cost, now)

    @property
    def audio_per_cost(self) -> float:
        return self.audio_seconds / self.cost


class WorkDone(NamedTuple):
    """What was done, and by whom."""

    stage: Stage
    engine: str
    model: str
    device: str


Subject = WorkDone | Suffix


class Speeds:
    """What was learned so far."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._rates: dict[Subject, Rate] = {}
        self._unwritten: set[Subject] = set()

    def know(self, rates: dict[Subject, Rate]) -> None:
        """What was on disk."""
        self._rates = rates | self._rates

    def note(self, stage: Stage, by: EngineUsed | None, audio_seconds: float, work_seconds: float) -> None:
        """A stage of a job is over. `by` None: it takes every engine as long."""
        engine, model, device = ("", "", "") if by is None else (by.engine, by.model, by.device)
        self._add(WorkDone(stage, engine, model, device), audio_seconds, work_seconds)

    def note_size(self, path: str, size_bytes: int, audio_seconds: float) -> None:
        """How long a recording turned out to be."""
        if (suffix := _suffix(path)) is not None:
            self._add(suffix, audio_seconds, float(size_bytes))

    def unwritten(self) -> Sequence[tuple[Subject, Rate]]:
        """What changed since this was last asked for, to be written now."""
        subjects, self._unwritten = self._unwritten, set()
        return [(subject, self._rates[subject]) for subject in subjects]

    def speed(self, stage: Stage, engine: str = "", model: str | None = "", device: str | None = "") -> float | None:
        """Seconds of audio a second; None: never measured. Where model or device is None, the one used last."""
        found = [
            (rate.measured_at, rate.audio_per_cost)
            for work, rate in self._rates.items()
            if isinstance(work, WorkDone)
            and (work.stage, work.engine) == (stage, engine)
            and model in (None, work.model)
            and device in (None, work.device)
        ]
        return max(found)[1] if found else None

    def length(self, path: str, size_bytes: int) -> float | None:
        """About how many seconds of audio there are in a file of this name and size; None: no idea."""
        suffix = _suffix(path)
        rate = None if suffix is None else self._rates.get(suffix)
        return None if rate is None else size_bytes * rate.audio_per_cost

    @property
    def views(self) -> tuple[SpeedView, ...]:
        """As the status shows them, the fastest first within a role."""
        views = [
            SpeedView(
                role=ROLE_OF[work.stage],
                engine=work.engine,
                model=work.model,
                device=work.device,
                speed=round(rate.audio_per_cost, 2),
                audio_seconds=round(rate.audio_seconds, 1),
            )
            for work, rate in self._rates.items()
            if isinstance(work, WorkDone) and work.stage in ROLE_OF
        ]
        return tuple(sorted(views, key=lambda view: (view.role != "transcriber", -view.speed, view.model)))

    def _add(self, subject: Subject, audio_seconds: float, cost: float) -> None:
        if audio_seconds > 0.0 and cost > 0.0:
            # Later than all that was measured before, also when the clock was set back: the last is the last.
            newest = max((rate.measured_at for rate in self._rates.values()), default=0.0)
            now = max(self._now(), newest + A_MOMENT_SECONDS)
            self._rates[subject] = self._rates.get(subject, Rate()).after(audio_seconds, cost, now)
            self._unwritten.add(subject)


def _suffix(path: str) -> Suffix | None:
    suffix = PurePosixPath(path).suffix.lower()
    return suffix if 1 < len(suffix) <= LONGEST_SUFFIX else None


def load_speeds(connection: sqlite3.Connection) -> dict[Subject, Rate]:
    """All of it."""
    known: dict[Subject, Rate] = {}
    for stage, engine, model, device, *sums in connection.execute("SELECT * FROM speeds"):
        known[WorkDone(stage, engine, model, device)] = Rate(*sums)
    for suffix, *sums in connection.execute("SELECT * FROM sizes"):
        known[suffix] = Rate(*sums)
    return known


def store_speeds(connection: sqlite3.Connection, rates: Sequence[tuple[Subject, Rate]]) -> None:
    """In place of what was known of the same."""
    for subject, rate in rates:
        sums = (rate.audio_seconds, rate.cost, rate.measured_at)
        if isinstance(subject, WorkDone):
            connection.execute("INSERT OR REPLACE INTO speeds VALUES (?, ?, ?, ?, ?, ?, ?)", (*subject, *sums))
        else:
            connection.execute("INSERT OR REPLACE INTO sizes VALUES (?, ?, ?, ?)", (subject, *sums))
    if rates:
        for table in ("speeds", "sizes"):
            newest = f"SELECT measured_at FROM {table} ORDER BY measured_at DESC LIMIT 1 OFFSET {MOST_ROWS - 1}"
            connection.execute(f"DELETE FROM {table} WHERE measured_at < ({newest})")
