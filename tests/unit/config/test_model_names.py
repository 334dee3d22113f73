"""Names, languages and settings become models; what a repository holds is told from its files."""

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from config.engines import ModelNeeded, models_needed, resolve_engines
from config.model_names import (
    ALIGNMENT_BUNDLES,
    ALIGNMENT_HUB_IDS,
    BUNDLE_FILES,
    ENGLISH_ONLY,
    HUB_IDS,
    SHORT_NAMES,
    ModelEngine,
)
from config.settings import Settings
from workers.engine import EngineRefusal
from workers.model_manager.selection import limitations, requests_by_name, requests_of_settings
from workers.models.contents import NotAModel, files_to_fetch, kind_of
from workers.models.source import ModelSource


def needed(**given: Any) -> list[ModelNeeded]:
    settings = Settings.model_validate(given)
    return list(models_needed(settings, resolve_engines(settings, "darwin")))


def requested(*languages: str, **given: Any) -> dict[str, str]:
    settings = Settings.model_validate({"whisper_backend": "whisperx", **given})
    choice = resolve_engines(settings, "linux")
    return {request.name: request.source.id for request in requests_of_settings(settings, choice, languages)}


def by_name(name: str, engine: ModelEngine | None = None, **given: Any) -> list[ModelSource]:
    settings = Settings.model_validate(given)
    choice = resolve_engines(settings, "darwin")
    return [request.source for request in requests_by_name(name, settings, choice, engine)]


# --- the tables --------------------------------------------------------------------------------------------------


def table_of(module: str, file: str, name: str) -> Any:
    """A plain table in a library's source; importing it would take ten seconds."""
    spec = find_spec(module)
    assert spec is not None and spec.submodule_search_locations
    tree = ast.parse((Path(spec.submodule_search_locations[0]) / file).read_text(encoding="utf-8"))
    return next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name
    )


def test_the_aligners_are_those_of_whisperx() -> None:
    assert table_of("whisperx", "alignment.py", "DEFAULT_ALIGN_MODELS_TORCH") == ALIGNMENT_BUNDLES
    assert table_of("whisperx", "alignment.py", "DEFAULT_ALIGN_MODELS_HF") == ALIGNMENT_HUB_IDS


def test_torchaudio_looks_for_its_bundles_under_these_names() -> None:
    spec = find_spec("torchaudio")
    assert spec is not None and spec.submodule_search_locations
    source = Path(spec.submodule_search_locations[0], "pipelines", "_wav2vec2", "impl.py").read_text(encoding="utf-8")
    assert set(BUNDLE_FILES) == set(ALIGNMENT_BUNDLES.values())
    for bundle, file in BUNDLE_FILES.items():
        definition = source[source.index(f"\n{bundle} = ") :]
        assert definition.index(f'"{file}"') < definition.index('__doc__ = """')


def test_short_names_lead_to_models_and_english_ones_say_so() -> None:
    assert set(SHORT_NAMES) == {*HUB_IDS["mlx"], *HUB_IDS["whisperx"]}
    english = {name for name in SHORT_NAMES if ENGLISH_ONLY.search(name)}
    assert english == {name for name in SHORT_NAMES if name.endswith(".en") or name.startswith("distil-")}


# --- what the settings need --------------------------------------------------------------------------------------


def test_a_mac_without_settings_needs_the_default_of_each_engine_and_the_english_aligner() -> None:
    assert needed() == [
        ModelNeeded("transcriber", "mlx", "large-v3-turbo", is_chosen=False),
        ModelNeeded("fallback", "whisperx", "small", is_chosen=False),
        ModelNeeded("aligner", "whisperx", "WAV2VEC2_ASR_BASE_960H", "en", is_chosen=False),
    ]


def test_watched_folders_bring_their_languages_and_models_and_an_own_engine_brings_its_own() -> None:
    watch = [{"path": "/in", "language": "nl", "model": "medium"}, {"path": "/too", "language": "de"}]
    found = needed(model="small", watch=watch, workers={"fallback": False})
    assert [(one.use, one.name, one.language) for one in found] == [
        ("transcriber", "small", None),
        ("transcriber", "medium", None),
        ("aligner", ALIGNMENT_HUB_IDS["nl"], "nl"),
        ("aligner", ALIGNMENT_BUNDLES["de"], "de"),
    ]
    assert needed(whisper_backend="my.engine:Engine", alignment_backend="none", workers={"fallback": False}) == []
    assert [one.name for one in needed(model="small", alignment_backend="mlx")] == ["small", "small", "small"]


# --- what is asked for -------------------------------------------------------------------------------------------


def test_languages_bring_transcriber_and_aligners_also_where_the_settings_name_another_aligner() -> None:
    assert requested("nl", "hy") == {
        "small": "Systran/faster-whisper-small",
        ALIGNMENT_HUB_IDS["nl"]: ALIGNMENT_HUB_IDS["nl"],
    }
    assert set(requested("nl", alignment_model="starter")) == {"small", "starter", ALIGNMENT_HUB_IDS["nl"]}


def test_a_name_means_what_the_settings_mean_by_it_and_otherwise_what_the_transcriber_would() -> None:
    assert [one.id for one in by_name("small")] == [HUB_IDS["whisperx"]["small"]]  # the fallback's
    assert [one.id for one in by_name("base")] == [HUB_IDS["mlx"]["base"]]
    assert [one.id for one in by_name("base", "whisperx")] == [HUB_IDS["whisperx"]["base"]]
    assert [(one.kind, one.origin) for one in by_name(ALIGNMENT_BUNDLES["de"])] == [("wav2vec2", "bundle")]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("tyny.en", "tiny.en"),
        ("de", "--lang de"),
        ("large-v1", "--engine whisperx"),
        ("such nonsense", "take one of"),
    ],
)
def test_a_name_that_means_nothing_is_met_with_what_it_may_have_meant(name: str, hint: str) -> None:
    with pytest.raises(EngineRefusal) as refused:
        by_name(name)
    assert refused.value.code == "unknown_model"
    assert hint in refused.value.hint


def test_what_a_model_will_not_do_is_said_before_it_is_fetched() -> None:
    settings = Settings.model_validate({"whisper_backend": "whisperx", "alignment_model": "starter"})
    choice = resolve_engines(settings, "linux")
    asked = [request for name in ("turbo", "tiny.en") for request in requests_by_name(name, settings, choice, None)]
    said = list(limitations(asked, settings, choice, ("de",)))
    assert [any(word in line for line in said) for word in ("cannot translate", "English only", "starter")] == [
        True
    ] * 3


# --- what a repository holds -------------------------------------------------------------------------------------


def test_the_files_tell_the_kind_and_only_one_kind_of_weights_is_fetched() -> None:
    wav2vec2 = {"config.json", "vocab.json", "pytorch_model.bin", "model.safetensors", "README.md"}
    assert kind_of(wav2vec2, "wav2vec2") == ("wav2vec2", "whisperx")
    assert files_to_fetch("wav2vec2", "whisperx", wav2vec2) == ("config.json", "vocab.json", "model.safetensors")
    mlx = {"config.json", "weights.npz", "weights.safetensors"}
    assert kind_of(mlx, None) == ("whisper", "mlx")
    assert files_to_fetch("whisper", "mlx", mlx) == ("config.json", "weights.safetensors")
    ours = {"config.json", "model.bin", "tokenizer.json", "vocabulary.json"}
    assert files_to_fetch("whisper", "whisperx", ours)[-1] == "model.bin"
    for names, model_type in ((wav2vec2, "whisper"), ({"README.md"}, None)):
        with pytest.raises(NotAModel):
            kind_of(names, model_type)
    with pytest.raises(NotAModel, match=r"tokenizer\.json is missing"):
        files_to_fetch("whisper", "whisperx", ours - {"tokenizer.json"})
