"""The settings as they would be read now: which file, whether it can be used, what in it has no effect.

Runs in: the user's shell. Stands alone: one file a check.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from client.doctor.check import Case, Check, broken, ok, warning
from client.machine.config_draft import remedy_for
from config.loader import ConfigError, LoadedSettings
from config.ownership import UnsafePath
from config.places import Places
from config.warnings import NOTIFY, missing_engine_folders
from ipc.status_views import Finding


def checks(case: Case) -> Iterator[Check]:
    yield Check("Settings", "config", lambda: settings_findings(case))


def settings_findings(case: Case) -> Iterator[Finding]:
    """Unusable settings, else where they are; and each warning."""
    if case.wrong is not None:
        why = "the daemon does not start with it; one that is running keeps the settings it started with"
        yield broken("config", str(case.wrong), why, _remedy(case.wrong))
    else:
        yield ok("config", _sources(case.places))
    for doubt in () if case.loaded is None else case.loaded.doubts:
        yield warning("config", doubt, "it has no effect, although it was meant to", "correct or remove it")
    for missing in () if case.loaded is None else missing_engine_folders(case.loaded.settings, Path.is_dir):
        yield warning("engine_path", missing, "a worker cannot load an engine from there", "steno config edit")
    yield from notification_findings(case.loaded, sys.platform)


def notification_findings(loaded: LoadedSettings | None, platform: str) -> Iterator[Finding]:
    """Where a hook shows notifications on a Mac: whose they are. No exit code tells of one that was dropped."""
    if loaded is None or platform != "darwin":
        return
    hooks = loaded.settings.hooks
    commands = [hooks.on_done, hooks.on_failed, hooks.on_degraded]
    for entry in loaded.settings.watch:
        commands += [
            command for command in (entry.on_done, entry.on_failed, entry.on_degraded) if command is not None
        ]
    if (NOTIFY,) in commands:
        what = "notifications come from Script Editor: macOS drops them until Settings → Notifications allows it"
        yield ok("notifications", what)


def _remedy(wrong: ConfigError) -> str:
    match wrong.__cause__:
        case UnsafePath(remedy=remedy):
            return remedy
        case OSError() as unreadable:
            return remedy_for(unreadable)
        case _:
            return "steno config edit"


def _sources(places: Places) -> str:
    env_file = places.config_file.with_name(".env.pipeline")
    read = [str(file) for file in (places.config_file, env_file) if file.is_file()]
    return f"settings read from {' and '.join(read)}" if read else f"all defaults: there is no {places.config_file}"
