"""Row 14: four hundred files that are not what they seem.

Runs in: the chaos run. The decoder and FFmpeg are real; the engines are stubs.
"""

import json
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watchdog.events import FileOpenedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from chaos.daemon.broken_daemon import BrokenDaemon, broken_daemon, pids_of
from chaos.daemon.oracle import complaint_about_files, make
from chaos.recordings.odd_files import DONE, LURE, OddFile, odd_files
from chaos.tally import Tally
from chaos.trial import Trial
from ipc.program import program

TITLE = "Odd files"
DEMAND = "400 files: each a typed result within 10 s, no worker lost, memory below the cap, no connection to anywhere"
LONGEST_SECONDS, GROWTH_BYTES = 10.0, 300_000_000
SWAPS = 16
ENVIRONMENT = {
    # The hour of silence is let through, the hundred are not.
    "STENO_MEDIA_LONGEST_HOURS": "2",
    "FAKE_CHUNK_SECONDS": "30",
}
TRACED = ("strace", "-D", "-f", "--seccomp-bpf", "-qqq", "-e", "trace=connect", "-o")
BEREFT = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")
"""Root may read everything; this root may not, so that a file without permission is one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one file."""

    code: str
    """`done`, or why not."""
    seconds: float
    job: Mapping[str, Any] | None
    explained: bool
    """A refusal says what happened and what to do."""


def run(trial: Trial) -> Tally:
    """One after the other through one daemon, whose calls of `connect` strace writes down."""
    tally = Tally()
    luck = trial.luck()
    place = trial.folder / "media"
    place.mkdir()
    lure = make(trial.folder / LURE, 1 << 20, chunks=1).path
    connections = trial.folder / "connections"
    with broken_daemon(trial.folder / "home", _command(connections, tally), **ENVIRONMENT) as daemon:
        for role in ("transcriber", "aligner"):
            daemon.wait_for_worker(role, lambda worker: worker["state"] == "ready")
        before = pids_of(daemon)
        memory = {role: _peak_bytes(pid) for role, pid in before.items()}
        for pid in (daemon.pid, *before.values()):
            tally.expect(_is_traced(pid), f"strace does not see process {pid}")
        with _openings_of(lure) as openings:
            answers = list(_each(trial, daemon, place, tally, luck))
        tally.expect(not openings, "a playlist's file was opened")
        answers += _swapped(trial, daemon, place, tally)
        after = pids_of(daemon)
        tally.expect(after == before, f"a file cost a worker: {before} became {after}")
        for role, pid in before.items():
            growth = _peak_bytes(pid) - memory[role] if pid == after.get(role) else 0
            tally.figures[f"the {role} grew by, at most"] = f"{growth / 1e6:.0f} MB"
            tally.expect(growth < GROWTH_BYTES, f"the {role} grew by {growth / 1e6:.0f} MB")
    tally.faults = tally.trials
    codes = Counter(answer.code for answer in answers)
    tally.figures["results"] = ", ".join(f"{code} {count}" for code, count in codes.most_common())
    tally.figures["the longest took"] = f"{max(answer.seconds for answer in answers):.1f} s"
    calls = [line for line in connections.read_text().splitlines() if "connect(" in line]
    outside = [call for call in calls if "AF_UNIX" not in call]
    tally.expect(not outside, f"somebody connected: {outside[:3]}")
    return tally


def _command(connections: Path, tally: Tally) -> list[str]:
    """The daemon, traced, and without root's right to read everything."""
    command = [*TRACED, str(connections), *program("supervisor")]
    if shutil.which("strace") is None:
        tally.wrong.append("there is no strace on this machine: apt install strace")
        command = command[len(TRACED) + 1 :]
        connections.touch()
    return [*BEREFT, *command] if os.geteuid() == 0 else command


def _each(trial: Trial, daemon: BrokenDaemon, place: Path, tally: Tally, luck: random.Random) -> Iterator[Answer]:
    """Every kind of file, as many of each as the share allows; what came of it."""
    for kind, files in odd_files().items():
        for file in luck.sample(files, trial.number(len(files))):
            path = place / file.name
            file.make(path, luck)
            answer = _answer(daemon, path)
            tally.trials += 1
            what = f"{kind}: {file.name[:40]!r}"
            tally.expect(answer.code in file.wanted, f"{what}: {answer.code}, not one of {sorted(file.wanted)}")
            tally.expect(answer.explained, f"{what}: {answer.code} does not say what to do")
            tally.expect(answer.seconds < LONGEST_SECONDS, f"{what} took {answer.seconds:.1f} s")
            if complaint := _complaint(file, path, answer):
                tally.changed += 1
                tally.wrong.append(f"{what}: {complaint}")
            yield answer


def _complaint(file: OddFile, path: Path, answer: Answer) -> str | None:
    if answer.code not in DONE or answer.job is None or file.texts_of is None:
        return None
    again = make(path.parent / "again", file.texts_of, chunks=1)
    return complaint_about_files(again, answer.job)


def _answer(daemon: BrokenDaemon, path: Path) -> Answer:
    """The file handed over, and what the daemon says of it in the end."""
    began = time.monotonic()
    with daemon.client() as client:
        # Escaped: some of these names are not UTF-8.
        body = json.dumps({"path": str(path)})
        taken = client.post("/v1/jobs", content=body, headers={"content-type": "application/json"})
    if not taken.is_success:
        no = taken.json()
        return Answer(no["code"], time.monotonic() - began, None, bool(no["detail"] and no["hint"]))
    return _end_of(daemon, int(taken.json()["id"]), began)


def _end_of(daemon: BrokenDaemon, job_id: int, began: float) -> Answer:
    job = daemon.finished(job_id, 3 * LONGEST_SECONDS)
    error = job["error"] or {}
    explained = job["status"] == "done" or bool(error.get("message") and error.get("hint"))
    return Answer(error.get("code", job["status"]), time.monotonic() - began, job, explained)


def _swapped(trial: Trial, daemon: BrokenDaemon, place: Path, tally: Tally) -> Iterator[Answer]:
    """Taken, and a link to somebody else's recording before it is read."""
    for number in range(trial.number(SWAPS)):
        victim = make(place / f"swapped{number}.wav", 2 * number, chunks=1)
        secret = make(place / f".secret{number}.wav", 2 * number + 1, chunks=1)
        daemon.post("/v1/queue/pause")
        job_id = daemon.submit(victim.path)
        link = place / ".link"
        link.symlink_to(secret.path)
        link.replace(victim.path)
        began = time.monotonic()
        daemon.post("/v1/queue/resume")
        answer = _end_of(daemon, job_id, began)
        tally.trials += 1
        tally.expect(answer.code == "is_a_symlink", f"a recording that became a link: {answer.code}")
        yield answer


@contextmanager
def _openings_of(file: Path) -> Iterator[list[str]]:
    """Whoever opens it meanwhile is in the list, whatever became of that."""
    openings: list[str] = []

    class Openings(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            if event.src_path == str(file):
                openings.append(event.event_type)

    observer = Observer()
    observer.schedule(Openings(), str(file.parent), event_filter=[FileOpenedEvent])
    observer.start()
    try:
        yield openings
    finally:
        observer.stop()
        observer.join()


def _status(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0])
    raise LookupError(field)


def _peak_bytes(pid: int) -> int:
    """The most memory it ever had resident, by the kernel's own count."""
    return _status(pid, "VmHWM") * 1024


def _is_traced(pid: int) -> bool:
    return _status(pid, "TracerPid") != 0
