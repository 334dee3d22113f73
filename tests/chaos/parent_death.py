"""Row 6: the daemon is killed while its workers do all the things that workers do.

Runs in: the chaos run.
"""

import time

from daemon_under_test import TALK
from eventually import eventually
from no_leftovers import lives

from chaos.broken_daemon import BrokenDaemon
from chaos.oracle import make
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "The daemon dies, its workers with it"
DEMAND = "100 times: idle, loading, decoding, and in native code that holds the GIL; all gone within 2 s"
DEATHS = 100
LONGEST_SECONDS = 2.0
MOODS = {
    "idle": {},
    "loading": {"STENO_MODEL": "load=30", "STENO_ALIGNMENT_MODEL": "load=30"},
    "at work": {"STUB_PACE": "5"},
    "holding the GIL": {"WHISPER_BACKEND": "fake_engines:HangHoldingGilTranscriber"},
    "holding the GIL, deaf to SIGTERM": {"WHISPER_BACKEND": "fake_engines:IgnoresSigtermTranscriber"},
}


def run(trial: Trial) -> Tally:
    """Each mood as often as the others."""
    tally = Tally(trials=trial.number(DEATHS, least=len(MOODS)))
    luck = trial.luck()
    recordings = trial.folder / "recordings"
    recordings.mkdir()
    slowest = dict.fromkeys(MOODS, 0.0)
    for number in range(tally.trials):
        mood = list(MOODS)[number % len(MOODS)]
        daemon = BrokenDaemon(trial.folder / str(number), MOODS[mood])
        daemon.start()
        try:
            if mood == "idle":
                daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "ready")
            elif mood != "loading":
                daemon.submit(make(recordings / f"{number}.wav", number).path)
                daemon.submit(TALK)
                daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "busy")
            time.sleep(luck.uniform(0, 0.3))
            children = daemon.children()
            tally.expect(len(children) >= 2, f"{mood}: there were {len(children)} children")
            killed = time.monotonic()
        finally:
            daemon.kill()
        eventually(lambda gone=children: not any(map(lives, gone)), 30, f"{mood}: the children are gone")
        seconds = time.monotonic() - killed
        tally.recoveries_seconds.append(seconds)
        slowest[mood] = max(slowest[mood], seconds)
    tally.faults = tally.trials
    for mood, seconds in slowest.items():
        tally.figures[f"slowest, {mood}"] = f"{seconds:.2f} s"
        tally.expect(seconds < LONGEST_SECONDS, f"{mood}: the last child was gone after {seconds:.2f} s")
    return tally
