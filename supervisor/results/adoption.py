"""Adoption of results that the queue does not know: it was lost, or an older one was restored.

Runs in: supervisor.

A transcript.json records the hash of its recording. If it has the name that we would give it and the hash of the
arrived recording, the work is done. Its files do not count as ours, whatever they contain: the user may have
corrected them.
"""

import asyncio
import json
import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from config.settings import Settings
from supervisor.disks.foreign_disks import LONGEST_READING_SECONDS, DiskNotAnswering, disks
from supervisor.disks.held_folder import HeldFolder, held, settled
from supervisor.results.file_names import name_of, needs_language
from supervisor.store.arrival import Arrival
from supervisor.store.job import Job, ResolvedOptions, resolve_options, results_folder
from supervisor.system.threads import LONGEST_LOOK_SECONDS

LARGEST_BYTES = 256 * 1024 * 1024
"""The largest transcript that is read: a day of speech with all its words has a quarter of that."""
NAMES_TRIED = 20
ANY_LANGUAGE = "\U0010fffd"
"""Placeholder in a name for the unknown language."""


async def results_of(arrival: Arrival, settings: Settings) -> Path | None:
    """The transcript.json of exactly this content; None: there is none, or its disk does not answer."""
    wishes = resolve_options(arrival.options, settings)
    folder = wishes.folder or Path(arrival.path).parent
    finding = disks().look(folder, partial(find_results, arrival, wishes), LONGEST_READING_SECONDS)
    try:
        return await asyncio.wait_for(finding, LONGEST_LOOK_SECONDS)
    except (OSError, TimeoutError, DiskNotAnswering):
        return None


def find_results(arrival: Arrival, wishes: ResolvedOptions) -> Path | None:
    """The same, in a thread. Raises OSError if the folder of the results cannot be read."""
    job = Job(0, arrival.path, arrival.options, "waiting", arrival.identity, 0.0, watch=arrival.watch)
    with held(settled(results_folder(job, wishes.folder))) as folder:
        for name in _candidates(folder, job, wishes):
            if _sha256_in(folder, name) == arrival.identity.sha256:
                return folder.path / name
    return None


def _candidates(folder: HeldFolder, job: Job, wishes: ResolvedOptions) -> Iterator[str]:
    """The existing files with a name that a transcript of this job may have."""
    for attempt in range(1, NAMES_TRIED + 1):
        suffix = "" if attempt == 1 else f" ({attempt})"
        if needs_language(wishes.name) and wishes.language is None:
            parts = name_of(wishes.name, _with_language(job, ANY_LANGUAGE), suffix).split(ANY_LANGUAGE)
            first, last = parts[0], f"{parts[-1]}.json"
            found = [name for name in folder.names() if name.startswith(first) and name.endswith(last)]
        else:
            found = [f"{name_of(wishes.name, _with_language(job, wishes.language), suffix)}.json"]
            found = [name for name in found if folder.facts_if_there(name) is not None]
        if not found:
            return
        yield from found


def _with_language(job: Job, language: str | None) -> Job:
    return Job(0, job.path, job.options, job.status, job.identity, 0.0, watch=job.watch, language=language)


def _sha256_in(folder: HeldFolder, name: str) -> str | None:
    """The sha256 of the recording that a transcript records; None: not a transcript, or no hash in it."""
    try:
        with os.fdopen(folder.open(name), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_BYTES:
                return None
            told: Any = json.load(file)
    except (OSError, ValueError, RecursionError):
        return None
    recording = told.get("recording") if isinstance(told, dict) and "segments" in told else None
    sha256 = recording.get("sha256") if isinstance(recording, dict) else None
    return sha256 if isinstance(sha256, str) else None
