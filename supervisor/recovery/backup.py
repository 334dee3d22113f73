"""`steno backup` and `steno restore`: the queue copied to a file, and replaced by one.

Runs in: a separate process, so that neither needs a daemon.

A backup reads while a daemon writes; it never writes itself, so there is one writer. A restore takes the daemon's
lock: no process may have the replaced file open.
"""

import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ipc.durable_file import sync_path
from ipc.errors import StenodError
from supervisor.store.sqlite.database import APPLICATION_ID, SCHEMA_SCRIPTS
from supervisor.store.sqlite.database_copy import SET_ASIDE, copy_database
from supervisor.system.single_instance import AlreadyRunning, DaemonLock, LockRefused

WAIT_SECONDS = 5.0


class CopyRefused(StenodError):
    """Refused; nothing was changed."""


@dataclass(frozen=True, slots=True)
class QueueFile:
    """The content of a queue's file."""

    schema: int
    jobs: int
    size_bytes: int


def back_up(database: Path, lock: Path, target: Path) -> QueueFile:
    """Copies the current queue. Replaces an older copy of a queue, but no other file. Raises CopyRefused."""
    if not database.exists():
        raise CopyRefused("no_queue", f"there is no queue yet: {database}", "start the daemon once")
    if target.is_dir():
        raise CopyRefused("not_a_file", f"{target} is a folder", f"name a file: {target / 'queue-backup.sqlite3'}")
    if target.exists():
        if os.path.samestat(target.stat(), database.stat()):
            raise CopyRefused("is_the_queue", f"{target} is the queue itself", "name another file")
        look_into(target)  # a user's own file is not overwritten
    alone: DaemonLock | None = None
    with suppress(AlreadyRunning, LockRefused):
        alone = DaemonLock.acquire(lock)  # without a daemon, none may start meanwhile
    try:
        with closing(to_read(database)) as source:
            copy_database(source, target)
    except (sqlite3.Error, OSError) as error:
        raise CopyRefused(
            "not_copied",
            f"{database} could not be copied to {target}: {getattr(error, 'strerror', None) or error}",
            "check the free space and the folder's owner; `steno check` checks the queue",
        ) from error
    finally:
        if alone is not None:
            alone.release()
    return look_into(target)


def restore(database: Path, lock: Path, copy: Path) -> tuple[QueueFile, Path | None]:
    """Makes the copy the queue from the next start on; returns it and the path of the previous queue. Raises
    CopyRefused."""
    try:
        with DaemonLock.acquire(lock):
            return _restore(database, copy)
    except AlreadyRunning as running:
        raise CopyRefused(
            "daemon_runs",
            str(running),
            "run `steno service uninstall`, or stop `steno serve`; then restore, then `steno service install`",
        ) from running
    except LockRefused as refused:
        raise CopyRefused(refused.code, refused.message, refused.hint) from refused


def _restore(database: Path, copy: Path) -> tuple[QueueFile, Path | None]:
    if database.exists() and copy.exists() and os.path.samestat(copy.stat(), database.stat()):
        raise CopyRefused("is_the_queue", f"{copy} is the queue itself", "name a backup")
    found = look_into(copy)
    fresh = database.with_name(f"{database.stem}-restored.new")
    try:
        with closing(to_read(copy)) as source:
            copy_database(source, fresh)
        _give_no_number_twice(fresh, database)
        aside = _set_aside(database)
        # The old write-ahead log must be gone before the new file is there: SQLite would replay it.
        for suffix in ("-wal", "-shm"):
            Path(f"{database}{suffix}").unlink(missing_ok=True)
        sync_path(database.parent)
        fresh.replace(database)
        sync_path(database.parent)
    except (sqlite3.Error, OSError) as error:
        with suppress(OSError):
            fresh.unlink()
        raise CopyRefused(
            "not_restored",
            f"{copy} could not be put in place: {error}",
            f"check the free space in {database.parent}",
        ) from error
    return found, aside


def look_into(file: Path) -> QueueFile:
    """The content of an undamaged queue's file. Raises CopyRefused."""
    try:
        with closing(to_read(file)) as connection:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
            if application != APPLICATION_ID:
                raise CopyRefused("not_a_queue", f"{file} is not a queue of stenod", "name a file of `steno backup`")
            if schema > len(SCHEMA_SCRIPTS):
                raise CopyRefused(
                    "newer_queue",
                    f"{file} has schema {schema}, this stenod knows {len(SCHEMA_SCRIPTS)}",
                    "a newer stenod made it: install that one",
                )
            complaint = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if complaint != "ok":
                raise CopyRefused("damaged", f"{file} is damaged: {complaint}", "use another backup")
            (jobs,) = connection.execute("SELECT count(*) FROM jobs").fetchone()
    except (sqlite3.Error, OSError) as error:
        missing = not file.exists()
        raise CopyRefused(
            "no_such_file" if missing else "not_a_queue",
            f"there is no {file}" if missing else f"{file} cannot be read as a queue: {error}",
            "name a file of `steno backup`",
        ) from error
    return QueueFile(schema, jobs, file.stat().st_size)


def to_read(file: Path) -> sqlite3.Connection:
    """A read-only connection. Raises sqlite3.Error."""
    return sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True, timeout=WAIT_SECONDS)


def _give_no_number_twice(fresh: Path, database: Path) -> None:
    """Job ids used since the copy was made are not reused."""
    highest = 0
    with suppress(sqlite3.Error, OSError, TypeError), closing(to_read(database)) as old:
        (highest,) = old.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'jobs'").fetchone()
    if highest:
        with closing(sqlite3.connect(fresh, isolation_level=None)) as new:
            new.execute(
                "INSERT INTO sqlite_sequence (name, seq) SELECT 'jobs', 0 WHERE NOT EXISTS "
                "(SELECT 1 FROM sqlite_sequence WHERE name = 'jobs')"
            )
            new.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'jobs'", (highest,))
        sync_path(fresh)


def _set_aside(database: Path) -> Path | None:
    """Renames the previous queue and its log, however damaged."""
    if not database.exists():
        return None
    moment = time.strftime("%Y%m%d-%H%M%S")
    aside = database.with_name(SET_ASIDE.format(stem=database.stem, moment=moment))
    number = 1
    while aside.exists():
        number += 1
        aside = database.with_name(SET_ASIDE.format(stem=database.stem, moment=f"{moment}-{number}"))
    for suffix in ("-wal", ""):  # the log first: it is useless without its database
        there = Path(f"{database}{suffix}")
        if there.exists() and there.stat().st_size > 0:
            _second_name(there, Path(f"{aside}{suffix}"))
    return aside


def _second_name(file: Path, name: Path) -> None:
    try:
        os.link(file, name)
    except OSError:  # a disk without hard links
        shutil.copy2(file, name)
        sync_path(name)
