"""The probability of speech for every 32 ms of a recording of any length (Silero VAD v6).

Runs in: worker. The model is the ONNX file that faster-whisper carries; faster-whisper itself is not imported, for it
imports CTranslate2, whose OpenMP runtime must not be loaded with another engine's in one process.
"""

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ipc.program import install_again
from workers.engine import SAMPLE_RATE, WINDOW_SAMPLES, EngineRefusal
from workers.pcm.pcm_file import PcmFile
from workers.speech.loudness import CONTEXT_WINDOWS, FAINTEST_DB, amplified, levels_of, surroundings, without_rumble

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

CONTEXT_SAMPLES = 64
"""Samples of the preceding window, which the model also gets."""
STATE_SHAPE = (1, 1, 128)
BLOCK_WINDOWS = 625
"""Windows a call, 20 s: large enough to be fast, small enough to stay in the processor's cache."""
EPOCH_BLOCKS = 90
"""The model's state reaches back more than a minute. It restarts every 30 min, so that a worker that resumes in the
middle of a long recording gets the same result as its predecessor without a run from the beginning."""
WARM_UP_BLOCKS = 3
"""How much of the preceding epoch is processed again to warm up: 60 s."""
BLOCKS_KEPT = 8
"""Finding the end of a chunk reads at most 65 s beyond it, and the next search returns there: keeps twice that."""
RecurrentState = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Block:
    """The results for each window of a block."""

    likely: npt.NDArray[np.float32]
    """The probability of speech, 0 to 1."""
    audible: npt.NDArray[np.bool_]
    """Whether a sound is above the noise floor."""
    level: npt.NDArray[np.float32]
    """Decibels below full scale."""


class VoiceActivity:
    """Voices and sounds of a recording by window, computed on demand, a block at a time.

    The result for a window depends on the recording alone, never on earlier calls. Silero gets the sound with gain
    control: speakers far from the microphone as loud as the others.
    """

    def __init__(self, pcm: PcmFile, step: Callable[[float], None]) -> None:
        """`step` gets the seconds processed so far after each block; its exceptions propagate."""
        self._pcm = pcm
        self._step = step
        self._session = _silero()
        self._state = _silence()
        self._next_block = 0
        self._blocks: dict[int, Block] = {}
        self.windows = -(-pcm.samples // WINDOW_SAMPLES)

    def probability(self, window: int) -> float:
        """The probability of speech, 0 to 1. Going back more than a minute is allowed and slow. Raises IndexError
        past the end."""
        block, inside = self._block_of(window)
        return float(block.likely[inside])

    def is_audible(self, window: int) -> bool:
        """Whether a sound is above the noise floor; otherwise as `probability`."""
        block, inside = self._block_of(window)
        return bool(block.audible[inside])

    def level_db(self, window: int) -> float:
        """Decibels below full scale, as `probability`."""
        block, inside = self._block_of(window)
        return float(block.level[inside])

    def loudness(self, first: int, beyond: int) -> npt.NDArray[np.float32]:
        """Root mean square of each window from `first` up to `beyond`."""
        power: npt.NDArray[np.float32] = np.square(self._windows(first, beyond)).mean(axis=1)
        return np.sqrt(power)

    def _block_of(self, window: int) -> tuple[Block, int]:
        block, inside = divmod(window, BLOCK_WINDOWS)
        if block not in self._blocks:
            self._advance_to(block)
        return self._blocks[block], inside

    def _advance_to(self, block: int) -> None:
        epoch = block // EPOCH_BLOCKS * EPOCH_BLOCKS
        if not epoch < self._next_block <= block:
            self._enter(epoch)
        while self._next_block <= block:
            self._blocks[self._next_block] = self._listen(self._next_block)
            self._next_block += 1
            self._blocks = dict(list(self._blocks.items())[-BLOCKS_KEPT:])
            self._step(min(self._next_block * BLOCK_WINDOWS * WINDOW_SAMPLES / SAMPLE_RATE, self._pcm.seconds))

    def _enter(self, epoch: int) -> None:
        self._state = _silence()
        for block in range(max(epoch - WARM_UP_BLOCKS, 0), epoch):
            self._listen(block)
        self._next_block = epoch

    def _listen(self, block: int) -> Block:
        first = block * BLOCK_WINDOWS
        beyond = min(first + BLOCK_WINDOWS, self.windows)
        if self._pcm.is_digital_silence(first * WINDOW_SAMPLES, beyond * WINDOW_SAMPLES):
            # Skips digital silence, where the model could only hallucinate.
            self._state = _silence()
            nothing = np.zeros(beyond - first, dtype=np.float32)
            return Block(nothing, nothing.astype(np.bool_), np.full_like(nothing, FAINTEST_DB))
        from_window, to_window = max(first - CONTEXT_WINDOWS, 0), min(beyond + CONTEXT_WINDOWS, self.windows)
        samples = self._windows(from_window, to_window).reshape(-1)
        around = surroundings(levels_of(without_rumble(samples)))
        own = slice(first - from_window, beyond - from_window)
        # The gain is interpolated, so the neighbouring windows are needed.
        near = slice(max(own.start - 2, 0), own.stop + 1)
        near_samples = slice(near.start * WINDOW_SAMPLES, near.stop * WINDOW_SAMPLES)
        louder = amplified(samples[near_samples], around.gain[near]).reshape(-1, WINDOW_SAMPLES)
        before, audio = louder[: own.start - near.start], louder[own.start - near.start :][: beyond - first]
        context = np.zeros((len(audio), CONTEXT_SAMPLES), dtype=np.float32)
        context[1:] = audio[:-1, -CONTEXT_SAMPLES:]
        if first:
            context[0] = before[-1, -CONTEXT_SAMPLES:]
        hidden, cell = self._state
        feeds = {"input": np.concatenate([context, audio], axis=1), "h": hidden, "c": cell}
        found, hidden, cell = self._session.run(None, feeds)
        self._state = (hidden, cell)
        likely = np.asarray(found, dtype=np.float32).reshape(-1)
        return Block(likely, around.is_audible[own], around.level[own])

    def _windows(self, first: int, beyond: int) -> npt.NDArray[np.float32]:
        """Samples, shape (windows, 512); the recording's last window is padded with silence."""
        samples = self._pcm.audio_of_samples(first * WINDOW_SAMPLES, beyond * WINDOW_SAMPLES)
        samples = np.pad(samples, (0, (beyond - first) * WINDOW_SAMPLES - len(samples)))
        return samples.reshape(-1, WINDOW_SAMPLES)


def _silence() -> RecurrentState:
    return np.zeros(STATE_SHAPE, dtype=np.float32), np.zeros(STATE_SHAPE, dtype=np.float32)


@functools.cache
def _silero() -> "InferenceSession":
    """The model on one thread: it is faster than any engine, which need the other cores."""
    import onnxruntime

    found = importlib.util.find_spec("faster_whisper")
    model = Path(found.origin).with_name("assets") / "silero_vad_v6.onnx" if found and found.origin else None
    if model is None or not model.is_file():
        raise EngineRefusal(
            "needs_model",
            "the speech detector faster_whisper/assets/silero_vad_v6.onnx is missing",
            f"run `{install_again()}`",
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(model), sess_options=options, providers=["CPUExecutionProvider"])
