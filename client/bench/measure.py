"""One recording sent through a daemon again and again, and timed.

Runs in: the user's shell.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from client.daemon.connection import DaemonClient
from client.terminal.errors import Refusal
from client.terminal.wording import degraded_words
from ipc.api_messages import JobOptions, JobView
from ipc.events import DaemonEvent, JobChanged, WorkerChanged
from ipc.status_views import WorkerView
from ipc.transcript import Value
from ipc.vocabulary import FINISHED, Role, Workflow

Tell = Callable[[str], None]


class Took(Value):
    """How long one thing takes: the median of the runs."""

    seconds: float
    fastest_seconds: float
    slowest_seconds: float


class Figures(Value):
    """One model on this machine."""

    model: str
    engine: str
    device: str
    aligner: str | None
    """Engine and model; None: no words were timed, and `note` says why."""
    audio_seconds: float
    load_seconds: float | None
    """From the worker's first line of code to a warm model."""
    aligner_load_seconds: float | None
    first_job_seconds: float
    """The whole way of the first job after the models were loaded."""
    transcription: Took
    """A whole job without alignment: decoding, detecting speech, transcribing, writing."""
    alignment: Took | None
    """The aligner's share of a job with words; most of it passes while the transcriber is still at work."""
    end_to_end: Took
    """A whole job, from submit to its files; with words where there is an aligner."""
    memory_bytes: dict[Role, int]
    """The most each worker held."""
    note: str | None = None


class NotMeasured(Value):
    """A model that could not be measured."""

    model: str
    why: str


@dataclass(slots=True)
class _Busy:
    """How long one worker was busy."""

    since: float | None = None
    seconds: float = 0.0

    def is_now(self, busy: bool, now: float) -> None:
        if self.since is not None:
            self.seconds += now - self.since
        self.since = now if busy else None


@dataclass(slots=True)
class Bench:
    """Measures one daemon that no other client uses."""

    daemon: DaemonClient
    recording: Path
    outputs: Path
    """Where results go, to be forgotten."""
    language: str | None
    runs: int
    tell: Tell
    _workers: dict[Role, WorkerView] = field(default_factory=dict)
    _busy: dict[Role, _Busy] = field(default_factory=dict)
    _memory: dict[Role, int] = field(default_factory=dict)

    def measure(self, model: str) -> Figures:
        """Raises Refusal where a model does not load or a job fails, NoDaemon where the daemon leaves."""
        with self.daemon.events() as events:
            told = self._everything(events)
            self._wait_for_workers(told)
            aligner = self._able_aligner()
            workflow: Workflow = "transcribe" if aligner is None else "subtitle"
            self.tell(f"{model}: the first job")
            first, job = self._timed(told, workflow)
            whole, text, words = [], [], []
            for run in range(self.runs):
                self.tell(f"{model}: run {run + 1} of {self.runs}")
                # Turn by turn: whatever else the machine has to do slows both.
                text.append(self._timed(told, "transcribe")[0])
                if aligner is not None:
                    whole.append(self._timed(told, "subtitle")[0])
                    words.append(self._busy["aligner"].seconds)
            note = self._why_no_words() if aligner is None else None
            if aligner is not None and job.degraded_reason is not None:
                words, note = [], f"words were not timed: {degraded_words(job.degraded_reason)}"
        transcriber = self._workers["transcriber"]
        return Figures(
            model=_shown(transcriber.model or model),
            engine=transcriber.engine,
            device=transcriber.device or "",
            aligner=None if aligner is None else f"{aligner.engine} {_shown(aligner.model or '')}".strip(),
            audio_seconds=job.audio_seconds or 0.0,
            load_seconds=transcriber.load_seconds,
            aligner_load_seconds=None if aligner is None else aligner.load_seconds,
            first_job_seconds=first,
            transcription=_took(text),
            alignment=_took(words) if words else None,
            end_to_end=_took(whole or text),
            memory_bytes=dict(self._memory),
            note=note,
        )

    def _timed(self, told: Iterator[DaemonEvent], workflow: Workflow) -> tuple[float, JobView]:
        """How long one job took, and what came of it."""
        self._busy = {role: _Busy() for role in self._workers}
        options = JobOptions(
            workflow=workflow,
            language=self.language,
            formats=("json",),
            output_dir=str(self.outputs),
            if_exists="overwrite",
        )
        began = time.monotonic()
        job_id = self.daemon.submit(str(self.recording), options).id
        for event in told:
            if isinstance(event, JobChanged) and event.job.id == job_id and event.job.status in FINISHED:
                if event.job.error is not None:
                    raise Refusal(event.job.error.code, event.job.error.message, event.job.error.hint)
                return time.monotonic() - began, event.job
            if self._is_broken("transcriber"):
                break
        raise self._no_transcriber()

    # --- workers ---------------------------------------------------------------------------------------------

    def _everything(self, events: Iterable[DaemonEvent]) -> Iterator[DaemonEvent]:
        """The present workers, then all events; each worker event is recorded on the way."""
        for worker in self.daemon.status().workers:
            self._look_at(worker)
            yield WorkerChanged(worker=worker)
        for event in events:
            if isinstance(event, WorkerChanged):
                self._look_at(event.worker)
            yield event

    def _look_at(self, worker: WorkerView) -> None:
        self._workers[worker.role] = worker
        self._busy.setdefault(worker.role, _Busy()).is_now(worker.state == "busy", time.monotonic())
        if worker.footprint_bytes is not None:
            self._memory[worker.role] = max(worker.footprint_bytes, self._memory.get(worker.role, 0))

    def _wait_for_workers(self, told: Iterator[DaemonEvent]) -> None:
        """Until each is ready or broken; the daemon's own deadlines limit how long that takes."""
        for _ in told:
            if self._is_broken("transcriber"):
                raise self._no_transcriber()
            if all(worker.state in ("ready", "broken") for worker in self._workers.values()):
                return
        raise Refusal("daemon_left", "the daemon of the benchmark stopped", "`steno transcribe` may say why")

    def _is_broken(self, role: Role) -> bool:
        return role in self._workers and self._workers[role].state == "broken"

    def _able_aligner(self) -> WorkerView | None:
        return None if self._is_broken("aligner") else self._workers.get("aligner")

    def _why_no_words(self) -> str:
        aligner = self._workers.get("aligner")
        return "alignment is off" if aligner is None else f"no words: {aligner.note or 'the aligner is broken'}"

    def _no_transcriber(self) -> Refusal:
        worker = self._workers.get("transcriber")
        why = worker.note if worker is not None and worker.note else "the transcriber does not work"
        return Refusal("no_transcriber", why, "")


def _shown(model: str) -> str:
    """A folder by its own name: the table is shown around, and does not name the machine's owner."""
    return PurePath(model).name if model.startswith("/") else model


def _took(seconds: list[float]) -> Took:
    return Took(
        seconds=round(statistics.median(seconds), 4),
        fastest_seconds=round(min(seconds), 4),
        slowest_seconds=round(max(seconds), 4),
    )
