"""Speech → text with WhisperX's own engine: faster-whisper on CTranslate2. The only file that names them.

Runs in: worker.
"""

import zlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from config.model_names import DEFAULT_MODEL, WITHOUT_TRANSLATION
from ipc.worker_messages import Task, WorkerSetup
from workers.engine import SAMPLE_RATE, Audio, Chunk, Downloading, EngineRefusal, Heard, Loaded, Wanted
from workers.heard_bounds import widen
from workers.models import find_model

SLOT_SECONDS = 30
"""What Whisper hears at once; a batch is laid out with each chunk at the start of a slot of its own."""
CHUNKS_A_BATCH_ON_CPU = 4
CHUNKS_A_BATCH_ON_CUDA = 16
BEAM_SIZE = 5
SHORTEST_REST_SECONDS = 1.0
"""A chunk whose text ends earlier than this before the chunk is heard again: Whisper may leave a rest to the next
window."""

# When Whisper doubts itself; https://github.com/openai/whisper/blob/main/whisper/transcribe.py
LEAST_LOGPROB = -1.0
MOST_COMPRESSION = 2.4
MOST_NO_SPEECH = 0.6


class WhisperxTranscriber:
    """faster-whisper in int8 on the CPU and float16 on CUDA. Fails as `workers.engine.Transcriber` says."""

    batch_size = CHUNKS_A_BATCH_ON_CPU
    shows_life = False

    def load(self, setup: WorkerSetup, downloading: Downloading) -> Loaded:
        """Opens the model's folder; nothing is fetched but by `find_model`. Half a second for the starter."""
        self.name = setup.model or DEFAULT_MODEL["whisperx"]
        folder = find_model(setup.model, "whisperx", Path(setup.models_folder), setup.allow_download, downloading)

        import ctranslate2
        from faster_whisper import BatchedInferencePipeline, WhisperModel

        device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        try:
            self.model: Any = WhisperModel(
                str(folder),
                device=device,
                compute_type="float16" if device == "cuda" else "int8",
                cpu_threads=setup.threads,
                local_files_only=True,
            )
        except (RuntimeError, ValueError) as error:
            raise EngineRefusal(
                "model_damaged", f"{folder} cannot be opened: {error}", f"delete {folder} and fetch the model again"
            ) from error
        self.pipeline: Any = BatchedInferencePipeline(self.model)
        if device == "cuda":
            self.batch_size = CHUNKS_A_BATCH_ON_CUDA
        packages = ("faster-whisper", "ctranslate2")
        return Loaded(model=self.name, device=device, versions={name: version(name) for name in packages})

    def check(self, language: str | None, task: Task) -> None:
        spoken = self.model.supported_languages
        if task == "translate" and (
            spoken == ["en"] or any(kind in Path(self.name).name for kind in WITHOUT_TRANSLATION)
        ):
            raise EngineRefusal(
                "cannot_translate",
                f"model {self.name} cannot translate",
                "take a multilingual model such as small, medium or large-v3",
            )
        if language is not None and language not in spoken:
            raise EngineRefusal(
                "language_not_supported",
                f"model {self.name} does not know the language {language!r}",
                "take a multilingual model such as small" if spoken == ["en"] else f"one of {', '.join(spoken)}",
            )

    def find_language(self, audio: Audio) -> tuple[str, float]:
        if self.model.supported_languages == ["en"]:
            return "en", 1.0
        language, probability, _ = self.model.detect_language(audio[: SLOT_SECONDS * SAMPLE_RATE])
        return language, float(probability)

    def transcribe(self, chunks: Sequence[Chunk], wanted: Wanted) -> list[list[Heard]]:
        """All chunks in one go; those Whisper doubts, or heard only in part, once more by themselves."""
        # faster-whisper looks for speech itself when it gets no clips.
        heard = self._hear_together(chunks, wanted) if chunks else []
        return [
            widen(self._hear_alone(chunk, wanted) if is_doubtful(found, chunk) else found, chunk)
            for chunk, found in zip(chunks, heard, strict=True)
        ]

    def rest(self) -> None:
        """CTranslate2 keeps no cache that grows with the job."""

    def _hear_together(self, chunks: Sequence[Chunk], wanted: Wanted) -> list[list[Heard]]:
        """One batch without second tries. A chunk that Whisper takes for silence gives an empty list."""
        slots = np.zeros((len(chunks), SLOT_SECONDS * SAMPLE_RATE), np.float32)
        for slot, chunk in zip(slots, chunks, strict=True):
            sound = chunk.audio[: slot.size]
            slot[: sound.size] = sound
        clips = [
            {"start": number * SLOT_SECONDS, "end": number * SLOT_SECONDS + chunk.end - chunk.start}
            for number, chunk in enumerate(chunks)
        ]
        segments, _ = self.pipeline.transcribe(
            slots.reshape(-1),
            language=wanted.language,
            task=wanted.task,
            beam_size=BEAM_SIZE,
            initial_prompt=wanted.prompt,
            without_timestamps=False,
            clip_timestamps=clips,
            batch_size=len(chunks),
        )
        heard: list[list[Heard]] = [[] for _ in chunks]
        for segment in segments:
            number = segment.seek // (SLOT_SECONDS * self.model.frames_per_second)
            found = as_heard(segment, chunks[number].start - number * SLOT_SECONDS)
            if not is_silence(found):
                heard[number].append(found)
        return heard

    def _hear_alone(self, chunk: Chunk, wanted: Wanted) -> list[Heard]:
        """One chunk with all Whisper has against doubt: rising temperatures, windows that start where text ended."""
        segments, _ = self.model.transcribe(
            chunk.audio,
            language=wanted.language,
            task=wanted.task,
            beam_size=BEAM_SIZE,
            initial_prompt=wanted.prompt,
            condition_on_previous_text=False,
        )
        return [as_heard(segment, chunk.start) for segment in segments]


def as_heard(segment: Any, offset_seconds: float) -> Heard:
    """A faster_whisper Segment, moved to its place in the recording."""
    return Heard(
        start=segment.start + offset_seconds,
        end=segment.end + offset_seconds,
        text=segment.text,
        avg_logprob=float(segment.avg_logprob),
        no_speech_prob=float(segment.no_speech_prob),
    )


def is_silence(heard: Heard) -> bool:
    """Whether Whisper believes that nobody speaks and that its own text is poor."""
    return (heard.no_speech_prob or 0.0) > MOST_NO_SPEECH and (heard.avg_logprob or 0.0) < LEAST_LOGPROB


def is_doubtful(heard: Sequence[Heard], chunk: Chunk) -> bool:
    """Whether Whisper's own tests fail, or its text ends well before the chunk does. Silence is no doubt."""
    if not heard:
        return False
    return (
        min(one.avg_logprob or 0.0 for one in heard) < LEAST_LOGPROB
        or compression("".join(one.text for one in heard)) > MOST_COMPRESSION
        or chunk.end - heard[-1].end > SHORTEST_REST_SECONDS
    )


def compression(text: str) -> float:
    """How many times shorter zlib makes a text: what repeats itself shrinks most."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw))
