"""Frames of any shape → one PCM file whose times are the player's times.

Runs in: worker. PyAV frames arrive as decoded; this module does not read the recording itself.

The drift of a recorder's clock is corrected: the sound is stretched or shortened slightly.
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
"""The limit of libswresample."""
HIGHEST_RATE = 6_000_000
"""Above any converter's rate. The resampler's filters grow with the rate: a wrong header would cost gigabytes."""
log = structlog.get_logger()


def stretched(samples: Samples, length: int) -> Samples:
    """The same sound in `length` samples, by cubic interpolation. For changes of a few percent."""
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
    """Whether the resampler accepts this frame. Checked first: a resampler that refused a frame cannot be used
    again."""
    return 0 < frame.sample_rate <= HIGHEST_RATE and frame.layout.nb_channels <= MOST_CHANNELS


class PcmWriter:
    """Downmixes and resamples frames, and appends them to an open, empty file."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        """`folder` is for error messages. The caller closes the descriptor."""
        # Unbuffered: the resampler gathers a second at a time, and a full disk fails the write that met it.
        self._folder = folder
        self._descriptor = descriptor
        self.listens_to_mono = False
        """True: also sample a single channel, to choose between tracks."""
        self._forget({})

    def _forget(self, plans: Mapping[Shape, MixPlan], gain: float = 1.0) -> None:
        self._timeline = Timeline(origin_seconds=0.0, claimed_seconds=0.0, longest_seconds=0.0)
        self._shape: tuple[str, str, int] | None = None
        self._is_listened_to = False
        self._downmix: Downmix | None = None
        self._samples_written = 0
        self._unwritten_seconds = 0.0
        self.silence_seconds = 0.0
        """Seconds of written silence in place of missing audio."""
        self.frame_seconds = 0.0
        """Seconds of the last frame."""
        self.decoded_seconds = 0.0
        """Seconds of sound taken in, by its own samples."""
        self.listener = ChannelListener()
        """What the channels contain, before the mix."""
        self.headroom = Headroom()
        """Whether the written sound fits into 16 bits."""
        self.gain = gain
        """The gain with which the recording is written."""
        self._plans = plans
        self._mixes: dict[str, None] = {}

    def restart(self, plans: Mapping[Shape, MixPlan], gain: float = 1.0) -> None:
        """Discards everything written; from now on mixes channels of these shapes as planned, with this gain."""
        if self._samples_written:
            with disk_under(self._folder):
                os.ftruncate(self._descriptor, 0)
                os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._forget(plans, gain)

    @property
    def channels_used(self) -> str | None:
        """The mix, as `RecordingFacts` reports it; None before the first frame."""
        return "; then ".join(self._mixes) or None

    @property
    def seconds(self) -> float:
        """Seconds of audio taken in, written or still in the resampler."""
        return self._samples_written / SAMPLE_RATE + self._unwritten_seconds

    def begin(self, timeline: Timeline) -> None:
        """From here on, this timeline places the frames. Raises EngineRefusal as `disk_under`."""
        self.flush()
        self._timeline = timeline

    def append_silence(self, seconds: float) -> None:
        """Writes silence in place of a frame that could not be decoded. Raises EngineRefusal as `disk_under`."""
        self.flush()
        self._insert_silence(seconds)

    def append(self, frame: "AudioFrame", *, has_times: bool = True) -> None:
        """Writes one frame, which can be resampled, at its timestamp. Raises EngineRefusal as `disk_under`."""
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
        """Writes what the resampler holds back; called after the last frame."""
        if self._downmix is None:
            return
        for rest in self._downmix.rest():
            self._write(rest)
        self._downmix = self._shape = None
        self._unwritten_seconds = 0.0

    def _insert_silence(self, seconds: float) -> None:
        samples = round(seconds * SAMPLE_RATE)
        # A hole in the file: reads as zeros and takes no disk.
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
    """An error of our own disk says nothing about the recording.

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
                "free some disk space (an hour of audio needs 115 MB during its job) and retry",
            ) from error
        raise EngineRefusal(
            "spool_failed",
            f"the decoded audio cannot be written to {folder}: {error.strerror or error}",
            "check that disk; the job continues automatically once it can be written to",
        ) from error
