"""An engine of the owner's own, in a folder that `workers.engine_path` names: it is found, and hides nothing of ours.

Runs in: the test process; each worker is a real child.
"""

from pathlib import Path

import pytest
from eventually import eventually_async
from running_worker import ask, kept, request_for, setup_for

from ipc.worker_messages import SegmentsTranscribed, TranscriptionFinished

OWN_ENGINE = """
import config.settings
import numpy
import where_i_am
from fake_engines import EchoTranscriber

class OwnTranscriber(EchoTranscriber):
    def load(self, setup, downloading):
        assert "tests" not in config.settings.__file__
        return super().load(setup, downloading)
"""
HIDES_OURS = "raise SystemExit('this module is not stenod\\'s')"

pytestmark = pytest.mark.usefixtures("nothing_left")


async def test_an_engine_is_found_where_the_setting_says_and_hides_nothing_of_ours(
    three_chunks: Path, tmp_path: Path
) -> None:
    engines = tmp_path / "engines"
    engines.mkdir()
    (engines / "own_engine.py").write_text(OWN_ENGINE)
    (engines / "where_i_am.py").touch()
    for ours_or_a_librarys in ("config", "workers", "ipc", "numpy", "queue"):
        (engines / f"{ours_or_a_librarys}.py").write_text(HIDES_OURS)
    setup = setup_for("transcriber", "Echo", tmp_path).model_copy(
        update={"engine_path": "own_engine:OwnTranscriber", "engine_folders": (str(engines),)}
    )
    async with kept([setup], tmp_path) as keeper:
        replies = await ask(keeper, request_for("transcriber", three_chunks))
        assert isinstance(replies[-1], TranscriptionFinished)
        assert sum(isinstance(reply, SegmentsTranscribed) for reply in replies) == 3


@pytest.mark.parametrize("missing", ["gone_engine", "gone.engine"])
async def test_an_engine_that_is_found_nowhere_names_the_setting(missing: str, tmp_path: Path) -> None:
    setup = setup_for("transcriber", "Echo", tmp_path).model_copy(update={"engine_path": f"{missing}:Gone"})
    async with kept([setup], tmp_path) as keeper:
        await eventually_async(lambda: keeper.view.state == "broken")
        assert "No module named 'gone" in (keeper.view.note or "")
        assert "workers.engine_path" in (keeper.view.note or "")


async def test_a_library_that_an_engine_lacks_is_not_looked_for_in_the_setting(tmp_path: Path) -> None:
    (tmp_path / "lacking.py").write_text("import no_such_library\n")
    setup = setup_for("transcriber", "Echo", tmp_path).model_copy(
        update={"engine_path": "lacking:Lacking", "engine_folders": (str(tmp_path),)}
    )
    async with kept([setup], tmp_path) as keeper:
        await eventually_async(lambda: keeper.view.state == "broken")
        assert "no_such_library" in (keeper.view.note or "")
        assert "workers.engine_path" not in (keeper.view.note or "")
