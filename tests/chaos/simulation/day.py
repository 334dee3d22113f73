"""Row 20, second half: a day of the whole supervisor, all of its timers, on a clock that jumps.

Runs in: the chaos run, which starts it, and a process of its own, in which all clocks are virtual.

Real are `supervisor.__main__.main` and all that it builds: settings, lock, log and its rotation, database with its
threads, dispatcher, keepers, lifecycles, restarts, probes, deadlines, `keep_alive`, memory limits, upgrades,
follow-ups with hooks that are real programs, moves, watched folders with real scans and real file events, pruning,
reload, the canary, the API on its socket with heartbeats and timeouts, SIGHUP and SIGTERM. Not real: time
(`chaos.simulation.event_loop`; work of threads and hooks takes none), worker processes with their pipes
(`chaos.simulation.workers`), the program that keeps the machine awake, and a database that refuses to write for a
while.

The day: six hours in which nothing comes, then recordings over the API and into two folders, and with them everything
that can go wrong; in its last hour all is well, and all must be done.
"""

import json
import os
import subprocess
import sys
import time
from argparse import ArgumentParser
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from unittest.mock import patch

from daemon_under_test import TEST_PATH

from chaos.simulation.event_loop import VirtualLoop
from chaos.tally import Tally
from chaos.trial import Trial

HOURS, LEAST_HOURS = 24.0, 4.0
REAL_SECONDS, GIVEN_UP_SECONDS = 60.0, 600.0
MIDNIGHT, BOOTED = 1_800_000_000.0, 1000.0
"""What the virtual clocks begin with: seconds since the epoch, and since the machine was started."""

CONFIG = """
whisper_backend = "fake_engines:EchoTranscriber"
alignment_backend = "fake_engines:EchoAligner"
[workers]
fallback = false
keep_alive = "10m"
memory_limit_mb = 300
[queue]
keep_finished_days = 0.3
[watching]
polling_seconds = 60
[hooks]
on_done = ["HOME/hook"]
on_failed = ["HOME/hook"]
[media]
free_disk_floor_mb = 1
[[watch]]
path = "HOME/Transcribe"
done = "HOME/taken"
[[watch]]
path = "HOME/disk/inbox"
polling = true
"""
HOOK = """#!/bin/sh
# Fails the first time for every fourth job.
if [ $((STENO_JOB_ID % 4)) = 0 ] && ! [ -e HOME/hooks/$STENO_JOB_ID ]; then : > HOME/hooks/$STENO_JOB_ID; exit 1; fi
echo "$STENO_JOB_ID $STENO_EVENT" >> HOME/hooks.log
"""


def run(trial: Trial, tally: Tally) -> None:
    """Adds a day, or what `share` asks for of it, to the row's tally."""
    hours = max(LEAST_HOURS, HOURS * min(1.0, trial.share))
    home = trial.folder / "day"
    home.mkdir()
    report, log = trial.folder / "day.json", trial.folder / "day.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("STENO_", "WHISPER_"))}
    told = [str(home), str(report), str(hours), str(trial.luck("day").randrange(1 << 32))]
    began = time.monotonic()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "chaos.simulation.day", *told],
            env={**environment, "PYTHONPATH": TEST_PATH, "STENO_HOME": str(home)},
            stdout=stream,
            stderr=stream,
        )
        try:
            code = process.wait(GIVEN_UP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
    seconds = time.monotonic() - began
    if not tally.expect(code == 0 and report.exists(), f"the day ended with {code}: {log.read_text()[-1500:]}"):
        return
    found = json.loads(report.read_text())
    tally.trials += found["jobs"]
    tally.faults += found["faults"]
    tally.lost += found["lost"]
    tally.changed += found["changed"]
    tally.duplicated += found["duplicated"]
    tally.wrong += [f"virtual day: {wrong}" for wrong in found["wrong"]]
    tally.figures |= found["figures"] | {f"{hours:g} virtual hours": f"{seconds:.0f} s"}
    if trial.share >= 1:
        tally.expect(seconds < REAL_SECONDS, f"the virtual day took {seconds:.0f} s")


class Clock:
    """What the whole process takes for the time; it stands still until there is a loop."""

    def __init__(self) -> None:
        self.loop: VirtualLoop | None = None

    @property
    def passed(self) -> float:
        return 0.0 if self.loop is None else self.loop.now

    def time(self) -> float:
        return MIDNIGHT + self.passed

    def monotonic(self) -> float:
        return BOOTED + self.passed


def main() -> int:
    """`python -m chaos.simulation.day HOME REPORT HOURS SEED`."""
    parser = ArgumentParser()
    for name, kind in (("home", Path), ("report", Path), ("hours", float), ("seed", int)):
        parser.add_argument(name, type=kind)
    asked = parser.parse_args()
    _furnish(asked.home)
    clock = Clock()
    with ExitStack() as patches:
        patches.enter_context(patch.object(time, "time", clock.time))
        patches.enter_context(patch.object(time, "monotonic", clock.monotonic))
        # Only now imported: what of ours has a clock for a default takes the one that is there at that moment.
        from chaos.simulation.supervisor import supervise
        from chaos.simulation.verdict import judge
        from chaos.simulation.world import World

        world = World(asked.home, asked.hours, asked.seed)
        judge(world, supervise(world, clock, patches))
    asked.report.write_text(json.dumps(asdict(world.found)))
    return 0


def _furnish(home: Path) -> None:
    for folder in ("recordings", "coming", "Transcribe", "disk/inbox", "hooks", "taken"):
        (home / folder).mkdir(parents=True)
    (home / "config.toml").write_text(CONFIG.replace("HOME", str(home)))
    (home / "hook").write_text(HOOK.replace("HOME", str(home)))
    (home / "hook").chmod(0o700)


if __name__ == "__main__":
    sys.exit(main())
