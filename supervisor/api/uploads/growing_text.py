"""The text of a running job, in pieces that together are the final text.

Runs in: supervisor. A piece is given once no later segment can change it.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress

from ipc.errors import StenodError
from ipc.transcript import Segment
from ipc.vocabulary import FINISHED
from supervisor.api.uploads.upload_jobs import UploadJobs
from supervisor.results.transcript_rules import fold_repeats, joined, settled

HEARTBEAT_SECONDS = 15.0
SEGMENTS_AT_ONCE = 200


async def text_pieces(jobs: UploadJobs, job_id: int) -> AsyncGenerator[str | None, None]:
    """Pieces until the job is finished; None is a heartbeat. Raises RequestRefused when the daemon stops.

    Ends also where the job failed: the caller looks at the job then.
    """
    text = _GrowingText(jobs, job_id)
    async with jobs.events(job_id) as events:
        coming = aiter(events)
        step = asyncio.ensure_future(anext(coming))
        try:
            while True:
                await asyncio.wait({step}, timeout=HEARTBEAT_SECONDS)
                if not step.done():
                    yield None
                    continue
                event = step.result()
                for piece in await text.more():
                    yield piece
                if event.kind == "job" and event.job.status in FINISHED:
                    break
                step = asyncio.ensure_future(anext(coming))
        finally:
            step.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration, StenodError):
                await step
    for piece in text.rest():
        yield piece


class _GrowingText:
    def __init__(self, jobs: UploadJobs, job_id: int) -> None:
        self._queue = jobs.service.queue
        self._job_id = job_id
        self._next = 0
        """The id of the first segment that was not read yet."""
        self._open: list[Segment] = []
        """Read, but a repetition that follows may still change them."""
        self._last = ""
        """The text of the segment before."""

    async def more(self) -> list[str]:
        """What can no longer change."""
        pieces: list[str] = []
        while True:
            new = await self._queue.segments_from(self._job_id, self._next, SEGMENTS_AT_ONCE)
            if new:
                self._next = new[-1].id + 1
                self._open += new
                count = settled(self._open)
                done, self._open = self._open[:count], self._open[count:]
                pieces += self._joined(done)
            if len(new) < SEGMENTS_AT_ONCE:
                return pieces

    def rest(self) -> list[str]:
        """All that is left of a finished job."""
        done, self._open = self._open, []
        return list(self._joined(done))

    def _joined(self, segments: list[Segment]) -> Iterator[str]:
        """One piece a segment, with the space before it that `joined` puts there."""
        for segment in fold_repeats(segments):
            text = "".join(joined([self._last, segment.text] if self._last else [segment.text]))
            yield text[len(self._last) :]
            self._last = segment.text
