"""When each known word is said, from the cross-attention of a whisper model in MLX.

Runs in: worker, on its main thread.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipc.transcript import Segment, Word
from ipc.worker_messages import WorkerSetup
from workers.engine import SAMPLE_RATE, Audio, Downloading, EngineRefusal, Loaded
from workers.mlx_model import WINDOW_SAMPLES, MlxModel, give_caches_back, load_mlx_model
from workers.rough_words import doubted
from workers.word_times import Piece, shorten_long_words, split_words, times_of_words

FRAME_SAMPLES = 160
"""One frame of the mel spectrogram: 10 ms. The encoder's frames are two of them."""
LEAST_SAMPLES = SAMPLE_RATE // 10
"""In less than a tenth of a second there is nothing to follow."""
SILENCE_AFTER = 100
"""Encoded frames (2 s) of silence that the encoder hears after the segment, instead of all that is missing to 30 s.
Measured with the starter on 31 words: the median start does not move, nine of ten move by at most 20 ms."""
LEAST_BELIEVED_SCORE = 0.5
"""Of a segment's words on average. Measured with `tiny.en`: of what is said there 0.88 to 0.98, of the words of
another segment at most 0.22."""
SPECIAL_TOKENS = 8
"""Room in the decoder's context for what stands around the text."""


class MlxAligner:
    """Aligner on mlx-whisper: teacher-forces the text and follows the decoder's attention with dynamic time warping.

    Source of the method: https://github.com/openai/whisper/blob/main/whisper/timing.py
    """

    model: MlxModel

    def load(self, setup: WorkerSetup, downloading: Downloading) -> Loaded:
        self.model = load_mlx_model(setup, downloading)
        self.warm_up()
        return self.model.loaded()

    def warm_up(self) -> None:
        """The first time warping makes numba compile for seconds; better now than in the first job."""
        from mlx_whisper.timing import dtw

        dtw(np.zeros((2, 2), np.float32))

    def check(self, language: str) -> None:
        if not self.model.knows(language):
            raise EngineRefusal(
                f"no_alignment_model:{language}",
                f"the model {self.model.name} cannot time words in the language {language!r}",
                "take a multilingual alignment model, such as large-v3-turbo, or the aligner whisperx",
            )

    def align(self, audio: Audio, segment: Segment, language: str) -> tuple[Word, ...]:
        words = split_words(segment.text, language)
        if not words or not LEAST_SAMPLES <= len(audio) <= WINDOW_SAMPLES:
            return ()
        tokenizer = self.model.tokenizer(language)
        # Text may contain what looks like a control token; here it is only text.
        tokens = tokenizer.encode(" " + " ".join(segment.text.split()), disallowed_special=())
        if len(tokens) > self.model.network.dims.n_text_ctx - SPECIAL_TOKENS:
            return ()
        timed = times_of_words(words, self.follow(audio, tokens, tokenizer))
        if timed is None:
            return ()
        return doubted(fit_into(shorten_long_words(timed), segment), LEAST_BELIEVED_SCORE)

    def rest(self) -> None:
        give_caches_back()

    def follow(self, audio: Audio, tokens: list[int], tokenizer: Any) -> list[Piece]:
        """When each group of tokens is said, in seconds from the start of the audio."""
        from mlx_whisper.timing import find_alignment

        frames = len(audio) // FRAME_SAMPLES
        listener = Listener(self.model.network, math.ceil(frames / 2))
        timings = find_alignment(listener, tokenizer, tokens, self.model.mel(audio), frames)
        return [
            Piece(timing.word, float(timing.start), float(timing.end), float(timing.probability))
            for timing in timings
        ]


@dataclass(frozen=True, slots=True)
class Listener:
    """The model as `find_alignment` uses it, but the decoder attends to the segment alone, not to the silence added.

    Most segments are a few seconds of 30: nothing to attend to by mistake, and a fraction of the work.
    """

    network: Any
    encoded_frames: int

    @property
    def alignment_heads(self) -> Any:
        return self.network.alignment_heads

    def forward_with_cross_qk(self, mel: Any, tokens: Any) -> tuple[Any, Any]:
        heard = self.encode(mel, self.encoded_frames + SILENCE_AFTER)[:, : self.encoded_frames]
        logits, _, attention = self.network.decoder(tokens, heard)
        return logits, attention

    def encode(self, mel: Any, frames: int) -> Any:
        """The first so many encoded frames (20 ms) of a window; the work grows with them."""
        encoder = self.network.encoder
        every_position = encoder._positional_embedding
        # The encoder insists on as many frames as it knows positions; it may know fewer.
        encoder._positional_embedding = every_position[:frames]
        try:
            return encoder(mel[:, : 2 * len(encoder._positional_embedding)])
        finally:
            encoder._positional_embedding = every_position


def fit_into(timed: Sequence[Piece], segment: Segment) -> tuple[Word, ...]:
    """Times from the start of the recording: finite, in order, inside the segment."""
    words: list[Word] = []
    behind = segment.start
    for piece in timed:
        if not (math.isfinite(piece.start) and math.isfinite(piece.end)):
            return ()
        start = min(max(round(segment.start + piece.start, 3), behind), segment.end)
        end = min(max(round(segment.start + piece.end, 3), start), segment.end)
        behind = end
        score = round(min(max(piece.score, 0.0), 1.0), 3) if math.isfinite(piece.score) else None
        words.append(Word(word=piece.text, start=start, end=end, score=score))
    return tuple(words)
