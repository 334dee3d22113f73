"""Engines whose models are there or not, and one that grows: for the real worker shell.

Runs in: worker. Named by import path, `engines_with_models:ModelTranscriber`.

A model is a file in the folder for models. `unknown…` and `damaged…` never load; no name at all always does.
"""

from pathlib import Path

from fake_engines import EchoAligner, EchoTranscriber, segfault

from ipc.worker_messages import WorkerSetup
from workers.engine import Downloading, EngineRefusal, LoadedEngine
from workers.models.find import find_model

GROWTH_BYTES = 150_000_000


def find_file(setup: WorkerSetup) -> None:
    name = setup.model or ""
    if name.startswith("unknown"):
        raise EngineRefusal("unknown_model", f"there is no model {name!r}", "did you mean small?")
    if name.startswith("damaged"):
        raise EngineRefusal("model_damaged", f"{name} is not whole", "fetch it again")
    if name and not (Path(setup.models_folder) / name).exists():
        raise EngineRefusal("needs_model", f"needs model {name}", f"run `steno models pull {name}`")


class ModelTranscriber(EchoTranscriber):
    """Reports `setup.model` as its model, if the file is in the folder."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        find_file(setup)
        return super().load(setup, downloading)


class ModelAligner(EchoAligner):
    """The same for words."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        find_file(setup)
        return super().load(setup, downloading)


class HubTranscriber(EchoTranscriber):
    """Wants a whisper from the hub's cache before it starts, and then works without it."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        find_model(setup.model, "whisperx", Path(setup.models_folder), setup.allow_download, downloading)
        return super().load(setup, downloading)


class GrowingAligner(EchoAligner):
    """Keeps 150 MB more after its first segment, like a library that leaks."""

    def work(self) -> None:
        super().work()
        self.leak = b"x" * GROWTH_BYTES


class FussyTranscriber(EchoTranscriber):
    """SIGSEGV while it loads the model `deadly`."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        if setup.model == "deadly":
            segfault()
        return super().load(setup, downloading)
