"""Which room may import which: arrows only point downward, and no room is too full to look around in."""

import ast
from collections import defaultdict
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
DOORS = {"supervisor/api/http", "supervisor/api/uploads", "supervisor/api/openai", "supervisor/api/asr"} | {
    "supervisor/api/wyoming",
    "supervisor/api/metrics",
}
TERMINAL = {"client/terminal"}
DAEMON = TERMINAL | {"client/daemon"}
VIEWS = DAEMON | {"client/views", "client/machine"}
VERBS = VIEWS | {"client/bench", "client/doctor", "client/following", "client/mcp", "client/commands"}
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
    "supervisor/api/http": API,
    "supervisor/api/uploads": API,
    "supervisor/api/openai": API | {"supervisor/api/uploads"},
    "supervisor/api/asr": API | {"supervisor/api/uploads", "supervisor/api/openai"},
    "supervisor/api/metrics": API,
    "supervisor/api/wyoming": API | {"supervisor/api/http", "supervisor/api/uploads", "supervisor/api/openai"},
    "supervisor/api": API,
    "supervisor": API | DOORS | {"supervisor/followups"},
    "workers/sandbox": set[str](),
    "workers/recording": set[str](),
    "workers/models": set[str](),
    "workers/pcm": set[str](),
    "workers/speech": {"workers/pcm"},
    "workers/text": {"workers/speech"},
    "workers/wav2vec2": {"workers/models"},
    "workers/mlx": ENGINES,
    "workers/whisperx": ENGINES | {"workers/wav2vec2"},
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
    "client/mcp": DAEMON,
    "client/commands": VERBS,
    "client": VERBS,
}
"""A room → the other rooms below it that it may import. Values without owner stand in `workers` itself."""
OPEN = {"workers"}
MOST_MODULES = 13
LEAST_LINES = 60


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


def test_no_folder_has_more_modules_than_a_reader_can_look_over() -> None:
    full = {room: len(files) for room, files in rooms().items() if len(files) > MOST_MODULES + 1}
    assert not full, "with __init__.py"


def modules() -> dict[str, Path]:
    """Dotted name → file, `__init__` and `__main__` left out."""
    files = [file for package in ROOMS for file in files_of(package)]
    return {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in files if file.name[0] != "_"}


def test_a_small_module_with_one_importer_says_why_it_stands_alone() -> None:
    importers: dict[str, set[Path]] = defaultdict(set)
    for package in ROOMS:
        for file in files_of(package):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module is not None:
                    for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                        importers[name].add(file)
    silent = [
        name
        for name, file in modules().items()
        if name != "client.steno"  # the console script
        and len(importers[name]) <= 1
        and len((text := file.read_text(encoding="utf-8")).splitlines()) < LEAST_LINES
        and "Stands alone: " not in " ".join((ast.get_docstring(ast.parse(text)) or "").split())
    ]
    assert not silent


def test_a_name_is_imported_from_the_module_that_defines_it() -> None:
    defined = {name: names_of(ast.parse(file.read_text(encoding="utf-8"))) for name, file in modules().items()}
    wrong = [
        f"{file.relative_to(ROOT)} imports {alias.name} from {node.module}"
        for package in (*ROOMS, "tests")
        for file in files_of(package)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module in defined
        for alias in node.names
        if alias.name not in defined[node.module]
    ]
    assert not wrong


def names_of(tree: ast.Module) -> set[str]:
    """What a module defines, or hands on in its `__all__`."""
    found = set[str]()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case _:
                pass
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                found |= set(ast.literal_eval(value))
            case _:
                pass
    return found


def test_the_room_of_mlx_and_the_room_of_torch_never_import_each_other() -> None:
    torch, mlx = {"workers/wav2vec2", "workers/whisperx"}, {"workers/mlx"}
    assert not {room for room in torch for below in MAY_IMPORT[room] if below in mlx}
    assert not {room for room in mlx for below in MAY_IMPORT[room] if below in torch}
