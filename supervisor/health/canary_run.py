"""One canary run: decoded and transcribed by one worker, aligned by the other, and its verdict.

Runs in: supervisor.
"""

import asyncio
import shutil
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from ipc.status_views import CanaryView
from ipc.transcript import Segment
from ipc.worker_messages import (
    Align,
    AudioDecoded,
    Decode,
    FromWorker,
    Paused,
    Request,
    RequestFailed,
    SegmentsTranscribed,
    Transcribe,
    WordsAligned,
)
from supervisor.results.transcript_rules import with_words
from supervisor.system.clock import iso_time
from supervisor.worker.circuit_breaker import WorkerUnavailable
from supervisor.worker.handle import WorkerDied, WorkerHandle

CLIP = Path(__file__).with_name("canary.flac")
CLIP_TEXT = "The tickets are in the blue folder, next to the old camera."
CLIP_SECONDS = 3.8
MOST_WORDS = 4 * len(CLIP_TEXT.split())
"""No person speaks this fast: a model that transcribes more repeats itself."""
LONGEST_SECONDS = 60.0
"""A decoder that finds this much sound in the clip is wrong."""


class Busy(Exception):
    """A job got the worker that the canary was waiting for."""


class CanaryFailed(Exception):
    """A step of the canary failed; the message says which."""


@dataclass(slots=True)
class CanaryFlight:
    """One run. Its folder is its own, and is deleted afterwards."""

    transcriber: WorkerHandle
    aligner: WorkerHandle | None
    language: str
    deadline_seconds: float
    folder: Path
    segments: list[Segment] = field(default_factory=list)
    no_aligner_for_language: bool = False
    transcribe_seconds: float | None = None
    align_seconds: float | None = None

    async def run(self) -> CanaryView:
        """Runs it and returns the verdict. Raises Busy, but nothing that a worker could cause."""
        healthy = False
        try:
            await asyncio.to_thread(self.folder.mkdir, mode=0o700, parents=True, exist_ok=True)
            # Otherwise keep_alive = 0 would end it between the two requests.
            with self.transcriber.in_hand(self.folder / "audio.s16"):
                await self._through_workers()
            healthy, detail = True, self._praise()
        except CanaryFailed as fallen:
            detail = str(fallen)
        except OSError as error:
            detail = f"{self.folder} cannot be written: {error.strerror}"
        finally:
            await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)
        return CanaryView(
            healthy=healthy,
            detail=detail,
            at=iso_time(time.time()),
            audio_seconds=CLIP_SECONDS,
            transcribe_seconds=_rounded(self.transcribe_seconds),
            align_seconds=_rounded(self.align_seconds),
            words=len(self._words),
        )

    @property
    def _words(self) -> list[str]:
        return [word for segment in self.segments for word in segment.text.split()]

    async def _through_workers(self) -> None:
        due = asyncio.get_running_loop().time() + self.deadline_seconds
        pcm = str(self.folder / "audio.s16")
        decode = Decode(request_id=0, path=str(CLIP), pcm_path=pcm, longest_seconds=LONGEST_SECONDS)
        await self._ask(self.transcriber, decode, due)
        # Never "translate": the words of a translation are not in the sound, and cannot be aligned.
        transcribe = Transcribe(request_id=0, pcm_path=pcm, language=self.language)
        replies, self.transcribe_seconds = await self._ask(self.transcriber, transcribe, due)
        for reply in replies:
            if isinstance(reply, SegmentsTranscribed):
                self.segments.extend(reply.segments)
        if not self._words:
            raise CanaryFailed("the transcriber found no words in a clip of speech: its model may be damaged")
        # Repetition loops arrive cut down, with their number of copies.
        heard = sum(len(segment.text.split()) * (segment.repeats or 1) for segment in self.segments)
        if heard > MOST_WORDS:
            raise CanaryFailed(f"the transcriber found {heard} words in {CLIP_SECONDS:g} s: its model may be damaged")
        if self.aligner is not None:
            align = Align(request_id=0, pcm_path=pcm, language=self.language, segments=tuple(self.segments))
            replies, self.align_seconds = await self._ask(self.aligner, align, due)
            self._judge(replies[-1])

    async def _ask(self, handle: WorkerHandle, request: Request, due: float) -> tuple[list[FromWorker], float]:
        """All replies, and the seconds from the worker's start on the request to its last reply."""
        loop = asyncio.get_running_loop()
        try:
            async with AsyncExitStack() as lent:
                async with asyncio.timeout_at(due):
                    borrowed = handle.request(
                        request,
                        # The deadline may have been used up by waiting for the worker: it must not be killed for
                        # that.
                        deadline_seconds=max(self.deadline_seconds / 2, due - loop.time()),
                        # Whichever model is loaded: a canary must not replace a job's model.
                        engine=handle.view.engine,
                    )
                    coming = await lent.enter_async_context(borrowed)
                began = loop.time()
                replies = [reply async for reply in coming]
                took_seconds = loop.time() - began
        except TimeoutError:
            if handle.view.state == "busy":
                raise Busy from None
            raise CanaryFailed(
                f"the {handle.role} was not available within {self.deadline_seconds:g} s: it is {handle.view.state}"
            ) from None
        except WorkerDied as died:
            raise CanaryFailed(f"the {handle.role} crashed on it: {died.death.reason}") from died
        except WorkerUnavailable as unavailable:
            raise CanaryFailed(f"{unavailable.message}: {unavailable.hint}") from unavailable
        match replies[-1]:
            case Paused():
                raise Busy
            case RequestFailed(code=code) as refused if not code.startswith("no_alignment_model"):
                raise CanaryFailed(f"the {handle.role} refused it: {refused.message}; {refused.hint}")
            case AudioDecoded(seconds=seconds) if abs(seconds - CLIP_SECONDS) > 0.1:
                raise CanaryFailed(f"the {handle.role} decoded {seconds:.1f} s of a clip of {CLIP_SECONDS:g} s")
            case _:
                return replies, took_seconds

    def _judge(self, answer: FromWorker) -> None:
        match answer:
            case RequestFailed():
                self.no_aligner_for_language = True
            case WordsAligned(words=timed):
                codes = {with_words(segment, timed.get(segment.id))[1] for segment in self.segments} - {None}
                if codes:
                    raise CanaryFailed(f"the aligner gave no times for words: {', '.join(sorted(map(str, codes)))}")
            case _:
                raise CanaryFailed(f"the aligner answered with {answer.kind}")

    def _praise(self) -> str:
        words = self._words
        if self.aligner is None:
            said = f"{len(words)} words, and no aligner to time them"
        elif self.no_aligner_for_language:
            said = f"{len(words)} words; the aligner has no model for {self.language!r} to time them"
        else:
            said = f"all {len(words)} words timed"
        heard = set(_spoken(" ".join(words)))
        missed = [word for word in _spoken(CLIP_TEXT) if word not in heard]
        # Only reported: a tiny model, or one for another language, may transcribe other words.
        return f"{said}; misheard {len(missed)} of {len(_spoken(CLIP_TEXT))}" if missed else said


def _spoken(text: str) -> list[str]:
    return "".join(sign if sign.isalnum() else " " for sign in text.casefold()).split()


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
