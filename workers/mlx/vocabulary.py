"""Whisper's vocabulary as the processor multiplies it fastest, in place of the layer of mlx-whisper's decoder.

Runs in: worker, on its main thread.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

BLOCK = 512
"""Tokens: a megabyte of a small model, which stays in the cache while all rows are multiplied with it."""


@dataclass(frozen=True, slots=True)
class TurnedVocabulary:
    """Tokens → vectors, and vectors → scores of all tokens, as `mlx.nn.Embedding`."""

    blocks: Any
    """(blocks, state, BLOCK); behind the last token zeros."""
    size: int
    streams: Sequence[Any]
    """Each multiplies with its share of the blocks."""

    @classmethod
    def of(cls, weight: Any, streams: Sequence[Any]) -> "TurnedVocabulary":
        """`weight` is (tokens, state)."""
        import mlx.core as mx

        size, state = weight.shape
        filled = mx.pad(weight, [(0, -size % BLOCK), (0, 0)])
        blocks = mx.contiguous(filled.reshape(-1, BLOCK, state).swapaxes(1, 2))
        mx.eval(blocks)
        return cls(blocks, size, streams)

    def __call__(self, tokens: Any) -> Any:
        return self.blocks[tokens // BLOCK, :, tokens % BLOCK]

    def as_linear(self, x: Any) -> Any:
        """(…, state) → (…, tokens)."""
        import mlx.core as mx

        rows = x.reshape(1, -1, x.shape[-1])
        share = -(-len(self.blocks) // len(self.streams))
        scores = []
        for n, stream in enumerate(self.streams):
            with mx.stream(stream):
                scores.append((rows @ self.blocks[n * share : (n + 1) * share]).swapaxes(0, 1))
        return mx.concatenate(scores, axis=1).reshape(*x.shape[:-1], -1)[..., : self.size]
