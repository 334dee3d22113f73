"""Row 24: two daemons are started at once, for the same user.

Runs in: the chaos run.
"""

import time

from daemon_under_test import DaemonUnderTest
from eventually import eventually

from chaos.broken_daemon import STUBS
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "Two daemons at once"
DEMAND = "50 pairs: exactly one wins, the other says so and ends with 0, and the socket answers"
PAIRS = 50
LOSER_SECONDS = 20.0


def run(trial: Trial) -> Tally:
    """The same home for all pairs: each finds what the one before left."""
    tally = Tally(trials=trial.number(PAIRS))
    luck = trial.luck()
    home = trial.folder / "home"
    home.mkdir()
    for pair in range(tally.trials):
        twins = [DaemonUnderTest(home, STUBS) for _ in range(2)]
        for twin in twins:
            twin.log = home / f"{pair}-{twins.index(twin)}.log"
            twin.launch()
            time.sleep(luck.choice((0, 0, 0.01, 0.1, 0.5)))
        processes = [twin.process for twin in twins if twin.process is not None]
        try:
            loser = eventually(
                lambda both=processes: next((one for one in both if one.poll() is not None), None),
                LOSER_SECONDS,
                "one of the two gives up",
            )
            winner = twins[1 - processes.index(loser)]
            tally.expect(loser.returncode == 0, f"pair {pair}: the loser ended with {loser.returncode}")
            said = twins[processes.index(loser)].log.read_text()
            tally.expect("already" in said, f"pair {pair}: the loser said {said[-200:]!r}")
            eventually(winner.answers, 30, f"pair {pair}: the winner answers")
            tally.expect(winner.stop() == 0, f"pair {pair}: the winner did not stop in order")
        finally:
            for process in processes:
                if process.poll() is None:
                    process.kill()
                    process.wait(timeout=10)
    return tally
