"""What each channel of a recording holds, heard in passing while it is decoded, and whether the usual mix keeps it.

Runs in: worker.

FFmpeg's mix to mono loses channels that are each other's inverse, what stands on a subwoofer's channel, and one voice
among many channels or beside a loud hum. A short look at the channels six times a second finds that out at the cost
of a few per cent; only then the recording is decoded again with a mix that was chosen for it.
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
"""Of one look at most, spread over the frame: its power needs no more."""
GATHERED_SAMPLES = 65_536
"""Looks are judged together, so many samples of all channels at once: one by one would cost ten times as much."""
IS_THERE, IS_NOT_BURIED, IS_CLEAR = 1, 2, 4
"""Flags of a channel's fate in a mix: not cancelled, not under other channels' sound, most of what is heard."""
EASY_FORMATS = frozenset({"s16", "s16p", "s32", "s32p", "flt", "fltp", "dbl", "dblp"})
PLANAR: dict[str, "np.dtype[Any]"] = {
    "fltp": np.dtype(np.float32),
    "s16p": np.dtype(np.int16),
    "s32p": np.dtype(np.int32),
}
FULL_SCALE = {np.dtype(np.int16): 2.0**15, np.dtype(np.int32): 2.0**31}
SILENCE_DB = -120
AUDIBLE_DB = -75.0
"""RMS over full scale. What stays below is the noise of a converter."""
ACTIVE_DB = 25.0
"""So far below its loudest moments a channel still holds speech and not its pauses."""
LOUD_LOOKS = 5
"""A channel is as loud as its so many loudest looks: a click is no speech."""
LEAST_SPREAD_DB = 8.0
"""Between its loud moments and its quiet quarter. Speech has 15 and more, hum and hiss 1 to 4."""
LEAST_LIFE_DB = 6.0
LOUD_DB = -40.0
"""What varies less and is softer is the noise floor of an input without speech."""
LEAST_SHARE = 0.4
"""Of the mix's power that comes from its loudest channel with speech; with less, something else is louder."""
LEAST_GAIN = 0.1
LEAST_GAIN_OF_NAMELESS = 0.2
"""How much softer a channel may come out of the mix: field recorders' many channels are averaged."""
FULL_GAIN = 0.2
LEAST_POWER = 10 ** (-50 / 10)
"""A channel that comes out softer than FULL_GAIN must come out louder than this."""
LEAST_SUM = 0.25
"""The mix's power over that of the same channels without phase; less is cancellation."""
LOST_LOOKS = 3
NEAR_LOOKS = 6
"""So many lost among so many, half a second within one, make a lost word."""
LOST_SHARE = 0.02
COVERED_DB = 12.0
COVERED_SHARE = 0.995
"""One channel holds all if it is never further below the loudest than this, but for this share of the time."""


class Shape(NamedTuple):
    """What the channels of a frame are."""

    layout: str
    channels: int

    @property
    def is_nameless(self) -> bool:
        """Field recorders write one channel a microphone and name none of them."""
        return self.channels > 2 and self.layout.endswith("channels")


def shape_of(frame: "AudioFrame") -> Shape:
    return Shape(frame.layout.name, frame.layout.nb_channels)


@dataclass(slots=True)
class _Looks:
    """All looks at channels of one shape: two bytes a channel and look, 23 MB for ten hours of 64 channels."""

    shape: Shape
    weights: NDArray[np.float32]
    """How much of each channel the usual mix takes."""
    gathered: list[NDArray[np.float32]] = field(default_factory=list)
    """Samples by channel, not judged yet."""
    levels: bytearray = field(default_factory=bytearray)
    """dB over SILENCE_DB, by look and channel."""
    mix_levels: bytearray = field(default_factory=bytearray)
    """The same of the usual mix, by look."""
    fates: bytearray = field(default_factory=bytearray)
    """What became of the channel in the usual mix, as flags, by look and channel."""

    def add(self, samples: NDArray[np.float32]) -> None:
        """One look, samples by channel."""
        self.gathered.append(samples)
        if len(self.gathered) * LOOK_SAMPLES * self.shape.channels >= GATHERED_SAMPLES:
            self.judge()

    def judge(self) -> None:
        """Levels of what was gathered, and what the mix makes of it."""
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
        # What is loud may come out much softer, what is soft may not.
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
        self._looks: dict[Shape, _Looks] = {}
        self.due_seconds = 0.0  # when the next look is, after the recording's first frame

    def hear(self, frame: "AudioFrame", at_seconds: float) -> None:
        """Take notice of a frame that begins `at_seconds` after the recording's first."""
        self.due_seconds = at_seconds + LOOK_SECONDS
        shape = shape_of(frame)
        looks = self._looks.get(shape)
        if looks is None:
            weights = np.full(shape.channels, 1 / shape.channels) if shape.is_nameless else _weights_of(shape)
            looks = self._looks[shape] = _Looks(shape, weights.astype(np.float32))
        samples = _planes_of(frame)
        if samples is None:
            samples = samples_of(frame, shape.channels)
        # A frame may last a second, a look may not.
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
        """How channels of each shape are to be mixed where the usual mix lost something of them."""
        found = ((looks.shape, _plan(looks)) for looks in self._judged())
        return {shape: plan for shape, plan in found if plan is not None}

    def _judged(self) -> "list[_Looks]":
        for looks in self._looks.values():
            looks.judge()
        return [looks for looks in self._looks.values() if looks.levels]


def samples_of(frame: "AudioFrame", channels: int) -> NDArray[Any]:
    """The frame's samples by channel, as they are."""
    import av

    # PyAV 18 counts planes up to a null pointer, and behind 8 or more there is none (SIGSEGV): such become packed.
    if frame.format.name not in EASY_FORMATS or (frame.format.is_planar and channels >= 8):
        packed = av.AudioResampler(format="flt").resample(frame)
        if not packed:
            return np.empty((0, channels), np.float32)
        frame = packed[0]
    raw = frame.to_ndarray()
    return raw.T if frame.format.is_planar else raw.reshape(-1, channels)


def _planes_of(frame: "AudioFrame") -> NDArray[Any] | None:
    """What `samples_of` gives, for stereo in planes: most recordings come so. A quarter of its time."""
    dtype = PLANAR.get(frame.format.name)
    if dtype is None or frame.layout.nb_channels != 2:
        return None
    both = np.empty((frame.samples, 2), dtype, "F")
    for channel, plane in enumerate(frame.planes):
        both[:, channel] = np.frombuffer(memoryview(plane), dtype, frame.samples)
    return both


def _some_of(samples: NDArray[Any]) -> NDArray[np.float32]:
    """As many as a look needs, spread over all, from -1 to 1."""
    some: NDArray[np.float32] = samples[:: max(len(samples) // LOOK_SAMPLES, 1)][:LOOK_SAMPLES].astype(np.float32)
    if samples.dtype in FULL_SCALE:
        some /= np.float32(FULL_SCALE[samples.dtype])
    return some


@cache
def _weights_of(shape: Shape) -> NDArray[np.float64]:
    """How much of each channel FFmpeg's mix to mono takes, found by asking it."""
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


def _levels_of(looks: _Looks) -> NDArray[np.int16]:
    """dB over full scale, by look and channel."""
    levels = np.frombuffer(looks.levels, np.uint8).reshape(-1, looks.shape.channels)
    return levels.astype(np.int16) + np.int16(SILENCE_DB)


def _top_and_spread(levels: NDArray[np.int16]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """How loud each channel is where it is loud, and by how much that is over its quiet quarter, in dB."""
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


def _plan(looks: _Looks) -> MixPlan | None:
    """A mix of the channels that speak; None where the usual one keeps what they say."""
    if looks.shape.channels == 1:
        return None
    levels = _levels_of(looks)
    top, _ = _top_and_spread(levels)
    speaking = _speaking(levels)
    mix = np.frombuffer(looks.mix_levels, np.uint8)[:, None].astype(np.int16) + np.int16(SILENCE_DB)
    mix_speaks = bool(_speaking(mix).size)
    if not speaking.size and not mix_speaks:
        # Nothing but noise, or speech in loud noise: better all of it than nothing.
        speaking = np.flatnonzero(top >= AUDIBLE_DB)
    if not speaking.size:
        return None
    spoken = levels[:, speaking]
    loudest = spoken.max(axis=1)
    by_whom = speaking[spoken.argmax(axis=1)]
    active = loudest >= np.maximum(AUDIBLE_DB, top[by_whom] - ACTIVE_DB)
    fates = np.frombuffer(looks.fates, np.uint8).reshape(-1, looks.shape.channels)[np.arange(len(levels)), by_whom]
    # A mix that is unlike its loudest channel may be better than that: the voice in the middle of wide music. Then it
    # sounds like a voice itself.
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
