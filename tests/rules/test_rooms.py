"""Which room may import which: arrows only point downward, and no room is too full to look around in."""

from pathlib import Path

import pytest
from rules.test_imports import ROOMS, ROOT, files_of, imports_of

SYSTEM = {"supervisor/system"}
DISKS = SYSTEM | {"supervisor/disks"}
STORE = DISKS | {"supervisor/store", "supervisor/store/sqlite"}
PROGRESS = STORE | {"supervisor/worker", "supervisor/progress"}
JOBS = PROGRESS | {"supervisor/results", "supervisor/watch", "supervisor/jobs"}
HEALTH = JOBS | {"supervisor/health"}
API = HEALTH | {"supervisor/recovery", "supervisor/api"}
TERMINAL = {"client/terminal"}
DAEMON = TERMINAL | {"client/daemon"}
VIEWS = DAEMON | {"client/views", "client/machine"}
VERBS = VIEWS | {"client/bench", "client/doctor", "client/following", "client/commands"}
ENGINES = {"workers/models", "workers/speech", "workers/text"}
MAY_IMPORT = {
    "supervisor/system": set[str](),
    "supervisor/disks": SYSTEM,
    "supervisor/watch": DISKS,
    "supervisor/worker": SYSTEM,
    "supervisor/store/sqlite": DISKS,
    "supervisor/store": STORE,
    "supervisor/results": STORE,
    "supervisor/progress": PROGRESS,
    "supervisor/jobs": JOBS,
    "supervisor/recovery": JOBS,
    "supervisor/followups": JOBS,
    "supervisor/health": JOBS,
    "supervisor/api": API,
    "supervisor": API | {"supervisor/followups"},
    "workers/sandbox": set[str](),
    "workers/recording": set[str](),
    "workers/models": set[str](),
    "workers/pcm": set[str](),
    "workers/speech": {"workers/pcm"},
    "workers/text": {"workers/speech"},
    "workers/wav2vec2": {"workers/models"},
    "workers/mlx": ENGINES,
    "workers/whisperx": ENGINES | {"workers/shell", "workers/wav2vec2"},
    "workers/model_manager": {"workers/models"},
    "workers/container": {"workers/recording"},
    "workers/audio": {"workers/container", "workers/pcm", "workers/recording", "workers/speech"},
    "workers/decoder": {"workers/audio", "workers/pcm", "workers/recording", "workers/sandbox", "workers/speech"},
    "workers/shell": {"workers/audio", "workers/decoder", "workers/models", "workers/speech", "workers/text"},
    "workers": {"workers/shell"},
    "client/terminal": set[str](),
    "client/daemon": TERMINAL,
    "client/machine": DAEMON,
    "client/views": DAEMON,
    "client/following": VIEWS,
    "client/doctor": VIEWS,
    "client/bench": VIEWS,
    "client/commands": VERBS,
    "client": VERBS,
}
"""A room → the other rooms below it that it may import. Values without owner stand in `workers` itself."""
OPEN = {"workers"}


def rooms() -> dict[str, list[Path]]:
    """Folder → its modules."""
    found: dict[str, list[Path]] = {}
    for package in ROOMS:
        for file in files_of(package):
            found.setdefault(str(file.parent.relative_to(ROOT)), []).append(file)
    return found


def room_of(module: str) -> str:
    """The folder of a module of ours."""
    path = ROOT.joinpath(*module.split("."))
    while not (path.is_dir() or path.with_suffix(".py").exists()):
        path = path.parent  # a name inside the module
    return str((path if path.is_dir() else path.parent).relative_to(ROOT))


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_stands_below_it(room: str) -> None:
    package = room.split("/")[0]
    wrong = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in rooms()[room]
        for module, _ in imports_of(file)
        if module.split(".")[0] == package and room_of(module) not in MAY_IMPORT[room] | {room} | OPEN
    ]
    assert not wrong


def test_every_folder_is_a_room_with_its_rules() -> None:
    flat = {"config", "ipc", "launchd"}
    assert set(rooms()) - flat == set(MAY_IMPORT)


def test_no_rooms_import_each_other_in_a_circle() -> None:
    for room, below in MAY_IMPORT.items():
        for other in below - {room}:
            assert room not in MAY_IMPORT[other], (room, other)
