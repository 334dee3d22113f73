"""The settings as they would be read now: which file, whether it can be used, what in it means nothing.

Runs in: the user's shell.
"""

import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from client.machine.config_draft import mend_file
from config.engines import EngineChoice, resolve_engines
from config.loader import ConfigError, Loaded, load
from config.ownership import NotOursAlone
from config.places import Places
from config.settings import Settings
from config.warnings import missing_engine_folders
from ipc.status_views import Finding

REMEDY = "steno config edit"


@dataclass(frozen=True, slots=True)
class SettingsReading:
    """What came of reading the settings."""

    loaded: Loaded | None
    choice: EngineChoice | None
    wrong: str | None
    """Why they cannot be used; None: they can."""
    remedy: str = REMEDY
    """The command that fixes that."""

    @property
    def settings(self) -> Settings | None:
        return None if self.loaded is None else self.loaded.settings


def read_settings(places: Places, environment: Mapping[str, str]) -> SettingsReading:
    """Never raises for what an owner may write."""
    loaded = None
    try:
        loaded = load(places, environment)
        return SettingsReading(loaded, resolve_engines(loaded.settings, sys.platform, platform.machine()), None)
    except ConfigError as wrong:
        match wrong.__cause__:
            case NotOursAlone(remedy=remedy):
                pass
            case OSError() as unreadable:
                remedy = mend_file(unreadable)
            case _:
                remedy = REMEDY
        return SettingsReading(loaded, None, str(wrong), remedy)


def settings_findings(reading: SettingsReading, places: Places) -> Iterator[Finding]:
    """Unusable settings, else where they stand; and each doubt."""
    if reading.wrong is not None:
        yield Finding(
            check="config",
            state="broken",
            what=reading.wrong,
            why="the daemon does not start with it; one that runs keeps what it read at its start",
            remedy=reading.remedy,
        )
    else:
        yield Finding(check="config", state="ok", what=_sources(places))
    for doubt in () if reading.loaded is None else reading.loaded.doubts:
        yield Finding(
            check="config",
            state="warning",
            what=doubt,
            why="it changes nothing, although it was meant to",
            remedy="correct or remove it",
        )
    for missing in () if reading.settings is None else missing_engine_folders(reading.settings, Path.is_dir):
        yield Finding(
            check="engine_path",
            state="warning",
            what=missing,
            why="a worker whose engine lies there cannot load it",
            remedy=REMEDY,
        )


def _sources(places: Places) -> str:
    env_file = places.config_file.with_name(".env.pipeline")
    read = [str(file) for file in (places.config_file, env_file) if file.is_file()]
    return f"settings read from {' and '.join(read)}" if read else f"all defaults: there is no {places.config_file}"
