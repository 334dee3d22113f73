"""Row 2: a worker or its decoder ends, or stands still, at every named place there is.

Runs in: the chaos run.
"""

import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from eventually import eventually

from chaos.daemon.broken_daemon import STUBS, BrokenDaemon, broken_daemon, pids_of
from chaos.daemon.oracle import Made, complaint_about_files, make
from chaos.tally import Tally
from chaos.trial import Trial
from ipc.failpoints import DecoderPoint, WorkerPoint
from ipc.vocabulary import Role

TITLE = "Named places"
DEMAND = "at least 25 places × {SIGSEGV, SIGKILL, SIGSTOP} × both workers and decoders: each ends as the policy says"
HOWS = {"segv": ("crashed", "SIGSEGV"), "kill": ("crashed", "SIGKILL"), "stop": ("timeout", "SIGKILL")}
"""→ what the job's story says of it, if it was the job's."""

AT_BIRTH = (
    *("worker_spawned", "crash_file_opened", "worker_imported", "engine_imported", "engine_chosen"),
    *("engine_loaded", "ready_said", "worker_prepared"),
)
SAID_READY = ("ready_said", "worker_prepared")
AT_THE_END = ("stop_heard",)
ONCE_ANSWERED = ("answer_said", "engine_rested", "rest_said")
WHILE_DECODING = ("pcm_named",)
ONLY_OF: dict[Role, tuple[str, ...]] = {
    "transcriber": ("batch_begun", "batch_done", "batch_said"),
    "aligner": ("segment_begun", "segment_done"),
}
LEAST_PLACES = 25
STRICT = {
    "STENO_DEADLINES_BOOT_SECONDS": "12",
    "STENO_DEADLINES_PROGRESS_SECONDS": "4",
    # A worker has to end its decoder that stands still, and say so, before it is taken for hung itself.
    "STENO_WATCHING_UNREACHABLE_SECONDS": "2",
    "STENO_RESTARTS_PROBE_SECONDS": "0.5",
}
SIDE_BY_SIDE = 4
"""Most of it is waiting for deadlines."""
END_SECONDS = 90.0


Process = Role | Literal["decoder"]


@dataclass(frozen=True, slots=True)
class Case:
    """One fault at one place of one worker, or of a decoder of the transcriber's."""

    role: Process
    place: str
    how: str

    def __str__(self) -> str:
        return f"{self.role} at {self.place}, {self.how}"

    @property
    def upgrades(self) -> bool:
        """The aligner decodes only when it upgrades a job."""
        return self.role == "aligner" and self.place in WHILE_DECODING

    @property
    def charges(self) -> Sequence[int]:
        """How many deaths the job's story may hold: whoever has answered is not judged by how it ends. But one that
        stands still is found out by the next request, and one that has said that it is ready, or rests, may have been
        asked by then."""
        if self.role == "decoder":
            # One that dies costs a second try, one that stands still is taken for a silent disk: no worker died.
            return (0,)
        if self.place in SAID_READY:
            return (1,) if self.how == "stop" else (0, 1)
        if self.place in (*AT_BIRTH, *AT_THE_END):
            return (0,)
        if self.place not in ONCE_ANSWERED:
            return (1,)
        return (0, 1) if self.how == "stop" or self.place == "rest_said" else (0,)


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that had a fault."""

    case: Case
    outcome: Literal["right", "wrong", "changed", "lost"]
    why: str = ""


def places_of(role: Process) -> list[str]:
    """Those that this process can come by."""
    if role == "decoder":
        return list(get_args(DecoderPoint))
    others = {place for other, places in ONLY_OF.items() if other != role for place in places}
    return [place for place in get_args(WorkerPoint) if place not in others]


def run(trial: Trial) -> Tally:
    """A job for each case; of fewer, a random choice."""
    tally = Tally()
    processes: tuple[Process, ...] = (*ONLY_OF, "decoder")
    cases = [Case(process, place, how) for process in processes for place in places_of(process) for how in HOWS]
    for process in processes:
        tally.figures[f"places of the {process}"] = str(len(places_of(process)))
    for role in ONLY_OF:
        places = len(places_of(role)) + len(places_of("decoder"))
        tally.expect(places >= LEAST_PLACES, f"the {role} and its decoder have {places} places")
    chosen = trial.luck().sample(cases, trial.number(len(cases)))
    upgrades = [case for case in chosen if case.upgrades]
    others = [case for case in chosen if not case.upgrades]
    # Two workers are started for every line: a look has few cases, and few lines.
    count = min(SIDE_BY_SIDE, 1 + len(others) // 5)
    lines = [partial(_line, trial, f"line{n}", others[n::count], _done) for n in range(count)]
    lines.append(partial(_line, trial, "upgrades", upgrades, _upgraded))
    with ThreadPoolExecutor(len(lines)) as threads:
        futures = [threads.submit(line) for line in lines]
    for end in (end for future in futures for end in future.result()):
        # A trap that nobody walked into is no trial.
        struck = end.outcome != "lost"
        tally.trials += struck
        tally.faults += struck
        tally.lost += end.outcome == "lost"
        tally.changed += end.outcome == "changed"
        tally.expect(end.outcome == "right", f"{end.case}: {end.why}")
    tally.figures["cases"] = f"{tally.trials} of {len(cases)} that there are"
    return tally


Way = Callable[[BrokenDaemon, Made, Case], dict[str, Any]]


def _line(trial: Trial, name: str, cases: Sequence[Case], way: Way) -> list[Ended]:
    """One case after the other in one daemon."""
    if not cases:
        return []
    luck, recordings = trial.luck(name), trial.folder / f"{name}-recordings"
    recordings.mkdir()
    down = recordings / "down"
    environment = {
        **STUBS,
        **STRICT,
        "ALIGNMENT_BACKEND": "chaos.daemon.stub_engines:MoodyAligner",
        "STUB_DOWN": str(down),
    }
    if way is _upgraded:
        # Every job is to be done without its aligner first.
        environment["STENO_RESTARTS_DEATHS_ALLOWED"] = "1"
    with broken_daemon(trial.folder / name, **environment) as daemon:
        return [
            _ended(daemon, make(recordings / f"{number}.wav", luck.randrange(1 << 30)), case, way)
            for number, case in enumerate(cases)
        ]


def _ended(daemon: BrokenDaemon, one: Made, case: Case, way: Way) -> Ended:
    try:
        job = way(daemon, one, case)
    except AssertionError as error:
        daemon.disarm()
        return Ended(case, "lost", str(error))
    if job["status"] != "done":
        return Ended(case, "lost", str(job["error"]))
    if complaint := complaint_about_files(one, job):
        return Ended(case, "changed", complaint)
    if job["degraded_reason"] is not None:
        return Ended(case, "wrong", f"degraded: {job['degraded_reason']}")
    deaths = [(a["role"], a["outcome"], a["signal"]) for a in job["attempts"] if a["outcome"] != "done"]
    if len(deaths) not in case.charges or set(deaths) - {(case.role, *HOWS[case.how])}:
        return Ended(case, "wrong", f"the job's story is {job['attempts']}")
    return Ended(case, "right")


def _done(daemon: BrokenDaemon, one: Made, case: Case) -> dict[str, Any]:
    """The job that was there when it happened, finished; the other worker did not notice."""
    for role in ONLY_OF:
        daemon.wait_for_worker(role, lambda worker: worker["state"] == "ready", END_SECONDS)
    before = pids_of(daemon)
    trap = daemon.arm(*(case.role, case.place, case.how))
    if case.place in AT_BIRTH:
        os.kill(before[case.role], signal.SIGKILL)
        eventually(lambda: not trap.exists(), END_SECONDS, "the next worker walks into it")
    elif case.place in AT_THE_END:
        assert daemon.post(f"/v1/workers/{case.role}/unload").is_success
    job = daemon.finished(daemon.submit(one.path), END_SECONDS)
    eventually(lambda: not trap.exists(), END_SECONDS, "it was never struck")
    if case.role == "decoder":
        assert pids_of(daemon) == before, "a worker died with its decoder"
        return job
    daemon.wait_for_worker(
        case.role, lambda worker: worker["state"] == "ready" and worker["pid"] != before[case.role], END_SECONDS
    )
    (other,) = set(ONLY_OF) - {case.role}
    assert pids_of(daemon)[other] == before[other], f"the {other} died too"
    return job


def _upgraded(daemon: BrokenDaemon, one: Made, case: Case) -> dict[str, Any]:
    """A job that was done without words, and has them after all: its aligner had to decode for itself."""
    down = Path(daemon.environment["STUB_DOWN"])
    down.touch()
    if (pid := pids_of(daemon).get("aligner")) is not None:
        os.kill(pid, signal.SIGKILL)
    daemon.wait_for_worker("aligner", lambda worker: worker["state"] == "broken", END_SECONDS)
    job_id = daemon.submit(one.path)
    job = daemon.finished(job_id, END_SECONDS)
    assert job["timing"] == "segment", job
    trap = daemon.arm("aligner", case.place, case.how)
    down.unlink()
    eventually(lambda: daemon.job(job_id)["timing"] == "word", END_SECONDS, "it is upgraded")
    assert not trap.exists(), "it was never struck"
    return daemon.job(job_id)
