"""Row 4: the daemon is killed at exactly the n-th sync, rename, unlink or answer that one of its threads makes.

Runs in: the chaos run. strace delivers the signal as the system call begins (https://strace.io, `inject`).
"""

import shutil
import time
from pathlib import Path

import httpx
from eventually import eventually
from no_leftovers import lives

from chaos.broken_daemon import STRACE, BrokenDaemon
from chaos.ledger import Ledger
from chaos.oracle import make
from chaos.tally import Tally
from chaos.trial import Trial
from chaos.worker_chaos import DRAIN_SECONDS, examine, unfinished

TITLE = "Killed at a system call"
DEMAND = "at each of the first 60 syncs, renames, unlinks and answers, 240 runs: nothing lost, no partial file"
CALLS = {
    "sync": "fdatasync,fsync",
    "rename": "rename,renameat,renameat2",
    "unlink": "unlink,unlinkat",
    "answer": "sendto,sendmsg",
}
FIRST = 60
JOBS_A_RUN = 4
LIFE_SECONDS = 15.0
"""A thread that makes no n-th call by then makes none."""


def run(trial: Trial) -> Tally:
    """A fresh home for each; what the first daemon acknowledged, the second one finishes."""
    tally = Tally()
    if shutil.which("strace") is None:
        tally.wrong.append("there is no strace on this machine: apt install strace")
        return tally
    luck = trial.luck()
    cases = [(call, number) for call in CALLS for number in range(1, FIRST + 1)]
    for call, number in luck.sample(cases, trial.number(len(cases))):
        place = trial.folder / f"{call}{number}"
        place.mkdir()
        tally.trials += 1
        _case(place, call, number, luck.randrange(1 << 30), tally)
        shutil.rmtree(place)
    return tally


def _case(place: Path, call: str, number: int, seed: int, tally: Tally) -> None:
    recordings = place / "recordings"
    recordings.mkdir()
    wanted = [make(recordings / f"{n}.wav", seed + n, chunks=1) for n in range(JOBS_A_RUN)]
    ledger, made = Ledger(place / "ledger"), {}
    daemon = BrokenDaemon(place / "home", {})
    usual = daemon.command
    traced = f"{CALLS[call]}:signal=KILL:when={number}"
    daemon.command = [*STRACE, "-e", f"inject={traced}", *usual]
    daemon.launch()
    assert daemon.process is not None
    children, todo = [], list(wanted)
    deadline = time.monotonic() + LIFE_SECONDS
    while daemon.process.poll() is None and time.monotonic() < deadline:
        children = daemon.children() or children
        try:
            if todo:
                answer = daemon.post("/v1/jobs", {"path": str(todo[0].path)})
                if answer.is_success:
                    ledger.acknowledge(int(answer.json()["id"]), todo[0].path)
                    made[int(answer.json()["id"])] = todo.pop(0)
            elif unfinished(daemon) == 0:
                break
        except httpx.TransportError:
            time.sleep(0.05)
    if daemon.process.poll() is None:
        daemon.stop()
    else:
        tally.faults += 1
    eventually(lambda: not any(map(lives, children)), 10, "no child outlives its daemon")
    daemon.command = usual
    began = time.monotonic()
    daemon.start()
    tally.recoveries_seconds.append(time.monotonic() - began)
    try:
        for one in todo:
            job_id = daemon.submit(one.path)
            ledger.acknowledge(job_id, one.path)
            made[job_id] = one
        eventually(lambda: unfinished(daemon) == 0, DRAIN_SECONDS, "all jobs end")
        examine(daemon, ledger, made, tally)
    finally:
        daemon.stop()
