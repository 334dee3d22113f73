"""Alignment models are found on this machine or refused with a code; nothing here asks the network."""

import json
import shutil
from pathlib import Path

import pytest

from workers.engine import EngineRefusal
from workers.models.find_aligner import (
    STARTER_FOLDER,
    AlignmentModel,
    DefaultModels,
    find_alignment_model,
    starter_aligner,
)

DEFAULTS = DefaultModels(bundles={"en": "WAV2VEC2_ASR_BASE_960H"}, hub_ids={"nl": "someone/dutch"})


def find(name: str) -> AlignmentModel:
    return find_alignment_model(name, DEFAULTS, allow_download=False, downloading=lambda: None)


def test_the_starter_is_english_and_knows_its_bias() -> None:
    found = find("starter")
    assert found.folder == STARTER_FOLDER
    assert (found.suits("en"), found.suits("fr")) == (True, False)
    assert found.start_bias_seconds == pytest.approx(0.026)


def test_a_starter_with_one_byte_changed_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(STARTER_FOLDER, tmp_path / "starter")
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    with pytest.raises(EngineRefusal, match="another sha256") as refused:
        starter_aligner(folder)
    assert refused.value.code == "model_damaged"


def test_a_default_model_suits_its_language_and_a_folder_suits_what_the_owner_takes_it_for(tmp_path: Path) -> None:
    bundle = find("WAV2VEC2_ASR_BASE_960H")
    assert bundle.folder is None
    assert not bundle.suits("nl")
    folder = shutil.copytree(STARTER_FOLDER, tmp_path / "mine")
    assert find(str(folder)) == AlignmentModel("mine", folder)
    assert find(str(folder)).suits("nl")


@pytest.mark.parametrize("missing", ["config.json", "vocab.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_is_damaged(missing: str, tmp_path: Path) -> None:
    folder = shutil.copytree(STARTER_FOLDER, tmp_path / "mine")
    (folder / missing).unlink()
    with pytest.raises(EngineRefusal, match=missing) as refused:
        find(str(folder))
    assert refused.value.code == "model_damaged"


def test_torn_weights_are_damaged(tmp_path: Path) -> None:
    folder = shutil.copytree(STARTER_FOLDER, tmp_path / "mine")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(EngineRefusal, match="not whole") as refused:
        find(str(folder))
    assert refused.value.code == "model_damaged"


def test_a_model_of_the_hub_that_is_not_here_is_asked_for_and_a_misspelt_one_is_unknown() -> None:
    with pytest.raises(EngineRefusal) as refused:
        find("someone/dutch")
    assert refused.value.code == "needs_model"
    with pytest.raises(EngineRefusal) as refused:
        find("/Volumes/nas/dutch")
    assert (refused.value.code, refused.value.message) == (
        "needs_model",
        "needs alignment model /Volumes/nas/dutch, a folder",
    )
    with pytest.raises(EngineRefusal) as refused:
        find("no such model")
    assert refused.value.code == "unknown_model"


def test_the_card_lies_beside_the_starter_and_names_every_pinned_file() -> None:
    assert (STARTER_FOLDER / "MODEL_CARD.md").is_file()
    assert set(json.loads((STARTER_FOLDER / "starter.json").read_bytes())["sha256"]) == {"model.safetensors"}
