"""How long the answer of a canary holds."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from config.settings import Settings
from ipc.status_views import CanaryView
from supervisor.health.canary import Canary
from supervisor.system.reload import LiveSettings


async def test_an_answer_holds_until_another_language_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    languages: list[str] = []

    class Flight:
        def __init__(self, *_: object, language: str, **__: object) -> None:
            self._language = language

        async def run(self) -> CanaryView:
            languages.append(self._language)
            return CanaryView(healthy=True, detail="", at="", audio_seconds=1.0)

    monkeypatch.setattr("supervisor.health.canary.CanaryFlight", Flight)
    worker = SimpleNamespace(
        view=SimpleNamespace(state="ready", pid=1, role="transcriber"),
        availability=SimpleNamespace(is_promised=False),
    )
    live = LiveSettings(Settings())
    canary = Canary(cast(Any, worker), None, live, tmp_path)
    for _ in range(2):
        await canary.ask(fresh=False)
    live.current = Settings(language="sv")
    for _ in range(2):
        await canary.ask(fresh=False)
    assert languages == ["en", "sv"]
