"""Row 26: the owner's own files beside the results, under every sequence of accidents.

Runs in: the chaos run. An oracle keeps every content that the owner wrote, and looks for each in the end.
"""

import itertools
import json
import os
import random
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from eventually import eventually

from chaos.daemon.broken_daemon import BrokenDaemon, broken_daemon
from chaos.daemon.oracle import Made, complaint, make
from chaos.disks.full_disks import fill, may_mount, small_disk
from chaos.lanes import LANES, side_by_side
from chaos.tally import Tally
from chaos.trial import Trial
from supervisor.disks.rename_calls import exchange

TITLE = "The owner's own files"
DEMAND = (
    "200 sequences of failures, retries, kills, full and read-only disks, edits, deletes and renames under every "
    "if_exists: no byte that stenod did not write is gone"
)
SEQUENCES = 200
STEPS = 14
POLICIES = ("renew", "skip", "suffix", "overwrite", None)
FORMATS = ("json,srt", "srt", "json,txt", "json,srt,vtt,txt,tsv,md")
STEMS = ("talk", "memo")
POINTS = (
    *("names_promised", "file_begun", "file_synced", "file_swapped", "file_named", "files_written"),
    *("spool_cleared", "job_done", "upgrade_begun", "upgrade_files_written"),
)
END_SECONDS = 90.0
DISK_MEGABYTES = 4


@dataclass(slots=True)
class Owner:
    """Writes, edits, renames and takes away, and knows what must be there in the end."""

    place: Path
    luck: random.Random
    must: set[bytes] = field(default_factory=set)
    number: Iterator[int] = field(default_factory=itertools.count)

    def acts(self) -> None:
        """One thing, chosen by luck; what the disk refuses was not done."""
        act = self.luck.choice((self._writes, self._writes, self._edits, self._edits, self._renames, self._deletes))
        with suppress(OSError):
            act()

    def missing(self) -> list[bytes]:
        """What is nowhere any more."""
        there = {path.read_bytes() for path in self.place.iterdir() if path.is_file()}
        return sorted(self.must - there)

    def _writes(self) -> None:
        suffix = self.luck.choice(("", "", "", " (2)", " (3)"))
        name = f"{self.luck.choice(STEMS)}{suffix}.{self.luck.choice(('json', 'srt', 'srt', 'txt', 'vtt'))}"
        self._put(b"", self.place / name)

    def _edits(self) -> None:
        """As editors save: the new content takes the old one's place in one step, and the old one is looked at."""
        if (path := self._any()) is not None:
            self._put(path.read_bytes(), path)

    def _renames(self) -> None:
        path = self._any()
        if path is not None:
            content = path.read_bytes()
            moved = self.place / f"kept {next(self.number)}.txt"
            os.rename(path, moved)  # noqa: PTH104
            if moved.read_bytes() != content:
                return  # ours was exchanged for theirs in between; it is there all the same
            self.must.add(content)

    def _deletes(self) -> None:
        path = self._any()
        if path is not None:
            # To be sure of what goes: first a name that only the owner knows.
            doomed = self.place / ".doomed"
            os.rename(path, doomed)  # noqa: PTH104
            self._given_up(doomed.read_bytes())
            doomed.unlink()

    def _put(self, before: bytes, path: Path) -> None:
        content = before + b"OWNER %d\n" % next(self.number)
        saved = self.place / ".saved"
        with saved.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(self.place, os.O_RDONLY)
        try:
            try:
                exchange(folder, saved.name, path.name)
            except FileNotFoundError:
                os.link(saved, path)
                self.must.add(content)
                saved.unlink()
                return
            self.must.add(content)
            self._given_up(saved.read_bytes())
            saved.unlink()
        finally:
            os.close(folder)

    def _given_up(self, content: bytes) -> None:
        self.must.discard(content)

    def _any(self) -> Path | None:
        files = sorted(
            path for path in self.place.iterdir() if path.is_file() and path.name[0] != "." and path.name != "ballast"
        )
        return self.luck.choice(files) if files else None


def run(trial: Trial) -> Tally:
    """Several daemons side by side, one sequence after the other in each."""
    tally = Tally()
    luck = trial.luck()
    seeds = [luck.randrange(1 << 30) for _ in range(trial.number(SEQUENCES, least=2))]
    lanes = [partial(_lane, trial.folder / f"lane{n}", seeds[n::LANES]) for n in range(min(LANES, len(seeds)))]
    side_by_side(lanes, lambda lane, counts: lane(counts), tally)
    if not may_mount():
        tally.figures["not tried"] = "small and read-only disks: this machine lets us mount none"
    return tally


def _lane(place: Path, seeds: Sequence[int], tally: Tally) -> None:
    place.mkdir()
    down = place / "down"
    environment = {
        "ALIGNMENT_BACKEND": "chaos.daemon.stub_engines:MoodyAligner",
        "STUB_DOWN": str(down),
        "STENO_RESTARTS_DEATHS_ALLOWED": "1",
        "STENO_RESTARTS_PROBE_SECONDS": "0.5",
        "STENO_DEADLINES_PROGRESS_SECONDS": "30",
    }
    with broken_daemon(place / "home", **environment) as daemon:
        for number, seed in enumerate(seeds):
            with _disk(place / f"results{number}") as results:
                _sequence(daemon, place / f"recordings{number}", results, down, seed, tally)


@contextmanager
def _disk(place: Path) -> Iterator[Path]:
    if may_mount():
        with small_disk(place, DISK_MEGABYTES) as disk:
            yield disk
    else:
        place.mkdir()
        yield place


def _sequence(daemon: BrokenDaemon, recordings: Path, results: Path, down: Path, seed: int, tally: Tally) -> None:
    luck = random.Random(seed)
    owner = Owner(results, luck)
    made = _recordings(recordings, luck)
    jobs: dict[int, Made] = {}
    steps = list[str]()
    for _ in range(STEPS):
        step = luck.choice(("submit", "submit", "owner", "owner", "owner", "retry", "cancel", "kill", "disk", "down"))
        steps.append(step)
        match step:
            case "submit":
                _submits(daemon, luck, luck.choice(made), results, jobs)
            case "owner":
                owner.acts()
            case "retry" | "cancel":
                if jobs:
                    _asks(daemon, f"/v1/jobs/{luck.choice(list(jobs))}/{step}")
            case "kill":
                tally.faults += 1
                _kills(daemon, luck, owner)
            case "disk" if may_mount():
                tally.faults += 1
                _breaks_the_disk(daemon, luck, results, owner)
            case "down":
                down.unlink() if down.exists() else down.touch()
            case _:
                pass
        time.sleep(luck.choice((0.0, 0.02, 0.1)))
    _heals(daemon, down, jobs)
    tally.trials += 1
    story = f"seed {seed}, {' '.join(steps)}"
    for gone in owner.missing():
        tally.wrong.append(f"gone is {gone[-60:]!r}: {story}")
    for job_id, one in jobs.items():
        _judge(daemon.job(job_id), one, owner, story, tally)
    left = [path.name for path in results.iterdir() if path.name.startswith(".stenod-")]
    tally.expect(not left, f"{left} are left: {story}")


def _recordings(place: Path, luck: random.Random) -> list[Made]:
    place.mkdir()
    made = []
    for stem in STEMS:
        (place / stem).mkdir()
        made += [make(place / stem / f"{stem}.wav", luck.randrange(1 << 30), chunks=2)]
    # Two recordings of one name.
    (place / "other").mkdir()
    return [*made, make(place / "other" / "talk.wav", luck.randrange(1 << 30), chunks=2)]


def _submits(daemon: BrokenDaemon, luck: random.Random, one: Made, results: Path, jobs: dict[int, Made]) -> None:
    options: dict[str, Any] = {"output_dir": str(results), "formats": luck.choice(FORMATS).split(",")}
    if (policy := luck.choice(POLICIES)) is not None:
        options["if_exists"] = policy
    with suppress(httpx.TransportError):
        answer = daemon.post("/v1/jobs", {"path": str(one.path), "options": options})
        if answer.is_success:
            jobs[int(answer.json()["id"])] = one


def _asks(daemon: BrokenDaemon, what: str) -> None:
    with suppress(httpx.TransportError):
        daemon.post(what)


def _kills(daemon: BrokenDaemon, luck: random.Random, owner: Owner) -> None:
    """At a place, or at any moment; the owner goes on meanwhile."""
    assert daemon.process is not None
    if luck.random() < 0.7:
        daemon.arm("supervisor", luck.choice(POINTS), "kill")
        with suppress(subprocess.TimeoutExpired):
            daemon.process.wait(0.5)
    if daemon.process.poll() is None:
        daemon.kill()
    daemon.disarm()
    for _ in range(luck.randrange(3)):
        owner.acts()
    daemon.start()


def _breaks_the_disk(daemon: BrokenDaemon, luck: random.Random, results: Path, owner: Owner) -> None:
    read_only = luck.random() < 0.5
    ballast = None if read_only else fill(results)
    if read_only:
        subprocess.run(["mount", "-o", "remount,ro", str(results)], stderr=subprocess.DEVNULL, check=False)
    time.sleep(luck.choice((0.1, 0.4)))
    owner.acts()
    if ballast is not None:
        ballast.unlink(missing_ok=True)
    subprocess.run(["mount", "-o", "remount,rw", str(results)], stderr=subprocess.DEVNULL, check=False)
    # What waited for room or for the disk is tried at once.
    if luck.random() < 0.7:
        owner.acts()
    _asks(daemon, "/v1/workers/transcriber/restart")


def _heals(daemon: BrokenDaemon, down: Path, jobs: dict[int, Made]) -> None:
    down.unlink(missing_ok=True)
    daemon.disarm()
    _asks(daemon, "/v1/workers/aligner/restart")
    _asks(daemon, "/v1/workers/transcriber/restart")
    for job_id in jobs:
        try:
            job = daemon.finished(job_id, END_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}: {daemon.job(job_id)}; {daemon.get('/v1/status')}") from error
        if job["status"] in ("failed", "cancelled"):
            _asks(daemon, f"/v1/jobs/{job_id}/retry")
            daemon.finished(job_id, END_SECONDS)

    def upgraded() -> bool:
        return all(daemon.job(job_id)["degraded_reason"] != "aligner_unavailable" for job_id in jobs)

    eventually(upgraded, END_SECONDS, "every job has its words")


def _judge(job: dict[str, Any], one: Made, owner: Owner, story: str, tally: Tally) -> None:
    """Done, and what it says it wrote is right as far as its owner has left it alone."""
    if job["status"] != "done":
        tally.lost += 1
        tally.wrong.append(f"{one.path.name} is {job['status']}, {job['error']}: {story}")
        return
    path = Path(job["outputs"].get("json", "/nowhere"))
    with suppress(OSError, ValueError):
        content = path.read_bytes()
        if content not in owner.must and b"OWNER" not in content:
            said = complaint(one, json.loads(content), words=True)
            # A later job under the same name, of the same recording, is as right.
            if said is not None:
                tally.changed += 1
                tally.wrong.append(f"{said}: {story}")
