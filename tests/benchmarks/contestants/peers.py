"""The peers, used as their own documentation says: loaded once, then asked as often as one likes.

Runs in: a contestant's process, under the peers' Python. Knows nothing of stenod.
"""

import wave
from collections.abc import Callable
from typing import Any

from benchmarks.contestants.mlx_counters import calls_of, encoded_seconds
from benchmarks.contestants.turns import Asked, Loaded, Turn, take_turns


def whisperx(setup: Asked) -> Loaded:
    """Transcription and alignment in one process, as in WhisperX's README."""
    import torch
    import whisperx

    torch.set_num_threads(setup["threads"])
    model = whisperx.load_model(
        setup["model"], "cpu", compute_type="int8", language="en", threads=setup["threads"], local_files_only=True
    )
    aligner, about = whisperx.load_align_model("en", "cpu", model_name=setup["alignment_model"])

    def ready(asked: Asked) -> Turn:
        def turn() -> dict[str, Any]:
            audio = whisperx.load_audio(asked["audio"])
            # The batch of the command line.
            heard = model.transcribe(audio, batch_size=8, language="en")
            aligned = whisperx.align(heard["segments"], aligner, about, audio, "cpu")
            return {
                "text": " ".join(segment["text"].strip() for segment in aligned["segments"]),
                "words": [word for word in aligned["word_segments"] if "start" in word],
            }

        return turn

    return ready


def whisperx_align(setup: Asked) -> Loaded:
    """Alignment alone, of segments that are given."""
    import torch
    import whisperx

    torch.set_num_threads(setup["threads"])
    aligner, about = whisperx.load_align_model("en", "cpu", model_name=setup["alignment_model"])

    def ready(asked: Asked) -> Turn:
        audio = _samples(asked["audio"])

        def turn() -> dict[str, Any]:
            aligned = whisperx.align(asked["segments"], aligner, about, audio, "cpu")
            return {"words": aligned["word_segments"]}

        return turn

    return ready


def faster_whisper(setup: Asked) -> Loaded:
    """Window after window, as Whisper itself goes through a file."""
    return _on_faster_whisper(setup, lambda model: model)


def batched_pipeline(setup: Asked) -> Loaded:
    """The pipeline under WhisperX, called directly."""
    from faster_whisper import BatchedInferencePipeline

    return _on_faster_whisper(setup, BatchedInferencePipeline)


def _on_faster_whisper(setup: Asked, of: Callable[[Any], Any]) -> Loaded:
    from faster_whisper import WhisperModel

    model = WhisperModel(
        setup["model"], device="cpu", compute_type="int8", cpu_threads=setup["threads"], local_files_only=True
    )
    listener = of(model)

    def ready(asked: Asked) -> Turn:
        def turn() -> dict[str, Any]:
            segments, _ = listener.transcribe(asked["audio"], language="en", **setup["settings"])
            return {"text": " ".join(segment.text.strip() for segment in segments)}

        return turn

    return ready


def mlx_whisper(setup: Asked) -> Loaded:
    """mlx-whisper's own way through a file. Counts what its model is asked to do."""
    import mlx.core as mx
    import mlx_whisper
    from mlx_whisper.transcribe import ModelHolder
    from mlx_whisper.whisper import TextDecoder

    metal = mx.metal.is_available()
    network = ModelHolder.get_model(setup["model"], mx.float16 if metal else mx.float32)
    steps, encoded = calls_of(TextDecoder, "__call__"), encoded_seconds(network)

    def ready(asked: Asked) -> Turn:
        steps_before, encoded_before = steps[0], encoded[0]

        def turn() -> dict[str, Any]:
            heard = mlx_whisper.transcribe(
                asked["audio"],
                path_or_hf_repo=setup["model"],
                language="en",
                verbose=None,
                fp16=metal,
                **asked["settings"],
            )
            return {
                "text": heard["text"],
                "decoder_steps": steps[0] - steps_before,
                "encoded_seconds": encoded[0] - encoded_before,
            }

        return turn

    return ready


def _samples(path: str) -> Any:
    """16 kHz mono WAV → float32 from -1 to 1."""
    import numpy as np

    with wave.open(path) as file:
        pcm = file.readframes(file.getnframes())
    return np.frombuffer(pcm, dtype="<i2").astype(np.float32) / 32768


if __name__ == "__main__":
    take_turns(
        {
            "whisperx": whisperx,
            "whisperx.align": whisperx_align,
            "faster-whisper": faster_whisper,
            "BatchedInferencePipeline": batched_pipeline,
            "mlx_whisper": mlx_whisper,
        }
    )
