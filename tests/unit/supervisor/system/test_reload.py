"""Which settings may change while the daemon runs, and what becomes of the others."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from config.loader import KEYS, ConfigError, LoadedSettings
from config.settings import Settings
from supervisor.system.reload import LIVE, LiveSettings, Reload, changed, is_live, with_changes


def settings(**values: Any) -> Settings:
    return Settings.model_validate(values)


def reload_into(told: list[Settings], now: Settings, read: Callable[[], LoadedSettings]) -> Reload:
    """A reload that adds to `told` what holds after each change."""
    live = LiveSettings(now)
    reload = Reload(live, read)
    reload.on_change = [lambda: told.append(live.current)]
    return reload


def test_what_differs_is_told_by_its_dotted_key_in_the_order_of_the_settings() -> None:
    new = settings(
        logs={"level": "debug"}, model="x", watch=[{"path": "/a"}], workers={"threads": 3, "keep_alive": 9}
    )
    assert changed(Settings(), new) == ("model", "workers.threads", "workers.keep_alive", "logs.level", "watch")
    assert changed(new, new.model_copy()) == ()


def test_only_the_live_keys_of_new_settings_are_taken_over() -> None:
    new = settings(model="x", language="de", workers={"threads": 3, "keep_alive": 9})
    now = with_changes(Settings(), new, [key for key in changed(Settings(), new) if is_live(key)])
    assert now == settings(language="de", workers={"keep_alive": 9})


def test_what_a_worker_is_born_with_needs_a_restart() -> None:
    assert all(key in KEYS or any(known.startswith(f"{key}.") for known in KEYS) for key in LIVE)
    restart = {key for key in KEYS if not is_live(key)}
    assert {"model", "whisper_backend", "alignment_model", "allow_download", "workers.threads"} < restart
    # The worker's own watchdog is set by these two at its birth.
    assert {"deadlines.progress_seconds", "deadlines.boot_seconds"} < restart


async def test_each_reload_tells_the_parts_what_holds_and_keeps_saying_what_waits_for_a_restart() -> None:
    told: list[Settings] = []
    new = settings(model="x", prompt="Zorro")
    reload = reload_into(told, Settings(), lambda: LoadedSettings(new, {}))
    with capture_logs() as logged:
        first, second = await reload(), await reload()
    assert (first.applied, first.needs_restart) == (("prompt",), ("model",))
    assert (second.applied, second.needs_restart) == ((), ("model",))
    assert told == [settings(prompt="Zorro")]
    assert [line["event"] for line in logged] == ["settings_reloaded"] * 2


async def test_a_mistake_changes_nothing_and_is_logged() -> None:
    told: list[Settings] = []

    def read() -> LoadedSettings:
        raise ConfigError("config.toml line 3: no")

    reload = reload_into(told, settings(prompt="Zorro"), read)
    with capture_logs() as logged, pytest.raises(ConfigError):
        await reload()
    assert (reload.settings.current, told) == (settings(prompt="Zorro"), [])
    assert logged[0]["error"] == "config.toml line 3: no"


async def test_two_that_reload_at_once_take_turns() -> None:
    told: list[Settings] = []
    reload = reload_into(told, Settings(), lambda: LoadedSettings(settings(prompt="Zorro"), {}))
    views = await asyncio.gather(reload(), reload())
    assert [view.applied for view in views] == [("prompt",), ()]
    assert len(told) == 1
