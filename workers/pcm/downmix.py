"""Frames of one shape → mono samples of 16 kHz: by FFmpeg's own mix, by the mean of nameless channels, or as planned.

Runs in: worker.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workers.engine import SAMPLE_RATE
from workers.pcm.channel_listener import shape_of
from workers.pcm.channel_mix import WINDOW_SECONDS, ChannelMixer, MixPlan

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler


class Downmix:
    """Downmixes frames that all have the first one's shape."""

    def __init__(self, first: "AudioFrame", plan: MixPlan | None, gain: float = 1.0) -> None:
        """The output is `gain` times as loud as the input."""
        import av

        shape = shape_of(first)
        self._channels = shape.channels
        self._gain = gain
        self.in_words = "mono" if shape.channels == 1 else "mix" if plan is None else plan.in_words
        """As `RecordingFacts.channels_used` says it."""
        self._to_packed: av.AudioResampler | None = None
        self._mixer: ChannelMixer | None = None
        if plan is not None:
            self._mixer = ChannelMixer(plan, shape.channels, SAMPLE_RATE)
            window = round(WINDOW_SECONDS * SAMPLE_RATE)
            self._resampler = av.AudioResampler(format="flt", rate=SAMPLE_RATE, frame_size=window)
            return
        # FFmpeg clips at full scale; with a gain, this class clips to 16 bits.
        kind = "s16" if gain == 1.0 else "flt"
        self._resampler = av.AudioResampler(format=kind, layout="mono", rate=SAMPLE_RATE, frame_size=SAMPLE_RATE)
        if shape.is_nameless:
            # FFmpeg would guess a cinema layout and drop the channel it takes for the subwoofer. Packed: PyAV 18
            # counts planes up to a null pointer, and after 8 or more there is none (SIGSEGV).
            self._to_packed = av.AudioResampler(format="flt")

    def of(self, frame: "AudioFrame") -> Iterator[NDArray[np.int16]]:
        """The samples that are ready after this frame."""
        for even in (frame,) if self._to_packed is None else self._to_mono(frame, self._to_packed):
            for ready in self._resampler.resample(even):
                yield self._mono(ready)

    def rest(self) -> Iterator[NDArray[np.int16]]:
        """The samples that the resampler held back; no frame may follow."""
        # A resampler with nothing to do returns [None] here.
        for ready in filter(None, self._resampler.resample(None)):
            yield self._mono(ready)

    def _to_mono(self, frame: "AudioFrame", to_packed: "AudioResampler") -> Iterator["AudioFrame"]:
        import av

        for packed in to_packed.resample(frame):
            mean = packed.to_ndarray().reshape(-1, self._channels).mean(axis=1)
            mono = av.AudioFrame.from_ndarray(mean[None, :], format="flt", layout="mono")
            mono.sample_rate = frame.sample_rate
            yield mono

    def _mono(self, ready: "AudioFrame") -> NDArray[np.int16]:
        samples: NDArray[Any] = ready.to_ndarray()
        if self._mixer is not None:
            return self._mixer.mono(samples.reshape(-1, self._channels).astype(np.float32) * np.float32(self._gain))
        if self._gain == 1.0:
            mono: NDArray[np.int16] = samples[0].astype(np.int16, copy=False)
            return mono
        louder = np.nan_to_num(samples[0] * np.float32(self._gain), posinf=0.0, neginf=0.0)
        rounded: NDArray[np.int16] = np.clip(np.rint(louder * 32_768), -32_768, 32_767).astype(np.int16)
        return rounded
