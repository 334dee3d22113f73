"""Row 28: several queues, each with a home of its own, write into one folder.

Runs in: the chaos run. Recordings of one name, different sound; the disk is slow where strace lets us make it so.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

from eventually import eventually

from chaos.daemon.broken_daemon import UNARMED, BrokenDaemon, broken_daemon
from chaos.daemon.oracle import Made, complaint_about_files, make
from chaos.disks.failing_calls import ATTACH_SECONDS, tracer_of
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "Several queues in one folder"
DEMAND = (
    "3 queues, 120 recordings each of the same names, one queue killed now and then: each job is done, and every "
    "file of it is its own, under a name that no other has"
)
QUEUES = 3
JOBS = 120
AT_ONCE = 12
FORMATS = (["json", "srt"], ["json", "txt", "srt"], ["json", "srt", "vtt"])
POLICIES = ("renew", "suffix", "overwrite")
SYNC_DELAY_MS = 15
"""As of a disk that turns, or one across the network."""
END_SECONDS = 300.0
SLOW = {**UNARMED, "STENO_DEADLINES_PROGRESS_SECONDS": "30"}


def run(trial: Trial) -> Tally:
    """All queues run side by side until each has done its jobs."""
    tally = Tally()
    luck = trial.luck()
    out = trial.folder / "out"
    out.mkdir()
    count = trial.number(JOBS, least=4)
    with ExitStack() as running:
        daemons = [
            running.enter_context(broken_daemon(trial.folder / f"home{number}", **SLOW)) for number in range(QUEUES)
        ]
        jobs: list[dict[int, Made]] = [{} for _ in daemons]
        for first in range(0, count, AT_ONCE):
            with ExitStack() as slow:
                for daemon in daemons:
                    slow.enter_context(_slow_disk(daemon))
                _hand_over(trial, daemons, range(first, min(first + AT_ONCE, count)), out, luck, jobs)
                tally.faults += 1
                _kill_one(luck.choice(daemons))
                _await_all(daemons, jobs)
        owners: dict[str, str] = {}
        for number, daemon in enumerate(daemons):
            for job_id, one in jobs[number].items():
                tally.trials += 1
                _judge(daemon.job(job_id), one, f"queue {number}", set(FORMATS[number]), owners, tally)
        left = sorted(path.name for path in out.iterdir() if str(path) not in owners)
        # What one overwrote of another was set aside.
        strays = [name for name in left if not name.endswith("~")]
        tally.expect(not strays, f"nobody's files: {strays[:5]}")
    return tally


def _hand_over(
    trial: Trial, daemons: list[BrokenDaemon], names: range, out: Path, luck: Random, jobs: list[dict[int, Made]]
) -> None:
    for number, daemon in enumerate(daemons):
        place = trial.folder / f"recordings{number}"
        place.mkdir(exist_ok=True)
        for name in names:
            one = make(place / f"{name:03}.wav", luck.randrange(1 << 30), chunks=1)
            options = {"formats": FORMATS[number], "if_exists": luck.choice(POLICIES)}
            jobs[number][daemon.submit(one.path, output_dir=str(out), **options)] = one


@contextmanager
def _slow_disk(daemon: BrokenDaemon) -> Iterator[None]:
    """Every fsync of the daemon takes so long; where there is no strace, it takes what it takes."""
    if shutil.which("strace") is None:
        yield
        return
    delay = ("-f", "-qqq", "-e", "trace=fsync", "-e", f"inject=fsync:delay_enter={SYNC_DELAY_MS * 1000}")
    tracer = subprocess.Popen(["strace", *delay, "-o", "/dev/null", "-p", str(daemon.pid)])
    try:
        eventually(lambda: tracer_of(daemon.pid) or tracer.poll() is not None, ATTACH_SECONDS, "strace is attached")
        yield
    finally:
        tracer.terminate()
        tracer.wait()


def _kill_one(daemon: BrokenDaemon) -> None:
    daemon.kill()
    daemon.start()


def _await_all(daemons: list[BrokenDaemon], jobs: list[dict[int, Made]]) -> None:
    for daemon, mine in zip(daemons, jobs, strict=True):
        for job_id in mine:
            daemon.finished(job_id, END_SECONDS)


def _judge(
    job: dict[str, Any], one: Made, whose: str, formats: set[str], owners: dict[str, str], tally: Tally
) -> None:
    if job["status"] != "done":
        tally.lost += 1
        tally.wrong.append(f"{whose}: {one.path.name} is {job['status']}: {job['error']}")
        return
    outputs: dict[str, str] = job["outputs"]
    # A file that another queue was told to overwrite was set aside whole.
    kept = {format: _kept(Path(path), one) for format, path in outputs.items()}
    complaint = complaint_about_files(one, {**job, "outputs": kept})
    if complaint is not None:
        tally.changed += 1
        tally.wrong.append(f"{whose}: {complaint}")
    tally.expect(set(outputs) == formats, f"{whose}: {one.path.name} has {sorted(outputs)}")
    stems = {Path(path).with_suffix("").name for path in outputs.values()}
    tally.expect(len(stems) == 1, f"{whose}: {one.path.name} is scattered over {sorted(stems)}")
    for format, path in kept.items():
        text = Path(path).read_text(encoding="utf-8")
        if not all(_says(text, chunk) for chunk in one.texts):
            tally.changed += 1
            tally.wrong.append(f"{whose}: {path} does not say what {one.path.name} says")
        if path in owners:
            tally.duplicated += 1
            tally.wrong.append(f"{path} is of {whose} and of {owners[path]}")
        owners[path] = f"{whose}, {format}"


def _kept(path: Path, one: Made) -> str:
    """The file, or where it went when another queue was told to overwrite it."""
    for there in (path, *sorted(path.parent.glob(f"{path.name}*~"))):
        if there.is_file() and _says(there.read_text(encoding="utf-8"), one.texts[0]):
            return str(there)
    return str(path)


def _says(text: str, wanted: str) -> bool:
    """Whether these words follow one another there. Two recordings may well say the same words in another order."""
    return f" {' '.join(wanted.split())} " in f" {' '.join(re.findall('[a-z]+', text))} "
