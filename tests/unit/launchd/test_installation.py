"""Under which name a service goes, whose it is, and what of the shell it keeps."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sample_installation import PROGRAM, sample_installation

from client.daemon import here
from launchd.installation import doubts, obstacles
from launchd.owner import owner_name
from launchd.refusal import ServiceRefused


def test_one_home_one_service() -> None:
    plain, other = sample_installation(), sample_installation(STENO_HOME="/x")
    assert (plain.label, plain.unit) == ("dev.stenod.stenod", "stenod.service")
    assert other.label.startswith("dev.stenod.stenod.") and other.label != sample_installation(STENO_HOME="/y").label
    assert (
        other.label == sample_installation(STENO_HOME="/x/").label == sample_installation(STENO_HOME="/y/../x").label
    )
    assert sample_installation(is_system=True).label == "dev.stenod.stenod.anna"


def test_what_means_something_to_the_daemon_goes_along() -> None:
    kept = sample_installation(
        WHISPER_BACKEND="mlx",
        STENO_MODEL="small",
        HF_HUB_OFFLINE="1",
        HF_HUB_CACHE=" ",
        EDITOR="vi",
        XDG_RUNTIME_DIR="/r",
    ).environment
    assert {name: value for name, value in kept.items() if name != "PATH"} == {
        "WHISPER_BACKEND": "mlx",
        "STENO_MODEL": "small",
        "HF_HUB_OFFLINE": "1",
    }


def test_folders_mean_the_same_wherever_the_daemon_starts() -> None:
    kept = sample_installation(
        STENO_HOME="here", HF_HOME="~/hf", PYTHONPATH="engines:/e", NLTK_DATA="../n"
    ).environment
    assert kept["STENO_HOME"] == "/somewhere/here"
    assert kept["HF_HOME"] == "/Users/anna/hf"
    assert kept["PYTHONPATH"] == "/somewhere/engines:/e"
    assert kept["NLTK_DATA"] == "/n"


def test_starter_models_of_the_shell_are_left_out_and_each_is_named() -> None:
    installation = sample_installation(STENO_MODEL="starter", STENO_ALIGNMENT_MODEL="starter", STENO_LANGUAGE="en")
    assert "STENO_MODEL" not in installation.environment and "STENO_ALIGNMENT_MODEL" not in installation.environment
    told = " ".join(doubts(installation))
    assert "STENO_MODEL=starter is for a first try" in told and 'alignment_model = "starter"' in told
    chosen = sample_installation(STENO_MODEL="small")
    assert chosen.environment["STENO_MODEL"] == "small"


def test_no_secret_is_written_down_and_each_is_named() -> None:
    installation = sample_installation(
        HF_TOKEN="hf_x",
        STENO_HUB_TOKEN="y",
        HTTPS_PROXY="http://anna:pass@proxy:3128",
        HF_TOKEN_PATH="/t",
        http_proxy="http://proxy:3128",
    )
    assert installation.left_out == ("HF_TOKEN", "HTTPS_PROXY", "STENO_HUB_TOKEN")
    assert installation.kept_from_shell == ("HF_TOKEN_PATH", "http_proxy")
    assert "HF_TOKEN is a secret" in " ".join(doubts(installation))


@pytest.mark.parametrize("value", ["a\x07b", "a\x1b[0m", "\udcff"])
def test_what_no_definition_can_hold_is_refused(value: str) -> None:
    with pytest.raises(ServiceRefused, match="STENO_PROMPT"):
        sample_installation(STENO_PROMPT=value)


@pytest.mark.parametrize(
    ("place", "named"),
    [
        ("/Users/anna/Documents/stenod", "/Users/anna/Documents"),
        ("/Users/anna/documents/stenod", "/Users/anna/Documents"),
        ("/Users/anna/Library/Mobile Documents/com~apple~CloudDocs/stenod", "/Users/anna/Library/Mobile Documents"),
        ("/Volumes/SSD/stenod", "/Volumes"),
        ("/Network/Servers/nas/stenod", "/Network"),
    ],
)
def test_what_macos_keeps_from_services_keeps_the_daemon_from_starting(place: str, named: str) -> None:
    (of_python,) = obstacles(sample_installation(interpreter=Path(place) / ".venv/bin/python"))
    (of_home,) = obstacles(sample_installation(STENO_HOME=place))
    for told in (of_python, of_home):
        assert f"lies in {named}, which macOS keeps from services" in told
        assert told.endswith(f"\n{PROGRAM}")
    assert not list(obstacles(sample_installation("linux", STENO_HOME=place)))


def test_a_link_into_such_a_folder_is_no_way_around_it(tmp_path: Path) -> None:
    owner = tmp_path.resolve()
    venv = owner / "Documents" / "stenod" / ".venv" / "bin"
    venv.mkdir(parents=True)
    (venv / "python").symlink_to("/usr/bin/env")
    (owner / "stenod").symlink_to(owner / "Documents" / "stenod")
    plain = sample_installation(interpreter=owner / "stenod/.venv/bin/python")
    linked = replace(plain, owner=replace(plain.owner, home=owner))
    assert f"lies in {owner}/Documents" in next(obstacles(linked))
    assert not list(obstacles(plain))


def test_a_plain_installation_gives_rise_to_no_doubt() -> None:
    assert not [*obstacles(sample_installation()), *doubts(sample_installation())]
    assert "FileVault" in " ".join(doubts(sample_installation(is_system=True)))


@pytest.mark.parametrize(
    ("is_root", "sudo_user", "system", "asked", "name"),
    [
        (False, None, False, None, "anna"),
        (False, None, True, None, "anna"),
        (True, "bert", True, None, "bert"),
        (True, "bert", True, "cleo", "cleo"),
        (True, None, False, None, "anna"),
    ],
)
def test_the_daemon_runs_as_whom_it_is_for(
    is_root: bool, sudo_user: str | None, system: bool, asked: str | None, name: str
) -> None:
    assert owner_name("anna", is_root=is_root, sudo_user=sudo_user, system=system, asked=asked) == name


@pytest.mark.parametrize(
    ("is_root", "sudo_user", "system", "asked", "remedy"),
    [
        (True, "anna", False, None, "leave out sudo"),
        (True, None, True, None, "--user NAME"),
        (False, None, False, "bert", "add --system"),
    ],
)
def test_a_service_that_nobody_could_mean_is_refused(
    is_root: bool, sudo_user: str | None, system: bool, asked: str | None, remedy: str
) -> None:
    with pytest.raises(ServiceRefused) as refused:
        owner_name("root", is_root=is_root, sudo_user=sudo_user, system=system, asked=asked)
    assert remedy in refused.value.hint


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has one place for the socket")
def test_a_daemon_without_a_session_is_found_from_within_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STENO_HOME", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "session"))
    of_session, at_boot = (tmp_path / "session/stenod/stenod.sock", tmp_path / "state/stenod/run/stenod.sock")
    assert here.socket() == of_session
    at_boot.parent.mkdir(parents=True)
    at_boot.touch()
    assert here.socket() == at_boot
    of_session.parent.mkdir(parents=True)
    of_session.touch()
    assert here.socket() == of_session
