"""A worker's requests: the steps between the pipe and the engine.

Runs in: worker.

Every request ends with its final reply, or raises EngineRefusal, Cancelled, or whatever else an engine throws.

The same recording gives the same text, whatever happens to its worker: an engine whose result depends on the other
chunks of a batch gets batches that depend on the recording alone.
"""

import itertools
import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path

import structlog

from ipc.failpoints import hit
from ipc.transcript import Segment, Unheard, Word
from ipc.worker_messages import (
    Align,
    LanguageFound,
    SegmentsTranscribed,
    Transcribe,
    TranscriptionFinished,
    WordsAligned,
)
from workers.engine import Aligner, Audio, Chunk, DecodeOptions, EngineRefusal, TranscribedChunks, Transcriber
from workers.heartbeat import Heartbeat
from workers.out_of_memory import is_out_of_memory
from workers.shell.pausing import Border
from workers.speech.spoken_language import find_language, first_chunks
from workers.text.repetition import cut_down
from workers.text.unheard import WithoutVoice, unheard

SHORT_RECORDING_SECONDS = 300.0
"""For up to ten chunks: one ahead of the others would cost about as many decoder steps as all the others."""
LAST_CHUNK_SECONDS = 40.0
"""Near the end a batch has one chunk for each of these periods that are left."""
log = structlog.get_logger()


def planned_size(most: int, heard_until: float, audio_seconds: float, shows_life: bool) -> int:
    """The size of the batch at this place of the recording: the same for a worker that starts there.

    The first batch of a long recording is one chunk, so that the aligner has something to do.
    """
    left = audio_seconds - heard_until
    if shows_life:
        return 1 if heard_until == 0 and left > SHORT_RECORDING_SECONDS else most
    return 1 if heard_until == 0 else fewer_near_the_end(most, left)


def fewer_near_the_end(chunks: int, seconds_left: float) -> int:
    """The batch size this close to the end of the recording."""
    return max(1, min(chunks, int(seconds_left / LAST_CHUNK_SECONDS)))


def transcribe(
    request: Transcribe, engine: Transcriber, batch_size: int, heartbeat: Heartbeat
) -> Generator[Transcribe, Transcribe, TranscriptionFinished]:
    """Transcribes all speech from `start_at_seconds` on, and sends it as it comes: by chunk, or in batches of at most
    `batch_size`. Pauses between batches when that is wanted: see `workers.shell.pausing`.

    `start_at_seconds` is 0 or where an earlier worker had got to: chunks, text and batches are then those that the
    earlier worker would have had.
    """
    from workers.speech import chunks as speech

    heartbeat.enter("speech", request.start_at_seconds)
    engine.check(request.language, request.task)
    hit("engine_checked")
    segment_id = request.first_segment_id
    speech_seconds = 0.0
    heard_until = request.start_at_seconds
    transcribing = False
    border = Border(heartbeat)

    def listened(until: float) -> None:
        heartbeat.step(heard_until if transcribing else until)

    with speech.PcmFile(Path(request.pcm_path)) as pcm:
        hit("pcm_opened")
        without_voice = WithoutVoice()
        chunks = without_voice.put_aside(speech.find_chunks(pcm, request.start_at_seconds, listened))
        first = first_chunks(chunks) if request.language is None else list(itertools.islice(chunks, 1))
        if not first:
            _tell_the_rest(request, without_voice, heartbeat)
            return TranscriptionFinished(request_id=request.request_id, speech_seconds=0.0)
        language = request.language or _find_language(request, engine, first, heartbeat)
        transcribing = True
        heartbeat.enter("transcribing", first[0].start)
        wanted = DecodeOptions(
            language, request.task, request.prompt, lambda: heartbeat.step(heard_until), border.is_near
        )
        chunks = itertools.chain(first, chunks)
        # A user's own engine may be older than this attribute.
        if getattr(engine, "apart", False):
            told = engine.transcribe_each(chunks, wanted)
        else:
            told = _in_batches(chunks, engine, wanted, batch_size, request.start_at_seconds, pcm.seconds)
        hit("batch_begun")
        for batch in told:
            hit("batch_done")
            if batch:
                segments = _number(batch, segment_id)
                segment_id += len(segments)
                speech_seconds += sum(chunk.end - chunk.start for chunk, _ in batch)
                heard_until = batch[-1][0].end
                heartbeat.send(
                    SegmentsTranscribed(
                        request_id=request.request_id,
                        segments=segments,
                        unheard=_in_order(without_voice.before(heard_until), (chunk for chunk, _ in batch), segments),
                        done_seconds=heard_until,
                    )
                )
                hit("batch_said")
            if border.is_reached(len(batch)):
                here = {"start_at_seconds": heard_until, "first_segment_id": segment_id, "language": language}
                request = yield request.model_copy(update=here)
                border.cross()
            heartbeat.enter("transcribing", heard_until)
            hit("batch_begun")
        _tell_the_rest(request, without_voice, heartbeat)
    return TranscriptionFinished(request_id=request.request_id, speech_seconds=speech_seconds)


def _tell_the_rest(request: Transcribe, without_voice: WithoutVoice, heartbeat: Heartbeat) -> None:
    """Reports what is audible after the last voice."""
    if audible := tuple(without_voice.before(math.inf)):
        rest = SegmentsTranscribed(
            request_id=request.request_id, segments=(), unheard=audible, done_seconds=audible[-1].end
        )
        heartbeat.send(rest)


def _in_order(aside: Sequence[Unheard], chunks: Iterable[Chunk], segments: Sequence[Segment]) -> tuple[Unheard, ...]:
    """The audible parts without text, in the transcribed chunks and around them, in order."""
    return tuple(sorted([*aside, *unheard(chunks, segments)], key=lambda one: one.start))


def _in_batches(
    chunks: Iterator[Chunk],
    engine: Transcriber,
    wanted: DecodeOptions,
    most: int,
    heard_until: float,
    audio_seconds: float,
) -> Iterator[TranscribedChunks]:
    """For an engine whose result depends on the batch: batches that depend on the recording alone.

    The first batch of a long recording is one chunk, so that the aligner can start early. The last ones are small
    again: the job waits for what the aligner has left when the last one arrives.
    """
    # A user's own engine may be older than this attribute.
    shows_life = getattr(engine, "shows_life", False)
    while batch := list(itertools.islice(chunks, planned_size(most, heard_until, audio_seconds, shows_life))):
        yield list(zip(batch, engine.transcribe(batch, wanted), strict=True))
        heard_until = batch[-1].end


def align(request: Align, engine: Aligner, heartbeat: Heartbeat) -> WordsAligned:
    """Word times for every segment that yields some."""
    from workers.speech import chunks as speech

    # Before the check: for some engines it loads the language's model.
    heartbeat.enter("aligning")
    engine.check(request.language)
    hit("engine_checked")
    # The longest first: threads side by side then end at about the same time.
    segments = sorted(request.segments, key=lambda segment: segment.start - segment.end)
    with speech.PcmFile(Path(request.pcm_path)) as pcm:
        hit("pcm_opened")
        sounds = [pcm.audio(segment.start, segment.end) for segment in segments]

    def words_of(sound: Audio, segment: Segment) -> tuple[Word, ...]:
        hit("segment_begun")
        try:
            # Checked here: an invalid word would make the whole answer an invalid message, and cost the worker.
            return tuple(Word.model_validate(dict(word)) for word in engine.align(sound, segment, request.language))
        except EngineRefusal:
            raise
        except Exception as error:  # The boundary of one segment: its error costs no other segment its words.
            if is_out_of_memory(error):
                raise
            log.warning("segment_failed", segment_id=segment.id, error=type(error).__name__, exc_info=True)
            return ()

    # A user's own engine may be older than this attribute.
    side_by_side = getattr(engine, "side_by_side", map)
    words: dict[int, tuple[Word, ...]] = {}
    for segment, found in zip(segments, side_by_side(words_of, sounds, segments), strict=True):
        hit("segment_done")
        heartbeat.step(request.segments[0].start)
        if found:
            words[segment.id] = found
    return WordsAligned(request_id=request.request_id, words=words)


def _find_language(request: Transcribe, engine: Transcriber, first: Sequence[Chunk], heartbeat: Heartbeat) -> str:
    heartbeat.enter("language", first[0].start)
    language, probability = find_language(first, engine.find_language)
    engine.check(language, request.task)
    heartbeat.send(LanguageFound(request_id=request.request_id, language=language, probability=probability))
    return language


def _number(batch: TranscribedChunks, first_id: int) -> tuple[Segment, ...]:
    """Segments with ids from `first_id`, clipped to their chunks, without empty ones and without repetition loops."""
    ids = itertools.count(first_id)
    segments = []
    for chunk, stretches in batch:
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
