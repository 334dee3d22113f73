"""Files written again when their words come later: ours are, somebody's are not, whatever a kill left behind.

Runs in: the test process.
"""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from config.settings import QueueSettings, Settings
from ipc.api_messages import JobOptions
from ipc.transcript import Segment, Word
from ipc.vocabulary import Format
from supervisor.disks.file_identity import FileIdentity
from supervisor.disks.held_folder import ScopedPath, held
from supervisor.jobs.writing import ResultWriter
from supervisor.results.file_plan import unchanged
from supervisor.store.job import Job, WrittenFile, resolve_options
from supervisor.store.jobs import JobQueue

WISHES = resolve_options(JobOptions(), Settings())
HEARD = Segment(id=0, start=0.0, end=1.0, text="hello")


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[JobQueue]:
    queue = await JobQueue.open(tmp_path / "state" / "jobs.sqlite3", QueueSettings())
    yield queue
    await queue.close()


async def written(queue: JobQueue, folder: Path) -> Job:
    job = await queue.add(str(folder / "a.m4a"), JobOptions(), FileIdentity(1, 2, 3, 4))
    await queue.claim_next()
    await queue.store_segments(job.id, [HEARD], 1.0)
    result = await ResultWriter(queue).write(await queue.get(job.id), WISHES, lambda job: None)
    assert result is not None
    return await queue.move(job.id, "done", outputs=result[0].outputs)


async def words_come(queue: JobQueue, job: Job) -> None:
    word = Word(word="hello", start=0.2, end=0.9)
    await queue.store_aligned(job.id, [HEARD.model_copy(update={"timing": "word", "words": (word,)})])


def is_there(file: WrittenFile) -> bool:
    path = Path(file.path)
    with held(ScopedPath(path.parent)) as folder:
        return file.sha256 is not None and unchanged(folder, path.name, (file.sha256,))


def is_recorded(outputs: dict[Format, WrittenFile]) -> dict[Format, bool]:
    return {format: is_there(file) for format, file in outputs.items()}


async def test_an_upgrade_that_was_killed_before_it_noted_its_files_is_finished_by_the_next(
    queue: JobQueue, tmp_path: Path
) -> None:
    job = await written(queue, tmp_path)
    await words_come(queue, job)
    await ResultWriter(queue).replace(job, WISHES)  # and then the power went, before the database knew
    assert not any(is_recorded(job.outputs).values())
    again, transcript = await ResultWriter(queue).replace(job, WISHES)
    assert transcript.timing == "word"
    assert all(is_recorded(again.outputs).values())


async def test_a_file_that_somebody_edited_is_left_alone(queue: JobQueue, tmp_path: Path) -> None:
    job = await written(queue, tmp_path)
    edited = tmp_path / "a.srt"
    edited.write_text("corrected by hand")
    await words_come(queue, job)
    replaced, _ = await ResultWriter(queue).replace(job, WISHES)
    assert edited.read_text() == "corrected by hand"
    assert is_recorded(replaced.outputs) == {"srt": False, "json": True}
    assert replaced.outputs["srt"] == job.outputs["srt"]
    assert replaced.outputs["json"].sha256 == hashlib.sha256((tmp_path / "a.json").read_bytes()).hexdigest()
