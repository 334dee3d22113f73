"""Row 15: recordings come into a watched folder in every way, are renamed, moved, taken out and brought back, while
events are lost, doubled and their source dies.

Runs in: the chaos run.
"""

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventually import eventually

from chaos.daemon.broken_daemon import BrokenDaemon, broken_daemon
from chaos.daemon.oracle import Made, complaint, complaint_about_files, make
from chaos.daemon.shaken_daemon import LETTERS
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "A watched folder"
DEMAND = (
    "2,000 arrivals, every third renamed, moved or brought back, 30 % of events lost, 30 % doubled, the observer "
    "killed 20 ×: one job each, never a partial file, the words of what lies there"
)
ARRIVALS, DEATHS = 2_000, 20
ARRIVING_SECONDS, DRAIN_SECONDS = 50.0, 900.0
SETTLE_SECONDS = 2.0
"""Far above any pause that a busy machine makes in the middle of a copy."""
AT_ONCE = 32
FOLDERS = ("", "deep", "deeper/still")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A recording and how it comes."""

    way: str
    place: Path
    whole: Made
    """What stands there in the end."""
    before: Made | None
    """A whole recording that stood there long enough to be taken, and then was another."""

    @property
    def earlier_jobs(self) -> int:
        """How many jobs for what stood there before may be done."""
        return 2 if self.way in CAME_BACK else 0 if self.before is None else 1


def run(trial: Trial) -> Tally:
    """The daemon is `chaos.daemon.shaken_daemon`: the supervisor, with a bad line between watchdog and itself."""
    tally = Tally(trials=trial.number(ARRIVALS))
    luck = trial.luck()
    away, home, log = trial.folder / "away", trial.folder / "home", trial.folder / "shaken"
    away.mkdir()
    log.touch()
    (home / "Transcribe").mkdir(parents=True)
    (home / "config.toml").write_text(f'[[watch]]\npath = "{home / "Transcribe"}"\nrecursive = true\n')
    command = [sys.executable, "-P", "-m", "chaos.daemon.shaken_daemon"]
    environment = {
        "CHAOS_EVENTS": f"{trial.seed}",
        "CHAOS_LOG": str(log),
        "STENO_WATCHING_SETTLE_SECONDS": str(SETTLE_SECONDS),
    }
    with broken_daemon(home, command, **environment) as daemon:
        arrivals = [_arrival(number, away, daemon.inbox, luck) for number in range(tally.trials)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            took = list(pool.map(_come, arrivals, [luck.randrange(1 << 30) for _ in arrivals]))
        eventually(lambda: _is_over(daemon, arrivals), DRAIN_SECONDS, "every arrival is done")
        jobs: dict[str, list[dict[str, Any]]] = {}
        for job in reversed(daemon.jobs()):
            jobs.setdefault(job["path"], []).append(job)
        for arrival, seconds in zip(arrivals, took, strict=True):
            _judge(daemon, arrival, jobs.pop(str(arrival.place), []), seconds, tally)
        tally.expect(not jobs, f"jobs of what nobody brought: {list(jobs)[:5]}")
    shaken = Counter(log.read_text())
    tally.figures |= {what: str(shaken[letter]) for what, letter in LETTERS.items()}
    tally.faults = shaken["l"] + shaken["d"] + shaken["x"]
    tally.expect(shaken["x"] >= trial.number(DEATHS), f"the observer died {shaken['x']} times only")
    tally.figures["ways"] = ", ".join(f"{way} {n}" for way, n in Counter(one.way for one in arrivals).items())
    return tally


def _arrival(number: int, away: Path, inbox: Path, luck: random.Random) -> Arrival:
    way = luck.choice(list(WAYS))
    folder = f"folder {number}" if way in OWN_FOLDER else luck.choice(FOLDERS)
    whole = make(away / f"{number}.wav", luck.randrange(1 << 30), chunks=luck.randint(1, 3))
    is_changed = way in CHANGED_LATE or way in CAME_BACK
    before = make(away / f"{number}-before.wav", luck.randrange(1 << 30)) if is_changed else None
    return Arrival(way, inbox / folder / f"{number}.wav", whole, before)


def _come(arrival: Arrival, seed: int) -> float:
    """Brings it; the longest time for which something unfinished stood still, in seconds."""
    luck = random.Random(seed)
    time.sleep(luck.uniform(0, 2 * AT_ONCE * ARRIVING_SECONDS / ARRIVALS))
    if arrival.way not in OWN_FOLDER:
        arrival.place.parent.mkdir(parents=True, exist_ok=True)
    return WAYS[arrival.way](arrival, luck)


# --- ways ------------------------------------------------------------------------------------------------------

Way = Callable[[Arrival, random.Random], float]


def _at_once(arrival: Arrival, luck: random.Random) -> float:
    arrival.place.write_bytes(arrival.whole.path.read_bytes())
    return 0.0


def _moved_in(arrival: Arrival, luck: random.Random) -> float:
    other = arrival.whole.path.with_suffix(".tmp")
    other.write_bytes(arrival.whole.path.read_bytes())
    other.rename(arrival.place)
    return 0.0


def _in_a_folder(arrival: Arrival, luck: random.Random) -> float:
    """A folder that is whole before it comes."""
    folder = arrival.whole.path.with_suffix("")
    folder.mkdir()
    (folder / arrival.place.name).write_bytes(arrival.whole.path.read_bytes())
    folder.rename(arrival.place.parent)
    return 0.0


def _renamed(arrival: Arrival, luck: random.Random) -> float:
    """As downloads come."""
    part = arrival.place.with_name(f"{arrival.place.name}.part")
    _slowly_to(part, arrival.whole.path.read_bytes(), luck)
    part.rename(arrival.place)
    return 0.0


def _slowly(arrival: Arrival, luck: random.Random) -> float:
    return _slowly_to(arrival.place, arrival.whole.path.read_bytes(), luck)


def _slowly_to(place: Path, content: bytes, luck: random.Random) -> float:
    """As a copy comes: in pieces, each pause shorter than it takes to settle."""
    longest, last = 0.0, time.monotonic()
    size = -(-len(content) // 8)
    with place.open("wb", buffering=0) as file:
        for first in range(0, len(content), size):
            file.write(content[first : first + size])
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
            time.sleep(luck.uniform(0, 0.4))
    return longest


def _replaced_while_young(arrival: Arrival, luck: random.Random) -> float:
    began = time.monotonic()
    arrival.place.write_bytes(luck.randbytes(20_000))
    time.sleep(luck.uniform(0, 0.5))
    other = arrival.place.with_name(f".{arrival.place.name}")
    other.write_bytes(arrival.whole.path.read_bytes())
    other.replace(arrival.place)
    return time.monotonic() - began


def _gone_and_back(arrival: Arrival, luck: random.Random) -> float:
    """Deleted before anybody read it."""
    content, began = arrival.whole.path.read_bytes(), time.monotonic()
    arrival.place.write_bytes(content[: len(content) // 2])
    time.sleep(luck.uniform(0, 0.5))
    arrival.place.unlink()
    took = time.monotonic() - began
    time.sleep(luck.uniform(0, 0.5))
    arrival.place.write_bytes(content)
    return took


def _until_it_may_be_read(arrival: Arrival, luck: random.Random) -> None:
    assert arrival.before is not None
    arrival.place.write_bytes(arrival.before.path.read_bytes())
    time.sleep(SETTLE_SECONDS + luck.uniform(-0.2, 1.0))


def _exchanged_while_read(arrival: Arrival, luck: random.Random) -> float:
    _until_it_may_be_read(arrival, luck)
    other = arrival.place.with_name(f".{arrival.place.name}")
    other.write_bytes(arrival.whole.path.read_bytes())
    other.replace(arrival.place)
    return 0.0


def _overwritten_while_read(arrival: Arrival, luck: random.Random) -> float:
    """In place and in pieces: whoever reads on has some of each."""
    _until_it_may_be_read(arrival, luck)
    content = arrival.whole.path.read_bytes()
    with arrival.place.open("r+b", buffering=0) as file:
        for first in range(0, len(content), 4_000):
            file.write(content[first : first + 4_000])
        file.truncate()
    return 0.0


def _renamed_later(arrival: Arrival, luck: random.Random) -> float:
    """While its job waits, runs or is done."""
    return _from(arrival.place.with_name(f"first {arrival.place.name}"), arrival, luck)


def _moved_later(arrival: Arrival, luck: random.Random) -> float:
    return _from(arrival.place.parent / "by folder" / arrival.place.stem / arrival.place.name, arrival, luck)


def _folder_renamed_later(arrival: Arrival, luck: random.Random) -> float:
    first = arrival.place.parent.with_name(f"first {arrival.place.parent.name}") / arrival.place.name
    _stand(first, arrival.whole, luck)
    first.parent.rename(arrival.place.parent)
    return 0.0


def _taken_out_and_back(arrival: Arrival, luck: random.Random) -> float:
    """Its job may have come meanwhile, and failed."""
    _stand(arrival.place, arrival.whole, luck)
    out = arrival.whole.path.with_suffix(".out")
    arrival.place.rename(out)
    time.sleep(luck.uniform(0, 2 * SETTLE_SECONDS))
    out.rename(arrival.place)
    return 0.0


def _from(first: Path, arrival: Arrival, luck: random.Random) -> float:
    _stand(first, arrival.whole, luck)
    for step in range(luck.randint(0, 2)):
        first = first.rename(first.with_name(f"{step} {arrival.place.name}"))
        time.sleep(luck.uniform(0, SETTLE_SECONDS))
    first.rename(arrival.place)
    return 0.0


def _stand(place: Path, recording: Made, luck: random.Random) -> None:
    """There in one piece, and until it may be read."""
    place.parent.mkdir(parents=True, exist_ok=True)
    other = place.with_name(f".{place.name}")
    other.write_bytes(recording.path.read_bytes())
    other.replace(place)
    time.sleep(SETTLE_SECONDS + luck.uniform(-0.2, 2.0))


def _back_to_what_it_was(arrival: Arrival, luck: random.Random) -> float:
    """An edit that is taken back."""
    assert arrival.before is not None
    _stand(arrival.place, arrival.whole, luck)
    _stand(arrival.place, arrival.before, luck)
    _stand(arrival.place, arrival.whole, luck)
    return 0.0


WAYS: Mapping[str, Way] = {
    "at once": _at_once,
    "moved in": _moved_in,
    "in a folder": _in_a_folder,
    "renamed": _renamed,
    "slowly": _slowly,
    "replaced while young": _replaced_while_young,
    "gone and back": _gone_and_back,
    "exchanged while read": _exchanged_while_read,
    "overwritten while read": _overwritten_while_read,
    "renamed later": _renamed_later,
    "moved later": _moved_later,
    "in a folder renamed later": _folder_renamed_later,
    "taken out and back": _taken_out_and_back,
    "back to what it was": _back_to_what_it_was,
}
CHANGED_LATE = ("exchanged while read", "overwritten while read")
CAME_BACK = ("back to what it was",)
OWN_FOLDER = ("in a folder", "in a folder renamed later")


# --- what came of them -------------------------------------------------------------------------------------------


def _is_over(daemon: BrokenDaemon, arrivals: list[Arrival]) -> bool:
    queue = daemon.get("/v1/status")["queue"]
    if queue["waiting"] or queue["running"] or queue["done"] < len(arrivals):
        return False
    jobs = [job for job in daemon.jobs() if job["status"] == "done"]
    latest = {job["path"]: job for job in reversed(jobs)}
    return all(
        str(arrival.place) in latest
        and (arrival.before is None or complaint_of(daemon, arrival.whole, latest[str(arrival.place)]) is None)
        for arrival in arrivals
    )


def complaint_of(daemon: BrokenDaemon, made: Made, job: Mapping[str, Any]) -> str | None:
    """What is wrong with what the daemon has stored for a job."""
    return complaint(made, daemon.get(f"/v1/jobs/{job['id']}/transcript", format="json"), words=True)


def _judge(
    daemon: BrokenDaemon, arrival: Arrival, jobs: list[dict[str, Any]], stood_still: float, tally: Tally
) -> None:
    """One job for what is there; at most one more, whole, for a whole recording that was there before it."""
    what = f"{arrival.place.name}, {arrival.way}"
    done = [job for job in jobs if job["status"] == "done"]
    if not done:
        tally.lost += 1
        tally.wrong.append(f"{what}: never done")
        return
    if stood_still > SETTLE_SECONDS:
        tally.figures["not judged, for we were too slow ourselves"] = what
        return
    last = done.pop()
    if arrival.way == "in a folder renamed later":
        # What was written before that went along.
        last |= {"outputs": {form: str(arrival.place.with_suffix(f".{form}")) for form in last["outputs"]}}
    if wrong := complaint_about_files(arrival.whole, last) or complaint_of(daemon, arrival.whole, last):
        tally.changed += 1
        tally.wrong.append(f"{what}: {wrong}")
    if arrival.before is None:
        tally.duplicated += len(done)
        tally.expect(len(jobs) == 1, f"{what}: {[(job['status'], job['error'], job['note']) for job in jobs]}")
        return
    tally.duplicated += max(0, len(done) - arrival.earlier_jobs)
    earlier = [arrival.before, arrival.whole] if arrival.way in CAME_BACK else [arrival.before]
    for job in done:
        if all(wrong := [complaint_of(daemon, made, job) for made in earlier]):
            tally.changed += 1
            tally.wrong.append(f"{what}, as it was before: {wrong}")
    tally.expect(not any(job["error"] for job in jobs), f"{what}: {[job['error'] for job in jobs]}")
