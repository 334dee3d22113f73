"""Row 16: everything that is no request, clients that never finish one, and requests made from our own description.

Runs in: the chaos run.
"""

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from math import ceil
from pathlib import Path

import httpx
import psutil

from chaos.clients import described_api
from chaos.clients.malformed_requests import FLOODS, KINDS, flood, throw, throw_many
from chaos.clients.slow_clients import dawdle
from chaos.daemon.broken_daemon import BrokenDaemon, broken_daemon, descriptors_of, pids_of
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "Malformed requests"
DEMAND = (
    "20,000 malformed requests and 200 slow clients: no crash, below 20 MB more, a good client's p99 below 100 ms; "
    "schemathesis: 0 failures"
)
REQUESTS, SLOW_CLIENTS, FLOOD_ROUNDS, BATCH = 20_000, 200, 5, 250
THROWERS = 2
GROWTH_BYTES, GOOD_P99_SECONDS = 20_000_000, 0.1
BETWEEN_GOOD_SECONDS = 0.1


def run(trial: Trial) -> Tally:
    """A good client asks for the status all the while."""
    tally = Tally()
    with broken_daemon(trial.folder / "home") as daemon:
        for role in ("transcriber", "aligner"):
            daemon.wait_for_worker(role, lambda worker: worker["state"] == "ready")
        _bombard(trial, daemon, tally)
    tally.faults = tally.trials
    described_api.ask(trial, tally)
    return tally


def _bombard(trial: Trial, daemon: BrokenDaemon, tally: Tally) -> None:
    before, pid = pids_of(daemon), daemon.pid
    luck = trial.luck("first")
    for kind in KINDS.values():
        # What each kind needs for the first time is no growth.
        throw(daemon.socket, kind(luck), "half-close")
    memory, descriptors = psutil.Process(pid).memory_info().rss, descriptors_of(pid)
    good: list[float] = []
    slow = trial.number(SLOW_CLIENTS)
    with _slow_clients(daemon.socket, slow), _throwers(trial, daemon.socket, tally) as thrown:
        tally.trials += slow
        good.append(_good_client(daemon, tally))
        while wait(thrown, timeout=BETWEEN_GOOD_SECONDS).not_done:
            good.append(_good_client(daemon, tally))
    for complaints in [future.result() for future in thrown]:
        tally.wrong += complaints
    growth = psutil.Process(pid).memory_info().rss - memory
    tally.expect(daemon.process is not None and daemon.process.poll() is None, "the daemon is gone")
    tally.expect(pids_of(daemon) == before, "a request cost a worker")
    tally.expect(not daemon.jobs(), "a malformed request became a job")
    tally.expect(not daemon.get("/v1/status")["queue"]["paused"], "a smuggled request was heard")
    p99 = sorted(good)[ceil(0.99 * len(good)) - 1]
    tally.figures |= {
        "a good client, p99": f"{p99 * 1000:.1f} ms of {len(good)} answers",
        "the supervisor grew by": f"{growth / 1e6:.1f} MB",
        "descriptors left": f"{descriptors_of(pid) - descriptors}",
    }
    tally.expect(growth < GROWTH_BYTES, f"the supervisor grew by {growth / 1e6:.1f} MB")
    if trial.share >= 1:
        tally.expect(p99 < GOOD_P99_SECONDS, f"the good client waited {p99 * 1000:.0f} ms (p99)")


def _good_client(daemon: BrokenDaemon, tally: Tally) -> float:
    """Seconds from its first thought of it to the whole answer."""
    began = time.monotonic()
    try:
        answer = daemon.get("/v1/status")
        tally.expect("daemon" in answer, f"the good client was answered {str(answer)[:80]}")
    except httpx.HTTPError as error:
        tally.wrong.append(f"the good client was not answered: {error!r}")
    return time.monotonic() - began


@contextmanager
def _slow_clients(path: Path, count: int) -> Iterator[None]:
    context = multiprocessing.get_context("fork")
    over = context.Event()
    clients = context.Process(target=dawdle, args=(path, count, over), daemon=True)
    clients.start()
    try:
        yield
    finally:
        over.set()
        clients.join(timeout=5)
        clients.kill()


@contextmanager
def _throwers(trial: Trial, path: Path, tally: Tally) -> Iterator[list[Future[list[str]]]]:
    """Everything malformed on its way; each future has the complaints about some of it."""
    left = trial.number(REQUESTS)
    with ProcessPoolExecutor(THROWERS, mp_context=multiprocessing.get_context("fork")) as pool:
        thrown = []
        for first in range(0, left, BATCH):
            count = min(BATCH, left - first)
            thrown.append(pool.submit(throw_many, path, f"{trial.seed} {first}", count))
            tally.trials += count
        for _ in range(trial.number(FLOOD_ROUNDS)):
            thrown += [pool.submit(_flooded, path, head) for head in FLOODS]
            tally.trials += len(FLOODS)
        yield thrown


def _flooded(path: Path, head: bytes) -> list[str]:
    complaint = flood(path, head)
    return [] if complaint is None else [complaint]
