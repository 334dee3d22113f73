"""How many chunks the MLX transcriber decodes at once: as many as the memory holds, up to what is of use. Pure.

Runs in: worker.
"""

from typing import Protocol

from workers.mlx.beam_search import BEAMS

MOST_CHUNKS = 16
"""A GPU is busy with fewer; more would only put off the moment at which their text is there."""
MEMORY_SHARE = 0.5
"""Of what MLX may have; the aligner and the owner's own programs live in the rest."""
LOGITS_COPIES = 8
"""Of all beams' scores for the vocabulary, while a step is worked out and the next is on its way."""


class Dimensions(Protocol):
    """What an mlx_whisper.whisper.ModelDimensions tells about a model."""

    n_audio_ctx: int
    n_audio_state: int
    n_text_ctx: int
    n_text_state: int
    n_text_layer: int
    n_vocab: int


def bytes_a_chunk(dimensions: Dimensions, number_bytes: int) -> int:
    """What a chunk takes while it is decoded: mostly keys and values, of 30 s of audio and of what the beams say."""
    said = (BEAMS + 1) * dimensions.n_text_ctx // 2
    keys_and_values = 2 * dimensions.n_text_layer * (dimensions.n_audio_ctx + said) * dimensions.n_text_state
    encoded = dimensions.n_audio_ctx * dimensions.n_audio_state
    logits = LOGITS_COPIES * BEAMS * dimensions.n_vocab * 4
    return (keys_and_values + encoded) * number_bytes + logits


def chunks_that_fit(memory_bytes: int, weights_bytes: int, dimensions: Dimensions, number_bytes: int) -> int:
    """Chunks for one batch, at least one."""
    encoder_at_work = 2 * dimensions.n_audio_ctx * 4 * dimensions.n_audio_state * number_bytes
    left = memory_bytes * MEMORY_SHARE - weights_bytes - encoder_at_work
    return max(1, min(MOST_CHUNKS, int(left // bytes_a_chunk(dimensions, number_bytes))))
