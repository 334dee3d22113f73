"""A folder of real speech as the benchmark reads it, and recordings of any length made of its clips."""

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks.speech import librispeech
from benchmarks.speech.medley import record_medley
from benchmarks.speech.speech_folder import SpeechFolderError, joined, outside, read_speech_folder
from recordings import voice, wav

CLIPS = [["one", 0.5, 2.0], ["two", 3.0, 4.0], ["three", 4.5, 9.0]]
TEXTS = {"one": "First.", "two": "Second.", "three": "Third."}


def a_folder(folder: Path) -> Path:
    """Ten seconds in which each second has samples of its own number."""
    wav(folder / "english.wav", np.repeat(np.arange(10, dtype=np.int16), 16_000))
    (folder / "english.json").write_text(json.dumps({"clips": CLIPS, "references": TEXTS}))
    return folder


def test_what_the_folder_holds_is_found_and_what_it_lacks_is_empty(tmp_path: Path) -> None:
    found = read_speech_folder(a_folder(tmp_path))
    assert [(clip.name, clip.start, clip.end, clip.text) for clip in found.clips][1] == ("two", 3.0, 4.0, "Second.")
    assert (found.levels, found.meetings, found.noises, found.timed_words) == (None, (), (), ())
    for name in ("english_levels", "noise_hum", "noise_silence", "noise_gap", "ami", "words_exact"):
        wav(tmp_path / f"{name}.wav", np.zeros(16, np.int16))
    (tmp_path / "ami.rttm").write_text("SPEAKER ami 1 2.0 1.0 <NA> <NA> A\nSPEAKER ami 1 2.5 1.5 <NA> <NA> B\n")
    words = [("a", 1.0, 1.2), ("b", 1.25, 1.5), ("c", 2.0, 2.5)]
    (tmp_path / "words_exact.json").write_text(
        json.dumps([{"word": word, "start": start, "end": end} for word, start, end in words])
    )
    found = read_speech_folder(tmp_path)
    assert found.levels == tmp_path / "english_levels.wav"
    assert [noise.name for noise in found.noises] == ["noise_hum.wav", "noise_silence.wav"]
    assert [meeting.spoken for meeting in found.meetings] == [((2.0, 4.0),)]
    [timed] = found.timed_words
    assert [(word.after_pause, word.before_pause) for word in timed.words] == [
        *((True, False), (False, True), (True, True)),
    ]


def test_a_folder_that_is_built_otherwise_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(SpeechFolderError, match="english"):
        read_speech_folder(tmp_path)
    (a_folder(tmp_path) / "ami.rttm").write_text("")
    with pytest.raises(SpeechFolderError, match="no sound beside ami"):
        read_speech_folder(tmp_path)


def test_a_medley_is_of_whole_clips_with_their_pauses_over_and_over_and_all_of_it_is_the_recording(
    tmp_path: Path,
) -> None:
    folder = read_speech_folder(a_folder(tmp_path))
    whole = record_medley(tmp_path / "whole.wav", folder.english, folder.clips, 10.0)
    assert np.array_equal(voice(whole.path), voice(folder.english)) and whole.text == "First. Second. Third."
    longer = record_medley(tmp_path / "longer.wav", folder.english, folder.clips, 16.0)
    assert longer.text == "First. Second. Third. First. Second." and longer.seconds == 14.5
    short = record_medley(tmp_path / "short.wav", folder.english, folder.clips, 2.0)
    assert (short.text, set(voice(short.path))) == ("Second.", {3, 4})
    assert record_medley(tmp_path / "least.wav", folder.english, folder.clips, 0.1).text == "Second."


def test_stretches_of_several_speakers_are_counted_once_and_what_lies_outside_of_others_is_summed() -> None:
    assert joined([(4.0, 5.0), (1.0, 3.0), (2.0, 3.5), (3.5, 3.6)]) == ((1.0, 3.6), (4.0, 5.0))
    assert outside([(1.0, 3.0), (4.0, 5.0)], [(0.0, 1.5), (2.5, 4.5)]) == pytest.approx(1.5)
    assert outside([(1.0, 3.0)], []) == 2.0


def test_a_folder_built_from_librispeech_is_one_that_the_benchmark_reads(tmp_path: Path) -> None:
    for reader, number in (("7", 0), ("7", 1), ("9", 0)):
        chapter = tmp_path / "corpus" / reader / "1"
        chapter.mkdir(parents=True, exist_ok=True)
        # WAV under another name: what reads it looks into the file.
        wav(chapter / f"{reader}-1-{number}.flac", np.full(16_000, 10_000, np.int16))
        with (chapter / f"{reader}-1.trans.txt").open("a") as transcript:
            transcript.write(f"{reader}-1-{number} READER {reader} SENTENCE {number}\n")
    librispeech.main([str(tmp_path / "corpus"), str(tmp_path / "folder")])
    found = read_speech_folder(tmp_path / "folder")
    assert [clip.text for clip in found.clips] == [
        *("READER 7 SENTENCE 0", "READER 9 SENTENCE 0", "READER 7 SENTENCE 1"),
    ]
    samples = voice(found.english)
    for clip in found.clips:
        said = samples[round(clip.start * 16_000) : round(clip.end * 16_000)]
        assert len(said) == 16_000 and (said == 10_000).all()
    assert found.levels is not None and len(voice(found.levels)) == len(samples)
    assert {noise.stem for noise in found.noises} == {"noise_brown", "noise_hiss", "noise_hum", "noise_silence"}
