"""The last step of a job: names chosen and promised, files written, and written again when its words come later.

Runs in: supervisor.
"""

import asyncio
import contextlib
import hashlib
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ipc.failpoints import hit
from ipc.vocabulary import Format
from supervisor.disks.access import with_heartbeats
from supervisor.disks.foreign_disks import LONGEST_READING_SECONDS, DiskNotAnswering, disks
from supervisor.disks.temporary_names import TemporaryNames
from supervisor.jobs.outcomes import setback_of
from supervisor.results.atomic_file import Claim, NameTaken, remove_leftovers, withdraw, write
from supervisor.results.file_names import name_of, needs_language
from supervisor.results.file_plan import OutputRefused, home_of, open_home, plan, unchanged
from supervisor.results.formats import render
from supervisor.results.transcript import JobTranscript, transcript_of
from supervisor.store.job import Job, ResolvedOptions, WrittenFile, place_of
from supervisor.store.jobs import JobQueue
from supervisor.system.threads import LONGEST_LOOK_SECONDS

PLAN_SECONDS = 30.0
"""For a look at what is there, by its content where that is told by nothing else."""
TELLING_SIGNS = 40
"""By so much of a name are those files of other recordings found that could be in its way."""
MOST_PLANS = 100
"""For names that others take between our choice and our writing."""

Ours = Mapping[str, Collection[str]]
"""Output path → the sha256s of what stenod wrote there for the recording, or was about to."""


class ResultWriter:
    """Transcript → files. Every method raises JobFailed or JobMustWait when the disk refuses."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._naming = asyncio.Lock()
        """Held from choosing names to reserving them: two jobs must not choose the same."""

    async def would_be_skipped(self, job: Job, wishes: ResolvedOptions) -> bool:
        """Whether all files are there already, and the job is told to leave them. Asked before transcription."""
        if wishes.if_exists != "skip" or job.outputs:
            return False
        job = replace(job, language=job.language or wishes.language)
        if needs_language(wishes.name) and job.language is None:
            return False
        planned, _ = await self._plan(job, wishes)
        return planned is None

    async def write(
        self, job: Job, wishes: ResolvedOptions, tell: Callable[[Job], object]
    ) -> tuple[Job, JobTranscript] | None:
        """The job with its files, and the facts of what is in them. None: the files appeared while we worked.

        The job is `writing`; the segments are closed by the end.
        """
        with contextlib.closing(await self._queue.copies.of(job.id)) as stored:
            transcript = await asyncio.to_thread(transcript_of, job, stored, stored.unheard)
            content = _Content(job, transcript, wishes)
            sha256s = await asyncio.to_thread(content.sha256s)
            if job.outputs:
                await self.sweep(job)
            written: dict[str, str] = {}
            for _ in range(MOST_PLANS):
                async with self._naming:
                    planned, ours = await self._plan(job, wishes)
                    if planned is None:
                        return None
                    reserved = {format: WrittenFile(str(p), None, sha256s[format]) for format, p in planned.items()}
                    if job.status == "writing":
                        job = await self._queue.change(job.id, outputs=reserved)
                    else:
                        job = await self._queue.move(job.id, "writing", outputs=reserved)
                    hit("names_promised")
                tell(job)
                try:
                    for format, path in planned.items():
                        claim = Claim(
                            {*ours.get(str(path), ()), sha256s[format]},
                            sets_aside=wishes.if_exists == "overwrite",
                            recording=job.identity,
                        )
                        written[str(path)] = await self._write_one(job, content, format, path, claim)
                except NameTaken:
                    continue  # the others may get a free name with it: all share one stem
                await self._withdraw(job, written, planned.values())
                hit("files_written")
                outputs = {format: WrittenFile(str(p), written[str(p)]) for format, p in planned.items()}
                return replace(job, outputs=outputs), transcript
        raise setback_of(
            OutputRefused(
                "names_exhausted", f"others keep taking the names of {Path(job.path).name}", "see who writes there"
            )
        )

    async def replace(self, job: Job, wishes: ResolvedOptions) -> tuple[Job, JobTranscript]:
        """The same for a job that was done before; files that were edited since are left as they are."""
        with contextlib.closing(await self._queue.copies.of(job.id)) as stored:
            transcript = await asyncio.to_thread(transcript_of, job, stored, stored.unheard)
            content = _Content(job, transcript, wishes)
            sha256s = await asyncio.to_thread(content.sha256s)
            await self.sweep(job)
            promised = {
                format: replace(written, promised=sha256s.get(format)) for format, written in job.outputs.items()
            }
            job = await self._queue.change(job.id, outputs=promised)
            outputs = {format: replace(written, promised=None) for format, written in job.outputs.items()}
            for format in sorted(outputs, key=lambda format: format == "json"):
                path, known = Path(outputs[format].path), outputs[format].sha256
                # What an upgrade that was killed had already made of it is ours, too.
                claim = Claim({known or "", sha256s[format]}, only_replaces=True, recording=job.identity)
                try:
                    sha256 = await self._write_one(job, content, format, path, claim)
                except NameTaken:
                    continue
                outputs[format] = WrittenFile(str(path), sha256)
            hit("upgrade_files_written")
        return replace(job, outputs=outputs), transcript

    async def sweep(self, job: Job) -> None:
        """Takes away what earlier tries of the job left half-written beside its files."""
        ours = await self._queue.outputs.ours(job.path)
        names = await self._queue.outputs.unfinished_names(job.id)
        for folder in {Path(written.path).parent for written in job.outputs.values()}:
            sweeping = disks().look(folder, partial(_sweep, names, job, folder, ours), LONGEST_READING_SECONDS)
            # A dead disk must not keep the daemon from starting.
            with contextlib.suppress(TimeoutError, DiskNotAnswering):
                await asyncio.wait_for(sweeping, LONGEST_LOOK_SECONDS)

    async def _plan(self, job: Job, wishes: ResolvedOptions) -> tuple[dict[Format, Path] | None, Ours]:
        try:
            home = await disks().look(wishes.folder or job.first_path, partial(home_of, job, wishes.folder))
            near = home.path / name_of(wishes.name, job)[:TELLING_SIGNS]
            ours = await self._queue.outputs.ours(job.path)
            others = await self._queue.outputs.of_others(job.path, str(near), any_case=sys.platform == "darwin")
            planned = await disks().look(
                home.path,
                partial(plan, job, wishes.formats, home, wishes.if_exists, ours, others, wishes.name),
                PLAN_SECONDS,
            )
        except OutputRefused as refused:
            raise setback_of(refused) from refused
        return planned, ours

    async def _write_one(self, job: Job, content: "_Content", format: Format, path: Path, claim: Claim) -> str:
        names = await self._queue.outputs.unfinished_names(job.id)
        try:
            return await disks().work(
                path, lambda access: _written(names, job, path, with_heartbeats(content.of(format), access), claim)
            )
        except OutputRefused as refused:
            raise setback_of(refused) from refused

    async def _withdraw(self, job: Job, written: Mapping[str, str], kept: Collection[Path]) -> None:
        """What was written before another file of the set found its name taken."""
        names = await self._queue.outputs.unfinished_names(job.id)
        for path, sha256 in written.items():
            if Path(path) not in kept:
                try:
                    await disks().look(path, partial(_withdrawn, names, job, Path(path), sha256), PLAN_SECONDS)
                except OutputRefused as refused:
                    raise setback_of(refused) from refused


@dataclass(frozen=True, slots=True)
class _Content:
    """What the job's files are to hold."""

    job: Job
    transcript: JobTranscript
    wishes: ResolvedOptions

    def of(self, format: Format) -> Iterator[bytes]:
        name = Path(self.job.first_path).name
        return render(self.transcript, format, recording_name=name, highlight_words=self.wishes.highlight_words)

    def sha256s(self) -> dict[Format, str]:
        """Of every file there may be of it. What is about to be written is noted first, so that a kill in between
        leaves nothing that we do not know again."""
        formats = {*self.wishes.formats, *self.job.outputs}
        return {format: _sha256(self.of(format)) for format in formats}


def _sha256(content: Iterator[bytes]) -> str:
    made = hashlib.sha256()
    for block in content:
        made.update(block)
    return made.hexdigest()


def _written(names: TemporaryNames, job: Job, path: Path, content: Iterator[bytes], claim: Claim) -> str:
    with open_home(place_of(job, path.parent), path.name) as folder:
        # Nothing is rendered for a file that its owner has changed or taken away.
        if claim.only_replaces and not unchanged(folder, path.name, claim.ours):
            raise NameTaken(path)
        return write(folder, path.name, content, names, claim)


def _withdrawn(names: TemporaryNames, job: Job, path: Path, sha256: str) -> None:
    with open_home(place_of(job, path.parent), path.name) as folder:
        withdraw(folder, path.name, sha256, names)


def _sweep(names: TemporaryNames, job: Job, path: Path, ours: Ours) -> None:
    outputs = {format: Path(written.path).name for format, written in job.outputs.items()}
    sha256s = {sha256 for known in ours.values() for sha256 in known}
    try:
        with open_home(place_of(job, path), "leftovers") as folder:
            remove_leftovers(folder, names, outputs, sha256s)
    except OutputRefused:
        return  # a folder that is gone has nothing left; what resists goes at the next start
