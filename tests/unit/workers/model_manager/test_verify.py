"""What `steno doctor` hears about models, and what may be taken away."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from config.engines import resolve_engines
from config.settings import Settings
from ipc.model_messages import ListedModel, ModelList
from ipc.status_views import Finding
from workers.engine import EngineRefusal
from workers.model_manager.remove import plan_removal
from workers.model_manager.verify import findings
from workers.models import find_aligner as alignment_models

STARTERS = {"whisper_backend": "whisperx", "model": "starter", "alignment_model": "starter"}


def check(tmp_path: Path, *, deep: bool = False, **given: Any) -> dict[str, Finding]:
    settings = Settings.model_validate({**STARTERS, **given})
    choice = resolve_engines(settings, "linux")
    return {one.check: one for one in findings(settings, choice, tmp_path, lambda: None, deep=deep)}


def test_the_starters_need_nothing_else(tmp_path: Path) -> None:
    found = check(tmp_path, deep=True)
    assert {name: one.state for name, one in found.items()} == {
        "transcriber_model": "ok",
        "alignment_model": "ok",
    }


def test_each_thing_that_is_wrong_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = check(tmp_path, model="smal")["transcriber_model"]
    assert (unknown.state, "STENO_MODEL" in unknown.remedy, "small" in unknown.remedy) == ("broken", True, True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    absent = check(tmp_path, alignment_model=None, language="de")["alignment_model"]
    assert (absent.state, absent.remedy) == ("warning", "steno models pull --lang de")
    none = check(tmp_path, alignment_model=None, language="hy")["alignment_model"]
    assert (none.state, "STENO_ALIGNMENT_MODEL" in none.remedy) == ("warning", True)
    own = check(tmp_path, whisper_backend="my.engine:Engine", alignment_backend="none")
    assert {own["transcriber_model"].state, own["alignment_model"].state} == {"ok"}


def test_one_changed_byte_in_the_starter_aligner_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(alignment_models.STARTER_FOLDER, tmp_path / "starter")
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    monkeypatch.setattr(alignment_models.starter_aligner, "__defaults__", (folder,))
    found = check(tmp_path, deep=True)
    assert found["alignment_model"].state == "broken"
    # From whatever folder they are typed; and a worker that was refused has to be told.
    assert f"git -C {alignment_models.STARTER_FOLDER.parent} checkout --" in found["alignment_model"].remedy
    assert found["alignment_model"].remedy.endswith("then `steno restart aligner`")


def test_nothing_is_removed_that_stenod_did_not_fetch_or_make(tmp_path: Path) -> None:
    def model(name: str, path: Path) -> ListedModel:
        return ListedModel(
            name=name, id=name, kind="transcriber", engine="whisperx", state="whole", size_bytes=9, path=str(path)
        )

    listing = ModelList(
        models=(model("starter", tmp_path), model(str(tmp_path), tmp_path)),
        names={},
        hub_cache="/cache",
        free_bytes=0,
    )
    for name, code in (("starter", "not_ours"), (str(tmp_path), "not_ours"), ("startr", "not_here")):
        with pytest.raises(EngineRefusal) as refused:
            plan_removal(name, listing, None)
        assert refused.value.code == code
