"""The peers, used as their own documentation says: loaded once, then asked as often as one likes.

Runs in: a contestant's process, under the peers' Python. Knows nothing of stenod.
"""

import wave
from typing import Any

from benchmarks.turns import Asked, Loaded, Turn, take_turns


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
            return {"text": " ".join(segment["text"].strip() for segment in aligned["segments"])}

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
    """The pipeline under WhisperX, called directly."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    model = WhisperModel(
        setup["model"], device="cpu", compute_type="int8", cpu_threads=setup["threads"], local_files_only=True
    )
    pipeline = BatchedInferencePipeline(model)

    def ready(asked: Asked) -> Turn:
        def turn() -> dict[str, Any]:
            segments, _ = pipeline.transcribe(asked["audio"], language="en", **setup["settings"])
            return {"text": " ".join(segment.text.strip() for segment in segments)}

        return turn

    return ready


def mlx_whisper(setup: Asked) -> Loaded:
    """mlx-whisper's own way through a file. Counts its decoder's steps."""
    import mlx.core as mx
    import mlx_whisper
    from mlx_whisper.transcribe import ModelHolder

    metal = mx.metal.is_available()
    ModelHolder.get_model(setup["model"], mx.float16 if metal else mx.float32)
    steps = decoder_steps()

    def ready(asked: Asked) -> Turn:
        before = steps[0]

        def turn() -> dict[str, Any]:
            heard = mlx_whisper.transcribe(
                asked["audio"],
                path_or_hf_repo=setup["model"],
                language="en",
                verbose=None,
                fp16=metal,
                **asked["settings"],
            )
            return {"text": heard["text"], "decoder_steps": steps[0] - before}

        return turn

    return ready


def decoder_steps() -> list[int]:
    """From now on the first element counts the calls of mlx-whisper's decoder; one serves the whole batch."""
    from mlx_whisper.whisper import TextDecoder

    calls = [0]
    whole = TextDecoder.__call__

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        return whole(*args, **kwargs)

    TextDecoder.__call__ = counted
    return calls


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
            "BatchedInferencePipeline": faster_whisper,
            "mlx_whisper": mlx_whisper,
        }
    )
