"""Row 22: the queue's file is damaged in every way a disk knows; it is refused, kept as it is, and said so.

Runs in: the chaos run.
"""

import asyncio
import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from asked_queue import jobs_in
from daemon_under_test import DaemonUnderTest

from chaos.recordings.media_corpus import BEREFT
from chaos.tally import Tally
from chaos.trial import Trial
from config.logs import set_level
from config.settings import QueueSettings
from ipc.api_messages import JobOptions
from supervisor.disks.file_identity import FileIdentity
from supervisor.store.jobs import JobQueue
from supervisor.store.sqlite.database import APPLICATION_ID, SCHEMA_SCRIPTS, DatabaseRefused, JobQueueBroken

TITLE = "Damaged databases"
DEMAND = (
    "200 cases: opened with everything that was acknowledged, or refused with every byte kept; the daemon ends with "
    "the code for wrong data and says which file"
)
CASES, JOBS = 200, 60
HEADER_BYTES = 100
END_SECONDS = 30.0
IDENTITY = '{"device":1,"inode":2,"size":3,"mtime_ns":4,"sha256":null}'
OLD_JOB = f"""
    INSERT INTO jobs (id, path, created_at, options, status, identity)
    VALUES (?, ?, ?, '{{}}', 'waiting', '{IDENTITY}')
"""


def run(trial: Trial) -> Tally:
    """A queue with jobs, a copy of it for each case."""
    tally = Tally(trials=trial.number(CASES, least=len(DAMAGES)))
    set_level("error")
    luck = trial.luck()
    whole = trial.folder / "whole"
    acknowledged = asyncio.run(_fill(whole))
    for number in range(tally.trials):
        name = list(DAMAGES)[number % len(DAMAGES)]
        place = trial.folder / str(number)
        shutil.copytree(whole, place)
        may_lose = DAMAGES[name](place / "jobs.sqlite3", luck)
        tally.faults += 1
        before = {file.name: file.read_bytes() for file in place.iterdir()}
        try:
            found = asyncio.run(_ids(place / "jobs.sqlite3"))
        except DatabaseRefused:
            after = {file.name: file.read_bytes() for file in place.iterdir() if file.name in before}
            kept = all(after.get(file) == content for file, content in before.items() if not file.endswith("-shm"))
            tally.expect(kept, f"{name}: a refused file was changed")
            continue
        except JobQueueBroken:
            continue  # Found where it is used, as the queue's file says; nothing was answered wrongly.
        except Exception as error:  # noqa: BLE001  the very thing that this row looks for
            tally.wrong.append(f"{name}: {type(error).__name__}: {error}")
            continue
        missing = acknowledged - found
        if missing and not may_lose:
            tally.lost += len(missing)
            tally.wrong.append(f"{name}: {len(missing)} jobs are gone without a word")
        shutil.rmtree(place)
    for refused in (of_the_future, of_another_program, no_database, read_only):
        _the_daemon_says_so(trial.folder / refused.__name__, whole, refused, luck, tally)
    return tally


def _the_daemon_says_so(
    home: Path, whole: Path, damage: Callable[[Path, random.Random], bool], luck: random.Random, tally: Tally
) -> None:
    """A real one: it ends with the code for wrong data, one line of why, and the file as it was."""
    shutil.copytree(whole, home / "state")
    file = home / "state" / "jobs.sqlite3"
    damage(file, luck)
    before = file.read_bytes()
    daemon = DaemonUnderTest(home, {})
    # Root may write what nobody may.
    daemon.command = [*(BEREFT if os.getuid() == 0 and shutil.which("setpriv") else ()), *daemon.command]
    daemon.launch()
    assert daemon.process is not None
    tally.trials += 1
    try:
        code = daemon.process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        daemon.kill()
        code = None
    told = daemon.log.read_text()
    tally.expect(code == os.EX_DATAERR, f"{damage.__name__}: the daemon ended with {code}: {told[-300:]}")
    tally.expect(str(file) in told, f"{damage.__name__}: the daemon does not say which file: {told[-300:]}")
    tally.expect("Traceback" not in told, f"{damage.__name__}: {told[-300:]}")
    tally.expect(file.read_bytes() == before, f"{damage.__name__}: the daemon changed the file")


def cut_log(file: Path, luck: random.Random) -> bool:
    """A power cut: whatever of the log had not been synced. What a checkpoint had taken is in the file."""
    log = _log_of(file)
    log.write_bytes(log.read_bytes()[: luck.randrange(log.stat().st_size)])
    return True


def flip_in_log(file: Path, luck: random.Random) -> bool:
    _flip(_log_of(file), luck, 0)
    return True


def no_log(file: Path, luck: random.Random) -> bool:
    _log_of(file).unlink()
    return True


def flip_a_byte(file: Path, luck: random.Random) -> bool:
    """In one of the pages; SQLite keeps no checksums, so a byte of text may change unseen."""
    _flip(file, luck, HEADER_BYTES)
    return True


def wipe_a_page(file: Path, luck: random.Random) -> bool:
    content = bytearray(file.read_bytes())
    page = luck.randrange(1, max(2, len(content) // 4096)) * 4096
    content[page : page + 4096] = bytes(4096)
    file.write_bytes(content)
    return True


def cut_file(file: Path, luck: random.Random) -> bool:
    content = file.read_bytes()
    file.write_bytes(content[: luck.randrange(len(content))])
    return True


def of_the_future(file: Path, luck: random.Random) -> bool:
    with closing(sqlite3.connect(file)) as database:
        database.execute(f"PRAGMA user_version = {luck.randint(50, 1000)}")
    return False


def of_another_program(file: Path, luck: random.Random) -> bool:
    with closing(sqlite3.connect(file)) as database:
        database.execute(f"PRAGMA application_id = {luck.randint(1, 1000)}")
    return False


def no_database(file: Path, luck: random.Random) -> bool:
    _log_of(file).unlink(missing_ok=True)
    file.write_bytes(luck.randbytes(luck.randint(1, 100_000)))
    return True


def of_the_past(file: Path, luck: random.Random) -> bool:
    """Made by an older stenod, of any version there was; its jobs are brought along."""
    version = luck.randrange(1, len(SCHEMA_SCRIPTS))
    with closing(sqlite3.connect(file)) as new:
        new.execute("PRAGMA journal_mode = DELETE")
        jobs = new.execute("SELECT id, path, created_at FROM jobs").fetchall()
    file.unlink()
    with closing(sqlite3.connect(file)) as old:
        for script in SCHEMA_SCRIPTS[:version]:
            old.executescript(script.read_text("utf-8"))
        old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        old.execute(f"PRAGMA user_version = {version}")
        old.executemany(OLD_JOB, jobs)
        old.commit()
    return False


def read_only(file: Path, luck: random.Random) -> bool:
    file.chmod(0o400)
    return False


def untouched(file: Path, luck: random.Random) -> bool:
    return False


DAMAGES: dict[str, Callable[[Path, random.Random], bool]] = {
    damage.__name__.replace("_", " "): damage
    for damage in (
        *(cut_log, flip_in_log, no_log, flip_a_byte, wipe_a_page, cut_file),
        *(of_the_future, of_the_past, of_another_program, no_database, untouched),
    )
}
"""What is done to the file → whether jobs may be missing if it is opened all the same."""


async def _fill(place: Path) -> frozenset[int]:
    """Killed rather than closed: the log is still there."""
    queue = await JobQueue.open(place / "live.sqlite3", QueueSettings())
    ids = set()
    for number in range(JOBS):
        job = await queue.add(f"/x/{number}.wav", JobOptions(), FileIdentity(1, number, 3, 4))
        ids.add(job.id)
    for end in ("", "-wal"):
        shutil.copyfile(place / f"live.sqlite3{end}", place / f"jobs.sqlite3{end}")
    await queue.close()
    _forget_the_live(place)
    return frozenset(ids)


def _forget_the_live(place: Path) -> None:
    for file in place.glob("live*"):
        file.unlink()


async def _ids(file: Path) -> frozenset[int]:
    queue = await JobQueue.open(file, QueueSettings())
    try:
        return frozenset(job.id for job in await jobs_in(queue, None, 10 * JOBS))
    finally:
        await queue.close()


def _log_of(file: Path) -> Path:
    return file.with_name(f"{file.name}-wal")


def _flip(file: Path, luck: random.Random, first: int) -> None:
    content = bytearray(file.read_bytes())
    content[luck.randrange(min(first, len(content) - 1), len(content))] ^= 1 << luck.randrange(8)
    file.write_bytes(content)
