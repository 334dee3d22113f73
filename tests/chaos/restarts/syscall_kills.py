"""Row 4: the daemon is killed at exactly the n-th sync, rename, unlink or answer that one of its threads makes.

Runs in: the chaos run. strace delivers the signal as the system call begins (https://strace.io, `inject`).
"""

import json
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import httpx
from eventually import eventually
from no_leftovers import lives

from chaos.daemon.broken_daemon import UNARMED, BrokenDaemon
from chaos.daemon.ledger import Ledger
from chaos.daemon.oracle import Made, complaint, make
from chaos.lanes import LANES, side_by_side
from chaos.tally import Tally
from chaos.trial import Trial
from chaos.workers.worker_chaos import DRAIN_SECONDS, examine, unfinished

TITLE = "Killed at a system call"
DEMAND = "at each of the first 60 syncs, renames, unlinks and answers, 240 runs: nothing lost, no partial file"
CALLS = {
    "sync": "fdatasync,fsync",
    "rename": "rename,renameat,renameat2",
    "unlink": "unlink,unlinkat",
    "answer": "sendto,sendmsg",
}
STRACE = ("strace", "-D", "-f", "-qqq", "-o", "/dev/null", "-e")
"""`-D`: the tracer steps aside, and the daemon stays our own child. No `--seccomp-bpf`, behind which strace 6.1 sends
no signal."""
FIRST = 60
MOST_AT_ONCE = 8
"""Jobs that wait or run; a client that hands over more only makes the queue long."""
JOBS_A_LIFE = 40
"""A thread that makes no n-th call for these makes none."""
LIFE_SECONDS = 120.0
PAUSE_SECONDS = 0.1
"""Between two looks of a client; what it asks is most of what four traced daemons have to do."""
ORPHAN_SECONDS = 30.0
FORMATS = ("json", "srt", "txt", "vtt", "tsv")
"""Each is one rename more: a thread gets to its sixtieth in time."""

Case = tuple[str, int]


def run(trial: Trial) -> Tally:
    """Each life takes up what the one before was killed at, and is killed in its turn."""
    tally = Tally()
    if shutil.which("strace") is None:
        tally.figures["not tried"] = "nothing: there is no strace on this machine (apt install strace)"
        return tally
    luck = trial.luck()
    cases = [(call, number) for call in CALLS for number in range(1, FIRST + 1)]
    drawn = luck.sample(cases, trial.number(len(cases), least=len(CALLS)))
    lanes = [
        partial(_lives, trial.folder / f"lane{n}", drawn[n::LANES], luck.randrange(1 << 30))
        for n in range(min(LANES, len(drawn)))
    ]
    side_by_side(lanes, lambda lane, counts: lane(counts), tally)
    tally.expect(
        tally.faults * 2 >= len(drawn), f"only {tally.faults} of {len(drawn)} were killed: what does strace do?"
    )
    return tally


def _lives(place: Path, cases: Sequence[Case], seed: int, tally: Tally) -> None:
    recordings = place / "recordings"
    recordings.mkdir(parents=True)
    client = Client(recordings, Ledger(place / "ledger"), random.Random(seed))
    daemon = BrokenDaemon(
        place / "home",
        {**UNARMED, "STENO_OUTPUT_FORMATS": ",".join(FORMATS), "STENO_DEADLINES_PROGRESS_SECONDS": "30"},
    )
    usual = daemon.command
    for call, number in cases:
        tally.trials += 1
        daemon.command = [
            *STRACE,
            f"trace={CALLS[call]}",
            "-e",
            f"inject={CALLS[call]}:signal=KILL:when={number}",
            *usual,
        ]
        killed = client.outlive(daemon)
        tally.faults += killed
        tally.count(f"killed at {call}" if killed else f"no n-th {call}")
        for wrong in client.partial_files():
            tally.changed += 1
            tally.wrong.append(f"killed at {call} {number}: {wrong}")
    daemon.command = usual
    began = time.monotonic()
    daemon.start()
    tally.recoveries_seconds.append(time.monotonic() - began)
    try:
        eventually(lambda: unfinished(daemon) == 0, DRAIN_SECONDS, "all jobs end")
        client.make_sure(daemon)
        eventually(lambda: unfinished(daemon) == 0, DRAIN_SECONDS, "all jobs end")
        examine(daemon, client.ledger, client.made, tally)
        for wrong in client.changed_files():
            tally.changed += 1
            tally.wrong.append(wrong)
        tally.count("jobs", len(client.made))
    finally:
        daemon.stop()


class Client:
    """Hands over one new recording after the other, each until the daemon has acknowledged it."""

    def __init__(self, recordings: Path, ledger: Ledger, luck: random.Random) -> None:
        self.ledger = ledger
        self.made: dict[int, Made] = {}
        self._recordings = recordings
        self._luck = luck
        self._all: list[Made] = []
        self._seen: dict[Path, bytes] = {}
        """Results that had their name when the daemon was killed."""

    def outlive(self, daemon: BrokenDaemon) -> bool:
        """Starts the daemon and gives it work; whether it was killed. No child of it is left."""
        daemon.launch()
        assert daemon.process is not None
        children, deadline = daemon.children(), time.monotonic() + LIFE_SECONDS
        last = len(self._all) + JOBS_A_LIFE
        while daemon.process.poll() is None and time.monotonic() < deadline:
            children = daemon.children() or children
            try:
                self.make_sure(daemon)
                waiting = unfinished(daemon)
                if waiting < MOST_AT_ONCE and len(self._all) < last:
                    self.hand_over(daemon)
                elif waiting == 0:
                    break
                else:
                    time.sleep(PAUSE_SECONDS)
            except httpx.TransportError:
                time.sleep(PAUSE_SECONDS)
        killed = daemon.process.poll() is not None
        if not killed:
            daemon.stop()
        eventually(lambda: not any(map(lives, children)), ORPHAN_SECONDS, "no child outlives its daemon")
        return killed

    def hand_over(self, daemon: BrokenDaemon) -> None:
        """A new recording. Raises httpx.TransportError."""
        number = len(self._all)
        self._all.append(make(self._recordings / f"{number}.wav", self._luck.randrange(1 << 30), chunks=1))
        self._post(daemon)

    def make_sure(self, daemon: BrokenDaemon) -> None:
        """The last one, if its answer never came: nobody but the next daemon knows whether it arrived."""
        if len(self._all) == len(self.made):
            return
        arrived = [job["id"] for job in daemon.get("/v1/jobs", limit=1) if job["path"] == str(self._all[-1].path)]
        if arrived:
            self._acknowledged(arrived[0])
        else:
            self._post(daemon)

    def _post(self, daemon: BrokenDaemon) -> None:
        answer = daemon.post("/v1/jobs", {"path": str(self._all[-1].path)})
        if answer.is_success:
            self._acknowledged(answer.json()["id"])

    def _acknowledged(self, job_id: int) -> None:
        self.ledger.acknowledge(job_id, self._all[-1].path)
        self.made[job_id] = self._all[-1]

    def partial_files(self) -> Iterator[str]:
        """What is wrong with results that have their name by now."""
        for one in self._all:
            new = [file for kind in FORMATS if (file := one.path.with_suffix(f".{kind}")) not in self._seen]
            self._seen |= {file: file.read_bytes() for file in new if file.exists()}
            file = one.path.with_suffix(".json")
            if file not in new or file not in self._seen:
                continue
            try:
                wrong = complaint(one, json.loads(file.read_bytes()), words=True)
            except ValueError as error:
                wrong = f"{file.name} has its name and is not whole: {error}"
            if wrong is not None:
                yield wrong

    def changed_files(self) -> Iterator[str]:
        """Those that were not whole when they had their name, or were written again otherwise. Not json: it says when
        it was written."""
        for file, content in self._seen.items():
            if file.suffix != ".json" and file.read_bytes() != content:
                yield f"{file.name} is not what it was when the daemon was killed"
