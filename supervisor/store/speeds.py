"""How fast each model is on this machine: one rate for each stage, engine and model, the newest jobs count most.

Runs in: supervisor.

Kept in memory, on the event loop; `load_speeds` and `store_speeds` have it on disk and need a transaction. A
measurement that a power cut takes is no loss.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ipc.status_views import SpeedView
from ipc.transcript import EngineUsed
from ipc.vocabulary import Role

Stage = Literal["transcribing", "aligning"]
ROLE_OF: dict[Stage, Role] = {"transcribing": "transcriber", "aligning": "aligner"}
HALF_LIFE_AUDIO_SECONDS = 3600.0
"""After so much newer audio an older job counts half."""
A_MOMENT_SECONDS = 0.001


class WorkDone(NamedTuple):
    """What was done, and by whom."""

    stage: Stage
    engine: str
    model: str
    device: str


@dataclass(frozen=True, slots=True)
class Rate:
    """Sums over jobs, in which older ones count less and less."""

    audio_seconds: float = 0.0
    work_seconds: float = 0.0
    measured_at: float = 0.0
    """Seconds since the epoch."""

    def after(self, audio_seconds: float, work_seconds: float, now: float) -> "Rate":
        """With one more job; a short one weighs as little as it lasts."""
        kept = 0.5 ** (audio_seconds / HALF_LIFE_AUDIO_SECONDS)
        return Rate(self.audio_seconds * kept + audio_seconds, self.work_seconds * kept + work_seconds, now)

    @property
    def speed(self) -> float:
        """Seconds of audio for each second of work."""
        return self.audio_seconds / self.work_seconds


class Speeds:
    """What was learned so far."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._rates: dict[WorkDone, Rate] = {}
        self._unwritten: set[WorkDone] = set()
        self.totals: dict[WorkDone, tuple[float, float]] = {}
        """Since the daemon started: seconds of audio, seconds of work."""

    def know(self, rates: dict[WorkDone, Rate]) -> None:
        """What was on disk."""
        self._rates = rates | self._rates

    def note(self, stage: Stage, by: EngineUsed, audio_seconds: float, work_seconds: float) -> None:
        """A stage of a job is over."""
        if audio_seconds > 0.0 and work_seconds > 0.0:
            work = WorkDone(stage, by.engine, by.model, by.device)
            # Later than all that was measured before, also when the clock was set back: the last is the last.
            newest = max((rate.measured_at for rate in self._rates.values()), default=0.0)
            now = max(self._now(), newest + A_MOMENT_SECONDS)
            self._rates[work] = self._rates.get(work, Rate()).after(audio_seconds, work_seconds, now)
            self._unwritten.add(work)
            audio_before, work_before = self.totals.get(work, (0.0, 0.0))
            self.totals[work] = (audio_before + audio_seconds, work_before + work_seconds)

    def unwritten(self) -> Sequence[tuple[WorkDone, Rate]]:
        """What changed since this was last asked for, to be written now."""
        done, self._unwritten = self._unwritten, set()
        return [(work, self._rates[work]) for work in done]

    def speed(self, stage: Stage, engine: str, model: str | None, device: str | None) -> float | None:
        """Seconds of audio a second; None: never measured. Where model or device is None, the one used last."""
        found = [
            (rate.measured_at, rate.speed)
            for work, rate in self._rates.items()
            if (work.stage, work.engine) == (stage, engine)
            and model in (None, work.model)
            and device in (None, work.device)
        ]
        return max(found)[1] if found else None

    @property
    def views(self) -> tuple[SpeedView, ...]:
        """As the status shows them, the fastest first within a role."""
        views = [
            SpeedView(
                role=ROLE_OF[work.stage],
                engine=work.engine,
                model=work.model,
                device=work.device,
                speed=round(rate.speed, 2),
                audio_seconds=round(rate.audio_seconds, 1),
            )
            for work, rate in self._rates.items()
        ]
        return tuple(sorted(views, key=lambda view: (view.role != "transcriber", -view.speed, view.model)))


def load_speeds(connection: sqlite3.Connection) -> dict[WorkDone, Rate]:
    """All of it."""
    rows = connection.execute("SELECT * FROM speeds")
    return {WorkDone(stage, engine, model, device): Rate(*sums) for stage, engine, model, device, *sums in rows}


def store_speeds(connection: sqlite3.Connection, rates: Sequence[tuple[WorkDone, Rate]]) -> None:
    """In place of what was known of the same."""
    rows = [(*work, rate.audio_seconds, rate.work_seconds, rate.measured_at) for work, rate in rates]
    connection.executemany("INSERT OR REPLACE INTO speeds VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
