"""Recordings of more than 16 bits that are very soft or beyond full scale lose nothing; others stay as they are."""

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from decoding_here import decode
from recordings import TALK, Samples, voice, wav

from ipc.transcript import RecordingFacts
from workers.audio.container_decoder import DecodingOptions
from workers.pcm.pcm_file import PcmFile

Sound = npt.NDArray[np.float32]
"""Samples by channel, from -1 to 1 and beyond."""


@pytest.fixture(scope="module")
def talk() -> Sound:
    return (voice(TALK).astype(np.float32) / 32768)[: 12 * 16_000, None]


def floats(path: Path, sound: Sound, rate: int = 16_000) -> Path:
    """A WAV file of 32-bit floats."""
    body, channels = sound.astype("<f4").tobytes(), sound.shape[1]
    form = struct.pack("<HHIIHH", 3, channels, rate, rate * channels * 4, channels * 4, 32)
    chunks = b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(body)) + body
    path.write_bytes(b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks)
    return path


def decoded(path: Path, folder: Path) -> tuple[npt.NDArray[np.float32], RecordingFacts]:
    _, facts = decode(path, folder / "audio.s16", DecodingOptions(36_000.0), lambda seconds: None)
    assert facts is not None
    with PcmFile(folder / "audio.s16") as pcm:
        return pcm.audio(0, pcm.seconds), facts


def apart_db(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """How far below the sound its difference from the other is, both brought to one loudness."""
    scaled = one * (one @ other) / (one @ one)
    return float(10 * np.log10(np.square(other).mean() / np.square(scaled - other).mean()))


@pytest.mark.parametrize("gain_db", [-90, -60, -40, 15, 30])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_floats_are_neither_cut_off_nor_worn_down(tmp_path: Path, talk: Sound, gain_db: int, channels: int) -> None:
    told = np.repeat(talk * np.float32(10 ** (gain_db / 20)), channels, axis=1)
    heard, facts = decoded(floats(tmp_path / "a.wav", told), tmp_path)
    assert apart_db(heard, talk[:, 0]) > 45
    assert facts.gain_db is not None and (facts.gain_db > 0) == (gain_db < 0)


def test_channels_that_are_inverse_and_soft_are_mixed_and_made_louder(tmp_path: Path, talk: Sound) -> None:
    soft = talk * np.float32(0.01)
    heard, facts = decoded(floats(tmp_path / "a.wav", np.concatenate([soft, -soft], axis=1)), tmp_path)
    assert abs(apart_db(heard, talk[:, 0])) > 40
    assert facts.channels_used == "channel 1"


def test_what_fits_stays_as_it_is(tmp_path: Path, talk: Sound) -> None:
    for number, sound in enumerate([talk, talk * np.float32(0.05), np.clip(talk * np.float32(1.3), -1.05, 1.05)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        heard, facts = decoded(floats(folder / "a.wav", sound), folder)
        assert facts.gain_db is None
        assert np.abs(heard - np.clip(sound[:, 0], -1, 1)).max() < 1e-3


@pytest.mark.parametrize("gain", [0.001, 30.0])
def test_sixteen_bits_have_lost_already_what_they_lost(tmp_path: Path, talk: Sound, gain: float) -> None:
    samples: Samples = np.rint(talk[:, 0] * gain * 32768).clip(-32768, 32767).astype(np.int16)
    heard, facts = decoded(wav(tmp_path / "a.wav", samples), tmp_path)
    assert facts.gain_db is None
    assert np.array_equal(heard * 32768, samples)


def test_silence_and_numbers_that_are_none_stay_silence(tmp_path: Path, talk: Sound) -> None:
    broken = talk * np.float32(0.001)
    broken[100:200] = np.nan
    broken[300] = np.inf
    heard, _ = decoded(floats(tmp_path / "a.wav", broken), tmp_path)
    assert len(heard) == len(talk)
    (tmp_path / "audio.s16").unlink()
    heard, facts = decoded(floats(tmp_path / "b.wav", np.zeros((16_000, 1), np.float32)), tmp_path)
    assert (facts.gain_db, np.abs(heard).max()) == (None, 0.0)
