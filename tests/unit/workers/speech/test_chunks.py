"""Where a recording is cut: in silence, never late, and at the same places after a crash."""

from itertools import groupby, islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import MEMO, TALK, Samples, noise, silence, tone, voice

from workers.engine import SAMPLE_RATE, WINDOW_SAMPLES, Chunk
from workers.pcm.pcm_file import PcmFile
from workers.speech import loudness, voice_activity
from workers.speech.chunks import (
    LEAST_SILENCE,
    LEAST_SPEECH,
    LONGEST_CHUNK,
    SILENCE_PROBABILITY,
    SPEECH_PROBABILITY,
    _next_chunk,
    find_chunks,
    find_spans,
)
from workers.speech.voice_activity import VoiceActivity

Times = list[tuple[float, float]]


def on_disk(folder: Path, samples: Samples) -> Path:
    path = folder / "audio.s16"
    path.write_bytes(samples.astype("<i2").tobytes())
    return path


def chunks_of(path: Path, start_at_seconds: float = 0.0) -> list[Chunk]:
    with PcmFile(path) as pcm:
        return list(find_chunks(pcm, start_at_seconds))


def times(chunks: list[Chunk]) -> Times:
    return [(chunk.start, chunk.end) for chunk in chunks]


def speech_without_pause(seconds: float) -> Samples:
    """The memo's words with its pauses cut out, over and over."""
    memo = voice(MEMO)
    spoken = [(0.75, 1.45), (2.3, 4.7), (5.6, 8.5)]
    words = np.concatenate([memo[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] for start, end in spoken])
    return np.tile(words, 1 + int(seconds * SAMPLE_RATE / len(words)))[: round(seconds * SAMPLE_RATE)]


@pytest.mark.parametrize("samples", [silence(0), silence(40), noise(40), tone(40), tone(40, loudness=0.9, hertz=120)])
def test_where_nobody_speaks_there_are_no_chunks(tmp_path: Path, samples: Samples) -> None:
    assert chunks_of(on_disk(tmp_path, samples)) == []


def test_a_pause_of_four_seconds_is_in_no_chunk(tmp_path: Path) -> None:
    found = times(chunks_of(on_disk(tmp_path, voice(TALK))))
    assert all(end - start <= 30 for start, end in found)
    assert not any(start < 24.5 < end or start < 26.0 < end for start, end in found)
    assert any(22.9 < end < 23.3 for _, end in found) and any(27.2 < start < 27.7 for start, _ in found)


@pytest.mark.parametrize("gain_db", [-60, -50, -40, -20, 30])
def test_speech_is_heard_however_quiet_or_clipped_the_whole_recording_is(tmp_path: Path, gain_db: int) -> None:
    softer = np.rint(voice(TALK) * 10 ** (gain_db / 20)).clip(-32768, 32767).astype(np.int16)
    usual, found = times(chunks_of(on_disk(tmp_path, voice(TALK)))), times(chunks_of(on_disk(tmp_path, softer)))
    assert len(found) == len(usual)
    assert np.array(found) == pytest.approx(np.array(usual), abs=0.3)


def test_knocks_in_a_quiet_recording_do_not_hide_its_speech(tmp_path: Path) -> None:
    quiet = voice(TALK) // 500
    for second in (3, 14, 31):
        quiet[second * SAMPLE_RATE : second * SAMPLE_RATE + 1600] = noise(0.1, loudness=0.5)
    spoken = sum(end - start for start, end in times(chunks_of(on_disk(tmp_path, quiet))))
    assert spoken > 35


def test_a_quiet_half_is_heard_as_well_as_the_loud_one(tmp_path: Path) -> None:
    loud = np.tile(voice(TALK), 4)
    found = times(chunks_of(on_disk(tmp_path, np.concatenate([loud, loud // 500]))))
    middle = len(loud) / SAMPLE_RATE
    quiet_seconds = sum(end - start for start, end in found if start > middle)
    assert quiet_seconds > 0.6 * sum(end - start for start, end in found if end < middle)


@pytest.mark.parametrize("gain_db", [0, -20, -40, -55])
def test_made_louder_noise_is_no_speech(tmp_path: Path, gain_db: int) -> None:
    loudness = 10 ** (gain_db / 20)
    hum = tone(40, hertz=100, loudness=0.5 * loudness) + tone(40, hertz=150, loudness=0.3 * loudness)
    for samples in (noise(40, loudness=0.2 * loudness), tone(40, loudness=0.5 * loudness), hum):
        assert chunks_of(on_disk(tmp_path, samples)) == []


def test_a_chunk_knows_where_its_voice_is(tmp_path: Path) -> None:
    (chunk,) = chunks_of(on_disk(tmp_path, voice(MEMO)))
    in_sentence, in_pause = chunk.voice_seconds(2.4, 4.4), chunk.voice_seconds(1.6, 2.1)
    assert in_sentence is not None and in_sentence > 1.5
    assert in_pause is not None and in_pause < 0.2
    rest = chunk.after(2.0)
    assert rest.voice_seconds(3.0, 4.4) == pytest.approx(chunk.voice_seconds(3.0, 4.4), abs=0.07)


def test_sentences_close_together_share_a_chunk(tmp_path: Path) -> None:
    (chunk,) = chunks_of(on_disk(tmp_path, voice(MEMO)))
    assert (chunk.start, chunk.end) == (pytest.approx(0.5, abs=0.1), pytest.approx(11.8, abs=0.1))


def test_a_chunk_holds_the_very_samples_of_its_time(tmp_path: Path) -> None:
    samples = voice(TALK)
    for chunk in chunks_of(on_disk(tmp_path, samples)):
        first = round(chunk.start * SAMPLE_RATE)
        assert np.array_equal(chunk.audio, samples[first : first + len(chunk.audio)].astype(np.float32) / 32768)


@pytest.mark.parametrize("recording", [MEMO, TALK])
def test_the_spans_are_those_of_faster_whisper(
    tmp_path: Path, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vad = pytest.importorskip("faster_whisper.vad")
    # It listens to recordings as loud as they are.
    monkeypatch.setattr(loudness, "MOST_GAIN_DB", 0.0)
    monkeypatch.setattr(loudness, "LEAST_GAIN_DB", 0.0)
    with PcmFile(on_disk(tmp_path, voice(recording))) as pcm:
        activity = VoiceActivity(pcm, lambda done_seconds: None)
        spans = find_spans(activity.probability, 0, activity.windows, activity.windows, activity.windows)
        ours = [(span.start * WINDOW_SAMPLES, min(span.beyond * WINDOW_SAMPLES, pcm.samples)) for span in spans]
        window_ms = WINDOW_SAMPLES * 1000 // SAMPLE_RATE
        theirs = vad.get_speech_timestamps(
            pcm.audio(0, pcm.seconds),
            threshold=SPEECH_PROBABILITY,
            neg_threshold=SILENCE_PROBABILITY,
            min_silence_duration_ms=LEAST_SILENCE * window_ms,
            min_speech_duration_ms=LEAST_SPEECH * window_ms,
            speech_pad_ms=0,
        )
    assert ours == [(span["start"], span["end"]) for span in theirs]


def test_speech_without_a_pause_is_cut_in_the_last_third_and_nothing_is_lost(tmp_path: Path) -> None:
    found = times(chunks_of(on_disk(tmp_path, speech_without_pause(100))))
    assert len(found) >= 4
    assert all(20 <= end - start <= 30 for start, end in found[:-1])
    assert [end for _, end in found[:-1]] == pytest.approx([start for start, _ in found[1:]])
    assert found[0][0] < 0.3 and found[-1][1] > 99.5


@pytest.fixture(scope="module")
def a_long_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    talk, memo = voice(TALK), voice(MEMO)
    parts = [talk, silence(45), speech_without_pause(50), noise(3, loudness=0.02), memo // 8, memo]
    return on_disk(tmp_path_factory.mktemp("day"), np.concatenate(parts))


def test_a_worker_that_resumes_at_any_chunk_finds_the_same_rest(
    a_long_day: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Epochs of 40 s put many of their borders into this recording, within chunks and between them.
    monkeypatch.setattr(voice_activity, "EPOCH_BLOCKS", 2)
    monkeypatch.setattr(voice_activity, "WARM_UP_BLOCKS", 1)
    whole = chunks_of(a_long_day)
    assert len(whole) >= 6
    for number in range(len(whole)):
        with PcmFile(a_long_day) as pcm:
            rest = find_chunks(pcm, float(f"{whole[number].end:.3f}"))
            # Two ahead are enough: the third begins where the second ended, which is another round of this loop.
            assert times(list(islice(rest, 2))) == times(whole[number + 1 : number + 3])


def test_blocks_give_what_one_pass_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = on_disk(tmp_path, voice(TALK))

    def probabilities() -> list[float]:
        with PcmFile(path) as pcm:
            activity = VoiceActivity(pcm, lambda done_seconds: None)
            return [activity.probability(window) for window in range(activity.windows)]

    in_blocks = probabilities()
    monkeypatch.setattr(voice_activity, "BLOCK_WINDOWS", 20_000)
    assert in_blocks == pytest.approx(probabilities(), abs=1e-4)


def test_listening_reports_its_progress_and_can_be_cancelled(tmp_path: Path) -> None:
    class Cancelled(Exception):
        pass

    def cancel_after_a_minute(done_seconds: float) -> None:
        if done_seconds > 60:
            raise Cancelled

    with PcmFile(on_disk(tmp_path, silence(100))) as pcm, pytest.raises(Cancelled):
        list(find_chunks(pcm, 0.0, cancel_after_a_minute))


AUDIBLE = 0.05
"""A sound that is no voice."""
probability_of_speech = st.lists(
    st.tuples(st.sampled_from([0.0, AUDIBLE, 0.2, 0.34, 0.4, 0.5, 0.9, 1.0]), st.integers(1, 700)), max_size=12
)


class ImaginaryVoice:
    """Stands in for VoiceActivity with made-up probabilities, and notes how far ahead it was asked."""

    def __init__(self, runs: list[tuple[float, int]]) -> None:
        self.likely = [likely for likely, length in runs for _ in range(length)]
        self.windows = len(self.likely)
        self.furthest = 0

    def probability(self, window: int) -> float:
        self.furthest = max(self.furthest, window)
        return self.likely[window]

    def is_audible(self, window: int) -> bool:
        return self.probability(window) == AUDIBLE

    def loudness(self, first: int, beyond: int) -> np.ndarray:
        return np.ones(beyond - first, dtype=np.float32)


@settings(max_examples=60, deadline=None)
@given(probability_of_speech)
def test_whatever_the_probabilities_chunks_are_short_ordered_and_resumable(runs: list[tuple[float, int]]) -> None:
    voice = ImaginaryVoice(runs)
    first, spoken_in_chunks = 0, set()
    # mypy is right that this is no VoiceActivity; it has all of it that cutting needs.
    while (found := _next_chunk(voice, first)) is not None:  # type: ignore[arg-type]
        assert first <= found.start < found.beyond <= voice.windows
        assert found.beyond - found.start <= LONGEST_CHUNK
        spoken_in_chunks.update(range(found.start, found.beyond))
        first = found.beyond
        if voice.windows - first > 3 * LONGEST_CHUNK:
            assert voice.furthest - first <= 2 * LONGEST_CHUNK, "looks ahead without need"
    for speaking, run in groupby(
        range(voice.windows), key=lambda window: voice.likely[window] >= 0.4 or voice.is_audible(window)
    ):
        if speaking:
            assert sum(window not in spoken_in_chunks for window in run) <= LEAST_SPEECH + 1, "speech was lost"


def test_a_chunk_before_hours_of_silence_does_not_wait_for_their_end() -> None:
    voice = ImaginaryVoice([(1.0, 100), (0.0, 100_000), (1.0, 100)])
    assert _next_chunk(voice, 0) is not None  # type: ignore[arg-type]
    assert voice.furthest < 1000


def test_a_pcm_file_is_cut_to_what_there_is(tmp_path: Path) -> None:
    with PcmFile(on_disk(tmp_path, np.array([0, 16384, -32768], dtype=np.int16))) as pcm:
        assert pcm.seconds == 3 / SAMPLE_RATE
        assert pcm.audio(-5, 99).tolist() == [0.0, 0.5, -1.0]
        assert pcm.audio(99, 100).tolist() == pcm.audio(1, 0).tolist() == []


def in_a_room(samples: Samples, loudness: float = 0.0003) -> Samples:
    room = noise(len(samples) / SAMPLE_RATE, loudness=loudness)[: len(samples)]
    return (samples.astype(np.int32) + room).clip(-32768, 32767).astype(np.int16)


def covered(chunks: list[Chunk], spoken: list[tuple[float, float]]) -> float:
    """The share of the speech that is in a chunk."""
    moments = np.concatenate([np.arange(start, end, 0.05) for start, end in spoken])
    inside = [any(chunk.start <= moment < chunk.end for chunk in chunks) for moment in moments]
    return float(np.mean(inside))


def test_a_quiet_speaker_between_loud_ones_is_in_the_chunks(tmp_path: Path) -> None:
    loud, quiet = voice(MEMO), (voice(TALK)[: 20 * SAMPLE_RATE] * 10 ** (-35 / 20)).astype(np.int16)
    day = in_a_room(np.concatenate([loud, quiet, loud]))
    begin = len(loud) / SAMPLE_RATE
    found = chunks_of(on_disk(tmp_path, day))
    assert covered(found, [(begin + 0.8, begin + 19.5)]) > 0.9
    heard = sum(chunk.voice_seconds(begin, begin + 20.0) or 0.0 for chunk in found)
    plain = sum(chunk.voice_seconds(0.0, 20.0) or 0.0 for chunk in chunks_of(on_disk(tmp_path, voice(TALK))))
    assert heard > 0.85 * plain, "the detector hears it as if it were alone"


def test_speech_behind_a_cough_is_in_the_chunks(tmp_path: Path) -> None:
    cough = noise(0.6, loudness=0.4)
    quiet = (voice(MEMO) * 10 ** (-30 / 20)).astype(np.int16)
    day = in_a_room(np.concatenate([silence(2), cough, silence(0.2), quiet]))
    assert covered(chunks_of(on_disk(tmp_path, day)), [(3.5, 4.2), (5.1, 7.4), (8.4, 11.3)]) > 0.97


def test_what_stands_out_from_the_room_is_in_a_chunk_though_the_detector_hears_no_voice(tmp_path: Path) -> None:
    day = in_a_room(np.concatenate([silence(20), tone(2, hertz=300, loudness=0.02), silence(20)]))
    (found,) = chunks_of(on_disk(tmp_path, day))
    assert found.start < 20.1 and found.end > 21.9
    assert found.audible is not None and sum(found.audible) * WINDOW_SAMPLES / SAMPLE_RATE > 1.8
    assert (found.voice_seconds(found.start, found.end) or 0.0) < 0.1


def test_a_chunk_that_is_full_ends_where_people_pause_for_longest(tmp_path: Path) -> None:
    words = speech_without_pause(40)
    pieces = [
        words[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] for start, end in [(0, 9), (9, 20), (20, 32)]
    ]
    day = in_a_room(np.concatenate([pieces[0], silence(0.7), pieces[1], silence(1.5), pieces[2]]))
    first, second = chunks_of(on_disk(tmp_path, day))[:2]
    assert 20.5 <= first.end <= second.start <= 22.5
