"""Reloads the settings while the daemon runs: what applies immediately, and what after a restart.

Runs in: supervisor.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from operator import attrgetter
from typing import Any

import structlog

from config.loader import KEYS, ConfigError, LoadedSettings
from config.settings import Settings
from ipc.status_views import ReloadView
from supervisor.system.threads import LONGEST_LOOK_SECONDS, run_detached

log = structlog.get_logger()

LIVE = frozenset(
    {
        *("language", "task", "workflow", "prompt", "replacements", "watch"),
        *("watching", "output", "hooks", "health", "power", "logs", "crashes", "restarts", "media"),
        *("workers.keep_alive", "workers.transcriber_keep_alive", "workers.aligner_keep_alive"),
        "workers.memory_limit_mb",
        *("deadlines.transcription_least_seconds", "deadlines.transcription_factor", "deadlines.alignment_seconds"),
        *("deadlines.decoding_seconds", "deadlines.cancel_seconds"),
        *("http.open_compat", "http.hosts", "http.origins", "http.keep", "http.most_upload_mb", "http.most_uploads"),
        "wyoming.most_audio_seconds",
    }
)
"""Keys and whole sections that every part reads at the moment of use. The rest is passed to a worker or the database
at its start: engines, models, threads, and the deadlines by which a worker watches itself."""


class LiveSettings:
    """The current settings: a part keeps this object, and reads `current` whenever it needs a setting."""

    def __init__(self, current: Settings) -> None:
        self.current = current


def changed(old: Settings, new: Settings) -> tuple[str, ...]:
    """Dotted keys whose values differ, in the order of Settings."""
    return tuple(key for key in KEYS if attrgetter(key)(old) != attrgetter(key)(new))


def is_live(key: str) -> bool:
    """Whether a new value of this key can take effect while the daemon runs."""
    return key in LIVE or key.partition(".")[0] in LIVE


def with_changes(old: Settings, new: Settings, keys: Collection[str]) -> Settings:
    """The old settings with the new values of these keys."""
    whole: dict[str, Any] = {}
    for key in keys:
        first, dot, name = key.partition(".")
        if dot:
            section = whole.get(first, getattr(old, first))
            whole[first] = section.model_copy(update={name: attrgetter(key)(new)})
        else:
            whole[first] = getattr(new, first)
    return old.model_copy(update=whole)


class Reload:
    """Reads all sources again on request; an error in them changes nothing."""

    def __init__(self, settings: LiveSettings, read: Callable[[], LoadedSettings]) -> None:
        """`read` raises ConfigError."""
        self.settings = settings
        self.on_change: Sequence[Callable[[], object]] = ()
        """Called in this order when the settings have changed."""
        self._read = read
        self._turn = asyncio.Lock()

    async def __call__(self) -> ReloadView:
        """The result. Raises ConfigError; then nothing has changed."""
        async with self._turn:
            try:
                loaded = await asyncio.wait_for(run_detached(self._read), LONGEST_LOOK_SECONDS)
            except TimeoutError:
                slow = ConfigError([f"the settings could not be read within {LONGEST_LOOK_SECONDS:g} s"])
                log.error("settings_not_reloaded", error=str(slow))
                raise slow from None
            except ConfigError as wrong:
                log.error("settings_not_reloaded", error=str(wrong))
                raise
            keys = changed(self.settings.current, loaded.settings)
            view = ReloadView(
                applied=tuple(key for key in keys if is_live(key)),
                needs_restart=tuple(key for key in keys if not is_live(key)),
            )
            self.settings.current = with_changes(self.settings.current, loaded.settings, view.applied)
            for tell in self.on_change if view.applied else ():
                tell()
            for doubt in loaded.doubts:
                log.warning("setting_doubted", doubt=doubt)
            log.info("settings_reloaded", applied=view.applied, needs_restart=view.needs_restart)
            return view
