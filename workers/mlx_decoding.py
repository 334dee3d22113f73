"""Encoded audio → text, for a batch of chunks that step together and leave when they have said all.

Runs in: worker, on its main thread.
Source of the method: `DecodingTask` in https://github.com/openai/whisper/blob/main/whisper/decoding.py
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from workers.mlx_network import DecoderRows
from workers.mlx_token_rules import Said, TokenRules

DONE_SHARE = 0.25
"""Rows that have said all are taken out of a batch once they are this share of it: taking out copies the others."""


@dataclass(frozen=True)
class Decoded:
    """What one chunk says, and how sure the model is."""

    tokens: tuple[int, ...]
    """Words and times, without the end of text."""
    text: str
    avg_logprob: float
    no_speech_prob: float

    @cached_property
    def compression_ratio(self) -> float:
        """How much zlib shrinks the text: what goes round in circles shrinks far."""
        whole = self.text.encode()
        return len(whole) / len(zlib.compress(whole))


@dataclass(slots=True)
class Row:
    """One chunk while it is being decoded."""

    no_speech_prob: float = 0.0
    tokens: list[int] = field(default_factory=list)
    logprob: float = 0.0
    """Of all its tokens and, once it is done, of the end of text."""
    done: bool = False

    def hear(self, token: int, logprob: float, end_of_text: int) -> None:
        if self.done:
            return
        self.logprob += logprob
        if token == end_of_text:
            self.done = True
        else:
            self.tokens.append(token)


@dataclass(frozen=True, slots=True)
class Decoding:
    """How a batch is decoded: greedily, or by drawing lots at a temperature."""

    network: Any
    tokenizer: Any
    rules: TokenRules
    prompt: tuple[int, ...] = ()
    alive: Callable[[], None] = lambda: None

    def run(self, encoded: Any, temperature: float, longest_tokens: int) -> list[Decoded]:
        """(rows, 1500, state) → one text a row, at most so many tokens long."""
        import mlx.core as mx

        # The last token chosen is not read, so the context may be one shorter than what is said in it.
        longest_tokens = min(longest_tokens, self.network.dims.n_text_ctx - len(self.opening) + 1)
        rows = [Row() for _ in range(encoded.shape[0])]
        decoder = DecoderRows.listening(self.network, encoded)
        said, step = self.begin(decoder, rows, temperature)
        in_batch = list(range(len(rows)))
        for n in range(1, longest_tokens + 1):
            tokens, logprobs = step
            # The next step is on its way while we look at this one; it is in vain once, at the end.
            if n < longest_tokens:
                said, step = self.go_on(decoder, said, temperature, n)
                mx.async_eval(*step)  # type: ignore[no-untyped-call]  # MLX gives it no types
            for row, token, logprob in zip(in_batch, numbers(tokens), numbers(logprobs), strict=True):
                rows[row].hear(token, logprob, self.rules.end_of_text)
            self.alive()
            left = [place for place, row in enumerate(in_batch) if not rows[row].done]
            if not left:
                break
            if len(in_batch) - len(left) >= DONE_SHARE * len(in_batch):
                decoder.keep(left)
                said, step = said.kept(mx.array(left)), tuple(part[mx.array(left)] for part in step)
                in_batch = [in_batch[place] for place in left]
        return [self.decoded(row) for row in rows]

    def begin(self, decoder: DecoderRows, rows: Sequence[Row], temperature: float) -> tuple[Said, tuple[Any, Any]]:
        """The prompt is read, each row judged for speech, and its first token chosen."""
        import mlx.core as mx

        opening = mx.broadcast_to(mx.array(self.opening), (len(rows), len(self.opening)))
        state = decoder.read(opening)
        at_start = decoder.logits(state[:, self.opening.index(self.tokenizer.sot)])
        speechless = mx.softmax(at_start, axis=1)[:, self.tokenizer.no_speech]
        for row, probability in zip(rows, numbers(speechless), strict=True):
            row.no_speech_prob = probability
        self.alive()
        step = choose(self.rules.first(decoder.logits(state[:, -1])), temperature, 0)
        return self.rules.nothing_said(len(rows)).then(step[0], self.rules.first_time), step

    def go_on(self, decoder: DecoderRows, said: Said, temperature: float, n: int) -> tuple[Said, tuple[Any, Any]]:
        """Token number `n` of every row and its logarithmic probability."""
        state = decoder.read(said.last[:, None])
        step = choose(self.rules.further(decoder.logits(state[:, -1]), said), temperature, n)
        return said.then(step[0], self.rules.first_time), step

    @property
    def opening(self) -> list[int]:
        """What the decoder has read before it says a word; of a prompt the end, as much as half its context holds."""
        most = self.network.dims.n_text_ctx // 2 - 1
        before = [self.tokenizer.sot_prev, *self.prompt[-most:]] if self.prompt else []
        return [*before, *self.tokenizer.sot_sequence]

    def decoded(self, row: Row) -> Decoded:
        return Decoded(
            tokens=tuple(row.tokens),
            text=self.tokenizer.decode(row.tokens).strip(),
            avg_logprob=row.logprob / (len(row.tokens) + 1),
            no_speech_prob=row.no_speech_prob,
        )


def numbers(array: Any) -> list[Any]:
    """Waits until they are there."""
    listed: list[Any] = array.tolist()
    return listed


def choose(logits: Any, temperature: float, n: int) -> tuple[Any, Any]:
    """(rows, vocabulary) → token number `n` of each row and its logarithmic probability.

    The lots (https://en.wikipedia.org/wiki/Gumbel_distribution#Gumbel_reparameterization_tricks) depend on the step
    and the temperature alone: a chunk says the same whatever company it is decoded in.
    """
    import mlx.core as mx

    scores = logits
    if temperature > 0:
        key = mx.random.key(1000 * round(10 * temperature) + n)
        scores = logits / temperature + mx.random.gumbel((logits.shape[1],), key=key)
    tokens = mx.argmax(scores, axis=1).astype(mx.int32)
    logprobs = mx.take_along_axis(logits, tokens[:, None], axis=1)[:, 0] - mx.logsumexp(logits, axis=1)
    return tokens, logprobs
