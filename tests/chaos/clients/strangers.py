"""Row 17: other users, other people's paths, and content that wants to be code.

Runs in: the chaos run. What other users may do is only tried where we are root.
"""

import multiprocessing
import os
import pickle
import shutil
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.synchronize import Event
from pathlib import Path

from daemon_under_test import MEMO
from decoding_here import open_recording

from chaos.clients import injections
from chaos.daemon.broken_daemon import broken_daemon
from chaos.daemon.oracle import complaint, make
from chaos.tally import Tally
from chaos.trial import Trial
from ipc.pipe import BadFrame, receive
from ipc.worker_messages import FROM_WORKER
from supervisor.disks.file_identity import FileRefused, read_identity
from workers.engine import EngineRefusal

TITLE = "Strangers"
DEMAND = (
    "another uid is refused; 80 traversals, 10,000 swaps of a symlink, 60 injections, pickles on the pipe: "
    "nothing passes"
)
TRAVERSALS, SWAPS, SUBMITTED_SWAPS = 80, 10_000, 200
SOMEBODY = 54_321


def run(trial: Trial) -> Tally:
    """Each part on its own."""
    tally = Tally()
    _another_user(trial, tally)
    _traversals(trial, tally)
    _swaps(trial, tally)
    injections.speak(trial, tally)
    _pickles(trial, tally)
    tally.faults = tally.trials
    return tally


# --- another user ----------------------------------------------------------------------------------------------

ASK = r"""
import os, socket, sys
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(sys.argv[1])
    s.sendall(b"GET /v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
except PermissionError:
    sys.exit("no way in")
except BrokenPipeError:
    pass
print(s.makefile("rb").read())
"""


def _another_user(trial: Trial, tally: Tally) -> None:
    # Its owner's: the daemon refuses a home that others may write into.
    (trial.folder / "home").mkdir(mode=0o700)
    before = os.umask(0)
    try:
        with broken_daemon(trial.folder / "home") as daemon:
            home = daemon.home
            for folder in ("state", "run", "spool", "logs"):
                mode = (home / folder).stat().st_mode & 0o777
                tally.expect(mode == 0o700, f"with umask 0, {folder} has {mode:o}")
            mode = daemon.socket.stat().st_mode & 0o777
            tally.expect(mode == 0o600, f"with umask 0, the socket has {mode:o}")
            tally.trials += 5
            if os.getuid() != 0:
                tally.figures["another uid"] = "not tried: only root can become somebody else"
                return
            for path in (trial.folder, home):
                path.chmod(0o755)
            said = _somebody_asks(daemon.socket)
            tally.expect("no way in" in said, f"another uid came through the folder: {said}")
            # Even where the modes would let it in, the daemon looks at who is there.
            for path in (home / "run", daemon.socket):
                path.chmod(0o777)
            said = _somebody_asks(daemon.socket)
            tally.expect(" 403 " in said and "not_yours" in said, f"another uid was answered {said}")
            tally.trials += 2
            for path, mode in ((trial.folder, 0o700), (home, 0o700), (home / "run", 0o700), (daemon.socket, 0o600)):
                path.chmod(mode)
    finally:
        os.umask(before)


def _somebody_asks(path: Path) -> str:
    asking = [sys.executable, "-P", "-c", ASK, str(path), str(SOMEBODY)]
    asked = subprocess.run(asking, capture_output=True, text=True, timeout=60)
    return asked.stdout + asked.stderr


# --- paths -----------------------------------------------------------------------------------------------------

STEPS = ("..", "../..", "/etc", "%2e%2e", "..\\..", "~", "$HOME", "\0", "{stem}/..", "con", ".", "", "…", "\u2025")


def _traversals(trial: Trial, tally: Tally) -> None:
    """Names of results, of recordings and of jobs; nothing may appear outside of the recording's folder."""
    luck = trial.luck("traversals")
    with broken_daemon(trial.folder / "home2") as daemon:
        place = trial.folder / "a" / "b" / "place"
        place.mkdir(parents=True)
        around = _everything_around(trial.folder, place)
        for number in range(trial.number(TRAVERSALS)):
            steps = [luck.choice(STEPS) for _ in range(luck.randint(1, 4))]
            glue = luck.choice(("/", "", "/"))
            tally.trials += 1
            if number % 2:
                recording = Path(shutil.copy(MEMO, place / f"{number}.flac"))
                name = glue.join(steps) + luck.choice(("{stem}", "/{stem}", "{name}"))
            else:
                # The recording's own name goes into its results' names.
                recording = Path(
                    shutil.copy(MEMO, place / f"{''.join(steps).replace('/', '').replace(chr(0), '')}x{number}")
                )
                name = "{stem}"
            answer = daemon.post("/v1/jobs", {"path": str(recording), "options": {"output_name": name}})
            tally.expect(answer.status_code < 500, f"{name!r}: {answer.text[:200]}")
            if answer.is_success:
                job = daemon.finished(int(answer.json()["id"]))
                outside = [path for path in job["outputs"].values() if Path(path).parent != place]
                tally.expect(job["status"] == "done", f"{name!r}: {job['status']}, {job['error']}")
                tally.expect(not outside, f"{name!r} named {outside}")
            else:
                tally.expect("/" in name or "\0" in name, f"{name!r} was refused: {answer.text[:200]}")
            with daemon.client() as client:
                client.get(f"/v1/jobs/{glue.join(steps)}".replace("\0", "%00"))
            now = _everything_around(trial.folder, place)
            tally.expect(now == around, f"{name!r} wrote outside of its folder: {sorted(now - around)[:3]}")
            around = now


def _everything_around(folder: Path, place: Path) -> set[str]:
    """But for the recordings' own folder and the daemon's."""
    own = {str(place), str(folder / "home2"), str(folder / "home")}
    found: set[str] = set()
    for inside, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if str(Path(inside, name)) not in own]
        found.update(str(Path(inside, name)) for name in (*folders, *names))
    return found


# --- links that are swapped ------------------------------------------------------------------------------------

RACE_SECONDS = 20.0
"""On a busy machine the swapping process may sleep through hundreds of tries, with the link in place."""


def _swaps(trial: Trial, tally: Tally) -> None:
    """A recording becomes a link to another, and itself again, while it is looked at and opened. What is handed over
    is one of the two, and stays that one."""
    place = trial.folder / "swaps"
    place.mkdir()
    own, secret = make(place / "own.wav", 1, chunks=1), make(trial.folder / "secret.wav", 2, chunks=1)
    victim = place / "victim.wav"
    shutil.copy(own.path, victim)
    head, digests = own.path.read_bytes(), Counter[str]()
    came_of = Counter[str]()
    with _swapping(victim, own.path, secret.path):
        tries, latest = trial.number(SWAPS), time.monotonic() + RACE_SECONDS
        while sum(came_of.values()) < tries or (
            not (came_of["opened"] and came_of["is_a_symlink"]) and time.monotonic() < latest
        ):
            tally.trials += 1
            try:
                with open_recording(victim) as file:
                    tally.expect(file.read() == head, "the worker read through a link")
                came_of["opened"] += 1
                digests[str(read_identity(victim).sha256)] += 1
            except (EngineRefusal, FileRefused) as refused:
                came_of[refused.code] += 1
    of_own = str(read_identity(own.path).sha256)
    tally.expect(not set(digests) - {of_own}, f"the supervisor read through a link: {digests} instead of {of_own}")
    tally.expect(came_of["opened"] and came_of["is_a_symlink"], f"there was no race: {came_of}")
    with broken_daemon(trial.folder / "home") as daemon:
        with _swapping(victim, own.path, secret.path):
            answers = [daemon.post("/v1/jobs", {"path": str(victim)}) for _ in range(trial.number(SUBMITTED_SWAPS))]
        for answer in answers:
            tally.trials += 1
            if not answer.is_success:
                tally.expect(answer.json()["code"] == "is_a_symlink", f"a swapped recording: {answer.text}")
                continue
            job = daemon.finished(int(answer.json()["id"]))
            came_of[f"job {job['status']}"] += 1
            if job["status"] == "done":
                transcript = daemon.get(f"/v1/jobs/{job['id']}/transcript", format="json")
                complaints = [complaint(one, transcript, words=True) for one in (own, secret)]
                tally.expect(None in complaints, "a job told neither of the two recordings")
    tally.figures["swaps"] = ", ".join(f"{code} {count}" for code, count in came_of.most_common())


@contextmanager
def _swapping(victim: Path, own: Path, secret: Path) -> Iterator[None]:
    context = multiprocessing.get_context("fork")
    over = context.Event()
    swapper = context.Process(target=_swap, args=(victim, own, secret, over), daemon=True)
    swapper.start()
    try:
        yield
    finally:
        over.set()
        swapper.join()


def _swap(victim: Path, own: Path, secret: Path, over: Event) -> None:
    link, file = victim.with_name(".link"), victim.with_name(".file")
    while not over.is_set():
        link.symlink_to(secret)
        link.replace(victim)
        shutil.copy(own, file)
        file.replace(victim)


# --- pickles ---------------------------------------------------------------------------------------------------


class Evil:
    """Unpickled, it runs a command."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.touched}",)


def _pickles(trial: Trial, tally: Tally) -> None:
    """What a worker says is never unpickled."""
    touched = trial.folder / "touched"
    frames = [pickle.dumps(Evil(touched), protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    frames += [b"\x80\x05" + os.urandom(50), b'{"kind": "ready"}', b"null", b"", b"[" * 100_000]
    raw = [struct.pack("!i", len(frame)) + frame for frame in frames]
    # Announced lengths: too long, negative, and longer than anything in eight bytes.
    raw += [struct.pack("!i", (1 << 31) - 1), struct.pack("!i", -2), struct.pack("!iQ", -1, 1 << 62)]
    for content in raw:
        ours, theirs = Pipe()
        tally.trials += 1
        os.write(theirs.fileno(), content)
        try:
            receive(ours, FROM_WORKER)
            tally.wrong.append(f"{content[:20]!r} was taken for a message")
        except BadFrame:
            pass
    tally.expect(not touched.exists(), "a pickle was run")
