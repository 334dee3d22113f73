"""Where a job's recording and results are, and from which folder on their paths are walked without links. Pure.

Runs in: supervisor.

A watched folder was named by its owner, below it others may have been at work. A recording that was handed over was
named by the client: what its path led to was found out then, and no link is followed again.
"""

from pathlib import Path

from supervisor.disks.held_folder import Place
from supervisor.store.job import Job

ROOT = Path("/")


def recording_of(job: Job) -> Place:
    """The recording itself."""
    if job.target is not None:
        return Place(Path(job.target), ROOT)
    return _in_watch(job, Path(job.path))


def results_folder(job: Job, folder: Path | None) -> Place:
    """The folder of the job's results: the one asked for, or where the recording was taken."""
    if folder is not None:
        return place_of(job, folder)
    return place_of(job, Path(job.home) if job.home is not None else Path(job.first_path).parent)


def place_of(job: Job, folder: Path) -> Place:
    """A folder that the job's files are in."""
    if job.home is not None and folder == Path(job.home):
        return Place(folder, ROOT)
    return _in_watch(job, folder)


def _in_watch(job: Job, path: Path) -> Place:
    watch = None if job.watch is None else Path(job.watch)
    return Place(path, watch if watch is not None and path.is_relative_to(watch) else None)
