"""Row 13: no descriptors, no processes, no memory. Nothing is called done that is not, and work goes on by itself.

Runs in: the chaos run. Needs prlimit, setpriv, and root; what the machine does not allow is said.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import httpx
import psutil
from eventually import eventually

from chaos.daemon.broken_daemon import BrokenDaemon, broken_daemon, descriptors_of, pids_of
from chaos.daemon.oracle import Made, complaint_about_files, make
from chaos.disks.control_group import control_group, may_group, move
from chaos.lanes import side_by_side
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "Starvation"
DEMAND = "40 descriptors, no more processes, no memory for a worker: no false `done`, goes on by itself"
ROUNDS, JOBS_A_ROUND = 10, 4
DESCRIPTORS = 40
CROWD = 50
"""Connections that take what is left of them."""
STARVED_SECONDS = 1.5
HEAL_SECONDS = 300.0
DEATH_SECONDS = 120.0
MB = 1 << 20
MEAL = 400 * MB
ROOM = 32 * MB
"""What a worker may take beyond what it has."""
GROUP_ROOM = 256 * MB
UID = 54_321
"""Nobody else's: the limit counts all processes of a user."""
ROLES = ("transcriber", "aligner")
SLOW = {"STENO_DEADLINES_PROGRESS_SECONDS": "30"}
"""A large meal takes a while on a busy machine; hangs have a row of their own."""


def run(trial: Trial) -> Tally:
    """One daemon for each want, starved again and again."""
    tally = Tally()
    luck = trial.luck()
    wants = [_descriptors, _memory]
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        tally.figures["processes not tried"] = "needs root and setpriv"
    else:
        wants.append(_processes)
    if os.getuid() == 0 and may_group():
        wants.append(_group_memory)
    else:
        tally.figures["kernel's own killing for memory not tried"] = "needs root and cgroups"
    lanes = [
        partial(want, trial.folder / want.__name__, trial.number(ROUNDS), luck.randrange(1 << 30)) for want in wants
    ]
    counted = Tally()
    side_by_side(lanes, lambda lane, counts: lane(counts), counted)
    counted.figures |= tally.figures
    return counted


# --- wants -------------------------------------------------------------------------------------------------------


def _descriptors(place: Path, rounds: int, seed: int, tally: Tally) -> None:
    """From the start on there are 40; then a crowd of clients takes the rest, and a worker dies."""
    usual = BrokenDaemon(place / "unused", {}).command
    command = ["prlimit", f"--nofile={DESCRIPTORS}", *usual]
    with broken_daemon(place / "home", command, **SLOW) as daemon:
        for number in range(rounds):
            with ExitStack() as crowd:
                for _ in range(CROWD):
                    client = crowd.enter_context(socket.socket(socket.AF_UNIX))
                    client.settimeout(HEAL_SECONDS)
                    with suppress(BlockingIOError):
                        client.connect(str(daemon.socket))
                eventually(
                    lambda: descriptors_of(daemon.pid) >= DESCRIPTORS - 1, DEATH_SECONDS, "no descriptor is left"
                )
                tally.faults += 1
                made = _work_for(place, number, seed)
                _kill_one(daemon, number)
                taken = _hand_over(daemon, made, tally)
                _let_starve(daemon, tally)
            _all_done(daemon, made, taken, tally)


def _processes(place: Path, rounds: int, seed: int, tally: Tally) -> None:
    """As another user, since root knows no such limit: no thread and no worker can be started."""
    capabilities = "+dac_override,+dac_read_search"
    # The user may read what root may, our Python for instance; that is all that is left of root.
    as_user = [
        *("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"),
        *(f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}"),
    ]
    usual = BrokenDaemon(place / "unused", {}).command
    home = place / "home"
    home.mkdir()
    os.chown(home, UID, UID)
    with broken_daemon(home, [*as_user, *usual], **SLOW) as daemon:
        for number in range(rounds):
            _limit(daemon.pid, "nproc", _tasks_of_user(), as_user)
            tally.faults += 1
            made = _work_for(place, number, seed)
            _kill_one(daemon, number)
            taken = _hand_over(daemon, made, tally)
            _let_starve(daemon, tally)
            _limit(daemon.pid, "nproc", 4096, as_user)
            _all_done(daemon, made, taken, tally)


def _memory(place: Path, rounds: int, seed: int, tally: Tally) -> None:
    """A worker whose address space ends: MemoryError in the middle of its work."""
    hunger = place / "hunger"
    hunger.mkdir(parents=True)
    with broken_daemon(place / "home", STUB_HUNGER=str(hunger), **SLOW) as daemon:
        for number in range(rounds):
            role = ROLES[number % len(ROLES)]
            worker = _ready(daemon, role)
            _limit(worker, "as", psutil.Process(worker).memory_info().vms + ROOM)
            _feed(daemon, place, number, seed, role, tally)
            tally.expect(
                daemon.worker(role)["last_death"]["exit_code"] == 1,
                f"without memory the {role} ended otherwise: {daemon.worker(role)['last_death']}",
            )


def _group_memory(place: Path, rounds: int, seed: int, tally: Tally) -> None:
    """The daemon and its workers share what there is: the kernel ends the greediest, and that is never the daemon."""
    hunger = place / "hunger"
    hunger.mkdir(parents=True)
    with broken_daemon(place / "home", STUB_HUNGER=str(hunger), **SLOW) as daemon, control_group(GROUP_ROOM) as group:
        for number in range(rounds):
            role = ROLES[number % len(ROLES)]
            _ready(daemon, role)
            move(group, [daemon.pid, *(child.pid for child in daemon.children())])
            _feed(daemon, place, number, seed, role, tally)
            tally.expect(
                daemon.worker(role)["last_death"]["signal"] == "SIGKILL",
                f"the kernel's own killing is told as {daemon.worker(role)['last_death']}",
            )


# --- around them -------------------------------------------------------------------------------------------------


def _feed(daemon: BrokenDaemon, place: Path, number: int, seed: int, role: str, tally: Tally) -> None:
    restarts = daemon.worker(role)["restarts"]
    (place / "hunger" / role).write_text(str(MEAL))
    made = _work_for(place, number, seed)
    taken = _hand_over(daemon, made, tally)
    eventually(lambda: daemon.worker(role)["restarts"] > restarts, DEATH_SECONDS, f"the {role} dies of hunger")
    tally.faults += 1
    _all_done(daemon, made, taken, tally)


def _work_for(place: Path, number: int, seed: int) -> list[Made]:
    recordings = place / f"recordings{number}"
    recordings.mkdir(parents=True)
    return [make(recordings / f"{n}.wav", seed + number * JOBS_A_ROUND + n) for n in range(JOBS_A_ROUND)]


def _ready(daemon: BrokenDaemon, role: str) -> int:
    daemon.wait_for_worker(role, lambda worker: worker["state"] == "ready", HEAL_SECONDS)
    return pids_of(daemon)[role]


def _kill_one(daemon: BrokenDaemon, number: int) -> None:
    """One of its children that is a worker, without asking it: it may have no descriptor left for the answer."""
    workers = sorted(child.pid for child in daemon.children() if "spawn_main" in " ".join(child.cmdline()))
    if workers:
        os.kill(workers[number % len(workers)], signal.SIGKILL)


def _hand_over(daemon: BrokenDaemon, made: Sequence[Made], tally: Tally) -> dict[int, Made]:
    """Whatever it takes; whatever it refuses has to be refused in words or not answered at all."""
    taken = {}
    for one in made:
        try:
            with httpx.Client(
                transport=httpx.HTTPTransport(uds=str(daemon.socket)), timeout=STARVED_SECONDS
            ) as client:
                answer = client.post("http://steno/v1/jobs", json={"path": str(one.path)})
        except httpx.TransportError:
            tally.count("submits without an answer")
            continue
        if answer.is_success:
            taken[int(answer.json()["id"])] = one
        else:
            tally.count("submits refused")
            tally.expect("code" in answer.json(), f"refused with {answer.text[:200]}")
    return taken


def _let_starve(daemon: BrokenDaemon, tally: Tally) -> None:
    assert daemon.process is not None
    with suppress(subprocess.TimeoutExpired):
        code = daemon.process.wait(STARVED_SECONDS)
        tally.expect(False, f"starved, the daemon ended with {code}: {daemon.log.read_text()[-600:]}")


def _all_done(daemon: BrokenDaemon, made: Sequence[Made], taken: dict[int, Made], tally: Tally) -> None:
    began = time.monotonic()
    eventually(daemon.answers, HEAL_SECONDS, "the daemon answers again")
    known = {job["path"]: job["id"] for job in daemon.jobs()}
    for one in made:
        if one not in taken.values():
            # Nobody knows whether it arrived.
            job_id = known.get(str(one.path)) or daemon.submit(one.path)
            taken[job_id] = one
    for job_id, one in taken.items():
        tally.trials += 1
        job = daemon.finished(job_id, HEAL_SECONDS)
        if job["status"] != "done":
            tally.lost += 1
            tally.wrong.append(f"{one.path} is {job['status']}: {job['error']}")
        elif complaint := complaint_about_files(one, job):
            tally.changed += 1
            tally.wrong.append(complaint)
    tally.recoveries_seconds.append(time.monotonic() - began)


def _limit(pid: int, what: str, value: int, as_user: Sequence[str] = ()) -> None:
    """The soft one: to raise the other again, root itself may lack the right in a container."""
    subprocess.run([*as_user, "prlimit", "--pid", str(pid), f"--{what}={value}:"], check=True)


def _tasks_of_user() -> int:
    """Threads count, too."""
    tasks = 0
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            if process.uids().real == UID:
                tasks += process.num_threads()
    return tasks
