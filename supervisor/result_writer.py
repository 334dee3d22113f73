"""The last step of a job: names chosen and promised, files written, and written anew when its words come later.

Runs in: supervisor.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ipc.api_messages import Format
from ipc.fault_points import reached
from supervisor.job import Job, WrittenFile
from supervisor.job_queue import JobQueue
from supervisor.job_transcript import JobTranscript, transcript_of
from supervisor.job_wishes import JobWishes
from supervisor.result_files import OutputRefused, home_of, plan, unchanged, write
from supervisor.result_formats import render
from supervisor.result_names import name_of, needs_language
from supervisor.setbacks import setback_of

TELLING_SIGNS = 40
"""By so much of a name are those files of other recordings found that could be in its way."""


class ResultWriter:
    """Transcript → files. Every method raises JobFailed or JobMustWait when the disk refuses."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._naming = asyncio.Lock()
        """Held from choosing names to reserving them: two jobs at once must not choose the same."""

    async def would_be_skipped(self, job: Job, wishes: JobWishes) -> bool:
        """Whether all files are there already, and the job is told to leave them. Asked before anybody listens."""
        if wishes.if_exists != "skip" or job.outputs:
            return False
        job = replace(job, language=job.language or wishes.language)
        if needs_language(wishes.name) and job.language is None:
            return False
        return await self._plan(job, wishes) is None

    async def write(
        self, job: Job, wishes: JobWishes, tell: Callable[[Job], object]
    ) -> tuple[Job, JobTranscript] | None:
        """The job with its files, and the facts of what is in them. None: the files appeared while we worked.

        The job is `writing`; the segments are closed by the end.
        """
        async with self._naming:
            planned = await self._plan(job, wishes)
            if planned is None:
                return None
            reserved = {format: WrittenFile(str(path), None) for format, path in planned.items()}
            job = await self._queue.move(job.id, "writing", outputs=reserved)
            reached("names_promised")
        tell(job)
        with await self._queue.copies.of(job.id) as stored:
            transcript = await asyncio.to_thread(transcript_of, job, stored)
            outputs = await _write_all(job, _Content(job, transcript, wishes), planned)
            reached("files_written")
        return replace(job, outputs=outputs), transcript

    async def replace(self, job: Job, wishes: JobWishes) -> tuple[Job, JobTranscript]:
        """The same for a job that was done before; files that somebody changed since are left as they are."""
        with await self._queue.copies.of(job.id) as stored:
            transcript = await asyncio.to_thread(transcript_of, job, stored)
            content = _Content(job, transcript, wishes)
            ours = {
                format: Path(written.path)
                for format, written in job.outputs.items()
                if await asyncio.to_thread(_is_ours, written, content, format)
            }
            outputs = await _write_all(job, content, ours)
            reached("upgrade_files_written")
        return replace(job, outputs={**job.outputs, **outputs}), transcript

    async def _plan(self, job: Job, wishes: JobWishes) -> dict[Format, Path] | None:
        near = home_of(job, wishes.folder) / name_of(wishes.name, job)[:TELLING_SIGNS]
        ours = await self._queue.outputs.written_for(job.path)
        others = await self._queue.outputs.of_others(job.path, str(near))
        try:
            return await asyncio.to_thread(
                plan, job, wishes.formats, wishes.folder, wishes.if_exists, ours, others, wishes.name
            )
        except OutputRefused as refused:
            raise setback_of(refused) from refused


@dataclass(frozen=True, slots=True)
class _Content:
    """What the job's files are to hold."""

    job: Job
    transcript: JobTranscript
    wishes: JobWishes

    def of(self, format: Format) -> Iterator[bytes]:
        name = Path(self.job.first_path).name
        return render(self.transcript, format, recording_name=name, highlight_words=self.wishes.highlight_words)


async def _write_all(job: Job, content: _Content, planned: Mapping[Format, Path]) -> dict[Format, WrittenFile]:
    """JSON last: where it stands, the others stand too."""
    outputs: dict[Format, WrittenFile] = {}
    for format in sorted(planned, key=lambda format: format == "json"):
        path = planned[format]
        try:
            outputs[format] = WrittenFile(str(path), await asyncio.to_thread(write, path, content.of(format), job.id))
        except OutputRefused as refused:
            raise setback_of(refused) from refused
    return outputs


def _is_ours(written: WrittenFile, content: _Content, format: Format) -> bool:
    """Whether nobody changed the file, or it is what an upgrade that was killed had already made of it."""
    if written.sha256 is not None and unchanged(Path(written.path), written.sha256):
        return True
    made = hashlib.sha256()
    for block in content.of(format):
        made.update(block)
    return unchanged(Path(written.path), made.hexdigest())
