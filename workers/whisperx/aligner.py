"""The times of the words of a known text: WhisperX's forced alignment.

Runs in: worker.

From WhisperX we take the models, the letter scores and the CTC path through them; words are cut from our own text.
Its `align()` splits sentences with NLTK, which it would download, and regroups them with pandas, which can lose text;
its imports take three times as long as torch's. Tests compare words and times with it.
"""

import os
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from config.model_names import ALIGNMENT_BUNDLES, ALIGNMENT_HUB_IDS
from ipc.transcript import Segment, Word
from ipc.worker_messages import WorkerSetup
from workers.engine import SAMPLE_RATE, Audio, Downloading, EngineRefusal, LoadedEngine
from workers.models.find_aligner import (
    AlignmentModel,
    DefaultModels,
    damaged,
    find_alignment_model,
    needs_model,
    no_alignment_model,
)
from workers.models.torch_bundles import bundle_file, fetch_bundle
from workers.speech.loudness import at_usual_loudness
from workers.text.word_edges import AROUND_LETTERS, Core, words_at_the_sound
from workers.text.word_repair import Letter, doubted, fill_gaps, positions_of, rough_word
from workers.text.word_times import WITHOUT_SPACES, split_words
from workers.wav2vec2.ctc_path import Scores, align_letters
from workers.wav2vec2.precision import network_of
from workers.wav2vec2.weights import blank_of, read_bundle, read_folder
from workers.whisperx.lanes import lanes_for

log = structlog.get_logger()

MODELS_KEPT = 2
"""The number of models that stay in memory."""
LONGEST_SECONDS = 45.0
"""Attention grows with the square of the length: longer segments keep their segment times."""
SHORTEST_SAMPLES = 400
"""The first window of wav2vec2."""
MOST_LIKELY_LANGUAGE = "en"
LEAST_BELIEVED_SCORE = 0.3
"""The average score of a segment's words; below it, the text does not match the sound, or the sound is inaudible.

Measured with the starter, segments of `tiny.en`: 1 of 48 of five minutes of English (the text of that one is wrong),
0 of 24 synthetic and 0 of 9 far-field ones are below; English softer by 60 dB in 16 bit: 2 of 48. With the words of
another segment: 9 of 12 and a quarter of 48; on hum, hiss, music and rumble: 10 of 12. Without loudness
normalisation, speech 40 dB softer has a median of 0.03, and its starts were 0.7 to 1.4 s off."""


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """A model in memory."""

    found: AlignmentModel
    network: Callable[[Any], Any]
    """Samples (n,) → log probability of each letter in each frame (frames, letters), tensors."""
    letters: Mapping[str, int]
    """Letter → column; a space is `|`."""
    blank: int


class WhisperxAligner:
    """WhisperX's alignment on the CPU, also on a Mac: if Metal lacks an operation, PyTorch aborts the process
    (https://github.com/pytorch/pytorch/issues/92222). Raises as `workers.engine.Aligner`."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        """Warms up the model of `setup.language`; a missing default model is not an error yet."""
        self.setup = setup
        self.downloading = downloading
        self.in_memory: OrderedDict[str, OpenedModel] = OrderedDict()
        configure_libraries(setup.allow_download)

        import torch

        if setup.threads > 0:
            torch.set_num_threads(setup.threads)
        self.lanes = lanes_for(setup.threads, "cpu")
        # PyTorch's thread limit is per thread.
        self.pool = ThreadPoolExecutor(self.lanes.count, "lane", torch.set_num_threads, (self.lanes.threads,))
        self.torch: Any = torch
        self.defaults = DefaultModels(ALIGNMENT_BUNDLES, ALIGNMENT_HUB_IDS)
        name = self._warm(setup.language or MOST_LIKELY_LANGUAGE)
        return LoadedEngine(
            model=name, device="cpu", versions={package: version(package) for package in ("whisperx", "torch")}
        )

    def check(self, language: str) -> None:
        self._model_for(language)

    def align(self, audio: Audio, segment: Segment, language: str) -> tuple[Word, ...]:
        model = self._model_for(language)
        cut = split_words(segment.text, language)
        if not cut or not 0 < len(audio) <= LONGEST_SECONDS * SAMPLE_RATE or not np.isfinite(audio).all():
            return ()
        letters = self._time_letters(model, segment, audio, language)
        spelt = [
            [letters[place] for place in places if place in letters] for places in positions_of(cut, segment.text)
        ]
        words = [rough_word(word, spelling) for word, spelling in zip(cut, spelt, strict=True)]
        timed = fill_gaps(words, segment.start, segment.end, model.found.start_bias_seconds)
        cores = [core_of(spelling) for spelling in spelt]
        placed = words_at_the_sound(timed, cores, audio, segment, AROUND_LETTERS) if timed else ()
        return doubted(placed, LEAST_BELIEVED_SCORE)

    def side_by_side(self, work: Callable[..., Any], *many: Sequence[Any]) -> Iterable[Any]:
        """Runs in parallel lanes; a single segment runs on the main thread with all threads."""
        alone = self.lanes.count == 1 or len(many[0]) == 1
        return map(work, *many) if alone else self.pool.map(work, *many)

    def rest(self) -> None:
        """PyTorch frees CPU memory automatically."""

    def _warm(self, language: str) -> str:
        """Opens and tries the default model; returns its name. A model requested by name must be there."""
        name = self.setup.model or self.defaults.name_for(language) or "none"
        try:
            model = self._opened(name)
        except EngineRefusal as refusal:
            if self.setup.model is not None:
                raise
            log.info("alignment_model_missing", language=language, model=name, code=refusal.code)
            return name
        self._letter_scores(model, np.zeros(SAMPLE_RATE, np.float32))
        return model.found.name

    def _model_for(self, language: str) -> OpenedModel:
        """Raises EngineRefusal `no_alignment_model:xx`."""
        name = self.setup.model or self.defaults.name_for(language)
        if name is None:
            raise no_alignment_model(language, "WhisperX has no model for it")
        try:
            model = self._opened(name)
        except EngineRefusal as refusal:
            raise no_alignment_model(language, refusal.message) from refusal
        if not model.found.suits(language):
            raise no_alignment_model(language, f"the model {name} does not know it")
        return model

    def _opened(self, name: str) -> OpenedModel:
        """From memory, else from disk, else downloaded if allowed. Raises EngineRefusal as `find_alignment_model`."""
        if name not in self.in_memory:
            found = find_alignment_model(name, self.defaults, self.setup.allow_download, self.downloading)
            opened = self._open(found)
            while len(self.in_memory) >= MODELS_KEPT:
                self.in_memory.popitem(last=False)
            self.in_memory[name] = opened
        self.in_memory.move_to_end(name)
        return self.in_memory[name]

    def _open(self, found: AlignmentModel) -> OpenedModel:
        if found.folder is None:
            self._fetch_bundle(found.name)
        where = found.folder or bundle_file(found.name)
        try:
            model = read_folder(where) if found.folder is not None else read_bundle(found.name, where)
            if model is None:
                return open_as_whisperx(found, where)
            return OpenedModel(found, network_of(model, found.name), model.letters, model.blank)
        except KeyError as error:
            raise damaged(where, f"it lacks {error}") from error
        except (OSError, EOFError, RuntimeError, ValueError, TypeError, pickle.UnpicklingError) as error:
            raise damaged(where, str(error)) from error

    def _fetch_bundle(self, name: str) -> None:
        """Ensures that torchaudio finds a bundle's weights on disk. Raises EngineRefusal `needs_model`."""
        if bundle_file(name).is_file():
            return
        if not self.setup.allow_download:
            raise needs_model(name)
        try:
            fetch_bundle(name, lambda *how_far: self.downloading())
        except EngineRefusal as refusal:
            raise needs_model(name, f": {refusal.message}") from refusal

    def _letter_scores(self, model: OpenedModel, audio: Audio) -> Scores:
        samples = np.pad(at_usual_loudness(audio), (0, max(SHORTEST_SAMPLES - len(audio), 0)))
        scores: Scores = model.network(self.torch.from_numpy(samples)).numpy()
        return scores

    def _time_letters(self, model: OpenedModel, segment: Segment, audio: Audio, language: str) -> dict[int, Letter]:
        """Position in the text → the time of that character; empty if there is no path through the sound.

        As in `whisperx.alignment.align`: a character that the model lacks matches any sound.
        """
        positions, symbols = spoken_symbols(segment.text, language)
        scores = self._letter_scores(model, audio)
        frames, unknown = scores.shape
        columns = [model.letters.get(symbol, unknown) for symbol in symbols]
        anything = np.delete(scores, model.blank, axis=1).max(axis=1, keepdims=True)
        segments = align_letters(np.concatenate([scores, anything], axis=1), columns, model.blank)
        if segments is None:
            return {}
        frame_seconds = len(audio) / SAMPLE_RATE / frames
        starts = segment.start + segments.first_frames * frame_seconds
        ends = segment.start + segments.end_frames * frame_seconds
        return {
            position: Letter(start, end, score, known=column not in (unknown, model.blank))
            for position, column, start, end, score in zip(
                positions, columns, starts.tolist(), ends.tolist(), segments.scores.tolist(), strict=True
            )
        }


def open_as_whisperx(found: AlignmentModel, folder: Path) -> OpenedModel:
    """For models that `wav2vec2.network` does not support (adapters, other activations), with all of WhisperX's
    imports."""
    import torch
    from whisperx.alignment import load_align_model

    language = next(iter(found.languages or {MOST_LIKELY_LANGUAGE}))
    # It prints its errors, and a worker's stdout is not read.
    with redirect_stdout(StringIO()):
        network, about = load_align_model(language, "cpu", str(folder))
    network.eval()
    log.info("alignment_model_opened_as_whisperx", model=found.name)

    def scores(samples: Any) -> Any:
        with torch.inference_mode():
            return torch.log_softmax(network(samples.unsqueeze(0)).logits[0], dim=-1)

    return OpenedModel(found, scores, about["dictionary"], blank_of(about["dictionary"]))


def spoken_symbols(text: str, language: str) -> tuple[list[int], list[str]]:
    """The positions of the characters to align, and their symbols in a model's dictionary."""
    between = "" if language in WITHOUT_SPACES else "|"
    first, last = len(text) - len(text.lstrip()), len(text.rstrip())
    spelt = [(place, between if text[place].isspace() else text[place].lower()) for place in range(first, last)]
    return [place for place, symbol in spelt if symbol], [symbol for _, symbol in spelt if symbol]


def core_of(letters: Sequence[Letter]) -> Core | None:
    """From the first aligned letter to the last one; None: there is none."""
    times = tuple(letter.start for letter in letters)
    return Core(times[0], times[-1], times) if times else None


def configure_libraries(may_download: bool) -> None:
    """Sets environment variables before the libraries are imported: they read them at import."""
    warnings.filterwarnings("ignore", module=r"torch|torchaudio|transformers|whisperx|pyannote")
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # A downloaded pickle may contain code; plain weights cannot.
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    if not may_download:
        os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
