"""Row 6: the daemon is killed while its workers do all the things that workers do.

Runs in: the chaos run.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
from eventually import eventually
from no_leftovers import lives
from recordings import silence, wav

from chaos.daemon.broken_daemon import BrokenDaemon, pids_of
from chaos.daemon.oracle import make
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "The daemon dies, its workers with it"
DEMAND = "100 times: idle, loading, decoding, and in native code that holds the GIL; all gone within 2 s"
DEATHS = 100
LONGEST_SECONDS = 2.0
MOODS: Mapping[str, Mapping[str, str]] = {
    "idle": {},
    "loading": {"STENO_MODEL": "load=30", "STENO_ALIGNMENT_MODEL": "load=30"},
    "decoding a recording": {},
    "transcribing": {"STUB_PACE": "5"},
    "holding the GIL": {"WHISPER_BACKEND": "fake_engines:HangHoldingGilTranscriber"},
    "holding the GIL, deaf to SIGTERM": {"WHISPER_BACKEND": "fake_engines:IgnoresSigtermTranscriber"},
    "holding the GIL while aligning": {"ALIGNMENT_BACKEND": "fake_engines:HangHoldingGilAligner"},
}
BUSY_IN = {
    "decoding a recording": "decoding",
    "transcribing": "transcribing",
    "holding the GIL": "transcribing",
    "holding the GIL, deaf to SIGTERM": "transcribing",
    "holding the GIL while aligning": "aligning",
}
"""Mood → the phase in which the job is when the daemon dies."""
LONG_SECONDS = 3 * 3600
"""Decoding this takes a second or more."""
PATIENT = {"STENO_DEADLINES_PROGRESS_SECONDS": "60", "STENO_MEDIA_FREE_DISK_FLOOR_MB": "0"}
SIDE_BY_SIDE = 2
GONE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Death:
    """How long the last child outlived its daemon."""

    mood: str
    seconds: float
    children: int


def run(trial: Trial) -> Tally:
    """Each mood as often as the others; of fewer deaths than moods, a random choice."""
    deaths = trial.number(DEATHS)
    tally = Tally(trials=deaths, faults=deaths)
    luck = trial.luck()
    recordings = trial.folder / "recordings"
    recordings.mkdir()
    long = wav(recordings / "long.wav", silence(LONG_SECONDS, rate=1000), rate=1000)
    drawn = luck.sample(list(MOODS), len(MOODS))
    moods = [drawn[number % len(MOODS)] for number in range(deaths)]
    moments = [luck.uniform(0, 0.3) for _ in moods]

    def killed(number: int) -> Death:
        mood = moods[number]
        recording = long if mood == "decoding a recording" else make(recordings / f"{number}.wav", number).path
        return _killed(trial.folder / str(number), mood, recording, moments[number])

    with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
        ends = list(threads.map(killed, range(deaths)))
    tally.recoveries_seconds += [end.seconds for end in ends]
    # A look is taken while other things run: then only that they go at all is judged.
    longest_seconds = LONGEST_SECONDS if trial.share >= 1 else GONE_SECONDS
    for mood in sorted(set(moods)):
        of_mood = [end for end in ends if end.mood == mood]
        slowest = max(end.seconds for end in of_mood)
        tally.figures[f"slowest of {len(of_mood)}, {mood}"] = f"{slowest:.2f} s"
        tally.expect(slowest < longest_seconds, f"{mood}: the last child was gone after {slowest:.2f} s")
        tally.expect(all(end.children >= 2 for end in of_mood), f"{mood}: a worker was missing when it was killed")
    return tally


def _killed(home: Path, mood: str, recording: Path, after_seconds: float) -> Death:
    """One daemon's short life."""
    daemon = BrokenDaemon(home, {**PATIENT, **MOODS[mood]})
    try:
        daemon.start()
        _wait_for(daemon, mood, recording)
        if mood != "decoding a recording":
            time.sleep(after_seconds)
        workers = pids_of(daemon)
        children = daemon.children()
        assert set(workers.values()) <= {child.pid for child in children}, (workers, children)
    finally:
        daemon.kill()
    killed = time.monotonic()
    try:
        eventually(lambda: not _any_lives(children), GONE_SECONDS, f"{mood}: the children are gone")
    except AssertionError:
        # Told as its seconds; what would never end by itself must not stay.
        for child in filter(lives, children):
            child.kill()
    return Death(mood, time.monotonic() - killed, len(workers))


def _wait_for(daemon: BrokenDaemon, mood: str, recording: Path) -> None:
    state = "starting" if mood == "loading" else "ready"
    for role in ("transcriber", "aligner"):
        daemon.wait_for_worker(role, lambda worker: worker["state"] == state and worker["pid"], GONE_SECONDS)
    if mood in BUSY_IN:
        daemon.submit(recording)
        phase = BUSY_IN[mood]
        eventually(
            lambda: any(job["phase"] == phase for job in daemon.get("/v1/status")["running"]), GONE_SECONDS, phase
        )


def _any_lives(children: Sequence[psutil.Process]) -> bool:
    return any(map(lives, children))
