"""Row 31: recordings that take the daemon along, in any order among good ones.

Runs in: the chaos run. The row itself stands for the poison: `kill -9` as soon as a bad recording is worked on.
"""

import time
from collections import Counter
from pathlib import Path
from typing import Any

from eventually import eventually
from no_leftovers import lives

from chaos.daemon.broken_daemon import UNARMED, BrokenDaemon
from chaos.daemon.ledger import Ledger
from chaos.daemon.oracle import Made, complaint_about_files, make
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "Daemon killers"
DEMAND = (
    "10 orders of 1 to 3 bad recordings among 12: all good ones done, each bad one quarantined after at most 12 "
    "deaths with a story that says so, no innocent condemned"
)
ORDERS, JOBS, MOST_BAD, MOST_DEATHS = 10, 12, 3, 12
STORY_SECONDS = 600.0


def run(trial: Trial) -> Tally:
    """One order after the other; each has a daemon and a home of its own."""
    tally = Tally()
    luck = trial.luck()
    deaths: Counter[int] = Counter()
    for order in range(trial.number(ORDERS)):
        folder = trial.folder / f"{order}"
        folder.mkdir()
        made = [make(folder / f"{n}.wav", luck.randrange(1 << 30), 3) for n in range(max(3, trial.number(JOBS)))]
        bad = set(luck.sample(range(len(made)), min(luck.randint(1, MOST_BAD), len(made) - 2)))
        deaths[_told(folder, made, bad, tally)] += 1
    tally.figures["deaths of the daemon"] = ", ".join(f"{count} × {died}" for died, count in sorted(deaths.items()))
    return tally


def _told(folder: Path, made: list[Made], bad: set[int], tally: Tally) -> int:
    daemon = BrokenDaemon(folder / "home", {"STUB_PACE": "0.3", **UNARMED})
    ledger = Ledger(folder / "ledger")
    died = 0
    try:
        daemon.start()
        daemon.post("/v1/queue/pause")
        ids = {}
        for number, one in enumerate(made):
            ids[daemon.submit(one.path)] = number
            ledger.acknowledge(max(ids), one.path)
        daemon.post("/v1/queue/resume")
        killers = {job_id for job_id, number in ids.items() if number in bad}
        end = time.monotonic() + STORY_SECONDS
        while time.monotonic() < end and any(job["status"] not in ("done", "failed") for job in daemon.jobs()):
            if killers & {job["id"] for job in daemon.get("/v1/status")["running"]}:
                children = daemon.children()
                daemon.kill()
                died += 1
                eventually(lambda gone=children: not any(map(lives, gone)), 10, "no child outlives its daemon")
                daemon.start()
            time.sleep(0.02)
        for job in daemon.jobs():
            tally.trials += 1
            _judge(job, made[ids[job["id"]]], job["id"] in killers, tally)
        tally.faults += died
        tally.expect(died <= MOST_DEATHS * len(bad), f"{died} deaths for {len(bad)} bad recordings")
        tally.expect(daemon.stop() == 0, "the last stop was not orderly")
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
    return died


def _judge(job: dict[str, Any], one: Made, is_bad: bool, tally: Tally) -> None:
    error = job["error"] if isinstance(job["error"], dict) else {}
    if is_bad:
        told = job["status"] == "failed" and error.get("code") == "daemon_died"
        tally.expect(told, f"the bad job {job['id']} is {job['status']}: {error}")
    elif job["status"] != "done":
        tally.lost += 1
        tally.wrong.append(f"the good job {job['id']} is {job['status']}: {error}")
    elif complaint := complaint_about_files(one, job):
        tally.changed += 1
        tally.wrong.append(complaint)
