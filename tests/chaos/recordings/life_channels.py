"""Recordings whose channels or tracks hold different things, as cables, field and screen recorders make them.

Runs in: the chaos run. In each the memo is to be heard whole, whatever stands beside it.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from recordings import Samples, encoded, noise, silence, tone, wav
from recordings_of_tracks import MadeTrack, as_cinema, with_layout, with_tracks

from chaos.recordings.life_recordings import SECONDS, Heard, LifeRecording, Truth, voice

CODECS = (
    ("wav", "pcm_s16le", 1),
    ("flac", "flac", 1),
    ("mp3", "libmp3lame", 1),
    ("m4a", "aac", 1),
    ("webm", "libopus", 3),
    ("ts", "mp2", 3),
)
"""Suffix, codec, and how many times 16 kHz it is written with."""
CONTAINERS = (
    ("mp4", "aac", 1),
    ("mkv", "flac", 1),
    ("mov", "pcm_s16le", 1),
    ("webm", "libopus", 3),
    ("ts", "mp2", 3),
)
CINEMAS = ((0x3F, 6), (0x60F, 6), (0x63F, 8), (0x0B, 3))
"""Masks of WAVE: 5.1 in both its ways, 7.1, 2.1."""


def recordings_by_channel() -> Iterator[LifeRecording]:
    """A voice that FFmpeg's own mix would cancel, drop or bury."""
    for suffix, codec, times in CODECS:
        for share in (1.0, 0.8):
            yield _of(
                f"{suffix}: the right channel is -{share} times the left",
                lambda path, s=suffix, c=codec, t=times, share=share: _stereo(path, s, c, t, -share * _memo()),
            )
    yield _of("wav: turns inverse half way", lambda path: _stereo(path, "wav", "pcm_s16le", 1, _turned()))
    for count in (3, 4, 6, 8, 16, 32):
        yield _of(
            f"{count} microphones, one of them speaks", lambda path, n=count: _microphones(path, n, n // 2, None)
        )
    for name, beside in (("hum", tone(13, hertz=50, loudness=0.6)), ("hiss", noise(13, loudness=0.2))):
        for speaking in (0, 1):
            yield _of(
                f"{name} beside the voice on channel {speaking + 1}",
                lambda path, b=beside, k=speaking: _microphones(path, 2, k, b),
            )
    for mask, count in CINEMAS:
        for speaking in range(count):
            yield _of(
                f"the voice on channel {speaking + 1} of mask {mask:#x}",
                lambda path, m=mask, n=count, k=speaking: as_cinema(path, _one_of(n, k, silence(13)), m),
            )
    yield _of("inverse surrounds", lambda path: _renamed(path, "flac", lambda made: _surrounds(made)))


def recordings_by_track() -> Iterator[LifeRecording]:
    """The voice in another track than the first, or in another than the default one."""
    for suffix, codec, times in CONTAINERS:
        for name, first in (("digital silence", silence(12.6)), ("a noise floor", noise(12.6, loudness=0.003))):
            for before in (1, 2):
                tracks = [MadeTrack(np.repeat(first, times), is_default=number == 0) for number in range(before)]
                tracks.append(MadeTrack(np.repeat(voice("memo"), times)))
                yield _of(
                    f"{suffix}: {name} in {before} tracks before the voice",
                    lambda path, s=suffix, c=codec, t=times, made=tuple(tracks): _renamed(
                        path, s, lambda part: with_tracks(part, made, c, 16_000 * t)
                    ),
                )


def _of(name: str, write: Callable[[Path], object]) -> LifeRecording:
    def make(path: Path) -> Truth:
        write(path)
        return Truth((Heard("memo", lambda seconds: seconds, SECONDS["memo"]),), None)

    return LifeRecording(name, make)


def _renamed(path: Path, suffix: str, write: Callable[[Path], object]) -> None:
    """PyAV chooses a container by the suffix, and the recording is to have none."""
    made = path.with_suffix(f".{suffix}")
    write(made)
    made.rename(path)


def _memo() -> Samples:
    return voice("memo")


def _turned() -> Samples:
    right = _memo().copy()
    right[len(right) // 2 :] *= -1
    return right


def _stereo(path: Path, suffix: str, codec: str, times: int, right: Samples) -> None:
    both = np.stack([_memo(), right.astype(np.int16)], 1).repeat(times, axis=0)
    _renamed(path, suffix, lambda made: encoded(made, both, codec, rate=16_000 * times))


def _one_of(count: int, speaking: int, beside: Samples) -> Sequence[Samples]:
    return [_memo() if number == speaking else beside[: len(_memo())] for number in range(count)]


def _microphones(path: Path, count: int, speaking: int, beside: Samples | None) -> None:
    wav(path, np.stack(_one_of(count, speaking, silence(13) if beside is None else beside), 1))


def _surrounds(path: Path) -> None:
    nothing = silence(13)[: len(_memo())]
    with_layout(path, [nothing, nothing, nothing, nothing, _memo(), -_memo()], "5.1", "flac")
