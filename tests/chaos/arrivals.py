"""Row 15: recordings come into a watched folder in every way, while events are lost, doubled and their source dies.

Runs in: the chaos run.
"""

import random
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from eventually import eventually

from chaos.broken_daemon import broken_daemon
from chaos.oracle import Made, complaint_about_files, make
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "A watched folder"
DEMAND = (
    "2,000 arrivals, 30 % of events lost, 30 % doubled, the observer killed 20 ×: one job each, never a partial file"
)
ARRIVALS = 2_000
DRAIN_SECONDS = 900.0


def run(trial: Trial) -> Tally:
    """The daemon is `chaos.shaken_daemon`: the supervisor, with a bad line between watchdog and itself."""
    tally = Tally(trials=trial.number(ARRIVALS))
    luck = trial.luck()
    away = trial.folder / "away"
    away.mkdir()
    deaths = trial.folder / "deaths"
    deaths.touch()
    config = trial.folder / "home" / "config.toml"
    config.parent.mkdir()
    config.write_text(f'[[watch]]\npath = "{config.parent / "Transcribe"}"\nrecursive = true\n')
    command = [sys.executable, "-P", "-m", "chaos.shaken_daemon"]
    environment = {"CHAOS_EVENTS": f"{trial.seed}", "CHAOS_DEATHS": str(deaths)}
    with broken_daemon(trial.folder / "home", command, **environment) as daemon:
        inbox = daemon.inbox
        made: dict[Path, Made] = {}
        slow: list[threading.Thread] = []
        for number in range(tally.trials):
            way = luck.choice(WAYS)
            place = inbox / luck.choice(("", "deep", "deeper/still")) / f"{number}.wav"
            place.parent.mkdir(parents=True, exist_ok=True)
            one = make(away / f"{number}.wav", luck.randrange(1 << 30), chunks=luck.randint(1, 3))
            made[place] = Made(place, one.texts)
            content = one.path.read_bytes()
            if way == "slowly":
                slow.append(threading.Thread(target=_slowly, args=(place, content, luck.uniform(0.2, 2.0))))
                slow[-1].start()
            else:
                _arrive(way, place, content, luck)
            tally.faults += 1
        for thread in slow:
            thread.join()
        eventually(lambda: _taken(daemon.jobs()) >= set(map(str, made)), DRAIN_SECONDS, "every arrival is done")
        jobs = daemon.jobs()
    tally.figures["deaths of the observer"] = str(deaths.stat().st_size)
    counts = Counter(job["path"] for job in jobs if job["status"] == "done")
    for place, one in made.items():
        done = [job for job in jobs if job["path"] == str(place) and job["status"] == "done"]
        if not done:
            tally.lost += 1
            tally.wrong.append(f"{place.name} was never done")
            continue
        tally.duplicated += counts[str(place)] - 1
        if complaint := complaint_about_files(one, done[-1]):
            tally.changed += 1
            tally.wrong.append(complaint)
    return tally


WAYS = ("at once", "moved in", "renamed over a partial name", "slowly", "replaced while young", "gone and back")


def _arrive(way: str, place: Path, content: bytes, luck: random.Random) -> None:
    match way:
        case "at once":
            place.write_bytes(content)
        case "moved in":
            other = place.parent / f".{place.name}.tmp"
            other.write_bytes(content)
            other.rename(place)
        case "renamed over a partial name":
            part = place.with_name(f"{place.name}.part")
            part.write_bytes(content)
            part.rename(place)
        case "replaced while young":
            place.write_bytes(luck.randbytes(len(content)))
            place.unlink()
            place.write_bytes(content)
        case "gone and back":
            place.write_bytes(content[: len(content) // 2])
            place.unlink()
            place.write_bytes(content)


def _slowly(place: Path, content: bytes, seconds: float) -> None:
    """As a download does: in pieces, each pause shorter than it takes to settle."""
    pieces = 8
    size = -(-len(content) // pieces)
    with place.open("wb", buffering=0) as file:
        for first in range(0, len(content), size):
            file.write(content[first : first + size])
            time.sleep(min(seconds / pieces, 0.2))


def _taken(jobs: list[dict[str, object]]) -> set[str]:
    return {str(job["path"]) for job in jobs if job["status"] == "done"}
