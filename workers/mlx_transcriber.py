"""Speech → text with mlx-whisper: the only file that names it for transcription.

Runs in: worker, on its main thread.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipc.worker_messages import Task, WorkerSetup
from workers.engine import SAMPLE_RATE, Audio, Chunk, Downloading, EngineRefusal, Heard, Loaded, Wanted
from workers.heard_bounds import widen
from workers.mlx_model import MlxModel, give_caches_back, load_mlx_model
from workers.timestamp_tokens import Reading, read_timestamps

TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Tried in turn when greedy decoding fails, as in https://arxiv.org/abs/2212.04356 section 4.5."""
REPETITIVE_RATIO = 2.4
"""Text that zlib shrinks further than this is a loop."""
DOUBTFUL_LOGPROB = -1.0
SILENT_PROBABILITY = 0.6
BATCH_ON_METAL = 8


@dataclass(frozen=True, slots=True)
class Stretch:
    """The rest of a chunk that is still to be heard."""

    chunk: int
    start: float
    """Seconds from the start of the recording."""
    audio: Audio


class MlxTranscriber:
    """Transcriber on mlx-whisper: chunks in batches, greedy first, each chunk on its own (no previous text)."""

    batch_size = 1
    """On the CPU a batch is no faster than its parts, and a crash would cost all of them."""
    model: MlxModel

    def load(self, setup: WorkerSetup, downloading: Downloading) -> Loaded:
        self.model = load_mlx_model(setup, downloading)
        self.batch_size = setup.batch_size or (BATCH_ON_METAL if self.model.device == "metal" else 1)
        self.warm_up()
        return self.model.loaded()

    def warm_up(self) -> None:
        """One token of silence: kernels are compiled and weights are in memory before the first job."""
        silence = self.model.mel(np.zeros(SAMPLE_RATE, np.float32))
        self.decode([silence], Wanted("en"), temperature=0.0, longest_tokens=1)

    def check(self, language: str | None, task: Task) -> None:
        if language is not None and not self.model.knows(language):
            raise EngineRefusal(
                "language_not_supported",
                f"the model {self.model.name} does not know the language {language!r}",
                "take a multilingual model, such as large-v3-turbo, or another language",
            )
        if task == "translate" and (self.model.is_english_only or self.model.is_pruned):
            raise EngineRefusal(
                "cannot_translate",
                f"the model {self.model.name} cannot translate",
                "take a model that was taught to translate, such as large-v3, medium or small",
            )

    def find_language(self, audio: Audio) -> tuple[str, float]:
        if self.model.is_english_only:
            return "en", 1.0
        from mlx_whisper.decoding import detect_language

        _, probabilities = detect_language(self.model.network, self.model.mel(audio))
        language = max(probabilities, key=probabilities.__getitem__)
        return language, float(probabilities[language])

    def transcribe(self, chunks: Sequence[Chunk], wanted: Wanted) -> list[list[Heard]]:
        heard: list[list[Heard]] = [[] for _ in chunks]
        todo = [Stretch(n, chunk.start, chunk.audio) for n, chunk in enumerate(chunks) if len(chunk.audio)]
        while todo:
            rest: list[Stretch] = []
            for stretch, result in zip(todo, self.decode_with_fallback(todo, wanted), strict=True):
                if is_silence(result):
                    continue
                reading = self.read(stretch, result, wanted)
                heard[stretch.chunk] += place(reading, stretch, result)
                if reading.heard_until is not None:
                    done = int(reading.heard_until * SAMPLE_RATE)
                    rest.append(
                        Stretch(stretch.chunk, stretch.start + done / SAMPLE_RATE, stretch.audio[done:]),
                    )
            todo = rest  # strictly shorter: read_timestamps ends a stretch that would not advance
        return [widen(stretches, chunk) for stretches, chunk in zip(heard, chunks, strict=True)]

    def rest(self) -> None:
        give_caches_back()

    def decode_with_fallback(self, stretches: Sequence[Stretch], wanted: Wanted) -> list[Any]:
        """A DecodingResult each; those that fail are tried again, together, at rising temperatures."""
        import mlx.core as mx

        results = self.decode([self.model.mel(stretch.audio) for stretch in stretches], wanted, temperature=0.0)
        for temperature in TEMPERATURES:
            failed = [n for n, result in enumerate(results) if has_failed(result)]
            if not failed:
                break
            mx.random.seed(0)  # the same recording gives the same transcript
            again = self.decode([results[n].audio_features for n in failed], wanted, temperature=temperature)
            for n, result in zip(failed, again, strict=True):
                results[n] = result
        return results

    def decode(
        self, inputs: Sequence[Any], wanted: Wanted, temperature: float, longest_tokens: int | None = None
    ) -> list[Any]:
        """Mel spectrograms or encoded audio → DecodingResults. At most half the decoder's context of text."""
        import mlx.core as mx
        from mlx_whisper.decoding import DecodingOptions, decode

        options = DecodingOptions(
            task=wanted.task,
            language=wanted.language,
            temperature=temperature,
            prompt=self.model.tokenizer(wanted.language).encode(f" {wanted.prompt.strip()}", disallowed_special=())
            if wanted.prompt
            else None,
            sample_len=longest_tokens,
            fp16=self.model.half,
        )
        results: list[Any] = decode(self.model.network, mx.stack(list(inputs)), options)
        return results

    def read(self, stretch: Stretch, result: Any, wanted: Wanted) -> Reading:
        tokenizer = self.model.tokenizer(wanted.language)
        return read_timestamps(
            result.tokens,
            tokenizer.timestamp_begin,
            tokenizer.eot,
            len(stretch.audio) / SAMPLE_RATE,
            tokenizer.decode,
        )


def has_failed(result: Any) -> bool:
    repetitive = result.compression_ratio > REPETITIVE_RATIO
    return repetitive or (result.avg_logprob < DOUBTFUL_LOGPROB and not is_silence(result))


def is_silence(result: Any) -> bool:
    return bool(result.no_speech_prob > SILENT_PROBABILITY and result.avg_logprob < DOUBTFUL_LOGPROB)


def place(reading: Reading, stretch: Stretch, result: Any) -> list[Heard]:
    """The reading's times from the start of the recording."""
    end = stretch.start + len(stretch.audio) / SAMPLE_RATE
    return [
        Heard(
            start=min(stretch.start + start, end),
            end=min(stretch.start + until, end),
            text=text,
            avg_logprob=finite(result.avg_logprob),
            no_speech_prob=finite(result.no_speech_prob),
        )
        for start, until, text in reading.stretches
    ]


def finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
