"""Hours of speech: no more memory than minutes, one state of the database, and a reader who can be stopped.

Runs in: the test process.
"""

import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import get_args

import pytest

from config.settings import QueueSettings
from ipc.api_messages import JobOptions
from ipc.transcript import Segment, Word
from ipc.vocabulary import Format
from supervisor.disks.file_identity import FileIdentity
from supervisor.disks.held_folder import ScopedPath, held
from supervisor.disks.temporary_names import TemporaryNames
from supervisor.results.atomic_file import Claim, write
from supervisor.results.formats import BLOCK_CHARACTERS, render
from supervisor.results.transcript import transcript_of
from supervisor.store.job import Job
from supervisor.store.jobs import JobQueue
from supervisor.store.segments import StoredSegments

IDENTITY = FileIdentity(device=1, inode=2, size=3, mtime_ns=4)
JOB = Job(id=1, path="/x/a.mp3", options=JobOptions(), status="writing", identity=IDENTITY, created_at=0.0)
MOST_IN_HAND = 70
"""Segments of one second: a paragraph holds a minute of them."""
MOST_BETWEEN_BLOCKS = 800
"""Of them: 70 characters each, a block has 32 Ki, and a hundred alike say nothing."""


class Talk:
    """Somebody who speaks without a pause, and says one sentence for minutes; counts what others still hold of it."""

    def __init__(self, segments: int) -> None:
        self.segments = segments
        self.given = 0
        self.most_in_hand = 0
        self._in_hand: dict[int, weakref.ref[Segment]] = {}

    def __iter__(self) -> Iterator[Segment]:
        for at in range(self.segments):
            said = "and again, " * 7 if at % 1000 < 100 else f"sentence number {at} of very many " * 2
            times = [(word, at + place / 20) for place, word in enumerate(said.split())]
            words = tuple(Word(word=word, start=start, end=start + 0.05, score=0.5) for word, start in times)
            segment = Segment(id=at, start=at, end=at + 1, text=said.strip(), timing="word", words=words)
            self.given += 1
            number = self.given
            self._in_hand[number] = weakref.ref(segment, lambda _, number=number: self._in_hand.pop(number))
            self.most_in_hand = max(self.most_in_hand, len(self._in_hand))
            yield segment


@pytest.mark.parametrize("format", get_args(Format))
def test_a_long_talk_is_written_while_it_is_read_and_never_held(format: Format) -> None:
    talk = Talk(1200)
    transcript = transcript_of(JOB, talk)
    at, blocks = talk.given, 0
    for block in render(transcript, format, recording_name="a.mp3", highlight_words=False):
        blocks += 1
        assert len(block) < 2 * BLOCK_CHARACTERS
        assert talk.given - at < MOST_BETWEEN_BLOCKS
        at = talk.given
    assert blocks >= 2
    assert talk.most_in_hand < MOST_IN_HAND


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[JobQueue]:
    queue = await JobQueue.open(tmp_path / "state" / "jobs.sqlite3", QueueSettings())
    yield queue
    await queue.close()


async def test_a_copy_shows_one_moment_however_often_it_is_read_and_leaves_no_file(queue: JobQueue) -> None:
    job = await queue.add("/x/a.mp3", JobOptions(), IDENTITY)
    heard = [Segment(id=at, start=at, end=at + 1, text="line\nbreak \u2028 ü") for at in range(3)]
    await queue.store_segments(job.id, heard, 3.0)
    folder = queue.copies._database.folder
    before = set(folder.iterdir())
    with closing(await queue.copies.of(job.id)) as stored:
        assert set(folder.iterdir()) == before
        assert next(iter(stored)) == heard[0]
        await queue.store_aligned(job.id, list(Talk(3)))  # an upgrade, while somebody reads
        assert list(stored) == list(stored) == heard
    with closing(await queue.copies.of(job.id)) as stored:
        assert list(stored) == list(Talk(3))


def test_whoever_still_writes_from_a_copy_that_was_closed_leaves_the_old_file(tmp_path: Path) -> None:
    lines = BytesIO(b"".join(segment.model_dump_json().encode() + b"\n" for segment in Talk(3000)))
    stored = StoredSegments(lines)
    (tmp_path / "a.srt").write_text("old")

    def interrupted() -> Iterator[bytes]:
        blocks = render(transcript_of(JOB, stored), "srt", recording_name="a.mp3", highlight_words=False)
        yield next(blocks)
        stored.close()
        yield from blocks

    with pytest.raises(ValueError, match="closed"), held(ScopedPath(tmp_path)) as folder:
        write(folder, "a.srt", interrupted(), TemporaryNames("0123456789abcdef", 1), Claim())
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.srt", "old")]
