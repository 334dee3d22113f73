"""Speech → text with mlx-whisper: the only file that names it for transcription.

Runs in: worker, on its main thread.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ipc.worker_messages import Task, WorkerSetup
from workers.engine import SAMPLE_RATE, Audio, Chunk, Downloading, EngineRefusal, Heard, Loaded, Wanted
from workers.heard_bounds import widen
from workers.mlx_batch import ENCODED_TOGETHER
from workers.mlx_decoding import Decoded, Decoding
from workers.mlx_model import MlxModel, give_caches_back, load_mlx_model
from workers.mlx_network import encode
from workers.mlx_token_rules import token_rules
from workers.timestamp_tokens import Reading, read_timestamps
from workers.whisper_decoding import LEAST_LOGPROB, MOST_COMPRESSION, MOST_NO_SPEECH, Stretch

TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Tried in turn when greedy decoding fails, as in https://arxiv.org/abs/2212.04356 section 4.5."""


class MlxTranscriber:
    """Transcriber on mlx-whisper: chunks in batches, greedy first, each chunk on its own (no previous text)."""

    batch_size = 1
    shows_life = True
    apart = False
    model: MlxModel
    known: tuple[Audio, Any] | None = None
    """The audio whose language was asked for, and what the encoder made of it: it comes again as the first chunk."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> Loaded:
        self.model = load_mlx_model(setup, downloading)
        self.batch_size = setup.batch_size or self.model.chunks_at_once()
        self.warm_up()
        return self.model.loaded()

    def warm_up(self) -> None:
        """One token of silence, so that a GPU's kernels are there before the first job. A CPU has none to compile."""
        self.model.tokenizer("en")
        if self.model.device != "cpu":
            silence = Stretch(0, Chunk(0.0, np.zeros(SAMPLE_RATE, np.float32)))
            self.decode(self.encode([silence], Wanted("en")), Wanted("en"), temperature=0.0, longest_tokens=1)

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

        [encoded] = self.encode([Stretch(0, Chunk(0.0, audio))], Wanted("en"))
        self.known = audio, encoded
        _, probabilities = detect_language(self.model.network, encoded)
        language = max(probabilities, key=probabilities.__getitem__)
        return language, float(probabilities[language])

    def transcribe(self, chunks: Sequence[Chunk], wanted: Wanted) -> list[list[Heard]]:
        heard: list[list[Heard]] = [[] for _ in chunks]
        todo = [Stretch(n, chunk) for n, chunk in enumerate(chunks) if len(chunk.audio)]
        while todo:
            rest: list[Stretch] = []
            for stretch, result in zip(todo, self.decode_with_fallback(todo, wanted), strict=True):
                if is_silence(result):
                    continue
                reading = self.read(stretch, result, wanted)
                heard[stretch.number] += place(reading, stretch, result)
                if reading.heard_until is not None:
                    rest.append(Stretch(stretch.number, stretch.sound.after(reading.heard_until)))
            todo = rest  # strictly shorter: read_timestamps ends a stretch that would not advance
        return [widen(stretches, chunk) for stretches, chunk in zip(heard, chunks, strict=True)]

    def rest(self) -> None:
        self.known = None
        give_caches_back()

    def decode_with_fallback(self, stretches: Sequence[Stretch], wanted: Wanted) -> list[Decoded]:
        """Those that fail are tried again, together, at rising temperatures, until they pass; if none does, the text
        without lots stands: what somebody says over and over is the same at every temperature."""
        encoded = self.encode(stretches, wanted)
        results = self.decode(encoded, wanted, temperature=0.0)
        for temperature in TEMPERATURES:
            failed = [n for n, result in enumerate(results) if has_failed(result)]
            if not failed:
                break
            again = self.decode([encoded[n] for n in failed], wanted, temperature)
            for n, result in zip(failed, again, strict=True):
                if not has_failed(result):
                    results[n] = result
        return results

    def encode(self, stretches: Sequence[Stretch], wanted: Wanted) -> list[Any]:
        """What the decoder listens to, (1500, state) each."""
        import mlx.core as mx

        known, self.known = self.known, None
        encoded: list[Any] = [known[1]] if known and known[0] is stretches[0].sound.audio else []
        together = 1 if self.model.device == "cpu" else ENCODED_TOGETHER
        while group := stretches[len(encoded) : len(encoded) + together]:
            mels = mx.stack([self.model.mel(stretch.sound.audio) for stretch in group])
            rows = encode(self.model.network, mels, wanted.alive)
            mx.eval(rows)
            encoded += [rows[n] for n in range(len(group))]
        return encoded

    def decode(
        self, encoded: Sequence[Any], wanted: Wanted, temperature: float, longest_tokens: int | None = None
    ) -> list[Decoded]:
        """At most half the decoder's context of text for each."""
        import mlx.core as mx

        tokenizer = self.model.tokenizer(wanted.language, wanted.task)
        network = self.model.network
        prompt = tokenizer.encode(f" {wanted.prompt.strip()}", disallowed_special=()) if wanted.prompt else ()
        rules = token_rules(tokenizer, network.dims.n_vocab)
        decoding = Decoding(network, tokenizer, rules, tuple(prompt), wanted.alive)
        return decoding.run(mx.stack(list(encoded)), temperature, longest_tokens or network.dims.n_text_ctx // 2)

    def read(self, stretch: Stretch, result: Decoded, wanted: Wanted) -> Reading:
        tokenizer = self.model.tokenizer(wanted.language)
        return read_timestamps(
            result.tokens,
            tokenizer.timestamp_begin,
            tokenizer.eot,
            len(stretch.sound.audio) / SAMPLE_RATE,
            tokenizer.decode,
        )


def has_failed(result: Decoded) -> bool:
    repetitive = result.compression_ratio > MOST_COMPRESSION
    return repetitive or (result.avg_logprob < LEAST_LOGPROB and not is_silence(result))


def is_silence(result: Decoded) -> bool:
    return result.no_speech_prob > MOST_NO_SPEECH and result.avg_logprob < LEAST_LOGPROB


def place(reading: Reading, stretch: Stretch, result: Decoded) -> list[Heard]:
    """The reading's times from the start of the recording."""
    sound = stretch.sound
    return [
        Heard(
            start=min(sound.start + start, sound.end),
            end=min(sound.start + until, sound.end),
            text=text,
            avg_logprob=finite(result.avg_logprob),
            no_speech_prob=finite(result.no_speech_prob),
        )
        for start, until, text in reading.stretches
    ]


def finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
