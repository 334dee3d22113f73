"""When each word of a known text is said: WhisperX's forced alignment. The only file that names whisperx and torch.

Runs in: worker.

Of WhisperX we take the models, the trellis and the way through it (`whisperx.alignment`), letter by letter; words are
cut from our own text. Its `align()` on top of them splits sentences with NLTK, which it would download, and regroups
them with pandas, where text can get lost.
"""

import logging
import os
import pickle
import warnings
from collections import OrderedDict
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from io import StringIO
from typing import Any

import numpy as np
import structlog

from ipc.transcript import Segment, Word
from ipc.worker_messages import WorkerSetup
from workers.alignment_models import (
    AlignmentModel,
    DefaultModels,
    damaged,
    find_alignment_model,
    needs_model,
    no_alignment_model,
)
from workers.engine import SAMPLE_RATE, Audio, Downloading, EngineRefusal, Loaded
from workers.rough_words import Letter, mend, positions_of, rough_word
from workers.torch_bundles import BUNDLE_ADDRESS, bundle_file, checkpoints_folder, what_is_torn_in_bundle
from workers.word_times import WITHOUT_SPACES, split_words

log = structlog.get_logger()

MODELS_KEPT = 2
"""Languages whose models stay in memory."""
LONGEST_SECONDS = 45.0
"""Attention grows with the square of the sound: what is longer keeps its segment times."""
SHORTEST_SAMPLES = 400
"""The first window of wav2vec2."""
MOST_LIKELY_LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class Opened:
    """A model in memory."""

    found: AlignmentModel
    network: Any
    """Samples (1, n) → scores of each letter in each frame (1, frames, letters)."""
    letters: dict[str, int]
    """Letter → column; a space is `|`."""
    blank: int
    is_bundle: bool


class WhisperxAligner:
    """WhisperX's alignment on the CPU, also on a Mac: where Metal lacks something, PyTorch ends the process
    (https://github.com/pytorch/pytorch/issues/92222). Fails as `workers.engine.Aligner` says."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> Loaded:
        """Seconds for the import alone. Warms the model of `setup.language`; a missing default is no failure yet."""
        self.setup = setup
        self.downloading = downloading
        self.in_memory: OrderedDict[str, Opened] = OrderedDict()
        be_quiet_and_offline(setup.allow_download)

        import torch
        from whisperx import alignment

        logging.getLogger("whisperx").setLevel(logging.ERROR)
        if setup.threads > 0:
            torch.set_num_threads(setup.threads)
        self.torch: Any = torch
        self.whisperx: Any = alignment
        self.defaults = DefaultModels(alignment.DEFAULT_ALIGN_MODELS_TORCH, alignment.DEFAULT_ALIGN_MODELS_HF)
        name = self._warm(setup.language or MOST_LIKELY_LANGUAGE)
        return Loaded(
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
        words = [
            rough_word(word, [letters[place] for place in places if place in letters])
            for word, places in zip(cut, positions_of(cut, segment.text), strict=True)
        ]
        return mend(words, segment.start, segment.end, model.found.start_bias_seconds)

    def rest(self) -> None:
        """PyTorch gives CPU memory back by itself."""

    def _warm(self, language: str) -> str:
        """Opens and tries the model expected first; its name. One that was asked for by name must be there."""
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

    def _model_for(self, language: str) -> Opened:
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

    def _opened(self, name: str) -> Opened:
        """From memory, else from disk, else fetched if allowed. Raises EngineRefusal as `find_alignment_model`."""
        if name not in self.in_memory:
            found = find_alignment_model(name, self.defaults, self.setup.allow_download, self.downloading)
            opened = self._open(found)
            while len(self.in_memory) >= MODELS_KEPT:
                self.in_memory.popitem(last=False)
            self.in_memory[name] = opened
        self.in_memory.move_to_end(name)
        return self.in_memory[name]

    def _open(self, found: AlignmentModel) -> Opened:
        if found.folder is None:
            self._fetch_bundle(found.name)
        language = next(iter(found.languages or {MOST_LIKELY_LANGUAGE}))
        try:
            # It prints its errors, and a worker's standard output is nobody's.
            with redirect_stdout(StringIO()):
                network, about = self.whisperx.load_align_model(language, "cpu", str(found.folder or found.name))
        except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
            raise damaged(found.folder or checkpoints_folder(), str(error)) from error
        letters: dict[str, int] = about["dictionary"]
        blank = next((letters[name] for name in ("[pad]", "<pad>") if name in letters), 0)
        return Opened(found, network.eval(), letters, blank, is_bundle=found.folder is None)

    def _fetch_bundle(self, name: str) -> None:
        """Makes sure that torchaudio finds a bundle's weights on disk. Raises EngineRefusal `needs_model`."""
        file = bundle_file(name)
        if file.is_file():
            return
        if not self.setup.allow_download:
            raise needs_model(name)
        from workers.file_download import fetch_file

        try:
            fetch_file(
                BUNDLE_ADDRESS + file.name,
                file,
                0,
                lambda name, done, total: self.downloading(),
                lambda part: what_is_torn_in_bundle(part, self.downloading, deep=True),
            )
        except EngineRefusal as refusal:
            raise needs_model(name, f": {refusal.message}") from refusal

    def _letter_scores(self, model: Opened, audio: Audio) -> Any:
        """Log probability of each letter in each frame, a tensor (frames, letters)."""
        samples = np.pad(audio, (0, max(SHORTEST_SAMPLES - len(audio), 0)))
        with self.torch.inference_mode():
            answer = model.network(self.torch.from_numpy(samples).unsqueeze(0))
            scores = answer[0] if model.is_bundle else answer.logits
            return self.torch.log_softmax(scores, dim=-1)[0]

    def _time_letters(self, model: Opened, segment: Segment, audio: Audio, language: str) -> dict[int, Letter]:
        """Position in the text → when that character is heard; empty if no way leads through the sound.

        The same as `whisperx.alignment.align` does: a character without a letter of its own matches whatever is said.
        """
        positions, symbols = spoken_symbols(segment.text, language)
        columns = [model.letters.get(symbol, model.blank) for symbol in symbols]
        scores = self._letter_scores(model, audio)
        frames, width = scores.shape
        if not columns or len(columns) > frames:
            return {}
        with self.torch.inference_mode():
            heard = self.torch.arange(width) != model.blank
            anything = scores[:, heard].max(dim=1, keepdim=True).values
            scores = self.torch.cat([scores, anything], dim=1)
            tokens = [width if column == model.blank else column for column in columns]
            trellis = self.whisperx.get_trellis(scores, self.torch.tensor(tokens), model.blank)
            path = self.whisperx.backtrack(trellis, scores, tokens, model.blank)
        if path is None:
            return {}
        frame_seconds = len(audio) / SAMPLE_RATE / frames
        return {
            position: Letter(
                start=segment.start + found.start * frame_seconds,
                end=segment.start + found.end * frame_seconds,
                score=found.score,
                known=token != width,
            )
            for position, token, found in zip(
                positions, tokens, self.whisperx.merge_repeats(path, symbols), strict=True
            )
        }


def spoken_symbols(text: str, language: str) -> tuple[list[int], list[str]]:
    """Where the characters to be found stand in the text, and how a model's dictionary spells them."""
    between = "" if language in WITHOUT_SPACES else "|"
    first, last = len(text) - len(text.lstrip()), len(text.rstrip())
    spelt = [(place, between if text[place].isspace() else text[place].lower()) for place in range(first, last)]
    return [place for place, symbol in spelt if symbol], [symbol for _, symbol in spelt if symbol]


def be_quiet_and_offline(may_download: bool) -> None:
    """Before the libraries are imported: they read these at import."""
    warnings.filterwarnings("ignore", module=r"torch|torchaudio|transformers|whisperx|pyannote")
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # A pickle from the network may hold code; weights alone cannot.
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    if not may_download:
        os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
