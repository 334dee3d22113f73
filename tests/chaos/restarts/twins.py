"""Row 24: two daemons are started at once, for the same user.

Runs in: the chaos run.
"""

import time
from pathlib import Path

from daemon_under_test import DaemonUnderTest
from eventually import eventually

from chaos.daemon.broken_daemon import STUBS
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "Two daemons at once"
DEMAND = "50 pairs: exactly one wins, the other says so and ends with 0, and the socket answers"
PAIRS = 50
LOSER_SECONDS, WINNER_SECONDS = 30.0, 30.0
HEAD_STARTS_SECONDS = (0.0, 0.0, 0.0, 0.01, 0.1, 0.3, 0.6)
"""From a dead heat to a winner that is just opening its socket."""
WITHOUT_WORKERS = {**STUBS, "STENO_WORKERS_KEEP_ALIVE": "0"}
"""None is started before the first job: what the two quarrel about is the lock, the database and the socket."""


def run(trial: Trial) -> Tally:
    """The same home for all pairs: each finds what the one before left."""
    tally = Tally(trials=trial.number(PAIRS))
    luck = trial.luck()
    home = trial.folder / "home"
    home.mkdir()
    first_won = 0
    for pair in range(tally.trials):
        first_won += _pair(home, pair, luck.choice(HEAD_STARTS_SECONDS), tally)
    tally.figures["won by the first to be started"] = f"{first_won} of {tally.trials}"
    return tally


def _pair(home: Path, pair: int, head_start_seconds: float, tally: Tally) -> bool:
    """Whether the first of the two won."""
    twins = [DaemonUnderTest(home, WITHOUT_WORKERS) for _ in range(2)]
    for number, twin in enumerate(twins):
        twin.log = home / f"{pair}-{number}.log"
    try:
        twins[0].launch()
        time.sleep(head_start_seconds)
        twins[1].launch()
        loser = eventually(lambda: next(filter(_has_ended, twins), None), LOSER_SECONDS, "one of the two gives up")
        assert loser is not None
        winner = twins[1 - twins.index(loser)]
        assert loser.process is not None
        tally.expect(loser.process.returncode == 0, f"pair {pair}: the loser ended with {loser.process.returncode}")
        eventually(winner.answers, WINNER_SECONDS, f"pair {pair}: the winner answers")
        # Not by anybody else's mouth: what the loser left of the socket and the lock is the winner's.
        answered_by = winner.get("/v1/status")["daemon"]["pid"]
        tally.expect(answered_by == winner.pid, f"pair {pair}: the socket is that of {answered_by}, not {winner.pid}")
        said = loser.log.read_text().splitlines()
        right = ["stenod: a daemon is already running", f"stenod: a daemon is already running as pid {winner.pid}"]
        tally.expect(said and said[-1] in right, f"pair {pair}: the loser said {said[-3:]}")
        tally.expect(winner.stop() == 0, f"pair {pair}: the winner did not stop in order")
        return winner is twins[0]
    finally:
        for twin in twins:
            if twin.process is not None and twin.process.poll() is None:
                twin.kill()


def _has_ended(daemon: DaemonUnderTest) -> bool:
    assert daemon.process is not None
    return daemon.process.poll() is not None
