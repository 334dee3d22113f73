"""Speech → text with mlx-whisper: the only file that names it for transcription.

Runs in: worker, on its main thread.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ipc.vocabulary import Task
from ipc.worker_messages import WorkerSetup
from workers.engine import (
    SAMPLE_RATE,
    Audio,
    Chunk,
    DecodeOptions,
    Downloading,
    EngineRefusal,
    LoadedEngine,
    RawSegment,
)
from workers.mlx.batch_decoder import BatchDecoding, DecodedTokens
from workers.mlx.model import MlxModel, free_caches, load_mlx_model
from workers.mlx.network import DecoderRows, encode
from workers.mlx.token_rules import token_rules
from workers.speech.loudness import evenly_loud
from workers.speech.mel_window import SAMPLES_A_FRAME, short_window_frames
from workers.text.decode_quality import LONGEST_ECHO_TOKENS, DecodedChunk, Remainder, read_decoding
from workers.text.second_pass import is_worth_a_second_pass, second_pass
from workers.text.segment_bounds import widen


class MlxTranscriber:
    """Transcriber on mlx-whisper: chunks in batches, several beams each, independent of each other's text."""

    batch_size = 1
    shows_life = True
    apart = False
    model: MlxModel

    def __init__(self) -> None:
        self.known: list[tuple[Audio, Any]] = []
        """Encoded audio of the chunks used to detect the language, and of the current batch: encoding takes most of
        the time, and some of them come again."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        self.model = load_mlx_model(setup, downloading)
        self.batch_size = setup.batch_size or self.model.chunks_at_once()
        self.warm_up()
        return self.model.loaded()

    def warm_up(self) -> None:
        """Decodes one token of silence, so that a GPU compiles its kernels before the first job. A CPU has none to
        compile."""
        self.model.tokenizer("en")
        if self.model.device != "cpu":
            self.decode(
                self.encode([np.zeros(SAMPLE_RATE, np.float32)], DecodeOptions("en")), DecodeOptions("en"), 0, 2
            )
            self.known.clear()

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
                "take a model that can translate, such as large-v3, medium or small",
            )

    def find_language(self, audio: Audio) -> tuple[str, float]:
        if self.model.is_english_only:
            return "en", 1.0
        import mlx.core as mx

        [encoded] = self.encode([audio], DecodeOptions("en"))
        tokenizer = self.model.tokenizer("en")
        decoder = DecoderRows.listening(self.model.network, [encoded], beams=1)
        logits = decoder.logits(decoder.read(mx.array([[tokenizer.sot]]))[0, 0])
        probabilities: Any = mx.softmax(logits[mx.array(tokenizer.all_language_tokens)]).tolist()
        probability, language = max(zip(probabilities, tokenizer.all_language_codes, strict=True))
        return language, probability

    def transcribe(self, chunks: Sequence[Chunk], wanted: DecodeOptions) -> list[list[RawSegment]]:
        """All chunks in one batch, then the rests of those in which Whisper broke off; doubtful ones separately."""
        segments: list[list[RawSegment]] = [[] for _ in chunks]
        todo = [Remainder(number, chunk) for number, chunk in enumerate(chunks) if len(chunk.audio)]
        while todo:
            rests: list[Remainder] = []
            decodings = self.decode_once([part.sound for part in todo], wanted)
            for part, decoding in zip(todo, decodings, strict=True):
                if is_worth_a_second_pass(part.sound, decoding):
                    decoding = second_pass(part.sound, decoding, partial(self.decode_one, wanted))
                segments[part.number] += decoding.segments
                if decoding.rest is not None:
                    rests.append(Remainder(part.number, decoding.rest))
            self.known.clear()
            todo = rests  # strictly shorter: a decoding that would not advance has no rest
        return [widen(found, chunk) for found, chunk in zip(segments, chunks, strict=True)]

    def rest(self) -> None:
        self.known.clear()
        free_caches()

    def decode_one(self, wanted: DecodeOptions, sound: Chunk, no_repeats: bool) -> DecodedChunk:
        return self.decode_once([sound], wanted, LONGEST_ECHO_TOKENS if no_repeats else 0)[0]

    def decode_once(
        self, sounds: Sequence[Chunk], wanted: DecodeOptions, longest_echo: int = 0
    ) -> list[DecodedChunk]:
        """One batch without second passes, each sound in a window of its own length."""
        tokenizer = self.model.tokenizer(wanted.language, wanted.task)
        encoded = self.encode([sound.audio for sound in sounds], wanted)
        return [
            read_decoding(
                result.tokens,
                sound,
                tokenizer.timestamp_begin,
                tokenizer.eot,
                tokenizer.decode,
                avg_logprob=result.avg_logprob,
                no_speech_prob=result.no_speech_prob,
            )
            for sound, result in zip(sounds, self.decode(encoded, wanted, longest_echo), strict=True)
        ]

    def encode(self, sounds: Sequence[Audio], wanted: DecodeOptions) -> list[Any]:
        """Encoded audio, (frames / 2, state) each: sounds of about the same length in parallel."""
        known = {id(audio) for audio, _ in self.known}
        new = sorted((audio for audio in sounds if id(audio) not in known), key=len)
        while group := new[: len(self.model.streams)]:
            del new[: len(group)]
            mels = [
                self.model.mel(evenly_loud(np.nan_to_num(audio)), short_window_frames(len(audio) // SAMPLES_A_FRAME))
                for audio in group
            ]
            encoded = encode(self.model.network, mels, self.model.streams, wanted.alive)
            self.known += zip(group, encoded, strict=True)
        found = {id(audio): encoded for audio, encoded in self.known}
        return [found[id(audio)] for audio in sounds]

    def decode(
        self, encoded: Sequence[Any], wanted: DecodeOptions, longest_echo: int = 0, longest_tokens: int | None = None
    ) -> list[DecodedTokens]:
        """Text for each, at most half the decoder's context."""
        tokenizer = self.model.tokenizer(wanted.language, wanted.task)
        network = self.model.network
        prompt = tokenizer.encode(f" {wanted.prompt.strip()}", disallowed_special=()) if wanted.prompt else ()
        rules = token_rules(tokenizer, network.dims.n_vocab, longest_echo)
        decoding = BatchDecoding(network, tokenizer, rules, tuple(prompt), wanted.alive)
        return decoding.run(encoded, longest_tokens or network.dims.n_text_ctx // 2)
