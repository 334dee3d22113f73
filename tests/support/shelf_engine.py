"""A transcriber that wants its model on the shelf before it starts, and then does without it.

Runs in: worker. Named by import path, `shelf_engine:ShelfTranscriber`.
"""

from pathlib import Path

from fake_engines import EchoTranscriber

from ipc.worker_messages import WorkerSetup
from workers.engine import Downloading, LoadedEngine
from workers.models.find import find_model


class ShelfTranscriber(EchoTranscriber):
    """Refuses to load, `needs_model`, until somebody has fetched its model."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        find_model(setup.model, "whisperx", Path(setup.models_folder), setup.allow_download, downloading)
        return super().load(setup, downloading)
