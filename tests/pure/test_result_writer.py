"""Files written anew when their words come later: ours are, somebody's are not, whatever a kill left behind.

Runs in: the test process.
"""

import hashlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from eventually import eventually_async

from config.settings import QueueSettings, Settings
from ipc.api_messages import Format, JobOptions
from ipc.transcript import Segment, Word
from supervisor import result_writer
from supervisor.held_folder import Place, held
from supervisor.job import FileIdentity, Job, WrittenFile
from supervisor.job_queue import JobQueue
from supervisor.job_wishes import wishes_of
from supervisor.result_files import unchanged
from supervisor.result_writer import ResultWriter
from supervisor.setbacks import JobMustWait

WISHES = wishes_of(JobOptions(), Settings())
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


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def is_there(file: WrittenFile) -> bool:
    path = Path(file.path)
    with held(Place(path.parent)) as folder:
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


async def test_a_disk_that_does_not_answer_lets_the_job_wait_and_takes_one_thread_only(
    queue: JobQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_writer, "LONGEST_WRITE_SECONDS", 0.05)
    is_back, stuck, real = threading.Event(), list[str](), result_writer._written

    def silent(*told: Any) -> str:
        stuck.append(threading.current_thread().name)
        is_back.wait(30)
        return real(*told)

    monkeypatch.setattr(result_writer, "_written", silent)
    job = await queue.add(str(tmp_path / "a.m4a"), JobOptions(), FileIdentity(1, 2, 3, 4))
    await queue.claim_next()
    await queue.store_segments(job.id, [HEARD], 1.0)
    writer = ResultWriter(queue)
    for _ in range(3):
        with pytest.raises(JobMustWait, match="does not answer"):
            await writer.write(await queue.get(job.id), WISHES, lambda job: None)
    assert len(stuck) == 1
    is_back.set()
    monkeypatch.setattr(result_writer, "LONGEST_WRITE_SECONDS", 30.0)
    await eventually_async(lambda: writer._silent[tmp_path].done())
    result = await writer.write(await queue.get(job.id), WISHES, lambda job: None)
    assert result is not None and all(is_recorded(result[0].outputs).values())
    assert names_in(tmp_path) == ["a.json", "a.srt", "state"]
