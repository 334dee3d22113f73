"""What a person sees of models: tables and bars that fit a terminal."""

import io
from typing import Literal

import pytest
from rich.cells import cell_len
from rich.console import Console

from client.commands.models import waits_for_model
from client.views.models import FetchBars, here_line, model_table
from ipc.model_messages import FileProgress, ListedModel, ModelInstalled, ModelList
from ipc.status_views import WorkerState, WorkerView

DUTCH = "jonatasgrosman/wav2vec2-large-xlsr-53-dutch"


def model(name: str, state: Literal["whole", "missing", "damaged"], **more: object) -> ListedModel:
    facts = {"name": name, "id": name, "kind": "transcriber", "engine": "whisperx", "state": state}
    return ListedModel.model_validate(facts | more)


MODELS = ModelList(
    models=(
        model("small", "missing", id="Systran/faster-whisper-small", size_bytes=12_000_000, why="a part is here"),
        model("base", "whole", size_bytes=145_000_000, used_as=("fallback",)),
        model(DUTCH, "damaged", kind="aligner", size_bytes=1_260_000_000, why="its end is missing"),
        model("starter", "whole", kind="aligner", size_bytes=9_504_265),
    ),
    names={"mlx": ("tiny", "base"), "whisperx": ("tiny", "base", "large-v1")},
    hub_cache="/Users/me/.cache/huggingface/hub",
    free_bytes=70_000_000_000,
)


@pytest.mark.parametrize("columns", [80, 120])
def test_the_list_fits_and_says_what_is_unfinished_damaged_and_for_whom(columns: int) -> None:
    screen = io.StringIO()
    Console(file=screen, width=columns).print(model_table(MODELS))
    page = screen.getvalue()
    assert all(cell_len(line) <= columns for line in page.splitlines())
    for words in ("unfinished", "damaged", "fallback", "1.3 GB", "starter (aligner)", "large-v1 (whisperx only)"):
        assert words in page, words


@pytest.mark.parametrize("columns", [80, 120])
def test_a_bar_shows_file_bytes_and_what_is_left_on_one_line(columns: int) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, width=columns, force_terminal=True, color_system=None, legacy_windows=False)
    with FetchBars(terminal) as bars:
        for done in (300_000_000, 600_000_000):
            bars.moves(
                FileProgress(
                    phase="fetching",
                    model=DUTCH,
                    file="model.safetensors",
                    done_bytes=done,
                    total_bytes=1_262_000_000,
                )
            )
        terminal.print(here_line(ModelInstalled(name="tiny", path="/t", size_bytes=75_000_000, fetched_bytes=0)))
    page = screen.getvalue()
    assert "wav2vec2-large-x…  model.safetensors" in page
    assert "0.6/1.3 GB" in page
    assert "tiny  75 MB, already here" in page


def test_only_a_worker_that_refused_over_its_model_is_woken() -> None:
    def worker(state: WorkerState, note: str | None, refusal: str | None = None) -> WorkerView:
        return WorkerView(
            role="aligner",
            engine="whisperx",
            model=None,
            device=None,
            state=state,
            pid=None,
            restarts=0,
            last_death=None,
            note=note,
            refusal=refusal,
        )

    assert waits_for_model(worker("broken", "needs model small: run `steno models pull small`", "needs_model"))
    assert waits_for_model(worker("broken", "weights.bin is not whole", "model_damaged"))
    crashes = "the transcriber (mlx) keeps crashing; last: SIGSEGV while loading the model"
    assert not waits_for_model(worker("broken", crashes, "broken"))
    assert not waits_for_model(worker("backing_off", "restarting after: SIGSEGV while loading the model"))
    assert not waits_for_model(worker("ready", None))
    assert not waits_for_model(worker("broken", "died 6 times in 120 s"))
