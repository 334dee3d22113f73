"""Checks that the models of the current settings are present and complete: the findings of `steno doctor`.

Runs in: worker (a short-lived one, started by the `steno` command).
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import quote
from typing import assert_never

from config.engines import EngineChoice, ModelNeeded, models_needed, spoken_languages
from config.model_names import default_aligner
from config.settings import Settings
from ipc.status_views import Finding
from workers.engine import EngineRefusal
from workers.model_manager.condition import ModelOnDisk, condition_of, source_of
from workers.models.find_aligner import STARTER_FOLDER
from workers.models.source import ModelSource

CHECKS = {"transcriber": "transcriber_model", "fallback": "fallback_model", "aligner": "alignment_model"}
"""Use of a model → the name of its check."""
WHY = {
    "transcriber": "jobs wait until it is there",
    "fallback": "no fallback takes over when the transcriber keeps crashing on a recording",
    "aligner": "words get no times of their own, only segments do",
}
SETTING = {"transcriber": "STENO_MODEL", "fallback": "STENO_FALLBACK_MODEL", "aligner": "STENO_ALIGNMENT_MODEL"}
OWN_ENGINE = "an engine of your own finds its own models"


def findings(
    settings: Settings, choice: EngineChoice, models: Path, step: Callable[[], None], *, deep: bool
) -> Iterator[Finding]:
    """One finding per model, yielded as soon as it is known."""
    needed = models_needed(settings, choice)
    for use, engine in (("transcriber", choice.transcriber), ("aligner", choice.aligner)):
        if engine is not None and ":" in engine:
            yield Finding(check=CHECKS[use], state="ok", what=f"{OWN_ENGINE}: {engine}")
    if choice.aligner is None:
        yield Finding(check=CHECKS["aligner"], state="ok", what="alignment is off: no alignment model is needed")
    for one in needed:
        yield _finding(one, step, deep=deep)
    if choice.aligner == "whisperx" and settings.alignment_model is None:
        yield from (
            _no_aligner(language) for language in spoken_languages(settings) if default_aligner(language) is None
        )


def _finding(needed: ModelNeeded, step: Callable[[], None], *, deep: bool) -> Finding:
    check = CHECKS[needed.use]
    whose = f"the {needed.use}'s model {needed.name}"
    if needed.language is not None:
        whose += f" for the language {needed.language!r}"
    try:
        source = source_of(needed)
    except EngineRefusal as refusal:
        return Finding(
            check=check,
            state="broken",
            what=refusal.message,
            why=WHY[needed.use],
            remedy=f"{SETTING[needed.use]}: {refusal.hint}",
        )
    found = condition_of(source, step, deep=deep)
    why, fix = WHY[needed.use], remedy(needed, source, found)
    match found.condition:
        case "whole":
            read = "whole" if deep else "there"
            return Finding(check=check, state="ok", what=f"{whose} ({needed.engine}) is {read}: {found.path}")
        case "missing":
            what = found.why or f"{whose} ({needed.engine}) is not on this machine"
            return Finding(
                check=check, state="broken" if _is_awaited(needed) else "warning", what=what, why=why, remedy=fix
            )
        case "damaged":
            # A worker that has loaded it keeps it; a worker that refused to start retries only after a delay.
            fix += f"; then `steno restart {'aligner' if needed.use == 'aligner' else 'transcriber'}`"
            return Finding(check=check, state="broken", what=f"{whose} is damaged: {found.why}", why=why, remedy=fix)
        case _:
            assert_never(found.condition)


def _is_awaited(needed: ModelNeeded) -> bool:
    """True: a worker needs it to start, so jobs wait for it or finish without word times."""
    return needed.use == "transcriber" or (needed.use == "aligner" and needed.is_chosen)


def remedy(needed: ModelNeeded, source: ModelSource, found: ModelOnDisk) -> str:
    """The command or step that makes this model complete on this machine."""
    match source.origin:
        case "hub" | "bundle" if needed.language is not None:
            return f"steno models pull --lang {needed.language}"
        case "hub" | "bundle":
            return f"steno models pull {needed.name}"
        case "starter" if source.kind == "wav2vec2":
            return _restore_command(STARTER_FOLDER)
        case _:
            return found.hint


def _restore_command(ours: Path) -> str:
    """The command that restores a folder of the source code."""
    command = f"git -C {quote(str(ours.parent))} checkout -- {quote(ours.name)}"
    return f"restore it from stenod's repository: {command}"


def _no_aligner(language: str) -> Finding:
    return Finding(
        check=CHECKS["aligner"],
        state="warning",
        what=f"WhisperX has no aligner for the language {language!r}",
        why=WHY["aligner"],
        remedy="set STENO_ALIGNMENT_MODEL to a wav2vec2 model for it, or ALIGNMENT_BACKEND=mlx",
    )
