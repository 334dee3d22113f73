"""What a worker does with a request: the steps between the pipe and the engine.

Runs in: worker.

Every function returns the final reply, or raises EngineRefusal, Cancelled, or whatever else an engine throws.
"""

import functools
import itertools
import math
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from ipc.fault_points import reached
from ipc.transcript import Segment, Word
from ipc.worker_messages import (
    Align,
    LanguageFound,
    SegmentsTranscribed,
    Transcribe,
    TranscriptionFinished,
    WordsAligned,
)
from workers.batch_pace import BatchPace, planned_size
from workers.echoes import cut_down
from workers.engine import Aligner, Audio, Chunk, EngineRefusal, Heard, Transcriber, Wanted
from workers.pulse import Pulse
from workers.want_of_memory import is_want_of_memory

log = structlog.get_logger()


def transcribe(request: Transcribe, engine: Transcriber, batch_size: int, pulse: Pulse) -> TranscriptionFinished:
    """All speech from `start_at_seconds` on, sent in batches of at most `batch_size` chunks as they are done.

    `start_at_seconds` is 0 or what an earlier worker said was done: chunks, text and, for an engine to which its
    company matters, batches are then those that the earlier worker would have had.

    The first batch of a long recording is one chunk: it tells the engine's pace, and the aligner has something to do
    at once. The last ones are small again: what the aligner has left when the last comes keeps the job waiting.
    """
    from workers import speech

    pulse.enter("speech", request.start_at_seconds)
    engine.check(request.language, request.task)
    reached("engine_checked")
    language = request.language
    segment_id = request.first_segment_id
    speech_seconds = 0.0
    # An owner's engine may be older than these attributes.
    shows_life, apart = getattr(engine, "shows_life", False), getattr(engine, "apart", False)
    pace = BatchPace(shows_life)
    with speech.PcmFile(Path(request.pcm_path)) as pcm:
        reached("pcm_opened")
        chunks = speech.find_chunks(pcm, request.start_at_seconds, pulse.step)
        heard_until = request.start_at_seconds

        def size() -> int:
            if apart:
                return pace.size(batch_size, pcm.seconds - heard_until)
            return planned_size(batch_size, heard_until, pcm.seconds, shows_life)

        while batch := list(itertools.islice(chunks, size())):
            if language is None:
                language = _find_language(request, engine, batch[0], pulse)
            pulse.enter("transcribing", batch[0].start)
            reached("batch_begun")
            began = time.monotonic()
            alive = functools.partial(pulse.step, batch[0].start)
            heard = engine.transcribe(batch, Wanted(language, request.task, request.prompt, alive))
            pace = pace.after(len(batch), time.monotonic() - began)
            reached("batch_done")
            segments = _number(batch, heard, segment_id)
            segment_id += len(segments)
            speech_seconds += sum(chunk.end - chunk.start for chunk in batch)
            heard_until = batch[-1].end
            pulse.send(
                SegmentsTranscribed(request_id=request.request_id, segments=segments, done_seconds=heard_until)
            )
            reached("batch_said")
            pulse.enter("speech", heard_until)
    return TranscriptionFinished(request_id=request.request_id, speech_seconds=speech_seconds)


def align(request: Align, engine: Aligner, pulse: Pulse) -> WordsAligned:
    """Word times for every segment that yields some."""
    from workers import speech

    # Said before the check: for some engines it loads the language's model.
    pulse.enter("aligning")
    engine.check(request.language)
    reached("engine_checked")
    # The longest first: whoever works side by side is then done at about the same time.
    segments = sorted(request.segments, key=lambda segment: segment.start - segment.end)
    with speech.PcmFile(Path(request.pcm_path)) as pcm:
        reached("pcm_opened")
        sounds = [pcm.audio(segment.start, segment.end) for segment in segments]

    def words_of(sound: Audio, segment: Segment) -> tuple[Word, ...]:
        reached("segment_begun")
        try:
            # Checked here: one made without checks would make the whole answer no message, and cost the worker.
            return tuple(Word.model_validate(dict(word)) for word in engine.align(sound, segment, request.language))
        except EngineRefusal:
            raise
        except Exception as error:  # The boundary of one segment: what it stumbles over costs no other its words.
            if is_want_of_memory(error):
                raise
            log.warning("segment_failed", segment_id=segment.id, error=type(error).__name__, exc_info=True)
            return ()

    # An owner's engine may be older than this attribute.
    side_by_side = getattr(engine, "side_by_side", map)
    words: dict[int, tuple[Word, ...]] = {}
    for segment, found in zip(segments, side_by_side(words_of, sounds, segments), strict=True):
        reached("segment_done")
        pulse.step(request.segments[0].start)
        if found:
            words[segment.id] = found
    return WordsAligned(request_id=request.request_id, words=words)


def _find_language(request: Transcribe, engine: Transcriber, first: Chunk, pulse: Pulse) -> str:
    pulse.enter("language", first.start)
    language, probability = engine.find_language(first.audio)
    engine.check(language, request.task)
    pulse.send(LanguageFound(request_id=request.request_id, language=language, probability=probability))
    return language


def _number(batch: Sequence[Chunk], heard: Sequence[Sequence[Heard]], first_id: int) -> tuple[Segment, ...]:
    """Segments with ids from `first_id`, inside their chunks, without the empty ones and without going in circles."""
    ids = itertools.count(first_id)
    segments = []
    for chunk, stretches in zip(batch, heard, strict=True):
        for stretch in stretches:
            text = stretch.text.strip()
            if not text:
                continue
            start = min(max(stretch.start, chunk.start), chunk.end)
            end = min(max(stretch.end, start), chunk.end)
            voice_seconds = chunk.voice_seconds(start, end)
            text, copies = cut_down(text, end - start if voice_seconds is None else voice_seconds)
            segments.append(
                Segment(
                    id=next(ids),
                    start=start,
                    end=end,
                    text=text,
                    avg_logprob=_finite(stretch.avg_logprob),
                    no_speech_prob=_finite(stretch.no_speech_prob),
                    voice_seconds=voice_seconds,
                    repeats=copies,
                )
            )
    return tuple(segments)


def _finite(figure: float | None) -> float | None:
    return figure if figure is not None and math.isfinite(figure) else None
