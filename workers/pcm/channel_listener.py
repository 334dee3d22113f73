"""What each channel of a recording contains, sampled while it is decoded, and whether the usual mix keeps it.

Runs in: worker.

FFmpeg's mix to mono loses channels that cancel each other, sound on a subwoofer's channel, and one voice among many
channels or beside a loud hum. Six samples of the channels a second detect that for a few per cent of the time; only
then the recording is decoded again, with a mix chosen for it.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workers.pcm.channel_mix import MixPlan

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

LOOK_SECONDS = 0.2
"""From one look to the next."""
LOOK_SAMPLES = 512
"""At most this many samples a look, spread over the frame: enough for its power."""
GATHERED_SAMPLES = 65_536
"""Looks are judged in batches of this many samples of all channels: one by one would cost ten times as much."""
IS_THERE, IS_NOT_BURIED, IS_CLEAR = 1, 2, 4
"""Flags of a channel in a mix: not cancelled, not masked by other channels, dominant in the mix."""
EASY_FORMATS = frozenset({"s16", "s16p", "s32", "s32p", "flt", "fltp", "dbl", "dblp"})
PLANAR: dict[str, "np.dtype[Any]"] = {
    "fltp": np.dtype(np.float32),
    "s16p": np.dtype(np.int16),
    "s32p": np.dtype(np.int32),
}
FULL_SCALE = {np.dtype(np.int16): 2.0**15, np.dtype(np.int32): 2.0**31}
SILENCE_DB = -120
AUDIBLE_DB = -75.0
"""RMS relative to full scale. Lower levels are the noise of a converter."""
ACTIVE_DB = 25.0
"""Down to this far below its loudest moments a channel contains speech and not pauses."""
LOUD_LOOKS = 5
"""A channel is as loud as this many of its loudest looks: a click is not speech."""
LEAST_SPREAD_DB = 8.0
"""The spread between its loud moments and its quiet quarter. Speech has 15 and more, hum and hiss 1 to 4."""
LEAST_LIFE_DB = 6.0
LOUD_DB = -40.0
"""A channel that varies less and is softer is the noise floor of an input without speech."""
LEAST_SHARE = 0.4
"""The share of the mix's power from its loudest channel with speech; below it, something else is louder."""
LEAST_GAIN = 0.1
LEAST_GAIN_OF_NAMELESS = 0.2
"""How much softer a channel may be in the mix: a field recorder's many channels are averaged."""
FULL_GAIN = 0.2
LEAST_POWER = 10 ** (-50 / 10)
"""A channel that is softer than FULL_GAIN in the mix must be louder than this."""
LEAST_SUM = 0.25
"""The mix's power relative to that of the same channels without phase; less is cancellation."""
LOST_LOOKS = 3
NEAR_LOOKS = 6
"""This many lost looks among this many, half a second within one second, mean a lost word."""
LOST_SHARE = 0.02
COVERED_DB = 12.0
COVERED_SHARE = 0.995
"""One channel contains everything if it is never further below the loudest than this, except for this share of the
time."""


class Shape(NamedTuple):
    """Format, layout and number of a frame's channels."""

    layout: str
    channels: int

    @property
    def is_nameless(self) -> bool:
        """Field recorders write one unnamed channel per microphone."""
        return self.channels > 2 and self.layout.endswith("channels")


def shape_of(frame: "AudioFrame") -> Shape:
    return Shape(frame.layout.name, frame.layout.nb_channels)


@dataclass(slots=True)
class _LevelHistory:
    """All looks at channels of one shape: two bytes a channel and look, 23 MB for ten hours of 64 channels."""

    shape: Shape
    weights: NDArray[np.float32]
    """The weight of each channel in the usual mix."""
    gathered: list[NDArray[np.float32]] = field(default_factory=list)
    """Samples by channel, not yet judged."""
    levels: bytearray = field(default_factory=bytearray)
    """dB over SILENCE_DB, by look and channel."""
    mix_levels: bytearray = field(default_factory=bytearray)
    """The level of the usual mix, by look."""
    fates: bytearray = field(default_factory=bytearray)
    """The channel's flags in the usual mix, by look and channel."""

    def add(self, samples: NDArray[np.float32]) -> None:
        """One look, samples by channel."""
        self.gathered.append(samples)
        if len(self.gathered) * LOOK_SAMPLES * self.shape.channels >= GATHERED_SAMPLES:
            self.judge()

    def judge(self) -> None:
        """Computes the levels of the gathered looks, alone and in the mix."""
        looks, self.gathered = self.gathered, []
        while looks:
            length = len(looks[0])
            alike = next((at for at, look in enumerate(looks) if len(look) != length), len(looks))
            samples = np.stack([look.T for look in looks[:alike]])
            if not np.isfinite(samples).all():
                samples = np.nan_to_num(samples, posinf=0.0, neginf=0.0)
            self._judge(samples)
            looks = looks[alike:]

    def _judge(self, samples: NDArray[np.float32]) -> None:
        """Samples by look and channel."""
        # No matrix products: for so little work the library's threads cost more than they do. The samples of a
        # channel lie side by side: otherwise this takes 20 times as long.
        length = samples.shape[2]
        mixed = np.einsum("lcs,c->ls", samples, self.weights)
        own = np.einsum("lcs,lcs->lc", samples, samples) / length
        with_mix = np.einsum("ls,lcs->lc", mixed, samples) / length
        mix = np.einsum("ls,ls->l", mixed, mixed)[:, None] / length
        apart = np.einsum("lc,c->l", own, self.weights**2)[:, None]
        safe = np.maximum(own, 1e-20)
        gain = with_mix / safe
        share = gain * with_mix / np.maximum(mix, 1e-20)
        least_gain = LEAST_GAIN_OF_NAMELESS if self.shape.is_nameless else LEAST_GAIN
        # A loud channel may be much softer in the mix; a soft one may not.
        is_there = (gain >= least_gain) & ((gain >= FULL_GAIN) | (gain**2 * own >= LEAST_POWER))
        is_there &= mix >= LEAST_SUM * apart
        mine = own * self.weights**2
        is_alone = (share >= LEAST_SHARE) | (apart - mine <= mine * (1 / LEAST_SHARE - 1))
        fate = is_there * IS_THERE + is_alone * IS_NOT_BURIED + (share >= LEAST_SHARE) * IS_CLEAR
        self.levels.extend(_as_bytes(safe))
        self.mix_levels.extend(_as_bytes(np.maximum(mix, 1e-20)))
        self.fates.extend(fate.astype(np.uint8).tobytes())


def _as_bytes(powers: NDArray[np.floating[Any]]) -> bytes:
    levels: NDArray[np.uint8] = (np.clip(10 * np.log10(powers), SILENCE_DB, 0) - SILENCE_DB).astype(np.uint8)
    return levels.tobytes()


class ChannelListener:
    """Looks at frames as they pass."""

    def __init__(self) -> None:
        self._looks: dict[Shape, _LevelHistory] = {}
        self.due_seconds = 0.0  # when the next look is, after the recording's first frame

    def hear(self, frame: "AudioFrame", at_seconds: float) -> None:
        """Samples a frame that begins `at_seconds` after the recording's first."""
        self.due_seconds = at_seconds + LOOK_SECONDS
        shape = shape_of(frame)
        looks = self._looks.get(shape)
        if looks is None:
            weights = np.full(shape.channels, 1 / shape.channels) if shape.is_nameless else _weights_of(shape)
            looks = self._looks[shape] = _LevelHistory(shape, weights.astype(np.float32))
        samples = _planes_of(frame)
        if samples is None:
            samples = samples_of(frame, shape.channels)
        # A frame may last a second; a look may not.
        count = max(round(frame.samples / frame.sample_rate / LOOK_SECONDS), 1)
        size = max(len(samples) // count, 1)
        for begin in range(0, len(samples) - size + 1, size):
            looks.add(_some_of(samples[begin : begin + size]))

    @property
    def has_sound(self) -> bool:
        """Whether any channel has more than the noise floor of an input without speech."""
        return any(_sounds(_levels_of(looks)) for looks in self._judged())

    @property
    def loudest_db(self) -> float:
        """The loud moments of the loudest channel; SILENCE_DB where there are none."""
        tops = [float(_top_and_spread(_levels_of(looks))[0].max()) for looks in self._judged()]
        return max(tops, default=float(SILENCE_DB))

    def plans(self) -> dict[Shape, MixPlan]:
        """Mix plans for the shapes of which the usual mix lost something."""
        found = ((looks.shape, _plan(looks)) for looks in self._judged())
        return {shape: plan for shape, plan in found if plan is not None}

    def _judged(self) -> "list[_LevelHistory]":
        for looks in self._looks.values():
            looks.judge()
        return [looks for looks in self._looks.values() if looks.levels]


def samples_of(frame: "AudioFrame", channels: int) -> NDArray[Any]:
    """The frame's samples by channel, unscaled."""
    import av

    # PyAV 18 counts planes up to a null pointer, and after 8 or more there is none (SIGSEGV): such frames become
    # packed.
    if frame.format.name not in EASY_FORMATS or (frame.format.is_planar and channels >= 8):
        packed = av.AudioResampler(format="flt").resample(frame)
        if not packed:
            return np.empty((0, channels), np.float32)
        frame = packed[0]
    raw = frame.to_ndarray()
    return raw.T if frame.format.is_planar else raw.reshape(-1, channels)


def _planes_of(frame: "AudioFrame") -> NDArray[Any] | None:
    """`samples_of` for planar stereo, the format of most recordings, in a quarter of the time."""
    dtype = PLANAR.get(frame.format.name)
    if dtype is None or frame.layout.nb_channels != 2:
        return None
    both = np.empty((frame.samples, 2), dtype, "F")
    for channel, plane in enumerate(frame.planes):
        both[:, channel] = np.frombuffer(memoryview(plane), dtype, frame.samples)
    return both


def _some_of(samples: NDArray[Any]) -> NDArray[np.float32]:
    """As many samples as a look needs, spread over the frame, from -1 to 1."""
    some: NDArray[np.float32] = samples[:: max(len(samples) // LOOK_SAMPLES, 1)][:LOOK_SAMPLES].astype(np.float32)
    if samples.dtype in FULL_SCALE:
        some /= np.float32(FULL_SCALE[samples.dtype])
    return some


@cache
def _weights_of(shape: Shape) -> NDArray[np.float64]:
    """The weight of each channel in FFmpeg's mix to mono, found by a test signal."""
    import av

    weights = np.zeros(shape.channels)
    for channel in range(shape.channels):
        one = np.zeros((1, 64 * shape.channels), np.float32)
        one[0, channel :: shape.channels] = 0.5
        frame = av.AudioFrame.from_ndarray(one, format="flt", layout=shape.layout)
        frame.sample_rate = 16_000
        mixer = av.AudioResampler(format="s16", layout="mono")
        weights[channel] = float(np.concatenate([mono.to_ndarray()[0] for mono in mixer.resample(frame)]).mean())
    return weights / 16_384


def _levels_of(looks: _LevelHistory) -> NDArray[np.int16]:
    """dB over full scale, by look and channel."""
    levels = np.frombuffer(looks.levels, np.uint8).reshape(-1, looks.shape.channels)
    return levels.astype(np.int16) + np.int16(SILENCE_DB)


def _top_and_spread(levels: NDArray[np.int16]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """The level of each channel's loud moments, and how far that is above its quiet quarter, in dB."""
    ordered = np.sort(levels, axis=0)
    top = ordered[-min(LOUD_LOOKS, 1 + len(levels) // 20)]
    return top, top - ordered[len(ordered) // 4]


def _sounds(levels: NDArray[np.int16]) -> bool:
    top, spread = _top_and_spread(levels)
    return bool(((top >= LOUD_DB) | ((top >= AUDIBLE_DB) & (spread >= LEAST_LIFE_DB))).any())


def _speaking(levels: NDArray[np.int16]) -> NDArray[np.intp]:
    """The channels that may hold speech."""
    top, spread = _top_and_spread(levels)
    return np.flatnonzero((top >= AUDIBLE_DB) & (spread >= LEAST_SPREAD_DB))


def _plan(looks: _LevelHistory) -> MixPlan | None:
    """A mix of the channels with speech; None: the usual mix keeps their speech."""
    if looks.shape.channels == 1:
        return None
    levels = _levels_of(looks)
    top, _ = _top_and_spread(levels)
    speaking = _speaking(levels)
    mix = np.frombuffer(looks.mix_levels, np.uint8)[:, None].astype(np.int16) + np.int16(SILENCE_DB)
    mix_speaks = bool(_speaking(mix).size)
    if not speaking.size and not mix_speaks:
        # Only noise, or speech in loud noise: better all of it than nothing.
        speaking = np.flatnonzero(top >= AUDIBLE_DB)
    if not speaking.size:
        return None
    spoken = levels[:, speaking]
    loudest = spoken.max(axis=1)
    by_whom = speaking[spoken.argmax(axis=1)]
    active = loudest >= np.maximum(AUDIBLE_DB, top[by_whom] - ACTIVE_DB)
    fates = np.frombuffer(looks.fates, np.uint8).reshape(-1, looks.shape.channels)[np.arange(len(levels)), by_whom]
    # A mix that differs from its loudest channel may be better than that: a voice in the middle of wide music. Then
    # the mix itself has the spread of a voice.
    lost = active & ((fates & IS_THERE == 0) | ((fates & (IS_NOT_BURIED if mix_speaks else IS_CLEAR)) == 0))
    if not _loses_words(lost, active):
        return None
    covers = (spoken >= loudest[:, None] - COVERED_DB)[active].mean(axis=0) >= COVERED_SHARE
    if covers.any():
        means = np.where(covers, spoken[active].mean(axis=0), -np.inf)
        return MixPlan((int(speaking[means.argmax()]),))
    return MixPlan(tuple(int(channel) for channel in speaking))


def _loses_words(lost: NDArray[np.bool_], active: NDArray[np.bool_]) -> bool:
    near = np.convolve(lost, np.ones(min(NEAR_LOOKS, len(lost))), "valid")
    return bool(near.max() >= LOST_LOOKS or lost.sum() >= max(LOST_LOOKS, LOST_SHARE * active.sum()))
