"""When a decoding of Whisper's is believed, when its sound is heard again, and when it is silence."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from workers.engine import SAMPLE_RATE, WINDOW_SAMPLES, Chunk, RawSegment
from workers.text.decode_quality import DecodedChunk, has_failed, read_decoding
from workers.text.second_pass import is_worth_a_second_pass, second_pass

SECONDS_A_WINDOW = WINDOW_SAMPLES / SAMPLE_RATE
CHUNK = Chunk(start=60.0, audio=np.arange(10 * SAMPLE_RATE, dtype=np.float32))
CLEAR = RawSegment(60.2, 69.8, "All of it was heard, to the very last word that was said in it.", -0.2, 0.05)
END_OF_TEXT, TIMES = 1000, 2000


def spoken(*voices: tuple[float, float], seconds: float = 10.0, start: float = 60.0) -> Chunk:
    """A sound with voices in it, from and until, in seconds from the start of the recording."""
    windows = round(seconds / SECONDS_A_WINDOW)
    at = [start + (window + 0.5) * SECONDS_A_WINDOW for window in range(windows)]
    likely = tuple(0.9 if any(begin <= one < end for begin, end in voices) else 0.0 for one in at)
    return Chunk(start, np.ones(windows * WINDOW_SAMPLES, np.float32), likely)


def at(seconds: float) -> int:
    return TIMES + round(seconds / 0.02)


def read(
    tokens: Sequence[int], *, avg_logprob: float = -0.2, no_speech_prob: float = 0.1, sound: Chunk = CHUNK
) -> DecodedChunk:
    def decode(words: list[int]) -> str:
        return "".join(f" w{word}" for word in words)

    return read_decoding(tokens, sound, TIMES, END_OF_TEXT, decode, avg_logprob, no_speech_prob)


class Ear:
    """Hears in every sound a text as long as it, but where it is told what to hear first; notes what it was given."""

    def __init__(self, *first: DecodedChunk) -> None:
        self.first = list(first)
        self.segments: list[tuple[float, float, bool]] = []

    def __call__(self, sound: Chunk, no_circles: bool) -> DecodedChunk:
        self.segments.append((sound.start, sound.end, no_circles))
        if self.first:
            return self.first.pop(0)
        text = f"what was said from {sound.start:.1f} until {sound.end:.1f}"
        return DecodedChunk((RawSegment(sound.start, sound.end, text, -0.2, 0.05),))


def test_clear_speech_up_to_the_end_is_believed_and_so_is_silence() -> None:
    assert not is_worth_a_second_pass(CHUNK, DecodedChunk((CLEAR,)))
    assert not is_worth_a_second_pass(CHUNK, DecodedChunk(()))
    assert not is_worth_a_second_pass(spoken((60.2, 69.8)), DecodedChunk((CLEAR,)))
    assert not is_worth_a_second_pass(spoken((63.0, 63.5)), DecodedChunk(()))


@pytest.mark.parametrize(
    "segments",
    [
        RawSegment(60.2, 69.8, "Words that it is very unsure of, all of them, as it says itself.", avg_logprob=-1.2),
        RawSegment(60.2, 69.8, "and again " * 20, avg_logprob=-0.1),
        RawSegment(60.2, 66.0, "Half of what was said in it, and then nothing more.", avg_logprob=-0.2),
        RawSegment(60.2, 69.8, "A stretched stamp.", avg_logprob=-0.2),
    ],
    ids=["unlikely", "going round in circles", "ends too early", "too little text for so much speech"],
)
def test_a_chunk_is_doubted(segments: RawSegment) -> None:
    assert is_worth_a_second_pass(spoken((60.2, 69.8)), DecodedChunk((segments,)))


def test_a_text_that_goes_on_long_behind_its_sound_is_made_up() -> None:
    assert has_failed(read([at(0), 1, at(9.5), at(9.5), 2, at(29)]))
    assert not has_failed(read([at(0), 1, at(9.5), at(9.5), 2, at(11)]))


def test_where_whisper_is_sure_the_end_of_its_window_may_stand_for_the_end_of_the_last_sentence() -> None:
    late = [at(0), 1, at(8), at(8), 2, at(13)]
    assert not has_failed(read(late, avg_logprob=-0.2))
    assert has_failed(read(late, avg_logprob=-0.9))
    assert has_failed(read([at(0), 1, at(10.5), at(10.5), 2, at(13)], avg_logprob=-0.2)), "it begins behind the sound"


def test_of_a_chunk_in_which_whisper_broke_off_only_the_rest_is_heard_again() -> None:
    decoding = read([at(0.2), 1, 2, at(5), at(5), 3, 4])
    assert [(one.start, one.end, one.text) for one in decoding.segments] == [(60.2, 65.0, "w1 w2")]
    assert decoding.rest is not None
    assert decoding.rest.start == 65.0
    assert np.array_equal(decoding.rest.audio, CHUNK.audio[5 * SAMPLE_RATE :])


@pytest.mark.parametrize(
    ("no_speech", "logprob", "silent"), [(0.9, -1.2, True), (0.9, -0.8, True), (0.9, -0.3, False), (0.1, -1.2, False)]
)
def test_silence_takes_two_witnesses(no_speech: float, logprob: float, silent: bool) -> None:
    decoding = read([at(0), 1, at(9.5)], avg_logprob=logprob, no_speech_prob=no_speech)
    assert (decoding == DecodedChunk(())) is silent


@pytest.mark.parametrize(
    ("no_speech", "logprob", "murmur", "silent"),
    [(0.4, -0.6, 0.04, False), (0.7, -0.3, 0.04, True), (0.1, -0.8, 0.04, True), (0.1, -0.3, 0.005, True)],
    ids=["sure of all", "unsure that it is speech", "unsure of its words", "no voice at all"],
)
def test_where_hardly_a_voice_is_heard_whisper_has_to_be_sure(
    no_speech: float, logprob: float, murmur: float, silent: bool
) -> None:
    tokens = [at(0), *range(10), at(9.5)]
    doubtful = replace(spoken(), voice=(murmur,) * 312)
    assert bool(read(tokens, avg_logprob=logprob, no_speech_prob=no_speech, sound=doubtful).segments) is not silent
    assert read(tokens, avg_logprob=logprob, no_speech_prob=no_speech, sound=spoken((60, 69))).segments


def test_a_loop_over_a_voice_is_kept_to_be_heard_again_and_one_over_music_is_not() -> None:
    tokens = [at(0), *[1] * 200, at(9.5)]
    assert has_failed(read(tokens, sound=spoken((61.0, 64.0))))
    assert read(tokens, sound=spoken((61.0, 61.1))).segments == ()
    assert read(tokens, sound=spoken((61.0, 64.0)), no_speech_prob=0.8).segments == ()


def test_a_sentence_over_and_over_in_what_whisper_takes_for_silence_is_a_drone() -> None:
    thanks = [token for n in range(9) for token in (at(n), *range(6), at(n + 1))]
    assert read(thanks, sound=spoken((60.0, 70.0)), no_speech_prob=0.64) == DecodedChunk(())
    assert len(read(thanks, sound=spoken((60.0, 70.0)), no_speech_prob=0.2).segments) == 9


def test_a_speaker_who_was_passed_over_is_heard_alone() -> None:
    sound = spoken((60.0, 63.0), (65.0, 69.0))
    first = DecodedChunk((RawSegment(60.0, 63.2, "The loud one, who sits at the microphone.", -0.2, 0.05),))
    ear = Ear()
    found = second_pass(sound, first, ear)
    assert [(round(start, 1), round(end, 1)) for start, end, _ in ear.segments] == [(64.8, 69.2)]
    assert [one.text for one in found.segments] == [first.segments[0].text, "what was said from 64.8 until 69.2"]


def test_chinese_needs_fewer_signs_for_as_much_speech() -> None:
    sound = spoken((60.2, 69.8))
    said = "所以我今天想先讲讲我们昨天在学校里看到的那些事情然后再说明天要做什么"
    assert not is_worth_a_second_pass(sound, DecodedChunk((RawSegment(60.2, 69.8, said, -0.2, 0.05),)))
    assert is_worth_a_second_pass(sound, DecodedChunk((RawSegment(60.2, 69.8, "所以我今天", -0.2, 0.05),)))


def test_too_little_text_is_replaced_only_by_more() -> None:
    sound = spoken((60.0, 69.5))
    slow = RawSegment(60.0, 69.5, "Not much.", -0.2, 0.05)
    found = second_pass(sound, DecodedChunk((slow,)), Ear())
    assert "".join(one.text for one in found.segments).startswith("what was said from 60.0")
    silent = Ear(DecodedChunk(()), DecodedChunk(()))
    assert second_pass(sound, DecodedChunk((slow,)), silent).segments == (slow,)


def test_a_word_that_is_stretched_over_seconds_without_a_voice_is_heard_where_the_voice_is() -> None:
    music = spoken()
    caption = DecodedChunk((RawSegment(60.0, 66.2, "Music", -0.5, 0.06),))
    assert is_worth_a_second_pass(music, caption)
    assert second_pass(music, caption, Ear()).segments == ()
    answer = DecodedChunk((RawSegment(60.0, 66.2, "Yes.", -0.5, 0.06),))
    ear = Ear(DecodedChunk((RawSegment(63.0, 63.4, "Yes.", -0.5, 0.06),)))
    assert second_pass(spoken((63.0, 63.4)), answer, ear).segments == (RawSegment(63.0, 63.4, "Yes.", -0.5, 0.06),)
    assert [(round(start, 1), round(end, 1)) for start, end, _ in ear.segments] == [(62.8, 63.6)]
    unsure = Ear(DecodedChunk((RawSegment(63.0, 63.4, "Music", -1.4, 0.2),)))
    assert second_pass(spoken((63.0, 63.4)), caption, unsure).segments == ()
    slow = DecodedChunk((RawSegment(60.0, 66.2, "I am sitting.", -0.5, 0.06),))
    assert not is_worth_a_second_pass(spoken((60.5, 62.0), (64.0, 64.5)), slow)


def test_what_fails_as_a_whole_is_heard_in_halves_and_halves_of_halves() -> None:
    sound = spoken((60.0, 84.0), seconds=24.0)
    failed = DecodedChunk((RawSegment(60.0, 84.0, "mumble", -1.5, 0.1),))
    ear = Ear(failed)
    found = second_pass(sound, failed, ear)
    assert len(ear.segments) == 4, "two halves, and two of the one that failed again"
    assert found.segments[0].start == 60.0 and found.segments[-1].end == pytest.approx(84.0, abs=0.05)
    assert [one.end for one in found.segments[:-1]] == [one.start for one in found.segments[1:]]


def test_a_circle_is_broken_by_hearing_straight_and_one_that_was_spoken_stays() -> None:
    sound = spoken((60.0, 69.5))
    circle = DecodedChunk((RawSegment(60.0, 69.5, "until the " + "or, " * 60, -0.1, 0.0),))
    straight = DecodedChunk((RawSegment(60.0, 69.5, "until the resonant frequencies of the room", -0.3, 0.0),))
    ear = Ear(straight)
    assert second_pass(sound, circle, ear) == straight
    assert ear.segments == [(60.0, pytest.approx(sound.end), True)]
    drill = DecodedChunk((RawSegment(60.0, 69.5, "left right " * 20, -0.1, 0.0),))
    same = DecodedChunk((RawSegment(60.0, 69.5, "left right left right, left.", -0.3, 0.0),))
    assert second_pass(sound, drill, Ear(same)) == drill


def test_a_circle_in_a_sound_too_short_for_halves_gives_way_to_what_was_heard_straight() -> None:
    sound = spoken((60.0, 62.5), seconds=2.6)
    circle = DecodedChunk((RawSegment(60.0, 62.5, "and this is an O" + "-L" * 200, -0.1, 0.0),))
    unsure = DecodedChunk((RawSegment(60.0, 62.5, "and this is an O-L-L.", -1.1, 0.0),))
    assert second_pass(sound, circle, Ear(unsure)) == unsure
