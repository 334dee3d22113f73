"""Decoded audio on disk: written once by the decoder, read by both workers.

Runs in: worker. The format is raw 16 kHz mono signed 16-bit little-endian samples, without a header.

The facts about the recording are kept beside it: a worker may crash between the rename of the PCM and its report.
"""

import os
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from ipc.transcript import RecordingFacts
from workers.engine import SAMPLE_RATE, Audio

SAMPLE_BYTES = 2
FULL_SCALE = np.float32(32768)


def keep_facts(pcm_path: Path, facts: RecordingFacts) -> None:
    """Writes the facts before the PCM gets its name, so that a PCM always has its facts. Raises OSError."""
    _path(pcm_path).write_text(facts.model_dump_json())


def kept_facts(pcm_path: Path) -> RecordingFacts | None:
    """The facts about the recording of this PCM; None: an older version made it."""
    try:
        return RecordingFacts.model_validate_json(_path(pcm_path).read_text())
    except (OSError, ValueError):
        return None


def _path(pcm_path: Path) -> Path:
    return pcm_path.with_name(pcm_path.name + ".facts.json")


def pcm_seconds(path: Path) -> float:
    """The duration of a PCM file in seconds. Raises FileNotFoundError."""
    return path.stat().st_size // SAMPLE_BYTES / SAMPLE_RATE


class PcmFile(AbstractContextManager["PcmFile"]):
    """Random access to a PCM file: a recording of any length costs only the memory of the part that is read.

    Read, not mapped: mapped pages would count as the worker's memory, and a file cut short under a map is SIGBUS.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.samples = os.fstat(self._descriptor).st_size // SAMPLE_BYTES

    @property
    def seconds(self) -> float:
        return self.samples / SAMPLE_RATE

    def audio(self, start_seconds: float, end_seconds: float) -> Audio:
        """A copy of the samples from start to end, from -1 to 1; clipped to the recording."""
        return self.audio_of_samples(round(start_seconds * SAMPLE_RATE), round(end_seconds * SAMPLE_RATE))

    def audio_of_samples(self, first: int, beyond: int) -> Audio:
        """As `audio`, by sample number."""
        return self._whole_samples(first, beyond).astype(np.float32) / FULL_SCALE

    def is_digital_silence(self, first: int, beyond: int) -> bool:
        """Whether these samples stay within the last bit, which cannot hold a voice."""
        samples = self._whole_samples(first, beyond)
        return samples.size == 0 or (int(samples.max()) <= 1 and int(samples.min()) >= -1)

    def close(self) -> None:
        """Closes the file. Audio read before stays valid."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def _whole_samples(self, first: int, beyond: int) -> npt.NDArray[np.int16]:
        first = min(max(first, 0), self.samples)
        count = min(max(beyond, first), self.samples) - first
        if self._descriptor is None:
            raise ValueError("the PCM file was closed")
        pcm = os.pread(self._descriptor, count * SAMPLE_BYTES, first * SAMPLE_BYTES)
        return np.frombuffer(pcm, dtype="<i2", count=len(pcm) // SAMPLE_BYTES)
