"""How likely somebody speaks, for every 32 ms of a recording of any length (Silero VAD v6).

Runs in: worker. The model is the ONNX file that faster-whisper carries; faster-whisper itself is not imported, for it
brings CTranslate2, whose OpenMP runtime must not meet another engine's in one process.
"""

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from workers.engine import SAMPLE_RATE, WINDOW_SAMPLES, EngineRefusal
from workers.loudness import USUAL_LEVEL, Levels, levels_of, speech_level
from workers.pcm_file import PcmFile

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

CONTEXT_SAMPLES = 64
"""The end of the window before, which the model sees too."""
STATE_SHAPE = (1, 1, 128)
BLOCK_WINDOWS = 625
"""Windows a call, 20 s: large enough to be fast, small enough to stay in the processor's cache."""
EPOCH_BLOCKS = 90
"""The model remembers for longer than a minute. It starts anew every 30 min, so that a worker that comes back to the
middle of a long recording hears what its predecessor heard without listening from the beginning."""
WARM_UP_BLOCKS = 3
"""How much of the epoch before is heard again, 60 s, to come into it."""
BLOCKS_KEPT = 8
"""Ending a chunk looks at most some 65 s beyond it, and the next search goes back there: twice that is kept."""
BLOCKS_AROUND = 3
"""A block is quiet if those before and after it are too: two minutes are, not the pause in a conversation."""
QUIET_LEVEL = USUAL_LEVEL / 4
"""What is softer is made louder. Above, Silero hears the same: measured on talk and English down to 30 dB below."""
FAINTEST_LEVEL = USUAL_LEVEL / 2000
"""What is softer is made louder by so much and no more: it is the converter's last bits."""
LOUDER_SHARE = 0.01
"""Of the windows around may be louder than the speech in them: doors, knocks, coughs."""

Probabilities = npt.NDArray[np.float32]
State = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


class VoiceActivity:
    """Speech probabilities of a recording by window, found as they are asked for, a block at a time.

    The answer for a window is a function of the recording alone, never of what was asked before. Where a recording is
    quiet for minutes it is made louder: Silero hears nothing 60 dB below full scale.
    """

    def __init__(self, pcm: PcmFile, step: Callable[[float], None]) -> None:
        """`step` is told the seconds heard so far after each block; what it raises passes through."""
        self._pcm = pcm
        self._step = step
        self._session = _silero()
        self._state = _silence()
        self._next_block = 0
        self._blocks: dict[int, Probabilities] = {}
        self._levels: dict[int, Levels] = {}
        self.windows = -(-pcm.samples // WINDOW_SAMPLES)

    def probability(self, window: int) -> float:
        """0 to 1. Going back more than a minute is allowed and slow. Raises IndexError past the end."""
        block, inside = divmod(window, BLOCK_WINDOWS)
        if block not in self._blocks:
            self._advance_to(block)
        return float(self._blocks[block][inside])

    def loudness(self, first: int, beyond: int) -> npt.NDArray[np.float32]:
        """Root mean square of each window from `first` up to `beyond`."""
        power: npt.NDArray[np.float32] = np.square(self._windows(first, beyond)).mean(axis=1)
        return np.sqrt(power)

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

    def _listen(self, block: int) -> Probabilities:
        first = block * BLOCK_WINDOWS
        beyond = min(first + BLOCK_WINDOWS, self.windows)
        if self._pcm.is_digital_silence(first * WINDOW_SAMPLES, beyond * WINDOW_SAMPLES):
            # Muted hours pass in no time, and the model cannot dream in them.
            self._state = _silence()
            return np.zeros(beyond - first, dtype=np.float32)
        audio = self._windows(first, beyond)
        context = np.zeros((len(audio), CONTEXT_SAMPLES), dtype=np.float32)
        context[1:] = audio[:-1, -CONTEXT_SAMPLES:]
        if first:
            start = first * WINDOW_SAMPLES
            context[0] = self._pcm.audio_of_samples(start - CONTEXT_SAMPLES, start)
        if (level := self._level_around(block)) < QUIET_LEVEL:
            gain = np.float32(USUAL_LEVEL / max(level, FAINTEST_LEVEL))
            audio, context = np.clip(audio * gain, -1.0, 1.0), np.clip(context * gain, -1.0, 1.0)
        hidden, cell = self._state
        feeds = {"input": np.concatenate([context, audio], axis=1), "h": hidden, "c": cell}
        found, hidden, cell = self._session.run(None, feeds)
        self._state = (hidden, cell)
        return np.asarray(found, dtype=np.float32).reshape(-1)

    def _level_around(self, block: int) -> float:
        """How loud speech is in this part of the recording, if there is any."""
        around = range(max(block - BLOCKS_AROUND, 0), block + BLOCKS_AROUND + 1)
        self._levels = {near: self._levels_in(near) for near in around if near * BLOCK_WINDOWS < self.windows}
        levels = np.concatenate(list(self._levels.values()))
        return speech_level(levels, int(levels.size * LOUDER_SHARE))

    def _levels_in(self, block: int) -> Levels:
        if block in self._levels:
            return self._levels[block]
        first = block * BLOCK_WINDOWS
        beyond = min(first + BLOCK_WINDOWS, self.windows)
        return levels_of(self._pcm.audio_of_samples(first * WINDOW_SAMPLES, beyond * WINDOW_SAMPLES))

    def _windows(self, first: int, beyond: int) -> npt.NDArray[np.float32]:
        """Samples, shape (windows, 512); the recording's last window is filled up with silence."""
        samples = self._pcm.audio_of_samples(first * WINDOW_SAMPLES, beyond * WINDOW_SAMPLES)
        samples = np.pad(samples, (0, (beyond - first) * WINDOW_SAMPLES - len(samples)))
        return samples.reshape(-1, WINDOW_SAMPLES)


def _silence() -> State:
    return np.zeros(STATE_SHAPE, dtype=np.float32), np.zeros(STATE_SHAPE, dtype=np.float32)


@functools.cache
def _silero() -> "InferenceSession":
    """The model on one thread: it is faster than any engine, and the other cores are theirs."""
    import onnxruntime

    found = importlib.util.find_spec("faster_whisper")
    model = Path(found.origin).with_name("assets") / "silero_vad_v6.onnx" if found and found.origin else None
    if model is None or not model.is_file():
        raise EngineRefusal(
            "needs_model",
            "the speech detector faster_whisper/assets/silero_vad_v6.onnx is missing",
            "run `make setup` again",
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(model), sess_options=options, providers=["CPUExecutionProvider"])
