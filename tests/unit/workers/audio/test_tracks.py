"""Which of several sound tracks is taken: the one asked for, of the language, the default, or the one with sound.

Runs in: the test process.
"""

from pathlib import Path

import numpy as np
import pytest
from decoding_here import decode
from hypothesis import given
from hypothesis import strategies as some
from recordings import noise, silence, voice, wav
from recordings_of_tracks import MadeTrack, with_tracks

from ipc.transcript import RecordingFacts, Track
from workers.audio.container_decoder import DecodingOptions
from workers.audio.tracks import SoundTrack, is_same_language, language_of_tag, tracks_to_try
from workers.engine import EngineRefusal

SPOKEN = voice()[:64_000]
OTHER = voice()[64_000:128_000]
NOTHING = silence(4)

CONTAINERS = [("a.mp4", "aac"), ("a.mkv", "aac"), ("a.webm", "libopus"), ("a.mov", "pcm_s16le"), ("a.ts", "mp2")]


def rate_of(codec: str) -> int:
    return 48_000 if codec == "libopus" else 16_000


def taken(
    recording: Path, track: int | None = None, language: str | None = None
) -> tuple[np.ndarray, RecordingFacts]:
    pcm_path = recording.parent / "audio.s16"
    _, facts = decode(recording, pcm_path, DecodingOptions(3600.0, track, language), lambda done_seconds: None)
    assert facts is not None and facts.track is not None
    audio = np.fromfile(pcm_path, np.int16)
    pcm_path.unlink()
    return audio, facts


def made(path: Path, codec: str, *tracks: MadeTrack) -> Path:
    return with_tracks(path, tracks, codec, rate_of(codec))


@pytest.mark.parametrize(("name", "codec"), CONTAINERS)
def test_a_silent_first_track_is_left_for_the_one_with_sound(tmp_path: Path, name: str, codec: str) -> None:
    recording = made(
        tmp_path / name, codec, MadeTrack(NOTHING, is_default=True), MadeTrack(NOTHING), MadeTrack(SPOKEN)
    )
    audio, facts = taken(recording)
    assert np.abs(audio.astype(int)).max() > 3000
    assert facts.track is not None and facts.track.number == 3
    assert [track.number for track in facts.other_tracks] == [1, 2]


@pytest.mark.parametrize("floor", [0.0003, 0.001, 0.005])
def test_the_noise_floor_of_an_input_that_nobody_used_is_silence(tmp_path: Path, floor: float) -> None:
    empty = noise(4, loudness=floor)
    recording = made(tmp_path / "a.mkv", "flac", MadeTrack(empty), MadeTrack(SPOKEN))
    _, facts = taken(recording)
    assert facts.track is not None and facts.track.number == 2


@pytest.mark.parametrize(("name", "codec"), CONTAINERS)
def test_a_track_is_taken_by_its_number(tmp_path: Path, name: str, codec: str) -> None:
    recording = made(tmp_path / name, codec, MadeTrack(SPOKEN, is_default=True), MadeTrack(OTHER), MadeTrack(NOTHING))
    lengths = {}
    for number in (1, 2, 3):
        audio, facts = taken(recording, track=number)
        assert facts.track is not None and facts.track.number == number
        lengths[number] = int(np.abs(audio.astype(int)).max())
    assert lengths[1] > 3000 and lengths[2] > 3000 and lengths[3] < 50


@pytest.mark.parametrize(("name", "codec"), CONTAINERS)
def test_the_jobs_language_chooses_the_track(tmp_path: Path, name: str, codec: str) -> None:
    recording = made(
        tmp_path / name,
        codec,
        MadeTrack(SPOKEN, "eng", is_default=True),
        MadeTrack(OTHER, "ger" if name.endswith((".mkv", ".webm", ".mov")) else "deu"),
        MadeTrack(OTHER, "fra"),
    )
    for language, number in (("de", 2), ("fr", 3), ("en", 1), ("es", 1), (None, 1)):
        _, facts = taken(recording, language=language)
        assert facts.track is not None and facts.track.number == number


def test_the_default_flag_is_heeded_and_a_commentary_is_not_what_was_recorded(tmp_path: Path) -> None:
    recording = made(
        tmp_path / "a.mkv",
        "flac",
        MadeTrack(OTHER, title="Director", is_commentary=True),
        MadeTrack(OTHER, title="Described", is_for_the_blind=True),
        MadeTrack(SPOKEN),
    )
    _, facts = taken(recording)
    assert facts.track is not None and facts.track.number == 3
    assert [track.title for track in facts.other_tracks] == ["Director", "Described"]
    other = made(tmp_path / "b.mkv", "flac", MadeTrack(OTHER), MadeTrack(SPOKEN, is_default=True))
    _, facts = taken(other)
    assert facts.track is not None and facts.track.number == 2 and facts.track.is_default


def test_where_every_track_is_silent_the_usual_one_is_taken(tmp_path: Path) -> None:
    recording = made(tmp_path / "a.mp4", "aac", MadeTrack(NOTHING), MadeTrack(NOTHING, is_default=True))
    audio, facts = taken(recording)
    assert facts.track is not None and facts.track.number == 2 and len(facts.other_tracks) == 1
    assert len(audio) == pytest.approx(64_000, abs=2000)


def test_a_silent_track_of_the_language_is_left_for_one_with_sound(tmp_path: Path) -> None:
    recording = made(tmp_path / "a.mkv", "flac", MadeTrack(SPOKEN, "eng"), MadeTrack(NOTHING, "deu"))
    _, facts = taken(recording, language="de")
    assert facts.track is not None and facts.track.number == 1


def test_an_unknown_track_is_refused_by_naming_those_there_are(tmp_path: Path) -> None:
    recording = made(
        tmp_path / "a.mkv", "flac", MadeTrack(SPOKEN, "eng", "Desktop", is_default=True), MadeTrack(OTHER, "deu")
    )
    with pytest.raises(EngineRefusal) as refused:
        taken(recording, track=3)
    assert refused.value.code == "no_such_track"
    assert "no sound track 3" in refused.value.message
    assert '1 ("Desktop", eng, default, flac, 1 channel), 2 (deu, flac, 1 channel)' in refused.value.message
    with pytest.raises(EngineRefusal, match="no sound track 2"):
        taken(wav(tmp_path / "a.wav", SPOKEN), track=2)
    assert [found.name for found in tmp_path.glob("audio.s16*")] == []


def test_a_track_whose_channels_cancel_is_not_silent(tmp_path: Path) -> None:
    inverse = np.stack([SPOKEN, -SPOKEN], 1)
    recording = made(tmp_path / "a.mkv", "flac", MadeTrack(inverse), MadeTrack(OTHER))
    audio, facts = taken(recording)
    assert facts.track is not None and facts.track.number == 1 and facts.channels_used == "channel 1"
    assert np.abs(audio.astype(int)).max() > 3000


def test_the_facts_say_what_the_container_says_of_its_tracks(tmp_path: Path) -> None:
    recording = made(tmp_path / "a.mkv", "flac", MadeTrack(SPOKEN, "eng", "Mic"), MadeTrack(np.stack([OTHER] * 2, 1)))
    _, facts = taken(recording)
    assert facts.track == Track(number=1, language="eng", title="Mic", codec="flac", channels=1, sample_rate=16_000)
    assert facts.other_tracks == (Track(number=2, codec="flac", channels=2, sample_rate=16_000),)


def sound_track(
    number: int, language: str | None = None, *, is_decodable: bool = True, default: bool = False
) -> SoundTrack:
    return SoundTrack(Track(number=number, language=language, is_default=default), is_decodable)


def test_a_track_that_cannot_be_decoded_is_passed_over_and_keeps_its_number() -> None:
    tracks = [sound_track(1, is_decodable=False, default=True), sound_track(2), sound_track(3, default=True)]
    assert [track.number for track in tracks_to_try(Path("a"), tracks, None, None)] == [3, 2]
    with pytest.raises(EngineRefusal, match=r"no sound track 1 that can be decoded; there is 2 .*, 3"):
        tracks_to_try(Path("a"), tracks, 1, None)
    with pytest.raises(EngineRefusal) as refused:
        tracks_to_try(Path("a"), tracks[:1], 1, None)
    assert refused.value.code == "no_audio"


@pytest.mark.parametrize(
    ("tag", "wanted"),
    [
        ("de", "de"),
        ("deu", "de"),
        ("ger", "de"),
        ("de-AT", "de"),
        ("GER", "de"),
        ("eng", "en"),
        ("en_US", "en"),
        ("zho", "zh"),
        ("chi", "zh"),
        ("zh-Hant-TW", "zh"),
        ("fre", "fr"),
        ("nob", "no"),
        ("iw", "he"),
        ("jav", "jw"),
        ("haw", "haw"),
        ("xal", "xal"),
    ],
)
def test_every_form_of_a_languages_code_is_that_language(tag: str, wanted: str) -> None:
    assert is_same_language(language_of_tag(tag), wanted)


@pytest.mark.parametrize("tag", [None, "", "und", "mul", "zxx", "UND", "\x1b[31m", "x" * 50, "ü"])
def test_a_tag_that_names_no_language_is_none(tag: str | None) -> None:
    assert language_of_tag(tag) is None


@given(some.text())
def test_no_tag_breaks_the_choice(tag: str) -> None:
    language = language_of_tag(tag)
    assert language is None or language.isprintable()
    assert is_same_language(language, "de") in (True, False)
