"""How many chunks of which model fit into which memory."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from workers.mlx.batch_decoder import MEMORY_SHARE, MOST_CHUNKS, bytes_a_chunk, chunks_that_fit

GB = 10**9


@dataclass
class Model:
    """The sizes of a published model."""

    n_text_layer: int
    n_audio_state: int
    n_vocab: int = 51866
    n_audio_ctx: int = 1500
    n_text_ctx: int = 448

    @property
    def n_text_state(self) -> int:
        return self.n_audio_state


TINY, TURBO, LARGE = Model(4, 384), Model(4, 1280), Model(32, 1280)


def test_a_small_model_is_given_all_that_is_of_use_and_a_large_one_what_the_memory_holds() -> None:
    assert chunks_that_fit(16 * GB, GB // 6, TINY, 4) == MOST_CHUNKS
    assert chunks_that_fit(11 * GB, 16 * GB // 10, TURBO, 2) == MOST_CHUNKS
    assert 4 <= chunks_that_fit(11 * GB, 31 * GB // 10, LARGE, 2) < MOST_CHUNKS
    assert chunks_that_fit(48 * GB, 31 * GB // 10, LARGE, 2) == MOST_CHUNKS


def test_a_model_that_hardly_fits_is_given_one_chunk() -> None:
    assert chunks_that_fit(5 * GB, 31 * GB // 10, LARGE, 2) == 1


@given(st.integers(GB, 200 * GB), st.integers(0, 10 * GB), st.sampled_from([TINY, TURBO, LARGE]))
def test_a_batch_of_several_stays_within_the_share(memory: int, weights: int, model: Model) -> None:
    chunks = chunks_that_fit(memory, weights, model, 2)
    assert 1 <= chunks <= MOST_CHUNKS
    assert chunks == 1 or weights + chunks * bytes_a_chunk(model, 2) <= MEMORY_SHARE * memory
