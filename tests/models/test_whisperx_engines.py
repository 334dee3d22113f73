"""The real engines of WhisperX with the starter models, on recordings whose text is known.

Runs in: the test process.
"""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from recordings import AUDIO as RECORDINGS

from ipc.transcript import Segment, Word
from ipc.vocabulary import Role
from ipc.worker_messages import WorkerSetup
from workers.engine import SAMPLE_RATE, Audio, Chunk, DecodeOptions, EngineRefusal, RawSegment
from workers.models.find_aligner import STARTER_FOLDER
from workers.pcm.pcm_file import PcmFile
from workers.speech.chunks import find_chunks
from workers.whisperx import aligner as whisperx_aligner
from workers.whisperx.aligner import WhisperxAligner
from workers.whisperx.transcriber import WhisperxTranscriber

pytestmark = pytest.mark.models

NLTK_DATA = Path(__file__).parents[1] / "support" / "nltk_data"
"""WhisperX cuts sentences by it."""


ENGLISH = DecodeOptions(language="en")


def setup(role: Role, models_folder: Path, model: str | None = "starter", language: str | None = None) -> WorkerSetup:
    return WorkerSetup(
        role=role,
        engine="whisperx",
        engine_path="unused:here",
        model=model,
        language=language,
        models_folder=str(models_folder),
    )


def nothing() -> None:
    """Downloads are not allowed here."""


@pytest.fixture(scope="module")
def transcriber(tmp_path_factory: pytest.TempPathFactory) -> WhisperxTranscriber:
    engine = WhisperxTranscriber()
    loaded = engine.load(setup("transcriber", tmp_path_factory.mktemp("models")), nothing)
    assert (loaded.model, loaded.device in {"cpu", "cuda"}) == ("starter", True)
    return engine


@pytest.fixture(scope="module")
def aligner(tmp_path_factory: pytest.TempPathFactory) -> WhisperxAligner:
    engine = WhisperxAligner()
    loaded = engine.load(setup("aligner", tmp_path_factory.mktemp("models")), nothing)
    assert (loaded.model, loaded.device) == ("starter", "cpu")
    return engine


def recording(name: str) -> Audio:
    from faster_whisper import decode_audio

    audio: Audio = decode_audio(str(RECORDINGS / f"{name}.flac"))
    return audio


def cut(audio: Audio, *bounds: tuple[float, float]) -> list[Chunk]:
    return [Chunk(start, audio[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]) for start, end in bounds]


def plain(text: str) -> list[str]:
    """Words without case and punctuation, the time of day as it is spoken."""
    return re.sub(r"[^a-z ]", "", text.lower().replace("9.30", "nine thirty").replace("9:30", "nine thirty")).split()


def word_errors(heard: list[str], said: list[str]) -> int:
    """Levenshtein distance in words."""
    row = list(range(len(said) + 1))
    for count, word in enumerate(heard, start=1):
        previous, row[0] = row[0], count
        for place, truth in enumerate(said, start=1):
            previous, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, previous + (word != truth))
    return row[-1]


def as_segment(number: int, heard: RawSegment) -> Segment:
    return Segment(id=number, start=heard.start, end=heard.end, text=heard.text)


def sound_of(segment: Segment, audio: Audio) -> Audio:
    return audio[int(segment.start * SAMPLE_RATE) : int(segment.end * SAMPLE_RATE)]


def assert_in_order_inside(words: tuple[Word, ...], segment: Segment) -> None:
    assert [word.word for word in words] == segment.text.split()
    assert all(segment.start <= word.start <= word.end <= segment.end for word in words)
    assert all(before.end <= following.start for before, following in pairwise(words))


CHUNKS = {"memo": [(0.0, 12.6)], "talk": [(0.6, 15.8), (16.2, 23.6), (27.0, 49.4)]}


@pytest.mark.parametrize("name", sorted(CHUNKS))
def test_a_recording_becomes_its_words_with_times(
    name: str, transcriber: WhisperxTranscriber, aligner: WhisperxAligner
) -> None:
    audio = recording(name)
    chunks = cut(audio, *CHUNKS[name])
    heard = transcriber.transcribe(chunks, ENGLISH)

    for chunk, stretches in zip(chunks, heard, strict=True):
        assert stretches
        assert all(chunk.start <= one.start < one.end <= chunk.end for one in stretches)
        assert all(before.end <= following.start for before, following in pairwise(stretches))
    segments = [as_segment(n, one) for n, one in enumerate(one for stretches in heard for one in stretches)]
    said = plain((RECORDINGS / f"{name}.txt").read_text())
    assert word_errors(plain(" ".join(segment.text for segment in segments)), said) <= 0.1 * len(said)

    aligner.check("en")
    for segment in segments:
        assert_in_order_inside(aligner.align(sound_of(segment, audio), segment, "en"), segment)


def test_a_chunk_gives_the_same_in_any_company_and_with_any_number_of_threads(tmp_path: Path) -> None:
    talk, memo = recording("talk"), recording("memo")
    # The last two make Whisper doubt: it hears them by themselves.
    chunks = cut(talk, (0.0, 9.0), (16.2, 23.6), (22.0, 27.5), (27.0, 40.0))
    chunks += [Chunk(70.0, np.tile(memo[: int(1.5 * SAMPLE_RATE)], 6)), Chunk(90.0, 0.002 * talk[: 9 * SAMPLE_RATE])]
    heard = []
    for threads in (1, 2, 4):
        transcriber = WhisperxTranscriber()
        transcriber.load(setup("transcriber", tmp_path).model_copy(update={"threads": threads}), nothing)
        assert transcriber.apart
        heard.append(transcriber.transcribe(chunks, ENGLISH))
    heard.append([transcriber.transcribe([chunk], ENGLISH)[0] for chunk in chunks])
    assert heard[0] == heard[1] == heard[2] == heard[3]


def test_silence_and_hiss_give_no_words_and_do_not_disturb_their_batch(transcriber: WhisperxTranscriber) -> None:
    memo = cut(recording("memo"), (0.0, 12.6))[0]
    silence = Chunk(60.0, np.zeros(SAMPLE_RATE, np.float32))
    hiss = 0.01 * np.random.default_rng(0).standard_normal(5 * SAMPLE_RATE).astype(np.float32)
    quiet, speech, noisy = transcriber.transcribe([silence, memo, Chunk(80.0, hiss)], ENGLISH)
    assert quiet == noisy == []
    assert transcriber.transcribe([], ENGLISH) == []
    assert plain(" ".join(one.text for one in speech))[:4] == ["note", "to", "self", "the"]


def test_a_prompt_changes_the_spelling(transcriber: WhisperxTranscriber) -> None:
    chunk = cut(recording("memo"), (0.0, 12.6))
    [heard] = transcriber.transcribe(
        chunk, DecodeOptions(language="en", prompt="The Harbour Office, the grey colour.")
    )
    assert "harbour" in " ".join(one.text for one in heard).lower()


def test_an_english_only_model_refuses_translation_and_other_languages(transcriber: WhisperxTranscriber) -> None:
    transcriber.check("en", "transcribe")
    transcriber.check(None, "transcribe")
    with pytest.raises(EngineRefusal) as refused:
        transcriber.check("en", "translate")
    assert refused.value.code == "cannot_translate"
    with pytest.raises(EngineRefusal) as refused:
        transcriber.check("fr", "transcribe")
    assert refused.value.code == "language_not_supported"
    assert transcriber.find_language(recording("memo")) == ("en", 1.0)


TALK = (
    (0.5, 3.0, " Welcome back to the workshop."),
    (3.0, 8.0, " Today, we are going to repair a wooden chair that has lost two of its legs."),
    (16.0, 19.0, " A good clamp is worth more than a strong hand."),
    (19.0, 23.7, " Tighten it slowly, and stop when you see a thin line of glue."),
    (27.0, 49.4, " While it dries, sand the seat along the grain; never across it. It is 9.30 - use a fine paper."),
)


def test_before_the_sound_is_asked_words_and_times_are_those_of_whisperx_less_the_starters_bias(
    aligner: WhisperxAligner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whisperx import alignment

    monkeypatch.setattr(whisperx_aligner, "words_at_the_sound", lambda words, *_: words)
    monkeypatch.setenv("NLTK_DATA", str(NLTK_DATA))
    monkeypatch.setattr(alignment.nltk.data, "path", [str(NLTK_DATA)])
    audio = recording("talk")
    network, about = alignment.load_align_model("en", "cpu", str(STARTER_FOLDER))
    told = [{"start": start, "end": end, "text": text} for start, end, text in TALK]
    theirs = alignment.align(told, network, about, audio, "cpu")["word_segments"]
    segments = [Segment(id=n, start=start, end=end, text=text) for n, (start, end, text) in enumerate(TALK)]
    ours = [word for segment in segments for word in aligner.align(sound_of(segment, audio), segment, "en")]
    assert [word.word for word in ours] == [word["word"] for word in theirs]
    assert [word.end for word in ours] == pytest.approx([word["end"] for word in theirs], abs=0.002)
    earliest = [0.0, *(word.end for word in ours)]
    starts = [max(word["start"] - 0.026, free_from) for word, free_from in zip(theirs, earliest, strict=False)]
    assert [word.start for word in ours] == pytest.approx(starts, abs=0.002)
    assert [word.word for word in ours if word.interpolated] == ["9.30", "-"]


def test_a_word_beside_a_pause_begins_and_ends_where_it_is_heard(aligner: WhisperxAligner) -> None:
    talk = recording("talk")
    # Both are cut far from their words; the pause between them is digital silence and then noise.
    parts = [
        sound_of(Segment(id=0, start=start, end=end, text="-"), talk) for start, end in ((19.2, 23.6), (3.2, 7.9))
    ]
    pause = np.zeros(2 * SAMPLE_RATE, np.float32)
    audio = np.concatenate([pause, parts[0], pause, parts[1], pause])
    audio[: 3 * SAMPLE_RATE] += 1e-4 * np.random.default_rng(0).standard_normal(3 * SAMPLE_RATE).astype(np.float32)
    text = "Tighten it slowly, and stop when you see a thin line of glue." + TALK[1][2]
    words = aligner.align(audio, Segment(id=0, start=0.0, end=len(audio) / SAMPLE_RATE, text=text), "en")
    assert_in_order_inside(words, Segment(id=0, start=0.0, end=len(audio) / SAMPLE_RATE, text=text))
    place = [word.word for word in words].index("glue.")
    edges = (words[0].start, words[place].end, words[place + 1].start, words[-1].end)
    begins = (2.0, 2.0 + (len(parts[0]) + len(pause)) / SAMPLE_RATE)
    heard = [
        edge for part, begin in zip(parts, begins, strict=True) for edge in (begin + at for at in loud_part(part))
    ]
    assert edges == pytest.approx(heard, abs=0.06)


def loud_part(audio: Audio) -> tuple[float, float]:
    """Seconds from its start at which it is first and last less than 30 dB below its loudest 10 ms."""
    levels = audio[: len(audio) // 160 * 160].reshape(-1, 160).std(axis=1)
    loud = np.flatnonzero(levels > levels.max() * 10 ** (-30 / 20))
    return loud[0] / 100, (loud[-1] + 1) / 100


@pytest.mark.parametrize("gain_db", [-60, -40, -20, 30])
@pytest.mark.parametrize("knocks", [False, True])
def test_words_of_quiet_and_of_loud_sound_are_where_they_are_in_the_usual(
    transcriber: WhisperxTranscriber, aligner: WhisperxAligner, gain_db: int, knocks: bool
) -> None:
    usual = recording("talk")
    other = usual * np.float32(10 ** (gain_db / 20))
    if knocks:
        for start in (4.0, 18.5, 32.0):
            other[int(start * SAMPLE_RATE) :][:1600] = np.random.default_rng(0).uniform(-0.9, 0.9, 1600)
    in_16_bit = (np.rint(other * 32768).clip(-32768, 32767) / 32768).astype(np.float32)
    heard = transcriber.transcribe(cut(usual, *CHUNKS["talk"]), ENGLISH)
    segments = [as_segment(n, one) for n, one in enumerate(one for stretches in heard for one in stretches)]

    def words_in(audio: Audio) -> list[Word]:
        return [word for segment in segments for word in aligner.align(sound_of(segment, audio), segment, "en")]

    apart = [abs(one.start - two.start) for one, two in zip(words_in(in_16_bit), words_in(usual), strict=True)]
    assert np.median(apart) <= 0.03
    assert np.percentile(apart, 95) <= 0.1


def test_text_that_is_not_said_there_is_marked_as_guessed(aligner: WhisperxAligner) -> None:
    audio = recording("talk")
    right = Segment(id=0, start=3.2, end=7.6, text=TALK[1][2])
    wrong = right.model_copy(update={"text": TALK[3][2]})
    assert not any(word.interpolated for word in aligner.align(sound_of(right, audio), right, "en"))
    assert all(word.interpolated for word in aligner.align(sound_of(wrong, audio), wrong, "en"))


@pytest.mark.parametrize("text", ["9.30", "$5 ½ 🦊", "42,", "你好", "x" * 60])
def test_odd_text_keeps_its_words_and_bounds(text: str, aligner: WhisperxAligner) -> None:
    segment = Segment(id=0, start=100.0, end=102.5, text=text)
    words = aligner.align(recording("memo")[: int(2.5 * SAMPLE_RATE)], segment, "en")
    assert_in_order_inside(words, segment)
    assert all(word.interpolated for word in words)


def test_what_cannot_be_aligned_has_no_words(aligner: WhisperxAligner) -> None:
    silence = np.zeros(SAMPLE_RATE, np.float32)
    assert aligner.align(silence[:0], Segment(id=0, start=1.0, end=1.0, text="Gone."), "en") == ()
    assert aligner.align(silence, Segment(id=0, start=1.0, end=2.0, text="   "), "en") == ()
    assert aligner.align(silence, Segment(id=0, start=1.0, end=2.0, text="far too much " * 20), "en") == ()
    assert aligner.align(silence + np.float32("nan"), Segment(id=0, start=1.0, end=2.0, text="Noise."), "en") == ()
    assert_in_order_inside(
        aligner.align(silence[:100], Segment(id=0, start=1.0, end=1.00625, text="a"), "en"),
        Segment(id=0, start=1.0, end=1.00625, text="a"),
    )


def test_the_starter_refuses_other_languages_by_code(aligner: WhisperxAligner) -> None:
    with pytest.raises(EngineRefusal) as refused:
        aligner.check("fr")
    assert refused.value.code == "no_alignment_model:fr"


def test_a_missing_default_is_no_failure_until_its_language_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    engine = WhisperxAligner()
    assert engine.load(setup("aligner", tmp_path, model=None), nothing).model == "WAV2VEC2_ASR_BASE_960H"
    for language in ("en", "nl", "mi"):
        with pytest.raises(EngineRefusal) as refused:
            engine.check(language)
        assert refused.value.code == f"no_alignment_model:{language}"


def test_a_model_asked_for_by_name_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(EngineRefusal) as refused:
        WhisperxAligner().load(setup("aligner", tmp_path, model="nobody/has-this-model"), nothing)
    assert refused.value.code == "needs_model"
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EngineRefusal) as refused:
        WhisperxAligner().load(setup("aligner", tmp_path, model=str(tmp_path)), nothing)
    assert refused.value.code == "model_damaged"


def test_two_threads_find_the_same_text_and_the_same_words(tmp_path: Path) -> None:
    found = []
    for threads in (1, 2):
        told = setup("transcriber", tmp_path).model_copy(update={"threads": threads})
        transcriber = WhisperxTranscriber()
        transcriber.load(told, nothing)
        told = setup("aligner", tmp_path).model_copy(update={"threads": threads})
        aligner = WhisperxAligner()
        aligner.load(told, nothing)
        chunks = [
            Chunk(start, recording("talk")[int(start * SAMPLE_RATE) :][: 9 * SAMPLE_RATE]) for start in (0, 20, 40)
        ]
        heard = [one for of_chunk in transcriber.transcribe(chunks, DecodeOptions("en")) for one in of_chunk]
        segments = [Segment(id=n, start=one.start, end=one.end, text=one.text) for n, one in enumerate(heard)]
        sounds = [sound_of(segment, recording("talk")) for segment in segments]
        timed = list(aligner.side_by_side(lambda *asked, using=aligner: using.align(*asked, "en"), sounds, segments))
        found.append([[(word.word, round(word.start, 2), round(word.end, 2)) for word in words] for words in timed])
    assert len(found[0]) > 3
    assert found[0] == found[1]


def test_those_who_sit_far_from_the_microphone_are_heard_between_those_who_sit_near(
    transcriber: WhisperxTranscriber, tmp_path: Path
) -> None:
    memo, talk = recording("memo"), recording("talk")
    far = talk[: round(23.6 * SAMPLE_RATE)] * np.float32(10 ** (-30 / 20))
    day = np.concatenate([memo, far, memo])
    day = day + np.random.default_rng(0).normal(0, 10 ** (-72 / 20), len(day)).astype(np.float32)
    pcm_path = tmp_path / "audio.s16"
    (day * 32767).clip(-32768, 32767).astype("<i2").tofile(pcm_path)
    with PcmFile(pcm_path) as pcm:
        chunks = list(find_chunks(pcm, 0.0))
    heard = " ".join(one.text for stretches in transcriber.transcribe(chunks, ENGLISH) for one in stretches)

    note = plain((RECORDINGS / "memo.txt").read_text())
    alone = transcriber.transcribe(cut(talk, (0.6, 15.8), (16.2, 23.6)), ENGLISH)
    said = note + plain(" ".join(one.text for stretches in alone for one in stretches)) + note
    assert word_errors(plain(heard), said) <= 0.1 * len(said)
