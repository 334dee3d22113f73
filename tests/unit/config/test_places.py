"""Where things live."""

from dataclasses import fields
from pathlib import Path

import pytest

from config.places import LONGEST_SOCKET_PATH_BYTES, Places, find_places


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


def test_an_ordinary_mac_user_has_room_for_the_socket_path() -> None:
    socket = "/Users/a-rather-long-user-name/Library/Application Support/stenod/run/stenod.sock"
    assert len(socket) <= LONGEST_SOCKET_PATH_BYTES
