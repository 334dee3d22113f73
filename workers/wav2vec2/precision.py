"""The precision of a network: the quickest one that gives the same letters in a sentence as full precision.

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

from workers.wav2vec2.network import CtcNetwork
from workers.wav2vec2.quantized_linear import MatrixKind, exact, flags_of_cpu, reduced_kinds
from workers.wav2vec2.weights import CtcModel

log = structlog.get_logger()

CHECK_SOUND = Path(__file__).parent / "check_sound.wav"
"""A second of our own recording `talk`: 16 kHz, mono, 16 bits."""
WARM_UP_SAMPLES = 3_200
LEAST_WEIGHTS = 20_000_000
"""The starter has 5 million: its few, small products are no quicker in eight bits (measured)."""
QUICK_ENOUGH = 0.85
"""Share of full precision's time; a smaller gain is not worth the lost digits."""
TIMED_AT_MOST = 3
"""Attempts if only the time speaks against a precision: another program may have disturbed it."""
SURE = 0.9
"""A letter above this probability must stay the best of its frame."""
MOST_MOVED = 0.05
"""Probability mass that may move between letters, mean of all frames; the starter in eight bits: 0.02."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of a network on the check sound."""

    scores: Any
    """Log probabilities (frames, letters), a float32 tensor."""
    seconds: float
    """Processor time of the calling thread. Wall time would include other programs, and the time of all threads their
    busy-waiting."""

    def or_sooner(self, again: "Trial") -> "Trial":
        """The quicker one of two trials of the same network."""
        return replace(self, seconds=min(self.seconds, again.seconds))


def network_of(model: CtcModel, name: str) -> CtcNetwork:
    """The network to use, alone in memory. Raises as CtcNetwork."""
    import torch

    if sum(tensor.numel() for tensor in model.weights.values()) >= LEAST_WEIGHTS:
        kinds = reduced_kinds(flags_of_cpu(), torch.backends.quantized.supported_engines)
        if network := reduced_network(model, name, kinds):
            return network
    # Weights mapped from a disk that goes away would be SIGBUS: these are copied.
    in_memory = {key: tensor.clone() for key, tensor in model.weights.items()}
    return CtcNetwork(model.architecture, in_memory, exact)


def reduced_network(model: CtcModel, name: str, kinds: Mapping[str, MatrixKind]) -> CtcNetwork | None:
    """The first kind that is quicker and gives the same letters; None: there is none."""
    # One small tensor that still belongs to the mapped file keeps all of it mapped.
    weights = {key: tensor.clone() if tensor.dim() == 1 else tensor for key, tensor in model.weights.items()}

    def full_again() -> Trial:
        """The full-precision network reads its weights from the mapped file, and is freed before the first job."""
        return tried(CtcNetwork(model.architecture, weights, exact))

    full: Trial | None = None
    for precision, kind in kinds.items():
        full = full or full_again()
        network = CtcNetwork(model.architecture, weights, kind)
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
    """Both at their quickest, timed again if that may change the verdict, which holds until the next start."""
    for _ in range(1, TIMED_AT_MOST):
        if is_quicker(full, reduced) or not gives_the_same(full, reduced):
            break
        full, reduced = full.or_sooner(full_again()), reduced.or_sooner(reduced_again())
    return full, reduced


def is_as_good(full: Trial, reduced: Trial) -> bool:
    return is_quicker(full, reduced) and gives_the_same(full, reduced)


def is_quicker(full: Trial, reduced: Trial) -> bool:
    """Clearly."""
    return reduced.seconds <= QUICK_ENOUGH * full.seconds


def gives_the_same(full: Trial, reduced: Trial) -> bool:
    return probability_moved(full.scores, reduced.scores) <= MOST_MOVED and same_where_sure(
        full.scores, reduced.scores
    )


def tried(network: CtcNetwork) -> Trial:
    """Runs it on the check sound, after a part of it that loads code and weights into memory."""
    sound = check_sound()
    network(sound[:WARM_UP_SAMPLES])
    started = time.thread_time()
    scores = network(sound)
    return Trial(scores, time.thread_time() - started)


def probability_moved(full: Any, reduced: Any) -> float:
    """From 0, equal, to 1, nothing in common; mean of all frames. NaN if the scores contain one."""
    return float((full.exp() - reduced.exp()).abs().sum(dim=1).mean()) / 2


def same_where_sure(full: Any, reduced: Any) -> bool:
    """Whether each frame's best letter stays the same, if it was near certain."""
    sure = full.amax(dim=1).exp() >= SURE
    return bool((full.argmax(dim=1) == reduced.argmax(dim=1))[sure].all())


def check_sound() -> Any:
    """Samples from -1 to 1, a float32 tensor (n,)."""
    import torch

    with wave.open(str(CHECK_SOUND)) as sound:
        samples = bytearray(sound.readframes(sound.getnframes()))
    return torch.frombuffer(samples, dtype=torch.int16).float() / 32768
