"""stenod's engines without the daemon: the very calls a worker makes, in a process of their own.

Runs in: a contestant's process, under the product's Python.
"""

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from decoding_here import decode

from benchmarks.contestants.mlx_counters import calls_of, encoded_seconds
from benchmarks.contestants.turns import Asked, Loaded, Turn, take_turns
from ipc.transcript import Segment
from ipc.vocabulary import Phase
from ipc.worker_messages import Align, FromWorker, SegmentsTranscribed, Transcribe, WorkerSetup
from workers.audio.container_decoder import DecodingOptions
from workers.heartbeat import Heartbeat

LONGEST_SECONDS = 12 * 3600.0
BATCH_SEGMENTS = 4
"""As the supervisor hands them to the aligner."""


class Notebook(Heartbeat):
    """Writes down what a worker would send. Nobody cancels, and no watchdog is armed."""

    is_pause_wanted = False

    def __init__(self) -> None:
        self.said: list[FromWorker] = []

    def enter(self, phase: Phase, done_seconds: float = 0.0) -> None:
        pass

    def step(self, done_seconds: float) -> None:
        pass

    def send(self, message: FromWorker) -> None:
        self.said.append(message)

    @property
    def unheard(self) -> list[Any]:
        """What was audible and gave no text."""
        heard = (message for message in self.said if isinstance(message, SegmentsTranscribed))
        return [stretch for message in heard for stretch in message.unheard]

    @property
    def segments(self) -> tuple[Segment, ...]:
        heard = (message.segments for message in self.said if isinstance(message, SegmentsTranscribed))
        return tuple(itertools.chain.from_iterable(heard))


def whisperx_transcriber(setup: Asked) -> Loaded:
    from workers.whisperx.transcriber import WhisperxTranscriber

    engine = WhisperxTranscriber()
    device = engine.load(_worker_setup("transcriber", setup), _no_news).device
    return _transcriber(engine, setup, device, [0], [0.0])


def mlx_transcriber(setup: Asked) -> Loaded:
    from workers.mlx.network import DecoderRows
    from workers.mlx.transcriber import MlxTranscriber

    engine = MlxTranscriber()
    device = engine.load(_worker_setup("transcriber", setup), _no_news).device
    steps, encoded = calls_of(DecoderRows, "step"), encoded_seconds(engine.model.network)
    return _transcriber(engine, setup, device, steps, encoded)


def whisperx_aligner(setup: Asked) -> Loaded:
    from workers.shell import requests as worker_requests
    from workers.whisperx.aligner import WhisperxAligner

    engine = WhisperxAligner()
    engine.load(_worker_setup("aligner", setup), _no_news)

    def ready(asked: Asked) -> Turn:
        pcm = _decoded(asked["audio"], setup["folder"])
        segments = [Segment(id=number, **segment) for number, segment in enumerate(asked["segments"])]

        def turn() -> dict[str, Any]:
            words = []
            for batch in _batches(segments, BATCH_SEGMENTS):
                request = Align(request_id=0, pcm_path=str(pcm), language="en", segments=tuple(batch))
                aligned = worker_requests.align(request, engine, Notebook()).words
                words += [word for segment in batch for word in aligned.get(segment.id, ())]
            return {"words": [word.model_dump() for word in words]}

        return turn

    return ready


def _transcriber(engine: Any, setup: Asked, device: str, steps: list[int], encoded: list[float]) -> Loaded:
    """`steps` and `encoded` are counters, as `benchmarks.contestants.mlx_counters` has them."""
    from workers.shell import requests as worker_requests

    chunks = _chunks_found()

    def ready(asked: Asked) -> Turn:
        pcm = Path(setup["folder"]) / f"{os.getpid()}.s16"
        pcm.unlink(missing_ok=True)
        steps_before, encoded_before = steps[0], encoded[0]
        chunks.clear()

        def turn() -> dict[str, Any]:
            notebook = Notebook()
            decode(Path(asked["audio"]), pcm, DecodingOptions(LONGEST_SECONDS), lambda done_seconds: None)
            request = Transcribe(request_id=0, pcm_path=str(pcm), language="en")
            list(worker_requests.transcribe(request, engine, engine.batch_size, notebook))
            engine.rest()
            segments = notebook.segments
            return {
                "text": " ".join(segment.text for segment in segments),
                "segments": [segment.model_dump(include={"start", "end", "text"}) for segment in segments],
                "chunks": list(chunks),
                "unheard": [stretch.model_dump() for stretch in notebook.unheard],
                "decoder_steps": steps[0] - steps_before,
                "encoded_seconds": encoded[0] - encoded_before,
                "batch_size": engine.batch_size,
                "device": device,
            }

        return turn

    return ready


def _chunks_found() -> list[tuple[float, float]]:
    """From now on where every chunk that an engine is given starts and ends, in seconds."""
    from workers.speech import chunks as speech

    found: list[tuple[float, float]] = []
    whole = speech.find_chunks

    def noted(*asked: Any) -> Iterator[Any]:
        for chunk in whole(*asked):
            found.append((chunk.start, chunk.end))
            yield chunk

    speech.find_chunks = noted  # type: ignore[assignment]
    return found


def _worker_setup(role: Any, setup: Asked) -> WorkerSetup:
    return WorkerSetup(
        role=role,
        engine="whisperx",
        engine_path="",
        model=setup["model"],
        language="en",
        threads=setup["threads"],
        models_folder=setup["folder"],
    )


def _decoded(audio: str, folder: str) -> Path:
    """The recording as PCM, once."""
    pcm = Path(folder) / f"{Path(audio).stem}-{os.getpid()}.s16"
    decode(Path(audio), pcm, DecodingOptions(LONGEST_SECONDS), lambda done_seconds: None)
    return pcm


def _batches(segments: Sequence[Segment], size: int) -> list[Sequence[Segment]]:
    return [segments[first : first + size] for first in range(0, len(segments), size)]


def _no_news() -> None:
    """Nothing is fetched."""


if __name__ == "__main__":
    take_turns(
        {
            "whisperx engine": whisperx_transcriber,
            "mlx engine": mlx_transcriber,
            "whisperx aligner": whisperx_aligner,
        }
    )
