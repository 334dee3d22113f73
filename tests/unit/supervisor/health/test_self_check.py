"""What the daemon tries of its own folders follows the settings."""

from pathlib import Path

from config.places import find_places
from config.settings import Settings
from supervisor.health.self_check import SelfCheck
from supervisor.system.reload import LiveSettings


async def test_an_output_folder_that_was_set_while_the_daemon_ran_is_tried(tmp_path: Path) -> None:
    async def no_watches() -> list[object]:
        return []

    async def nothing_written() -> None:
        pass

    live = LiveSettings(Settings())
    check = SelfCheck(live, find_places({"HOME": str(tmp_path)}, "linux"), no_watches, nothing_written)  # type: ignore[arg-type]
    assert "output_folder" not in {finding.check for finding in await check.findings()}
    live.current = Settings.model_validate({"output": {"folder": str(tmp_path / "gone" / "results")}})
    states = {finding.check: finding.state for finding in await check.findings()}
    assert states["output_folder"] == "broken"
