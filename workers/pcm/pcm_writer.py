"""Frames of any shape → one PCM file whose times are the player's times.

Runs in: worker. PyAV frames arrive as they were decoded; nothing here reads the recording itself.

A recorder's clock that runs wrong is set right: the same sound takes a little more or a little less time.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import structlog
from numpy.typing import NDArray

from workers.engine import SAMPLE_RATE, EngineRefusal
from workers.pcm.channel_listener import ChannelListener, Shape, shape_of
from workers.pcm.channel_mix import MixPlan
from workers.pcm.downmix import Downmix
from workers.pcm.headroom import Headroom
from workers.pcm.pcm_file import SAMPLE_BYTES
from workers.pcm.timeline import Timeline

Samples = npt.NDArray[np.int16]
MOST_CHANNELS = 64
"""libswresample takes no more."""
HIGHEST_RATE = 6_000_000
"""Above any converter's. The resampler's filters grow with the rate: a header that lies would cost gigabytes."""
log = structlog.get_logger()


def stretched(samples: Samples, length: int) -> Samples:
    """The same sound in `length` samples, by cubic interpolation. Meant for changes of a few percent."""
    if length == len(samples) or length <= 0 or len(samples) < 2:
        return samples
    at = np.arange(length) * (len(samples) / length)
    whole = at.astype(np.int64)
    between = at - whole
    known = np.concatenate([samples[:1], samples, samples[-1:], samples[-1:]]).astype(np.float64)
    before, this, following, after = (known[whole + shift] for shift in range(4))
    slope, next_slope = (following - before) / 2, (after - this) / 2
    rest = following - this
    value = this + between * (
        slope + between * (3 * rest - 2 * slope - next_slope + between * (slope + next_slope - 2 * rest))
    )
    return np.clip(np.rint(value), -32768, 32767).astype(np.int16)


if TYPE_CHECKING:
    from av.audio.frame import AudioFrame


def can_be_resampled(frame: "AudioFrame") -> bool:
    """Whether the resampler will take this frame. Asked before: one that refused cannot be used again."""
    return 0 < frame.sample_rate <= HIGHEST_RATE and frame.layout.nb_channels <= MOST_CHANNELS


class PcmWriter:
    """Downmixes, resamples and appends frames to a file that is open and empty."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        """`folder` is named where its disk refuses. The caller closes the descriptor."""
        # Unbuffered: the resampler gathers a second at a time, and a full disk shows at the write that met it.
        self._folder = folder
        self._descriptor = descriptor
        self.listens_to_mono = False
        """A single channel has nothing to choose from: it is listened to where there are other tracks."""
        self._forget({})

    def _forget(self, plans: Mapping[Shape, MixPlan], gain: float = 1.0) -> None:
        self._timeline = Timeline(origin_seconds=0.0, claimed_seconds=0.0, longest_seconds=0.0)
        self._shape: tuple[str, str, int] | None = None
        self._is_listened_to = False
        self._downmix: Downmix | None = None
        self._samples_written = 0
        self._unwritten_seconds = 0.0
        self.silence_seconds = 0.0
        """How much of what was written stands in for audio that is missing."""
        self.frame_seconds = 0.0
        """How long the last frame was."""
        self.decoded_seconds = 0.0
        """How much sound was taken in, by its own samples."""
        self.listener = ChannelListener()
        """What the channels held, whatever became of them."""
        self.headroom = Headroom()
        """Whether 16 bits hold what was written."""
        self.gain = gain
        """How much louder than the recording it is written."""
        self._plans = plans
        self._mixes: dict[str, None] = {}

    def restart(self, plans: Mapping[Shape, MixPlan], gain: float = 1.0) -> None:
        """Forget all that was written; from now on channels of these shapes are mixed as planned, with this gain."""
        if self._samples_written:
            with disk_under(self._folder):
                os.ftruncate(self._descriptor, 0)
                os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._forget(plans, gain)

    @property
    def channels_used(self) -> str | None:
        """How channels became one, as `RecordingFacts` says it; None before the first frame."""
        return "; then ".join(self._mixes) or None

    @property
    def seconds(self) -> float:
        """How much audio was taken in, written or still in the resampler."""
        return self._samples_written / SAMPLE_RATE + self._unwritten_seconds

    def begin(self, timeline: Timeline) -> None:
        """From here on, frames belong where this timeline says. Raises EngineRefusal as `disk_under`."""
        self.flush()
        self._timeline = timeline

    def append_silence(self, seconds: float) -> None:
        """Write silence in place of a frame that could not be decoded. Raises EngineRefusal as `disk_under`."""
        self.flush()
        self._insert_silence(seconds)

    def append(self, frame: "AudioFrame", *, has_times: bool = True) -> None:
        """Write one frame, which can be resampled, where its timestamp says. Raises EngineRefusal as `disk_under`."""
        duration = self.frame_seconds = frame.samples / frame.sample_rate
        time = frame.time if has_times else None
        silence = self._timeline.silence_before(time, self.seconds, duration)
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if silence or shape != self._shape:
            self.flush()
            self._insert_silence(silence)
            self._downmix = Downmix(frame, self._plans.get(shape_of(frame)), self.gain)
            self._mixes[self._downmix.in_words] = None
            self._shape = shape
            self._is_listened_to = self.listens_to_mono or frame.layout.nb_channels > 1
            self.headroom.begin(frame)
        if self._is_listened_to and (at := self.seconds) >= self.listener.due_seconds:
            self.listener.hear(frame, at)
        if self.headroom.wants_to_see:
            self.headroom.see(frame)
        self._unwritten_seconds += duration
        self.decoded_seconds += duration
        if self._downmix is not None:
            for second in self._downmix.of(frame):
                self._write(second)

    def flush(self) -> None:
        """Write what the resampler still holds; called once more after the last frame."""
        if self._downmix is None:
            return
        for rest in self._downmix.rest():
            self._write(rest)
        self._downmix = self._shape = None
        self._unwritten_seconds = 0.0

    def _insert_silence(self, seconds: float) -> None:
        samples = round(seconds * SAMPLE_RATE)
        # A hole in the file: reads as zeros and costs no disk.
        os.lseek(self._descriptor, samples * SAMPLE_BYTES, os.SEEK_CUR)
        self._samples_written += samples
        self.silence_seconds += seconds

    def _write(self, samples: NDArray[np.int16]) -> None:
        self._unwritten_seconds -= len(samples) / SAMPLE_RATE
        self.headroom.note(samples)
        if due := round(self._timeline.stretch_due(len(samples) / SAMPLE_RATE) * SAMPLE_RATE):
            samples = stretched(samples, len(samples) + due)
        self._samples_written += len(samples)
        rest = memoryview(samples.tobytes())
        with disk_under(self._folder):
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]


@contextmanager
def disk_under(folder: Path) -> Iterator[None]:
    """What our own disk refuses says nothing about the recording.

    Raises EngineRefusal `disk_full`, `spool_failed`.
    """
    try:
        yield
    except OSError as error:
        log.warning("spool_not_written", folder=str(folder), error=str(error))
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise EngineRefusal(
                "disk_full",
                f"no room left in {folder} for the decoded audio",
                "free some disk (an hour of audio needs 115 MB while it is worked on) and retry",
            ) from error
        raise EngineRefusal(
            "spool_failed",
            f"the decoded audio cannot be written to {folder}: {error.strerror or error}",
            "check that disk; the job goes on by itself once it takes what is written",
        ) from error
