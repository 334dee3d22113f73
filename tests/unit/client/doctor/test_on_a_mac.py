"""What `steno doctor` says on a Mac only.

Runs in: the test process.
"""

from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import pytest

from client.doctor.installation import interpreter_findings
from client.doctor.settings import notification_findings
from client.doctor.workers import device_findings, worker_findings
from config.engines import resolve_engines
from config.loader import LoadedSettings
from config.settings import Settings
from ipc.status_views import WorkerView

MLX = resolve_engines(Settings(whisper_backend="mlx"), "darwin")


def transcriber(**facts: object) -> WorkerView:
    known = {"role": "transcriber", "engine": "mlx", "model": None, "device": None, "state": "broken", "pid": None}
    return WorkerView.model_validate(known | {"restarts": 0, "last_death": None} | facts)


def test_a_session_without_a_gpu_has_a_remedy_of_its_own() -> None:
    view = transcriber(refusal="no_metal", note="MLX finds no GPU in this session: …")
    found, *_ = worker_findings([view], MLX, "/crashes", datetime.now(UTC))
    assert "MLX finds no GPU" in found.what and "WHISPER_BACKEND=whisperx" in found.remedy
    stands_in = transcriber(engine="whisperx", device="cpu", state="ready")
    assert not list(device_findings([stands_in], MLX, "darwin", "arm64")), "mlx is what was asked for"


@pytest.mark.parametrize(
    ("target", "there", "says"),
    [
        ("Cellar/python@3.12/3.12.8/bin/python3.12", True, "folder of one release"),
        ("opt/python@3.12/bin/python3.12", True, None),
        ("opt/python@3.11/bin/python3.11", False, "leads to nothing"),
    ],
)
def test_a_link_that_homebrew_will_break_is_a_warning(
    target: str, there: bool, says: str | None, tmp_path: Path
) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(tmp_path / target)
    if there:
        (tmp_path / target).parent.mkdir(parents=True)
        (tmp_path / target).touch()
    found = list(interpreter_findings(python))
    assert [one.state for one in found] == ([] if says is None else ["warning"])
    assert says is None or says in found[0].what
    assert not list(interpreter_findings(tmp_path / "no-link"))


def test_a_hook_of_notifications_says_whose_they_are() -> None:
    asked = Settings.model_validate({"hooks": {"on_done": "notify"}})
    for settings, platform, count in ((asked, "darwin", 1), (asked, "linux", 0), (Settings(), "darwin", 0)):
        found = list(notification_findings(LoadedSettings(settings, MappingProxyType({})), platform))
        assert len(found) == count
        assert all("Script Editor" in one.what for one in found)
