"""In which precision a network is run: the quickest that hears the same letters in a sentence as full precision does.

Runs in: worker. Imports torch when a network is built.
"""

import time
import wave
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from workers.wav2vec2.network import LetterNetwork
from workers.wav2vec2.quantized_linear import MatrixKind, exact, flags_of_cpu, reduced_kinds
from workers.wav2vec2.weights import LetterModel

log = structlog.get_logger()

CHECK_SOUND = Path(__file__).parent / "check_sound.wav"
"""A second of our own recording `talk`: 16 kHz, mono, 16 bits."""
WARM_UP_SAMPLES = 3_200
LEAST_WEIGHTS = 20_000_000
"""The starter has 5 million: its few, small products are no quicker in eight bits, measured."""
QUICK_ENOUGH = 0.85
"""Of the time of full precision; for less than that no digits should be given up."""
TIMED_AT_MOST = 3
"""Where only the time speaks against a precision: other programs had moments too."""
SURE = 0.9
"""Probability from which a letter must stay the best of its frame."""
MOST_MOVED = 0.05
"""Probability that may move from some letters to others, mean of all frames; the starter in eight bits: 0.02."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a network on the check sound."""

    scores: Any
    """Log probabilities (frames, letters), a float32 tensor."""
    seconds: float
    """Of the calling thread on a processor. Time on the wall would count other programs, and the processor time of
    all threads how long they spin while they wait for work."""

    def or_sooner(self, again: "Trial") -> "Trial":
        """The same network's, timed twice."""
        return replace(self, seconds=min(self.seconds, again.seconds))


def network_of(model: LetterModel, name: str) -> LetterNetwork:
    """The network to use, alone in memory. Raises as LetterNetwork."""
    import torch

    if sum(tensor.numel() for tensor in model.weights.values()) >= LEAST_WEIGHTS:
        kinds = reduced_kinds(flags_of_cpu(), torch.backends.quantized.supported_engines)
        if network := reduced_network(model, name, kinds):
            return network
    # Weights mapped from a file on a disk that goes away would end the process: these are copied.
    in_memory = {key: tensor.clone() for key, tensor in model.weights.items()}
    return LetterNetwork(model.architecture, in_memory, exact)


def reduced_network(model: LetterModel, name: str, kinds: Mapping[str, MatrixKind]) -> LetterNetwork | None:
    """The first that is quick and hears the same; None: there is none."""
    # One small tensor that is still a piece of the mapped file keeps all of it mapped.
    weights = {key: tensor.clone() if tensor.dim() == 1 else tensor for key, tensor in model.weights.items()}

    def full_again() -> Trial:
        """The full one reads its weights from the mapped file, and is gone before the first job."""
        return tried(LetterNetwork(model.architecture, weights, exact))

    full: Trial | None = None
    for precision, kind in kinds.items():
        full = full or full_again()
        network = LetterNetwork(model.architecture, weights, kind)
        full, trial = timed_fairly(full, tried(network), full_again, partial(tried, network))
        chosen = is_as_good(full, trial)
        log.info(
            "alignment_precision_tried",
            model=name,
            precision=precision,
            chosen=chosen,
            probability_moved=round(probability_moved(full.scores, trial.scores), 4),
            of_full_time=round(trial.seconds / full.seconds, 2),
        )
        if chosen:
            return network
    return None


def timed_fairly(
    full: Trial, reduced: Trial, full_again: Callable[[], Trial], reduced_again: Callable[[], Trial]
) -> tuple[Trial, Trial]:
    """Both at their quickest, timed again where that may change the verdict: it holds until the next start."""
    for _ in range(1, TIMED_AT_MOST):
        if is_quicker(full, reduced) or not hears_the_same(full, reduced):
            break
        full, reduced = full.or_sooner(full_again()), reduced.or_sooner(reduced_again())
    return full, reduced


def is_as_good(full: Trial, reduced: Trial) -> bool:
    return is_quicker(full, reduced) and hears_the_same(full, reduced)


def is_quicker(full: Trial, reduced: Trial) -> bool:
    """Clearly."""
    return reduced.seconds <= QUICK_ENOUGH * full.seconds


def hears_the_same(full: Trial, reduced: Trial) -> bool:
    return probability_moved(full.scores, reduced.scores) <= MOST_MOVED and same_where_sure(
        full.scores, reduced.scores
    )


def tried(network: LetterNetwork) -> Trial:
    """On the check sound, after a stretch of it that brings code and weights into memory."""
    sound = check_sound()
    network(sound[:WARM_UP_SAMPLES])
    started = time.thread_time()
    scores = network(sound)
    return Trial(scores, time.thread_time() - started)


def probability_moved(full: Any, reduced: Any) -> float:
    """From 0, all the same, to 1, nothing in common; mean of all frames. NaN if there is one in the scores."""
    return float((full.exp() - reduced.exp()).abs().sum(dim=1).mean()) / 2


def same_where_sure(full: Any, reduced: Any) -> bool:
    """Whether each frame's best letter stays, where it has next to no rival."""
    sure = full.amax(dim=1).exp() >= SURE
    return bool((full.argmax(dim=1) == reduced.argmax(dim=1))[sure].all())


def check_sound() -> Any:
    """Samples from -1 to 1, a float32 tensor (n,)."""
    import torch

    with wave.open(str(CHECK_SOUND)) as sound:
        samples = bytearray(sound.readframes(sound.getnframes()))
    return torch.frombuffer(samples, dtype=torch.int16).float() / 32768
