"""Row 3: the daemon is killed again and again, at any moment from its first line on, while a client hands over files.

Runs in: the chaos run.
"""

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
from eventually import eventually
from no_leftovers import lives

from chaos.daemon.broken_daemon import BrokenDaemon
from chaos.daemon.ledger import Ledger
from chaos.daemon.oracle import Made, make
from chaos.tally import Tally
from chaos.trial import Trial
from chaos.workers.worker_chaos import DRAIN_SECONDS, examine, unfinished

TITLE = "The daemon is killed"
DEMAND = "300 × `kill -9` within 2 s of its start, over 500 jobs: nothing lost or doubled"
JOBS, KILLS = 500, 300
LONGEST_LIFE_SECONDS = 2.0
ORPHAN_SECONDS = 2.0


def run(trial: Trial) -> Tally:
    """A client that tries each recording until it has an answer; a daemon that seldom lives for two seconds."""
    tally = Tally(trials=trial.number(JOBS))
    luck = trial.luck()
    recordings = trial.folder / "recordings"
    recordings.mkdir()
    wanted = [make(recordings / f"{n}.wav", luck.randrange(1 << 30), luck.randint(1, 4)) for n in range(tally.trials)]
    ledger = Ledger(trial.folder / "ledger")
    daemon = BrokenDaemon(trial.folder / "home", {})
    kills = trial.number(KILLS)
    client = Client(daemon, wanted, ledger, pause_seconds=kills * LONGEST_LIFE_SECONDS / 2 / tally.trials)
    client.start()
    try:
        for _ in range(kills):
            daemon.launch()
            time.sleep(luck.uniform(0, LONGEST_LIFE_SECONDS))
            children = daemon.children()
            daemon.kill()
            tally.faults += 1
            killed = time.monotonic()
            eventually(lambda gone=children: not any(map(lives, gone)), 10, "no child outlives its daemon")
            tally.recoveries_seconds.append(time.monotonic() - killed)
        daemon.start()
        client.join(DRAIN_SECONDS)
        eventually(lambda: unfinished(daemon) == 0, DRAIN_SECONDS, "all jobs end")
        made = {job_id: client.made[path] for job_id, path in ledger.acknowledged.items()}
        examine(daemon, ledger, made, tally)
        tally.expect(len(made) == tally.trials, f"{len(made)} of {tally.trials} recordings were taken")
        tally.expect(daemon.stop() == 0, "the last stop was not orderly")
    finally:
        client.over.set()
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
    slowest = max(tally.recoveries_seconds)
    tally.expect(slowest < ORPHAN_SECONDS, f"a worker outlived its daemon by {slowest:.2f} s")
    return tally


class Client(threading.Thread):
    """Hands recordings over, one after the other, each until the daemon says that it has it."""

    def __init__(self, daemon: BrokenDaemon, wanted: Sequence[Made], ledger: Ledger, pause_seconds: float) -> None:
        super().__init__(name="client", daemon=True)
        self.made: dict[Path, Made] = {one.path: one for one in wanted}
        self.over = threading.Event()
        self._daemon = daemon
        self._ledger = ledger
        self._pause_seconds = pause_seconds

    def run(self) -> None:
        for path in self.made:
            handed_over = False
            while not self.over.wait(self._pause_seconds):
                try:
                    job_id = self._newest(path) if handed_over else None
                    handed_over = True
                    job_id = self._post(path) if job_id is None else job_id
                except httpx.HTTPError:
                    continue
                if job_id is not None:
                    self._ledger.acknowledge(job_id, path)
                    break

    def _newest(self, path: Path) -> int | None:
        """The last job, if it is this recording's: the daemon was killed before it could say that it has it."""
        (newest,) = self._daemon.get("/v1/jobs", limit=1) or [None]
        return newest["id"] if newest is not None and newest["path"] == str(path) else None

    def _post(self, path: Path) -> int | None:
        answer = self._daemon.post("/v1/jobs", {"path": str(path)})
        return int(answer.json()["id"]) if answer.is_success else None
