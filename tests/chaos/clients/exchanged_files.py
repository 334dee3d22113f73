"""Row 30: another user of a shared folder exchanges what he can, at any moment, for links to what he cannot read.

Runs in: the chaos run. Only root can become somebody else; elsewhere the same user plays the part.
"""

import multiprocessing
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from eventually import eventually

from chaos.clients.strangers import SOMEBODY
from chaos.daemon.broken_daemon import BrokenDaemon, broken_daemon
from chaos.daemon.oracle import Made, make
from chaos.tally import Tally
from chaos.trial import Trial
from supervisor.disks.rename_calls import exchange

TITLE = "Exchanged files"
DEMAND = (
    "another uid swaps recordings, folders, results' names and `done` for links, 300 recordings long: nothing "
    "private is read, moved or written to, and the daemon outlives it"
)
RECORDINGS = 300
SUBFOLDERS = 3
NAMES = ("secret", "keys")
END_SECONDS = 120.0
QUIET_SECONDS = 2.0
ATTACK_SECONDS = 3.0
"""Once he has brought everything: for what is taken last."""
POLICIES = ("renew", "overwrite", "suffix", "skip")
FORMATS = '[output]\nformats = ["json", "srt"]\n'
WATCH = """
[[watch]]
path = "{inbox}"
recursive = true
done = "done"
failed = "failed"
if_exists = "{policy}"
"""


def run(trial: Trial) -> Tally:
    """A shared folder for each if_exists, and one private folder that all links lead to."""
    tally = Tally()
    luck, count = trial.luck(), trial.number(RECORDINGS, least=16)
    trial.folder.chmod(0o755)
    private = trial.folder / "private"
    inboxes = [trial.folder / policy for policy in POLICIES]
    for folder in (private, *inboxes):
        folder.mkdir()
        folder.chmod(0o700 if folder is private else 0o777)
    secrets = [make(private / f"{name}.wav", luck.randrange(1 << 30), chunks=2) for name in NAMES]
    for name in NAMES:
        for ending in ("json", "srt"):
            (private / f"{name}.{ending}").write_text(f"the only copy of {name}.{ending}")
    before = _contents(private)
    home = trial.folder / "home"
    home.mkdir()
    watches = [WATCH.format(inbox=inbox, policy=inbox.name) for inbox in inboxes]
    (home / "config.toml").write_text(FORMATS + "".join(watches))
    with broken_daemon(home) as daemon:
        with _attacker(inboxes, private, luck.randrange(1 << 30), count) as (swaps, dropped):
            eventually(lambda: dropped.value == count, END_SECONDS, "all recordings are there")
            time.sleep(ATTACK_SECONDS)
        _wait_until_quiet(daemon)
        tally.faults, tally.trials = swaps.value, count
        tally.expect(swaps.value > count, f"there were {swaps.value} swaps for {count} recordings")
        tally.expect(_contents(private) == before, f"private is {_changes(before, _contents(private))}")
        for inbox in inboxes:
            _nothing_is_told(inbox, secrets, before, tally)
        for job in daemon.jobs():
            tally.count(f"{job['status']}{'' if job['error'] is None else ', ' + job['error']['code']}")
        tally.expect(int(tally.figures.get("done", "0")), f"nothing was done: {tally.figures}")
    if os.geteuid() != 0:
        tally.figures["another uid"] = "played by the same: only root can become somebody else"
    return tally


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _changes(before: dict[str, bytes], now: dict[str, bytes]) -> list[str]:
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def _nothing_is_told(inbox: Path, secrets: list[Made], before: dict[str, bytes], tally: Tally) -> None:
    """Neither a private file's content nor a private recording's words are anywhere in the shared folder."""
    phrases = [text for one in secrets for text in one.texts]
    for folder, _, names in os.walk(inbox):
        for name in names:
            path = Path(folder, name)
            if path.is_symlink() or not path.is_file():
                continue
            content = path.read_bytes()
            tally.expect(content not in before.values(), f"{path} is a private file")
            flat = " ".join(content.decode(errors="replace").split())
            tally.expect(not any(phrase in flat for phrase in phrases), f"{path} tells what was private")


def _wait_until_quiet(daemon: BrokenDaemon) -> None:
    """Nothing is waiting or running for a while."""
    since = time.monotonic()

    def quiet() -> bool:
        nonlocal since
        queue: dict[str, Any] = daemon.get("/v1/status")["queue"]
        if queue["waiting"] or queue["running"]:
            since = time.monotonic()
        return time.monotonic() - since > QUIET_SECONDS

    eventually(quiet, END_SECONDS, "the queue is empty")


# --- the other user --------------------------------------------------------------------------------------------


@contextmanager
def _attacker(inboxes: list[Path], private: Path, seed: int, count: int) -> Iterator[tuple[Any, Any]]:
    """How often he swapped, and how many recordings he has brought. Forked, not started: another user may not reach
    this interpreter's files."""
    context = multiprocessing.get_context("fork")
    over, swaps, dropped = context.Event(), context.Value("i", 0), context.Value("i", 0)
    place = private.parent / "baits"
    place.mkdir()
    baits = [make(place / f"{number}.wav", seed + number, chunks=2).path.read_bytes() for number in range(count)]
    what = (inboxes, private, baits, seed, over, swaps, dropped)
    attacker = context.Process(target=_attack, args=what, daemon=True)
    attacker.start()
    try:
        yield swaps, dropped
    finally:
        over.set()
        attacker.join()


def _attack(
    inboxes: list[Path], private: Path, baits: list[bytes], seed: int, over: Event, swaps: Any, dropped: Any
) -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(SOMEBODY)
        os.setuid(SOMEBODY)
    os.umask(0)
    luck = random.Random(seed)
    for inbox in inboxes:
        for number in range(SUBFOLDERS):
            (inbox / f"sub{number}").mkdir()
            (inbox / f".sub{number}").symlink_to(private)
        (inbox / ".done").symlink_to(private)
    open_inboxes = {inbox: os.open(inbox, os.O_RDONLY) for inbox in inboxes}
    while not over.is_set():
        inbox = luck.choice(inboxes)
        with suppress(OSError):
            if dropped.value < len(baits) and luck.random() < 0.5:
                dropped.value += _drop(inbox, baits[dropped.value], luck)
            elif luck.random() < 0.5:
                _link_for(inbox, private, luck)
                swaps.value += 1
            else:
                _swap_for_a_moment(open_inboxes[inbox], luck)
                swaps.value += 2
        time.sleep(luck.choice((0.0, 0.01, 0.05, 0.2)))


def _swap_for_a_moment(inbox: int, luck: random.Random) -> None:
    """A folder is a link to the private one, long enough for anything between two calls."""
    name = luck.choice(("done", *(f"sub{number}" for number in range(SUBFOLDERS))))
    exchange(inbox, name, f".{name}")
    time.sleep(luck.choice((0.0, 0.001, 0.01, 0.1, 0.3)))
    exchange(inbox, name, f".{name}")


def _drop(inbox: Path, bait: bytes, luck: random.Random) -> bool:
    """A recording of his own, often named like a private one."""
    hidden = inbox / ".new"
    hidden.write_bytes(bait)
    name = luck.choice((*NAMES, f"talk{luck.randrange(100)}"))
    hidden.replace(inbox / f"sub{luck.randrange(SUBFOLDERS)}" / f"{name}.wav")
    return True


def _link_for(inbox: Path, private: Path, luck: random.Random) -> None:
    """The name of a recording or a result becomes a link to the private file of that name, or is taken away."""
    name = f"{luck.choice(NAMES)}.{luck.choice(('wav', 'json', 'srt', 'json', 'srt'))}"
    path = inbox / f"sub{luck.randrange(SUBFOLDERS)}" / name
    if path.is_symlink():
        path.unlink()
        return
    hidden = inbox / ".name"
    hidden.unlink(missing_ok=True)
    hidden.symlink_to(private / name)
    hidden.replace(path)
