"""The real starter model in both MLX engines."""

import re
from pathlib import Path

import numpy as np
import pytest
from recordings import AUDIO as RECORDINGS

from ipc.transcript import Segment
from ipc.vocabulary import Role
from ipc.worker_messages import WorkerSetup
from workers.engine import SAMPLE_RATE, Audio, Chunk, DecodeOptions, EngineRefusal, RawSegment
from workers.mlx.aligner import STARTS, TEXT, MlxAligner, calibration_sound
from workers.mlx.transcriber import MlxTranscriber

pytest.importorskip("mlx_whisper")
pytestmark = pytest.mark.models


def setup(role: Role, models_folder: Path) -> WorkerSetup:
    return WorkerSetup(role=role, engine="mlx", engine_path="-", model="starter", models_folder=str(models_folder))


@pytest.fixture(scope="module")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def transcriber(models_folder: Path) -> MlxTranscriber:
    engine = MlxTranscriber()
    loaded = engine.load(setup("transcriber", models_folder), lambda: None)
    assert (loaded.model, loaded.device in {"cpu", "metal", "cuda"}) == ("starter", True)
    return engine


@pytest.fixture(scope="module")
def aligner(models_folder: Path) -> MlxAligner:
    engine = MlxAligner()
    engine.load(setup("aligner", models_folder), lambda: None)
    return engine


@pytest.fixture(scope="module")
def memo() -> Audio:
    import av

    resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE)
    with av.open(str(RECORDINGS / "memo.flac")) as container:
        frames = [part.to_ndarray()[0] for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate(frames).astype(np.float32) / np.float32(32768)


@pytest.fixture(scope="module")
def heard(transcriber: MlxTranscriber, memo: Audio) -> list[RawSegment]:
    signs: list[str] = []
    [stretches] = transcriber.transcribe(
        [Chunk(100.0, memo)], DecodeOptions("en", alive=lambda: signs.append("alive"))
    )
    layers = transcriber.model.network.dims.n_audio_layer
    assert len(signs) > layers + len(" ".join(stretch.text for stretch in stretches).split())
    return stretches


def spoken(text: str) -> list[str]:
    return re.sub(r"[^a-z0-9 ]", "", text.lower().replace("nine thirty", "930").replace("harbour", "harbor")).split()


def errors(heard: list[str], said: list[str]) -> int:
    """Levenshtein's distance in words."""
    row = list(range(len(said) + 1))
    for n, word in enumerate(heard, 1):
        diagonal, row[0] = row[0], n
        for m, true_word in enumerate(said, 1):
            diagonal, row[m] = row[m], min(row[m] + 1, row[m - 1] + 1, diagonal + (word != true_word))
    return row[-1]


def test_the_memo_is_understood_and_every_stretch_lies_in_its_chunk(heard: list[RawSegment], memo: Audio) -> None:
    said = spoken((RECORDINGS / "memo.txt").read_text())
    assert errors(spoken(" ".join(stretch.text for stretch in heard)), said) <= 0.1 * len(said)
    behind = 100.0
    for stretch in heard:
        assert behind <= stretch.start < stretch.end <= 100.0 + len(memo) / SAMPLE_RATE
        assert stretch.avg_logprob is not None and stretch.avg_logprob < 0
        behind = stretch.end


def test_the_words_of_what_was_heard_are_timed_in_order_inside_and_complete(
    aligner: MlxAligner, heard: list[RawSegment], memo: Audio
) -> None:
    stretch = heard[0]
    segment = Segment(id=0, start=stretch.start, end=stretch.end, text=stretch.text)
    cut = slice(int((stretch.start - 100) * SAMPLE_RATE), int((stretch.end - 100) * SAMPLE_RATE))
    words = aligner.align(memo[cut], segment, "en")
    assert [word.word for word in words] == stretch.text.split()
    edges = [edge for word in words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert stretch.start <= edges[0] < edges[-1] <= stretch.end
    assert len({word.start for word in words}) > 0.8 * len(words)


def test_words_are_where_they_are_said_and_beside_a_pause_where_the_sound_ends(aligner: MlxAligner) -> None:
    assert 0.03 < aligner.late_by_seconds < 0.15
    silence = np.zeros(SAMPLE_RATE, np.float32)
    audio = np.concatenate([silence, calibration_sound(), silence])
    words = aligner.align(audio, Segment(id=0, start=50.0, end=50.0 + len(audio) / SAMPLE_RATE, text=TEXT), "en")
    late = [word.start - 51.0 - start for word, start in zip(words, STARTS, strict=True) if start is not None]
    assert abs(np.median(late)) < 0.03 and np.percentile(np.abs(late), 90) < 0.2
    beside = [words[0].start, words[8].end, words[9].start, words[-1].end]
    assert beside == pytest.approx([51.24, 53.87, 54.61, 57.62], abs=0.06)


def test_odd_text_survives_alignment(aligner: MlxAligner, memo: Audio) -> None:
    text = "At 9.30, “$5” – it's <|endoftext|> 👩‍🚀 well-known…"
    words = aligner.align(memo[: 5 * SAMPLE_RATE], Segment(id=0, start=3.0, end=8.0, text=text), "en")
    assert [word.word for word in words] == text.split()


def test_nothing_to_hear_gives_nothing(transcriber: MlxTranscriber, aligner: MlxAligner) -> None:
    silence = np.zeros(30 * SAMPLE_RATE, np.float32)
    assert transcriber.transcribe([Chunk(0.0, silence[:0]), Chunk(9.0, silence[:0])], DecodeOptions("en")) == [[], []]
    assert aligner.align(silence[:0], Segment(id=0, start=1.0, end=1.0, text="hello"), "en") == ()
    assert aligner.align(silence, Segment(id=0, start=0.0, end=30.0, text="no " * 500), "en") == ()


def test_an_english_model_refuses_what_it_cannot_do(transcriber: MlxTranscriber, aligner: MlxAligner) -> None:
    def code(language: str | None, translate: bool) -> str:
        with pytest.raises(EngineRefusal) as refused:
            transcriber.check(language, "translate" if translate else "transcribe")
        assert refused.value.hint
        return refused.value.code

    transcriber.check("en", "transcribe")
    transcriber.check(None, "transcribe")
    assert (code("de", False), code("en", True)) == ("language_not_supported", "cannot_translate")
    assert transcriber.find_language(np.zeros(SAMPLE_RATE, np.float32)) == ("en", 1.0)
    aligner.check("en")
    with pytest.raises(EngineRefusal) as refused:
        aligner.check("de")
    assert refused.value.code == "no_alignment_model:de"
