"""A Whisper model in MLX with its tokenizer, shared by the MLX transcriber and the MLX aligner.

Runs in: worker. MLX is loaded and used on the worker's main thread only: its streams belong to their thread
(https://github.com/ml-explore/mlx/issues/3281).

mlx-whisper is imported without the other imports of its `__init__`.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from config.model_names import DEFAULT_MODEL
from ipc.worker_messages import WorkerSetup
from workers.engine import Audio, EngineRefusal, LoadedEngine
from workers.mlx.batch_decoder import chunks_that_fit
from workers.mlx.network import TurnedVocabulary, is_on_cpu
from workers.models.contents import MLX_WEIGHTS
from workers.models.find import find_model
from workers.out_of_memory import is_out_of_memory
from workers.speech.mel_window import SAMPLES_A_FRAME, WHOLE_WINDOW

WINDOW_SAMPLES = WHOLE_WINDOW * SAMPLES_A_FRAME
"""Whisper's window is 30 s."""
MOST_STREAMS = 4
"""Each keeps the working memory of one window."""
CACHE_LIMIT_BYTES = 512 * 1024 * 1024
"""MLX keeps freed buffers for each new shape; its own limit is too high for a long-lived worker."""


def import_bare(name: str) -> None:
    """Make `import name.module` cost what that module needs, not what `name/__init__.py` needs.

    A package already imported stays as it is. The bare package loads fully as soon as an attribute of it is read, so
    that no code in this process sees half a package. Raises ModuleNotFoundError.
    """
    if name in sys.modules:
        return
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    loader, package = spec.loader, module_from_spec(spec)

    def fill(attribute: str) -> Any:
        if attribute.startswith("__"):  # Python probes modules for dunder names without using them.
            raise AttributeError(attribute)
        if vars(package).pop("__getattr__", None) is not None:
            loader.exec_module(package)
        return getattr(package, attribute)

    vars(package)["__getattr__"] = fill
    sys.modules[name] = package


@dataclass(frozen=True, slots=True)
class MlxModel:
    """A loaded model; `network` is an mlx_whisper.whisper.Whisper."""

    name: str
    network: Any
    device: str
    """`metal`, `cuda` or `cpu`."""
    streams: tuple[Any, ...]
    """Streams that work in parallel. One keeps a GPU busy, or one core of the processor."""

    @property
    def half(self) -> bool:
        """GPUs compute in half precision; MLX's CPU backend would be slower with it."""
        return self.device != "cpu"

    @property
    def is_english_only(self) -> bool:
        """Distilled models share Whisper's multilingual vocabulary, but were trained on English."""
        return not self.network.is_multilingual or self.name.startswith("distil-")

    @property
    def is_pruned(self) -> bool:
        """Turbo and distilled models: their short decoder cannot translate."""
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

    def chunks_at_once(self) -> int:
        """The number of chunks in one batch that fit into the device's memory."""
        from mlx.utils import tree_reduce

        weights_bytes = tree_reduce(lambda total, array: total + array.nbytes, self.network.parameters(), 0)
        number_bytes = 2 if self.half else 4
        return chunks_that_fit(memory_bytes(self.device), weights_bytes, self.network.dims, number_bytes)

    def mel(self, audio: Audio, frames: int = WHOLE_WINDOW) -> Any:
        """(samples,), cut or followed by silence → mx.array (frames, mels) in the model's number format."""
        import mlx.core as mx
        from mlx_whisper.audio import log_mel_spectrogram

        samples = audio[: frames * SAMPLES_A_FRAME]
        window = np.pad(samples, (0, frames * SAMPLES_A_FRAME - len(samples))).astype(np.float32)
        spectrogram = log_mel_spectrogram(mx.array(window), self.network.dims.n_mels)
        return spectrogram.astype(mx.float16 if self.half else mx.float32)

    def loaded(self) -> LoadedEngine:
        return LoadedEngine(
            model=self.name,
            device=self.device,
            versions={package: version(package) for package in ("mlx", "mlx-whisper")},
        )


def load_mlx_model(setup: WorkerSetup, downloading: Callable[[], None]) -> MlxModel:
    """Find the model, load it onto the best device and bound MLX's caches.

    Raises EngineRefusal `needs_model`, `unknown_model`, `model_damaged`, `engine_missing`, `no_metal`.
    """
    folder = find_model(setup.model, "mlx", Path(setup.models_folder), setup.allow_download, downloading)
    try:
        import mlx.core as mx

        # mlx-whisper imports scipy and numba for word timing: two seconds for an aligner alone.
        import_bare("mlx_whisper")
        import mlx_whisper.whisper  # noqa: F401
    except ImportError as error:
        raise EngineRefusal(
            "engine_missing", f"MLX does not load here: {error}", "set WHISPER_BACKEND=whisperx"
        ) from error
    device = open_device()
    try:
        network = open_network(folder, mx.float32 if device == "cpu" else mx.float16)
    except (ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
        raise EngineRefusal(
            "model_damaged",
            f"mlx-whisper cannot load {folder}: {error}",
            f"delete {folder} and fetch the model again",
        ) from error
    streams = streams_for(device, setup.threads)
    if device == "cpu":
        turn_weights(network)
        turn_vocabulary(network, streams)
    return MlxModel(setup.model or DEFAULT_MODEL["mlx"], network, device, streams)


def open_device() -> str:
    """What MLX counts on, its cache bounded. Raises EngineRefusal `no_metal`.

    The first call that needs memory opens the GPU. Where a Mac has none for this session, MLX raises there: "No Metal
    device available. This typically occurs in headless, sandboxed, or virtualized macOS sessions".
    """
    import mlx.core as mx

    try:
        mx.set_cache_limit(CACHE_LIMIT_BYTES)
        return find_device()
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise EngineRefusal(
            "no_metal",
            f"MLX finds no GPU in this session: {error}",
            "run stenod on the Mac itself, with a user logged in, not in a virtual machine; "
            "or set WHISPER_BACKEND=whisperx and ALIGNMENT_BACKEND=whisperx",
        ) from error


def find_device() -> str:
    """MLX's device: `metal`, `cuda` or `cpu`."""
    import mlx.core as mx

    if is_on_cpu():
        return "cpu"
    return "metal" if mx.metal.is_available() else "cuda"


def streams_for(device: str, threads: int) -> tuple[Any, ...]:
    """One for each of `threads` threads (0: cores), up to MOST_STREAMS: on a CPU a stream computes in one thread."""
    import mlx.core as mx

    first = mx.default_stream(mx.default_device())
    if device != "cpu":
        return (first,)
    count = min(threads or os.cpu_count() or 1, MOST_STREAMS)
    return (first, *(mx.new_stream(mx.cpu) for _ in range(count - 1)))


def memory_bytes(device: str) -> int:
    """The memory that a program may use: on a Mac Metal's recommended working set, elsewhere all memory."""
    import mlx.core as mx

    facts = {} if device == "cpu" else mx.device_info()
    for fact in ("max_recommended_working_set_size", "total_memory"):
        if fact in facts:
            return int(facts[fact])
    return psutil.virtual_memory().total


def open_network(folder: Path, dtype: Any) -> Any:
    """The mlx_whisper.whisper.Whisper in a folder, in this number format.

    As `mlx_whisper.load_models.load_model`, which imports a hub client first. Raises any error of a damaged file.
    """
    import mlx.core as mx
    from mlx import nn
    from mlx.utils import tree_unflatten
    from mlx_whisper.whisper import ModelDimensions, Whisper

    config = json.loads((folder / "config.json").read_text())
    config.pop("model_type", None)
    quantization = config.pop("quantization", None)
    weights: Any = mx.load(str(next(folder / name for name in MLX_WEIGHTS if (folder / name).exists())))
    network = Whisper(ModelDimensions(**config), dtype)
    if quantization is not None:
        nn.quantize(network, **quantization, class_predicate=lambda path, _: f"{path}.scales" in weights)
    network.update(tree_unflatten(list(weights.items())))
    network.set_dtype(dtype)
    mx.eval(network.parameters())
    return network


def turn_weights(network: Any) -> None:
    """Stores matrices column by column, with the same shape: the BLAS in MLX's CPU wheels is then 2.7 × faster.

    Measured: 1500 × 384 by 384 × 384 at 1.8 GFLOP/s as mlx-whisper stores them, 5.0 this way.
    """
    import mlx.core as mx
    from mlx import nn

    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Embedding):  # quantized layers are neither
            module.weight = mx.contiguous(module.weight.T).T
            mx.eval(module.weight)


def turn_vocabulary(network: Any, streams: Sequence[Any]) -> None:
    """The same for the widest matrix, in blocks that fit into the processor's cache, distributed to the streams.

    Measured with base, 51,865 × 512: turned 5.6 GFLOP/s, in blocks 7.4, in each of the streams.
    """
    from mlx import nn

    embedding = network.decoder.token_embedding
    if isinstance(embedding, nn.Embedding):
        network.decoder.token_embedding = TurnedVocabulary.of(embedding.weight, streams)


def free_caches() -> None:
    """Frees MLX's caches, between jobs."""
    import mlx.core as mx

    mx.clear_cache()
