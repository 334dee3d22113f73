"""A whisper model in MLX with its tokenizer: what the MLX transcriber and the MLX aligner share.

Runs in: worker. MLX is loaded and used on the worker's main thread only: its streams belong to their thread
(https://github.com/ml-explore/mlx/issues/3281).
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from config.model_names import DEFAULT_MODEL
from ipc.worker_messages import WorkerSetup
from workers.engine import SAMPLE_RATE, Audio, EngineRefusal, Loaded
from workers.models import find_model

WINDOW_SECONDS = 30
WINDOW_SAMPLES = WINDOW_SECONDS * SAMPLE_RATE
"""Whisper always hears 30 s; what is shorter is followed by silence."""
CACHE_LIMIT_BYTES = 512 * 1024 * 1024
"""MLX keeps freed buffers for each new shape, without a limit of its own that a long-lived worker could bear."""


@dataclass(frozen=True, slots=True)
class MlxModel:
    """A loaded model; `network` is an mlx_whisper.whisper.Whisper."""

    name: str
    network: Any
    device: str

    @property
    def half(self) -> bool:
        return self.device == "metal"

    @property
    def is_english_only(self) -> bool:
        """Distilled models share whisper's multilingual vocabulary, but were taught English."""
        return not self.network.is_multilingual or self.name.startswith("distil-")

    @property
    def is_pruned(self) -> bool:
        """Turbo and distilled models: a short decoder that has forgotten how to translate."""
        dimensions = self.network.dims
        return bool(dimensions.n_text_layer < dimensions.n_audio_layer)

    def knows(self, language: str) -> bool:
        from mlx_whisper.tokenizer import LANGUAGES

        if self.is_english_only:
            return language == "en"
        return language in list(LANGUAGES)[: self.network.num_languages]

    def tokenizer(self, language: str, task: str = "transcribe") -> Any:
        from mlx_whisper.tokenizer import get_tokenizer

        return get_tokenizer(
            self.network.is_multilingual, num_languages=self.network.num_languages, language=language, task=task
        )

    def mel(self, audio: Audio) -> Any:
        """(samples,) of at most 30 s → mx.array (3000, mels) in the model's number format."""
        import mlx.core as mx
        from mlx_whisper.audio import log_mel_spectrogram

        samples = np.nan_to_num(audio[:WINDOW_SAMPLES])
        window = np.pad(samples, (0, WINDOW_SAMPLES - len(samples))).astype(np.float32)
        spectrogram = log_mel_spectrogram(mx.array(window), self.network.dims.n_mels)
        return spectrogram.astype(mx.float16 if self.half else mx.float32)

    def loaded(self) -> Loaded:
        return Loaded(
            model=self.name,
            device=self.device,
            versions={package: version(package) for package in ("mlx", "mlx-whisper")},
        )


def load_mlx_model(setup: WorkerSetup, downloading: Callable[[], None]) -> MlxModel:
    """Find the model, load it onto the best device and bound MLX's caches.

    Raises EngineRefusal `needs_model`, `unknown_model`, `model_damaged`, `engine_missing`.
    """
    folder = find_model(setup.model, "mlx", Path(setup.models_folder), setup.allow_download, downloading)
    try:
        import mlx.core as mx
        from mlx_whisper.load_models import load_model
    except ImportError as error:
        raise EngineRefusal(
            "engine_missing", f"MLX does not load here: {error}", "set WHISPER_BACKEND=whisperx"
        ) from error
    device = "metal" if mx.metal.is_available() else "cpu"
    dtype = mx.float16 if device == "metal" else mx.float32
    if set_cache_limit := getattr(mx, "set_cache_limit", None):
        set_cache_limit(CACHE_LIMIT_BYTES)
    try:
        network = load_model(str(folder), dtype)
    except (ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
        raise EngineRefusal(
            "model_damaged",
            f"mlx-whisper cannot load {folder}: {error}",
            f"delete {folder} and fetch the model again",
        ) from error
    network.set_dtype(dtype)
    mx.eval(network.parameters())
    return MlxModel(setup.model or DEFAULT_MODEL["mlx"], network, device)


def give_caches_back() -> None:
    """Between jobs. `mx.clear_cache` is younger than some versions of MLX that work."""
    import mlx.core as mx

    if clear_cache := getattr(mx, "clear_cache", None):
        clear_cache()
