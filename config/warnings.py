"""Settings that are allowed and still look like a slip: pure, what has to be looked up is asked for.

Runs in: every process.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from config.field_types import Command
from config.settings import Settings
from config.watch_entry import WatchEntry

PROMPT_CHARACTERS = 900
"""Whisper reads the last 224 tokens of a prompt, which is about so much text."""
NOTIFY = "notify"
"""The hook that is no program: the system's notification."""


def doubts_about(
    settings: Settings,
    *,
    transcriber: str,
    is_folder: Callable[[Path], bool],
    find_program: Callable[[str], str | None],
    default_watch: bool = False,
) -> tuple[str, ...]:
    """Sentences for people. `transcriber` is the engine that backends resolve to, `find_program` is shutil.which.

    With `default_watch` the watched folder is ours to create, and need not be there.
    """
    return (
        *_about_watch(settings, is_folder, default_watch),
        *_about_prompts(settings),
        *_about_hooks(settings, find_program),
        *_about_models(settings, transcriber),
        *missing_engine_folders(settings, is_folder),
    )


def missing_engine_folders(settings: Settings, is_folder: Callable[[Path], bool]) -> Iterator[str]:
    """A sentence for each folder of `workers.engine_path` that is not there."""
    for path in settings.workers.engine_path:
        if not is_folder(path):
            yield f"workers.engine_path: there is no folder {path}"


def _about_watch(settings: Settings, is_folder: Callable[[Path], bool], default_watch: bool) -> Iterator[str]:
    times = Counter(entry.path for entry in settings.watch)
    for path, count in times.items():
        if count > 1:
            yield f"watch: {count} entries name {path}; a recording is taken once, as one of them says"
        if not default_watch and not is_folder(path):
            yield f"watch: there is no folder {path} now; it is waited for"


def _about_prompts(settings: Settings) -> Iterator[str]:
    for prefix, scope in _scopes(settings):
        if scope.prompt is not None and len(scope.prompt) > PROMPT_CHARACTERS:
            yield (
                f"{prefix}prompt has {len(scope.prompt)} characters, and the model reads about the last "
                f"{PROMPT_CHARACTERS}; spellings that must hold belong in {prefix}replacements"
            )


def _about_hooks(settings: Settings, find_program: Callable[[str], str | None]) -> Iterator[str]:
    scopes = [("hooks.", settings.hooks), *_scopes(settings)[1:]]
    for prefix, scope in scopes:
        for name in ("on_done", "on_failed", "on_degraded"):
            command: Command = getattr(scope, name) or ()
            if command and command != (NOTIFY,) and find_program(str(Path(command[0]).expanduser())) is None:
                yield f"{prefix}{name}: there is no program {command[0]} that could be run"


def _about_models(settings: Settings, transcriber: str) -> Iterator[str]:
    for prefix, scope in _scopes(settings):
        model = scope.model or settings.model
        language, task = scope.language or settings.language, scope.task or settings.task
        if model is None or (prefix and not (scope.model or scope.language or scope.task)):
            continue  # nothing of its own that has not been said above
        if model == "starter" or model.endswith(".en"):
            if language not in (None, "en"):
                yield f"{prefix}language is {language}, and the model {model} knows English only"
            if task == "translate":
                yield f"{prefix}task is translate, and the model {model} knows English only"
        elif task == "translate" and "turbo" in model:
            yield f"{prefix}task is translate, and the model {model} was not taught to; large-v3 and medium were"
        if transcriber == "whisperx" and model.startswith("mlx-community/"):
            yield f"{prefix}model {model} is made for mlx, and whisperx is to load it"


def _scopes(settings: Settings) -> list[tuple[str, Settings | WatchEntry]]:
    """Where a job's options are said: the settings themselves first, then each watched folder."""
    entries = [(f"watch[{position}].", entry) for position, entry in enumerate(settings.watch)]
    return [("", settings), *entries]
