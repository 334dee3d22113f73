"""Where a job's recording is now, and which task uses it.

Runs in: supervisor.

It is searched by inode first, which a rename keeps, then by content. A job follows its recording only to places
where a watched folder would take it: what was moved out of their reach was taken away. Several tasks may read a
recording, or one may move it, never both.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal
from weakref import WeakValueDictionary

import structlog

from config.watch_entry import WatchEntry
from supervisor.disks.file_identity import FileIdentity, FileRefused, look_at, read_identity
from supervisor.disks.foreign_disks import LONGEST_READING_SECONDS as LONGEST_SILENT_SECONDS
from supervisor.disks.foreign_disks import DiskNotAnswering, disks
from supervisor.disks.held_folder import ScopedPath, held
from supervisor.store.arrival import RECORDING_GONE, Arrival
from supervisor.store.job import Job, recording_of
from supervisor.store.jobs import JobQueue
from supervisor.system.threads import LONGEST_LOOK_SECONDS
from supervisor.watch.entries import options_of, treatment_of
from supervisor.watch.scan import SeenFile

log = structlog.get_logger()
LONGEST_READING_SECONDS = 120.0
"""For all the files whose content is compared with one lost recording's."""
MOST_READ = 16
"""The most files that are compared; a file of the very same size is rare."""
COARSEST_TIME_NS = 2_000_000_000
"""FAT keeps times to two seconds: a file that was moved to such a disk may look so much older or younger."""
Look = Callable[[Callable[[SeenFile], bool]], Awaitable[list[tuple[SeenFile, WatchEntry]]]]
"""The files of all watched folders that are wanted, as they are this moment."""
Whereabouts = Literal["here", "gone", "unknown"]


class RecordingLocks:
    """A lock for each job, as long as a task holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    def of(self, job_id: int) -> asyncio.Lock:
        """The job's lock. After having waited for it, ask the queue where the recording is now."""
        lock = self._locks.get(job_id)
        if lock is None:
            lock = self._locks[job_id] = asyncio.Lock()
        return lock


class RecordingSearch:
    """Finds recordings that were renamed or moved, and tells the queue."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self.look: Look | None = None
        """None: no folder is watched."""

    async def followed(self, job: Job) -> Job | None:
        """The job where its recording has gone; None: that is where it was, or nowhere to be found."""
        if await whereabouts(job) != "gone":
            return None
        return await self._follow(job)

    async def find(self, job: Job, refusal: FileRefused | None) -> Job | None:
        """The same for a job whose path holds something else, or nothing that can be read, which `refusal` says."""
        if refusal is not None and refusal.code not in RECORDING_GONE:
            return None  # it is there
        if refusal is None and job.watch is None:
            return None  # what is at the path is what was asked for
        return await self._follow(job)

    async def moved_away(self, job: Job) -> bool:
        """Whether a job whose results' folder is missing has its recording elsewhere: then they will go there."""
        now = await self.followed(await self._queue.get(job.id)) or await self._queue.get(job.id)
        if Path(now.path).parent == Path(job.first_path).parent:
            return False
        await self._queue.seen.put_elsewhere(job.id)
        return True

    async def _follow(self, job: Job) -> Job | None:
        found = await self._found(job)
        if found is None:
            return None
        followed = await self._queue.seen.follow(job.id, found)
        log.info("recording_followed", job=job.id, path=job.path, to=followed.path)
        return followed

    async def _found(self, job: Job) -> Arrival | None:
        known = job.identity
        places = frozenset(await self._queue.seen.other_places(job))

        def may_be(seen: SeenFile) -> bool:
            if seen.path == job.path or seen.identity.size != known.size:
                return False
            is_near = abs(seen.identity.mtime_ns - known.mtime_ns) <= COARSEST_TIME_NS
            return is_near or seen.path in places

        seen = [] if self.look is None else await self.look(may_be)
        # The job's own folder first: of several copies the nearest.
        seen.sort(key=lambda one: str(one[1].path) != job.watch)
        for file, entry in seen:
            if not file.identity.looks_like(known):
                continue
            if (there := await _looked_at(ScopedPath(Path(file.path), entry.path), known)) is not None:
                return _arrival(there, file.path, entry)
        if job.watch is None:
            return await _beside(job)
        if known.sha256 is None:
            return None
        try:
            async with asyncio.timeout(LONGEST_READING_SECONDS):
                for file, entry in seen[:MOST_READ]:
                    if await self._queue.seen.is_anothers(file.path, job.id):
                        continue
                    reading = partial(_with_content, ScopedPath(Path(file.path), entry.path), known)
                    if (there := await disks().look(file.path, reading, LONGEST_SILENT_SECONDS)) is not None:
                        return _arrival(there, file.path, entry)
        except (OSError, TimeoutError, DiskNotAnswering):
            log.warning("recording_search_given_up", job=job.id, after_seconds=LONGEST_READING_SECONDS)
        return None


async def whereabouts(job: Job, hint: Path | None = None) -> Whereabouts:
    """Whether the job's recording is at the job's path. `hint` is another name, which may be another spelling of it.

    One that was replaced by a copy of itself is there; one that was handed over is whatever its path holds.
    """
    looking = disks().look(recording_of(job).path, partial(_whereabouts, job, hint), LONGEST_SILENT_SECONDS)
    try:
        return await asyncio.wait_for(looking, LONGEST_READING_SECONDS)
    except (OSError, TimeoutError, DiskNotAnswering):
        return "unknown"


def _whereabouts(job: Job, hint: Path | None) -> Whereabouts:
    recording, path, known = recording_of(job), Path(job.path), job.identity
    try:
        found = look_at(recording.path, recording.beneath)
        if hint is not None and _is_respelled(path, hint):
            return "gone"
        if found.looks_like(known) or job.watch is None:
            return "here"
        if found.size != known.size or known.sha256 is None:
            return "gone"
        return "here" if read_identity(recording.path, recording.beneath).sha256 == known.sha256 else "gone"
    except FileRefused as refused:
        return "gone" if refused.code in RECORDING_GONE else "unknown"


def _is_respelled(path: Path, hint: Path) -> bool:
    """Whether the two are one name to a file system that does not tell letter case or accents apart."""
    if path == hint or path.parent != hint.parent:
        return False
    return path.samefile(hint) and not {path.name, hint.name} <= set(os.listdir(path.parent))  # noqa: PTH208


async def _beside(job: Job) -> Arrival | None:
    """Where it was handed over it is looked for in its own folder, whatever it is called now."""
    recording = recording_of(job)
    try:
        name = await disks().look(
            recording.path, partial(_by_inode, recording.folder, job.identity), LONGEST_LOOK_SECONDS
        )
    except (OSError, DiskNotAnswering):
        return None
    if name is None:
        return None
    target = ScopedPath(recording.path.with_name(name), recording.beneath)
    there = await _looked_at(target, job.identity)
    if there is None:
        return None
    # What was handed over by a link keeps the link's name, and its results with it.
    by_link = job.target is not None and Path(job.target) != Path(job.home or "") / Path(job.path).name
    path = job.path if by_link else str(Path(job.path).with_name(name))
    return Arrival(path, there, target=str(target.path), home=job.home)


def _by_inode(folder: ScopedPath, known: FileIdentity) -> str | None:
    with held(folder) as opened, os.scandir(opened.descriptor) as entries:
        for entry in entries:
            if entry.inode() == known.inode:
                return entry.name
    return None


async def _looked_at(place: ScopedPath, known: FileIdentity) -> FileIdentity | None:
    """What is there now, if that looks like it."""

    def look() -> FileIdentity | None:
        try:
            found = look_at(place.path, place.beneath)
        except FileRefused:
            return None
        return replace(found, sha256=known.sha256) if found.looks_like(known) else None

    try:
        return await disks().look(place.path, look)
    except (OSError, DiskNotAnswering):
        return None


def _with_content(place: ScopedPath, known: FileIdentity) -> FileIdentity | None:
    try:
        found = read_identity(place.path, place.beneath)
    except FileRefused:
        return None
    return found if found.sha256 == known.sha256 else None


def _arrival(identity: FileIdentity, path: str, entry: WatchEntry) -> Arrival:
    return Arrival(path, identity, options_of(entry), str(entry.path), treatment_of(entry))
