"""A small network with random weights, as we run it and as mlx-whisper does; and batches that step together."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from workers.bare_package import import_bare
from workers.mlx_decoding import Decoding
from workers.mlx_network import ROOM_TOKENS, DecoderRows, encode
from workers.mlx_token_rules import token_rules
from workers.pulse import Cancelled

mx = pytest.importorskip("mlx.core")

VOCABULARY, TIMES, LONGEST = 60, 30, 100
TOKENIZER = SimpleNamespace(
    **dict.fromkeys(("transcribe", "translate", "sot_prev", "sot_lm", "no_speech", "no_timestamps"), 22),
    non_speech_tokens=(),
    sot=21,
    sot_sequence=(21,),
    timestamp_begin=TIMES,
    eot=20,
    decode=lambda tokens: " ".join(str(token) for token in tokens if token < 20),
)


@pytest.fixture(scope="module")
def network() -> Any:
    import_bare("mlx_whisper")
    from mlx.utils import tree_map
    from mlx_whisper.whisper import ModelDimensions, Whisper

    network = Whisper(ModelDimensions(8, 12, 16, 2, 2, VOCABULARY, 200, 16, 2, 2), mx.float32)
    mx.random.seed(1)
    network.update(tree_map(lambda a: mx.random.normal(a.shape) * 0.5, network.parameters()))
    mx.eval(network.parameters())
    return network


@pytest.fixture(scope="module")
def encoded(network: Any) -> Any:
    mx.random.seed(2)
    return network.encoder(mx.random.normal((6, 24, 8)))


@pytest.fixture(scope="module")
def decoding(network: Any) -> Decoding:
    return Decoding(network, TOKENIZER, token_rules(TOKENIZER, VOCABULARY))


def close(ours: Any, theirs: Any) -> bool:
    return np.allclose(np.array(ours), np.array(theirs), rtol=1e-3, atol=1e-3)


def test_the_encoder_and_the_decoder_say_what_mlx_whisper_says(network: Any, encoded: Any) -> None:
    mx.random.seed(2)
    mels, alive = mx.random.normal((6, 24, 8)), []
    assert close(encode(network, mels, lambda: alive.append(1)), encoded)
    assert len(alive) == 2
    tokens = mx.random.randint(0, VOCABULARY, (6, ROOM_TOKENS + 9))
    theirs = network.logits(tokens, encoded)
    rows = DecoderRows.listening(network, encoded)
    parts = [rows.read(tokens[:, :3]), *(rows.read(tokens[:, n : n + 1]) for n in range(3, tokens.shape[1]))]
    assert close(rows.logits(mx.concatenate(parts, axis=1)), theirs)
    rows.keep([4, 1])
    further = rows.read(tokens[:2, :1])
    whole = mx.concatenate([tokens[mx.array([4, 1])], tokens[:2, :1]], axis=1)
    assert close(rows.logits(further), network.logits(whole, encoded[mx.array([4, 1])])[:, -1:])


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_chunk_says_the_same_alone_and_in_company(decoding: Decoding, encoded: Any, temperature: float) -> None:
    together = decoding.run(encoded, temperature, LONGEST)
    alone = [decoding.run(encoded[n : n + 1], temperature, LONGEST)[0] for n in range(6)]
    assert [one.tokens for one in together] == [one.tokens for one in alone]
    assert close([one.avg_logprob for one in together], [one.avg_logprob for one in alone])


def test_rows_that_have_said_all_are_taken_out(
    decoding: Decoding, encoded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_read: list[int] = []
    read = DecoderRows.read
    monkeypatch.setattr(DecoderRows, "read", lambda self, tokens: rows_read.append(len(tokens)) or read(self, tokens))
    results = decoding.run(encoded, 0.8, LONGEST)
    longest = max(len(one.tokens) for one in results)
    assert len(rows_read) <= longest + 2, "one step for all rows, one after the last end of text"
    assert rows_read == sorted(rows_read, reverse=True)
    assert rows_read[-1] < rows_read[0]


def test_what_is_said_ends_at_the_limit_and_a_cancel_ends_it_at_once(decoding: Decoding, encoded: Any) -> None:
    assert max(len(one.tokens) for one in decoding.run(encoded, 0.8, 4)) == 4
    calls: list[int] = []

    def cancel_at_the_third() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        replace(decoding, alive=cancel_at_the_third).run(encoded, 0.0, LONGEST)


def test_what_is_said_fits_into_the_context_behind_a_long_prompt(decoding: Decoding, encoded: Any) -> None:
    prompted = replace(decoding, prompt=tuple(range(150)))
    [one] = prompted.run(encoded[:1], 0.0, 2 * LONGEST)
    assert len(one.tokens) == 200 - len(prompted.opening) + 1


def test_of_a_long_prompt_the_end_is_read(decoding: Decoding) -> None:
    def opening(prompt: Sequence[int]) -> list[int]:
        return replace(decoding, prompt=tuple(prompt)).opening

    assert opening(()) == [21]
    assert opening((1, 2)) == [22, 1, 2, 21]
    assert opening(range(150)) == [22, *range(150 - 99, 150), 21]
