"""Beam search for all chunks of a batch together: which beams continue, and which texts are finished.

Runs in: worker, on its main thread.

The network's side of a step is a few operations on the device, which are not read back; the texts are assembled on
this side, a step behind. As in CTranslate2, so that both engines give the same text:
https://github.com/OpenNMT/CTranslate2/blob/master/src/decoding.cc, `BeamSearch::search`, with length penalty 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from workers.text.decode_quality import BEAM_SIZE, PATIENCE

ENOUGH_TEXTS = round(BEAM_SIZE * PATIENCE)
"""The number of finished texts from which the best is taken."""
CANDIDATES = 2 * BEAM_SIZE
"""Candidates of each step: every beam may end, and as many are left to continue."""
BLOCK = 256
"""Tokens of the vocabulary that are compared at a time."""


@dataclass(frozen=True, slots=True)
class BeamStep:
    """The best continuations of each row, the best first: (rows, CANDIDATES) each."""

    tokens: Any
    parents: Any
    """The beams that they continue."""
    scores: Any
    """The log probability of the beam's text so far."""

    def kept(self, rows: Any) -> "BeamStep":
        return BeamStep(self.tokens[rows], self.parents[rows], self.scores[rows])


def first_scores(rows: int) -> Any:
    """(rows, BEAM_SIZE): at first all beams are equal, so only one counts."""
    import mlx.core as mx

    return mx.broadcast_to(mx.array([0.0] + [-mx.inf] * (BEAM_SIZE - 1)), (rows, BEAM_SIZE))


def best_step(logits: Any, scores: Any) -> BeamStep:
    """Logits (rows, BEAM_SIZE, vocabulary) and the scores so far (rows, BEAM_SIZE) → the best continuations."""
    import mlx.core as mx

    rows = len(scores)
    best, tokens = best_tokens(logits, CANDIDATES)
    totals = scores[:, :, None] + best - mx.logsumexp(logits, axis=2, keepdims=True)
    order = mx.argsort(-totals.reshape(rows, -1), axis=1)[:, :CANDIDATES]
    return BeamStep(
        tokens=mx.take_along_axis(tokens.reshape(rows, -1), order, axis=1).astype(mx.int32),
        parents=(order // CANDIDATES).astype(mx.int32),
        scores=mx.take_along_axis(totals.reshape(rows, -1), order, axis=1),
    )


def best_tokens(logits: Any, count: int) -> tuple[Any, Any]:
    """(…, vocabulary) → its `count` highest (…, count), the highest first, and which tokens they are.

    The highest are in the blocks with the highest maxima: only those are sorted, not the whole vocabulary.
    """
    import mlx.core as mx

    *outer, vocabulary = logits.shape
    missing = -vocabulary % BLOCK
    padded = mx.pad(logits, [(0, 0)] * len(outer) + [(0, missing)], constant_values=-mx.inf)
    blocks = padded.reshape(*outer, -1, BLOCK)
    highest = mx.argsort(-blocks.max(axis=-1), axis=-1)[..., :count]
    candidates = mx.take_along_axis(blocks, highest[..., None], axis=-2).flatten(len(outer))
    order = mx.argsort(-candidates, axis=-1)[..., :count]
    tokens = mx.take_along_axis(highest, order // BLOCK, axis=-1) * BLOCK + order % BLOCK
    return mx.take_along_axis(candidates, order, axis=-1), tokens


def continuing(step: BeamStep, end_of_text: int) -> BeamStep:
    """Of each row the best BEAM_SIZE that have not ended, (rows, BEAM_SIZE) each."""
    import mlx.core as mx

    places = mx.arange(CANDIDATES)
    order = mx.argsort(places + mx.where(step.tokens == end_of_text, CANDIDATES, 0), axis=1)[:, :BEAM_SIZE]
    return BeamStep(*(mx.take_along_axis(part, order, axis=1) for part in (step.tokens, step.parents, step.scores)))


@dataclass(slots=True)
class Texts:
    """The beams' texts of one chunk, and which of them are finished."""

    no_speech_prob: float = 0.0
    beams: list[tuple[int, ...]] = field(default_factory=lambda: [()] * BEAM_SIZE)
    finished: list[tuple[tuple[int, ...], float]] = field(default_factory=list)
    """Tokens without the end-of-text token, and their log probability with it."""

    def take(self, step: Sequence[tuple[int, int, float]], end_of_text: int, is_last: bool) -> bool:
        """The best continuations, as token, parent and score, best first → whether the search is over."""
        further: list[tuple[int, ...]] = []
        for place, (token, parent, score) in enumerate(step):
            ended = token == end_of_text
            said = self.beams[parent] if ended else (*self.beams[parent], token)
            if place < BEAM_SIZE and (ended or is_last) and score > float("-inf"):
                self.finished.append((said, score))
            if not ended and len(further) < BEAM_SIZE:
                further.append(said)
        self.beams = further
        return is_last or len(self.finished) >= ENOUGH_TEXTS

    def best(self) -> tuple[tuple[int, ...], float]:
        """The text with the highest probability per token, and its log probability."""
        return max(self.finished, key=lambda text: text[1] / max(len(text[0]), 1), default=((), 0.0))
