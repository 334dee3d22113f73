"""The house's rules about who may import whom, and what the supervisor never loads."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc.program import program

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("client", "config", "ipc", "launchd", "supervisor", "workers")
MAY_IMPORT = {
    "ipc": {"ipc"},
    "config": {"config", "ipc.vocabulary"},
    "launchd": {"launchd", "config", "ipc"},
    "workers": {"workers", "ipc", "config"},
    "supervisor": {"supervisor", "ipc", "config", "workers.worker_main"},
    "client": {"client", "ipc", "config", "launchd"},
}
MODEL_LIBRARIES = {
    "mlx", "mlx_whisper", "torch", "torchaudio", "whisperx", "faster_whisper", "ctranslate2", "av", "numba",
    "onnxruntime", "transformers",
}  # fmt: skip


def files_of(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imports_of(file: Path) -> Iterator[tuple[str, bool]]:
    """Every imported module's full name, and whether the import stands at the top of the file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    at_top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for name in names:
                    yield name.name, id(node) in at_top
            case ast.ImportFrom(module=str(module), level=0, names=names):
                # `from workers import worker_main` names a module of ours in the list.
                if module in ROOMS:
                    for name in names:
                        yield f"{module}.{name.name}", id(node) in at_top
                else:
                    yield module, id(node) in at_top
            case ast.ImportFrom():
                raise AssertionError(f"{file}: relative import; the import line says where the file is")
            case _:
                pass


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_below_it(room: str) -> None:
    wrong = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in files_of(room)
        for module, _ in imports_of(file)
        if module.split(".")[0] in ROOMS
        and not any(module == allowed or module.startswith(f"{allowed}.") for allowed in MAY_IMPORT[room])
    ]
    assert not wrong


@pytest.mark.parametrize("room", ROOMS)
def test_model_libraries_are_imported_only_in_workers_and_only_where_they_are_loaded(room: str) -> None:
    wrong = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in files_of(room)
        for module, at_top in imports_of(file)
        if module.split(".")[0] in MODEL_LIBRARIES and (room != "workers" or at_top)
    ]
    assert not wrong


def test_only_the_rooms_of_the_aligner_and_its_network_name_the_crashing_libraries() -> None:
    owners = {"whisperx": {"workers/whisperx"}, "torch": {"workers/whisperx", "workers/wav2vec2"}}
    for library, allowed in owners.items():
        named_in = {
            str(file.parent.relative_to(ROOT))
            for file in files_of("workers")
            for module, _ in imports_of(file)
            if module.split(".")[0] == library
        }
        assert named_in <= allowed


def test_only_child_process_spawns_and_kills() -> None:
    for file in files_of("supervisor"):
        if file.name != "child_process.py":
            assert not {"multiprocessing", "multiprocessing.connection"} & {
                module for module, _ in imports_of(file)
            }, file


def test_every_module_says_what_it_is_for_and_where_it_runs() -> None:
    for room in ROOMS:
        for file in files_of(room):
            docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
            assert docstring and "Runs in: " in docstring, file


def test_every_file_has_at_most_400_lines() -> None:
    long = {
        str(file.relative_to(ROOT))
        for room in ROOMS
        for file in files_of(room)
        if len(file.read_text().splitlines()) > 400
    }
    assert not long


def test_no_file_is_named_after_nothing() -> None:
    empty_names = {"utils", "util", "common", "misc", "helpers", "helper", "manager", "types", "const", "constants"}
    assert not [file for room in (*ROOMS, "tests") for file in files_of(room) if file.stem in empty_names]


def test_from_anywhere_the_plain_names_resolve_into_this_repository() -> None:
    show = f"import {', '.join(ROOMS)}; print(*({', '.join(f'{room}.__file__' for room in ROOMS)},), sep='\\n')"
    answer = subprocess.run(
        [sys.executable, "-P", "-c", show], cwd="/", capture_output=True, text=True, check=True, timeout=60
    )
    assert [Path(line).parent for line in answer.stdout.split("\n") if line] == [ROOT / room for room in ROOMS]


@pytest.mark.parametrize("module", ["supervisor", "supervisor.recovery", "workers.model_manager", "client.steno"])
def test_modules_of_our_names_elsewhere_are_never_imported(module: str, tmp_path: Path) -> None:
    for name in ROOMS:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('foreign')")
    answer = subprocess.run(
        [*program(module), "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (answer.returncode, answer.stderr) == (0, ""), answer.stderr


def test_the_supervisor_loads_no_model_library() -> None:
    show = "import sys, supervisor.daemon; print(*sys.modules, sep='\\n')"
    answer = subprocess.run(
        [sys.executable, "-P", "-c", show],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert not MODEL_LIBRARIES & {module.split(".")[0] for module in answer.stdout.split()}


def test_a_worker_watches_its_parent_before_anything_that_takes_time_is_imported() -> None:
    show = "import sys, workers.worker_main; print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-P", "-c", show], cwd="/", capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(answer.stdout.split())
    assert {module for module in loaded if module.split(".")[0] in ROOMS} == {
        *("workers", "workers.worker_main", "workers.parent_death"),
    }
    assert not {"pydantic", "structlog", "psutil", "asyncio"} & loaded
