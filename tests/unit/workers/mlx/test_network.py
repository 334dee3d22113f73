"""A small network with random weights, as we run it and as mlx-whisper does; and batches that step together."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from workers.heartbeat import Cancelled
from workers.mlx.batch_decoder import BatchDecoding, DecodedTokens
from workers.mlx.model import import_bare
from workers.mlx.network import ROOM_STEPS, DecoderRows, TurnedVocabulary, encode
from workers.mlx.token_rules import token_rules
from workers.text.decode_quality import BEAM_SIZE

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
def mels() -> list[Any]:
    """Of windows of different lengths, as chunks have them."""
    mx.random.seed(2)
    return [mx.random.normal((frames, 8)) for frames in (24, 20, 24, 10, 16, 8)]


@pytest.fixture(scope="module")
def encoded(network: Any, mels: list[Any]) -> list[Any]:
    return encode(network, mels, [mx.default_stream(mx.default_device())] * len(mels), lambda: None)


@pytest.fixture(scope="module")
def decoding(network: Any) -> BatchDecoding:
    return BatchDecoding(network, TOKENIZER, token_rules(TOKENIZER, VOCABULARY))


@pytest.fixture(scope="module")
def brief(decoding: BatchDecoding) -> BatchDecoding:
    """Texts come to an end, some sooner than others."""
    end = mx.where(mx.arange(VOCABULARY) == TOKENIZER.eot, 1.0, 0.0)
    return replace(decoding, rules=replace(decoding.rules, never=decoding.rules.never + end))


def close(ours: Any, theirs: Any) -> bool:
    return np.allclose(np.array(ours), np.array(theirs), rtol=1e-3, atol=1e-3)


def search_by_the_book(
    decoding: BatchDecoding, encoded: Any, longest: int, beams: int
) -> tuple[tuple[int, ...], float, int]:
    """Beam search over whole texts, one chunk, without a cache: its text, its logarithmic probability, the steps."""
    rules, network = decoding.rules, decoding.network
    going: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    finished: list[tuple[tuple[int, ...], float]] = []
    steps = 0
    while len(finished) < beams and steps < longest:
        found = []
        for text, score in going:
            logits = network.logits(mx.array([[*decoding.opening, *text]]), encoded[None])[:, -1:]
            text_cache = rules.nothing_said(1, 1)
            for token in text:
                text_cache = text_cache.then(mx.array([[token]]), rules)
            open_logits = (rules.further(logits, text_cache) if text else rules.first(logits))[0, 0]
            logprobs = np.array(open_logits - mx.logsumexp(open_logits))
            found += [((*text, token), score + float(logprobs[token])) for token in range(VOCABULARY)]
        found.sort(key=lambda one: -one[1])
        steps += 1
        ended = {text for text, _ in found[: 2 * beams] if text[-1] == TOKENIZER.eot}
        finished += [(t[:-1] if t in ended else t, s) for t, s in found[:beams] if t in ended or steps == longest]
        going = [one for one in found[: 2 * beams] if one[0] not in ended][:beams]
    return *max(finished, key=lambda one: one[1] / len(one[0])), steps


def test_the_encoder_and_the_decoder_say_what_mlx_whisper_says(
    network: Any, mels: list[Any], encoded: list[Any]
) -> None:
    alive: list[int] = []
    streams = [mx.default_stream(mx.cpu), mx.new_stream(mx.cpu)]
    ours = mx.stack(encode(network, [mels[0], mels[2]], streams, lambda: alive.append(1)))
    theirs = network.encoder(mx.stack([mels[0], mels[2]]))
    assert close(ours, theirs)
    assert len(alive) == 2
    tokens = mx.random.randint(0, VOCABULARY, (6, ROOM_STEPS + 9))
    rows = DecoderRows.listening(network, encoded, beams=1)
    stay = mx.zeros((6, 1), mx.int32)
    parts = [rows.read(tokens[:, :3]), *(rows.append(tokens[:, n : n + 1], stay) for n in range(3, tokens.shape[1]))]
    text_cache = rows.logits(mx.concatenate(parts, axis=1))
    for row, sound in enumerate(encoded):
        assert close(text_cache[row], network.logits(tokens[row : row + 1], sound[None])[0])
    rows.keep(mx.array([4, 1]))
    further = rows.logits(rows.append(tokens[:2, :1], stay[:2]))
    for place, row in enumerate((4, 1)):
        whole = mx.concatenate([tokens[row], tokens[place, :1]])[None]
        assert close(further[place], network.logits(whole, encoded[row][None])[0, -1:])


@pytest.mark.parametrize("count", [1, 2])
def test_a_turned_vocabulary_gives_the_vectors_and_scores_of_the_layer_that_it_replaces(count: int) -> None:
    from mlx import nn

    layer = nn.Embedding(1300, 16)
    turned = TurnedVocabulary.of(layer.weight, [mx.new_stream(mx.cpu) for _ in range(count)])
    tokens = mx.array([[0, 511, 512], [1023, 1024, 1299]])
    vectors = layer(tokens)
    assert np.array_equal(np.array(turned(tokens)), np.array(vectors))
    assert close(turned.as_linear(vectors), layer.as_linear(vectors))
    assert turned.as_linear(vectors[0, 0]).shape == (1300,)


def test_beams_that_part_know_their_own_past_alone(network: Any, encoded: list[Any]) -> None:
    rows = DecoderRows.listening(network, encoded[:2], beams=3)
    rows.read(mx.array([[21, 5], [21, 5]]))
    rows.append(mx.array([[1, 2, 3], [4, 6, 7]]), mx.array([[0, 0, 0], [0, 1, 2]]))
    state = rows.append(mx.array([[8, 9, 1], [8, 9, 1]]), mx.array([[2, 2, 0], [1, 0, 0]]))
    pasts = [[[3, 8], [3, 9], [1, 1]], [[6, 8], [4, 9], [4, 1]]]
    for row, of_row in enumerate(pasts):
        for beam, past in enumerate(of_row):
            whole = network.logits(mx.array([[21, 5, *past]]), encoded[row][None])[0, -1]
            assert close(rows.logits(state[row, beam]), whole)


def test_the_search_finds_what_a_search_over_whole_texts_finds(decoding: BatchDecoding, encoded: list[Any]) -> None:
    for sound, one in zip(encoded, decoding.run(encoded, 12), strict=True):
        text, logprob, _ = search_by_the_book(decoding, sound, 12, BEAM_SIZE)
        assert one.tokens == text
        assert one.avg_logprob == pytest.approx(logprob / (len(text) + 1), abs=1e-4)


def test_several_beams_find_a_text_at_least_as_probable_as_one_beam_does(
    decoding: BatchDecoding, encoded: list[Any]
) -> None:
    better = 0
    for sound, one in zip(encoded, decoding.run(encoded, 12), strict=True):
        text, logprob, _ = search_by_the_book(decoding, sound, 12, 1)
        greedy = logprob / (len(text) + 1)
        assert one.avg_logprob >= greedy - 1e-4
        better += one.avg_logprob > greedy + 1e-4
    assert better


@pytest.mark.parametrize("which", ["decoding", "brief"])
def test_a_chunk_says_the_same_alone_and_in_company(
    which: str, encoded: list[Any], request: pytest.FixtureRequest
) -> None:
    decoding: BatchDecoding = request.getfixturevalue(which)
    together = decoding.run(encoded, LONGEST)
    alone = [decoding.run([sound], LONGEST)[0] for sound in encoded]
    assert [one.tokens for one in together] == [one.tokens for one in alone]
    assert close([one.avg_logprob for one in together], [one.avg_logprob for one in alone])
    assert close([one.no_speech_prob for one in together], [one.no_speech_prob for one in alone])


def test_rows_that_have_said_all_are_taken_out(
    brief: BatchDecoding, encoded: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_said: list[int] = []
    say = DecoderRows.append

    def counted(self: DecoderRows, tokens: Any, parents: Any) -> Any:
        rows_said.append(len(tokens))
        return say(self, tokens, parents)

    monkeypatch.setattr(DecoderRows, "append", counted)
    alone = []
    for sound in encoded:
        brief.run([sound], LONGEST)
        alone.append(len(rows_said))
        rows_said.clear()
    brief.run(encoded, LONGEST)
    assert len(rows_said) == max(alone), "as many steps as the longest takes"
    assert rows_said == sorted(rows_said, reverse=True)
    assert rows_said[-1] < rows_said[0]


def test_what_is_said_ends_at_the_limit_and_a_cancel_ends_it_at_once(
    decoding: BatchDecoding, encoded: list[Any]
) -> None:
    assert max(len(one.tokens) for one in decoding.run(encoded, 4)) == 4
    calls: list[int] = []

    def cancel_at_the_third() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        replace(decoding, alive=cancel_at_the_third).run(encoded, LONGEST)


def test_no_five_tokens_are_said_twice_where_echoes_are_forbidden(
    decoding: BatchDecoding, encoded: list[Any]
) -> None:
    def fives(texts: Sequence[DecodedTokens]) -> list[tuple[int, ...]]:
        return [one.tokens[n : n + 5] for one in texts for n in range(len(one.tokens) - 4)]

    strict = replace(decoding, rules=token_rules(TOKENIZER, VOCABULARY, longest_echo=5))
    for row, sound in enumerate(encoded):
        free, bound = decoding.run([sound], LONGEST), strict.run([sound], LONGEST)
        assert len(fives(bound)) == len(set(fives(bound)))
        if len(fives(free)) == len(set(fives(free))):
            assert bound[0].tokens == free[0].tokens, f"row {row} has no echo and may say what it likes"


def test_what_is_said_fits_into_the_context_behind_a_long_prompt(decoding: BatchDecoding, encoded: list[Any]) -> None:
    prompted = replace(decoding, prompt=tuple(range(150)))
    [one] = prompted.run(encoded[:1], 2 * LONGEST)
    assert len(one.tokens) <= 200 - len(prompted.opening) + 1


def test_of_a_long_prompt_the_end_is_read(decoding: BatchDecoding) -> None:
    def opening(prompt: Sequence[int]) -> list[int]:
        return replace(decoding, prompt=tuple(prompt)).opening

    assert opening(()) == [21]
    assert opening((1, 2)) == [22, 1, 2, 21]
    assert opening(range(150)) == [22, *range(150 - 99, 150), 21]
