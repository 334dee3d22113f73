"""Where things live.

Runs in: the test process.
"""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from config.places import LONGEST_SOCKET_PATH_BYTES, Places, find_places, hub_cache, torch_checkpoints


def folders(places: Places) -> list[Path]:
    values = [getattr(places, field.name) for field in fields(places)]
    return [value for value in values if value is not None]


@pytest.mark.parametrize("platform", ["darwin", "linux"])
def test_steno_home_moves_everything(tmp_path: Path, platform: str) -> None:
    places = find_places({"STENO_HOME": str(tmp_path), "XDG_RUNTIME_DIR": "/run/user/1"}, platform)
    everything = [*folders(places), places.database, places.lock, places.socket, places.log_file]
    assert all(path.is_relative_to(tmp_path) for path in everything)
    assert places.inbox == tmp_path / "Transcribe"


def test_steno_home_may_be_relative_or_start_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert find_places({"STENO_HOME": "here"}).state == tmp_path / "here" / "state"
    assert find_places({"STENO_HOME": "~/there"}).state == tmp_path / "me" / "there" / "state"


@pytest.mark.parametrize("environment", [{}, {"STENO_HOME": ""}])
@pytest.mark.parametrize("platform", ["darwin", "linux"])
def test_without_it_all_places_are_absolute_and_the_inbox_is_the_settings_affair(
    environment: dict[str, str], platform: str
) -> None:
    places = find_places(environment, platform)
    assert all(path.is_absolute() and path.name for path in folders(places))
    assert places.inbox is None


def test_on_linux_the_socket_lies_in_the_session_folder_when_there_is_one() -> None:
    assert find_places({"XDG_RUNTIME_DIR": "/run/user/1"}, "linux").socket == Path("/run/user/1/stenod/stenod.sock")
    assert find_places({}, "linux").runtime.is_relative_to(find_places({}, "linux").state)


def test_a_mac_s_places_are_those_of_the_library_whatever_the_shell_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/Users/a-rather-long-user-name")
    for kind in ("CONFIG_HOME", "DATA_HOME", "STATE_HOME", "CACHE_HOME", "RUNTIME_DIR"):
        monkeypatch.setenv(f"XDG_{kind}", "/xdg")
    places = find_places(None, "darwin")
    library = Path("/Users/a-rather-long-user-name/Library")
    assert set(folders(places)) == {
        library / "Application Support/stenod/config.toml",
        library / "Application Support/stenod/state",
        library / "Application Support/stenod/models",
        library / "Application Support/stenod/run",
        library / "Logs/stenod",
        library / "Caches/stenod/spool",
    }
    assert len(str(places.socket)) <= LONGEST_SOCKET_PATH_BYTES, "an ordinary user has room for the socket's path"


# --- the libraries' own folders -------------------------------------------------------------------------------------

ENVIRONMENTS = (
    {},
    {"XDG_CACHE_HOME": "/caches"},
    {"HF_HOME": "~/hf", "TORCH_HOME": "~/torch"},
    {"HF_HOME": "/hf", "HUGGINGFACE_HUB_CACHE": "/old", "XDG_CACHE_HOME": "/caches"},
    {"HF_HOME": "/hf", "HUGGINGFACE_HUB_CACHE": "/old", "HF_HUB_CACHE": "$HOME/hub", "TORCH_HOME": "/torch"},
)
ASK_THE_LIBRARY = """
import importlib, json, os, sys
{imports}
found = []
for environment in json.loads(sys.argv[1]):
    os.environ.clear()
    os.environ.update(HOME="/home/anna", **environment)
    found.append({answer})
print(json.dumps(found))
"""


def folders_of_library(imports: str, answer: str) -> list[Path]:
    program = ASK_THE_LIBRARY.format(imports=imports, answer=answer)
    asked = [sys.executable, "-P", "-c", program, json.dumps(ENVIRONMENTS)]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=True)
    return [Path(folder) for folder in json.loads(done.stdout)]


def test_the_hub_cache_is_where_huggingface_hub_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    theirs = folders_of_library("from huggingface_hub import constants", "importlib.reload(constants).HF_HUB_CACHE")
    assert [hub_cache(environment) for environment in ENVIRONMENTS] == theirs


def test_torchaudio_bundles_are_where_torch_hub_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("HOME", "/home/anna")
    theirs = folders_of_library("import torch.hub", "torch.hub.get_dir() + '/checkpoints'")
    assert [torch_checkpoints(environment) for environment in ENVIRONMENTS] == theirs
