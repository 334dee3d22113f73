"""The times of known words, from the cross-attention of a Whisper model in MLX.

Runs in: worker, on its main thread.

Each model attends to a word some constant time before or after it is spoken: on eleven speakers, Whisper base is 48
ms too early at the median, tiny.en 77 ms too late (on the calibration sound 63 and 94). Models differ, so the delay
is measured on that sound when the model is loaded.
"""

import math
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from ipc.transcript import Segment, Word
from ipc.worker_messages import WorkerSetup
from workers.engine import SAMPLE_RATE, Audio, Downloading, EngineRefusal, LoadedEngine
from workers.mlx.model import WINDOW_SAMPLES, MlxModel, free_caches, load_mlx_model
from workers.speech.loudness import at_usual_loudness
from workers.text.word_edges import AROUND_WORDS, Core, words_at_the_sound
from workers.text.word_repair import doubted
from workers.text.word_times import WordPiece, shorten_long_words, split_words, times_of_words

SOUND = Path(__file__).parent / "lateness_sound.wav"
TEXT = (
    "The ferry leaves at nine thirty on Thursday morning. The tickets are in the blue folder, next to the old camera."
)
LANGUAGE = "en"
STARTS: tuple[float | None, ...] = (
    *(None, 0.395, 0.735, 1.062, 1.176, 1.476, 1.837, 2.057, 2.484),
    *(None, 3.725, 4.12, 4.226, 4.306, 4.4, 4.641, None, 5.608, 5.708, 5.883, 6.143),
)
"""The start of each word, in seconds; None after a pause, where attention is unreliable. From the starter aligner,
whose starts are 18 ms off at the median."""
LEAST_SHARE = 0.5
MOST_SECONDS = 0.3
"""A word that is further off was not found; if half of them were not found, the delay is unknown."""
FRAME_SAMPLES = 160
"""One frame of the mel spectrogram: 10 ms. The encoder's frames are twice as long."""
LEAST_SAMPLES = SAMPLE_RATE // 10
"""Less than a tenth of a second is too short to align."""
SILENCE_AFTER = 100
"""Encoded frames (2 s) of silence after the segment, instead of padding to 30 s. Measured with the starter on 31
words: the median start does not move, nine of ten move by at most 20 ms."""
LEAST_BELIEVED_SCORE = 0.5
"""Average probability of a segment's words. Measured with `tiny.en`: 0.88 to 0.98 for the spoken words, at most 0.22
for the words of another segment."""
WIDEST_ON_CPU = 768
"""The size of small. With a large model, 7 s of sound at MLX's 5 GFLOP/s there take as long as the boot deadline."""
CORE_SECONDS = 0.12
"""The part of a word, from its edge away from a pause, that is certainly spoken."""
SPECIAL_TOKENS = 8
"""Room in the decoder's context for the tokens around the text."""


def calibration_sound() -> Audio:
    """The calibration sound with these words."""
    with wave.open(str(SOUND)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return samples.astype(np.float32) / np.float32(32768)


def mean_delay(starts: Sequence[float]) -> float:
    """The mean delay in seconds of these word starts, negative if they are early; 0 if none fit.

    The mean: attention has a long tail on its early side, and it is the tail that should shrink.
    """
    if len(starts) != len(STARTS):
        return 0.0
    late = [found - known for found, known in zip(starts, STARTS, strict=True) if known is not None]
    near = [one for one in late if abs(one) <= MOST_SECONDS]
    return fmean(near) if len(near) >= LEAST_SHARE * len(late) else 0.0


class MlxAligner:
    """Aligner on mlx-whisper: teacher-forces the text and follows the decoder's attention with dynamic time warping.

    Source of the method: https://github.com/openai/whisper/blob/main/whisper/timing.py
    """

    model: MlxModel
    late_by_seconds: float = 0.0

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        self.model = load_mlx_model(setup, downloading)
        self.late_by_seconds = self._warm_up()
        return self.model.loaded()

    def _warm_up(self) -> float:
        """How late the model is, in seconds. The first time warping makes numba compile: better now than in a job."""
        from mlx_whisper.timing import dtw

        if self.model.device == "cpu" and self.model.network.dims.n_audio_state > WIDEST_ON_CPU:
            dtw(np.zeros((2, 2), np.float32))
            return 0.0
        timed = self._times(calibration_sound(), TEXT, LANGUAGE)
        return mean_delay([piece.start for piece in timed])

    def check(self, language: str) -> None:
        if not self.model.knows(language):
            raise EngineRefusal(
                f"no_alignment_model:{language}",
                f"the model {self.model.name} cannot time words in the language {language!r}",
                "take a multilingual alignment model, such as large-v3-turbo, or the aligner whisperx",
            )

    def align(self, audio: Audio, segment: Segment, language: str) -> tuple[Word, ...]:
        timed = self._times(audio, segment.text, language)
        words = fit_into(shorten_long_words(timed), segment, self.late_by_seconds)
        cores = [core_of(word) for word in words]
        return doubted(words_at_the_sound(words, cores, audio, segment, AROUND_WORDS), LEAST_BELIEVED_SCORE)

    def rest(self) -> None:
        free_caches()

    def _times(self, audio: Audio, text: str, language: str) -> list[WordPiece]:
        """The times at which the model attends to each word, in seconds from the start; empty if it does not."""
        words = split_words(text, language)
        if not words or not LEAST_SAMPLES <= len(audio) <= WINDOW_SAMPLES:
            return []
        tokenizer = self.model.tokenizer(language)
        # Text may look like a control token; here it is only text.
        tokens = tokenizer.encode(" " + " ".join(text.split()), disallowed_special=())
        if len(tokens) > self.model.network.dims.n_text_ctx - SPECIAL_TOKENS:
            return []
        return times_of_words(words, self.follow(audio, tokens, tokenizer)) or []

    def follow(self, audio: Audio, tokens: list[int], tokenizer: Any) -> list[WordPiece]:
        """The times of each group of tokens, in seconds from the start of the audio."""
        from mlx_whisper.timing import find_alignment

        frames = len(audio) // FRAME_SAMPLES
        listener = SegmentModel(self.model.network, math.ceil(frames / 2))
        timings = find_alignment(
            listener, tokenizer, tokens, self.model.mel(at_usual_loudness(np.nan_to_num(audio))), frames
        )
        return [
            WordPiece(timing.word, float(timing.start), float(timing.end), float(timing.probability))
            for timing in timings
        ]


@dataclass(frozen=True, slots=True)
class SegmentModel:
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
        """The first `frames` encoded frames (20 ms) of a window; the work grows with them."""
        encoder = self.network.encoder
        every_position = encoder._positional_embedding
        # The encoder requires as many frames as it has positions; give it fewer positions.
        encoder._positional_embedding = every_position[:frames]
        try:
            return encoder(mel[:, : 2 * len(encoder._positional_embedding)])
        finally:
            encoder._positional_embedding = every_position


def core_of(word: Word) -> Core:
    """Attention drifts into the pause before or after a word, but does not leave the word."""
    inside = min(CORE_SECONDS, (word.end - word.start) / 2)
    return Core(begun=word.end - inside, over=word.start + inside)


def fit_into(timed: Sequence[WordPiece], segment: Segment, late_by_seconds: float = 0.0) -> tuple[Word, ...]:
    """Times from the start of the recording: finite, in order, inside the segment, corrected by `late_by_seconds`."""
    words: list[Word] = []
    behind = segment.start
    for piece in timed:
        if not (math.isfinite(piece.start) and math.isfinite(piece.end)):
            return ()
        first, last = (segment.start + edge - late_by_seconds for edge in (piece.start, piece.end))
        start = min(max(round(first, 3), behind), segment.end)
        end = min(max(round(last, 3), start), segment.end)
        behind = end
        score = round(min(max(piece.score, 0.0), 1.0), 3) if math.isfinite(piece.score) else None
        words.append(Word(word=piece.text, start=start, end=end, score=score))
    return tuple(words)
