"""Encoded audio → text, for a batch of chunks that step together and leave when their text is complete.

Runs in: worker, on its main thread.
Source of the method: `DecodingTask` in https://github.com/openai/whisper/blob/main/whisper/decoding.py

A batch has as many chunks as fit into memory, up to a useful number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from workers.mlx.beam_search import BeamStep, Texts, best_step, continuing, first_scores
from workers.mlx.network import DecoderRows
from workers.mlx.token_rules import TokenHistory, TokenRules
from workers.text.decode_quality import BEAM_SIZE

MOST_CHUNKS = 16
"""Fewer keep a GPU busy; more would only delay their text."""
MEMORY_SHARE = 0.5
"""Share of MLX's memory; the aligner and the user's own programs use the rest."""
LOGITS_COPIES = 8
"""Bytes for all beams' scores over the vocabulary, for a step and the next one in flight."""
DONE_SHARE = 0.25
"""Finished rows are removed from a batch once they are this share of it: removal copies the others."""


class WhisperDimensions(Protocol):
    """The fields of an mlx_whisper.whisper.ModelDimensions."""

    n_audio_ctx: int
    n_audio_state: int
    n_text_ctx: int
    n_text_state: int
    n_text_layer: int
    n_vocab: int


def bytes_a_chunk(dimensions: WhisperDimensions, number_bytes: int) -> int:
    """The memory of a chunk during decoding: mostly keys and values, of 30 s of audio and of the beams' tokens."""
    history = (BEAM_SIZE + 1) * dimensions.n_text_ctx // 2
    keys_and_values = 2 * dimensions.n_text_layer * (dimensions.n_audio_ctx + history) * dimensions.n_text_state
    encoded = dimensions.n_audio_ctx * dimensions.n_audio_state
    logits = LOGITS_COPIES * BEAM_SIZE * dimensions.n_vocab * 4
    return (keys_and_values + encoded) * number_bytes + logits


def chunks_that_fit(memory_bytes: int, weights_bytes: int, dimensions: WhisperDimensions, number_bytes: int) -> int:
    """Chunks for one batch, at least one."""
    encoder_at_work = 2 * dimensions.n_audio_ctx * 4 * dimensions.n_audio_state * number_bytes
    left = memory_bytes * MEMORY_SHARE - weights_bytes - encoder_at_work
    return max(1, min(MOST_CHUNKS, int(left // bytes_a_chunk(dimensions, number_bytes))))


@dataclass(frozen=True, slots=True)
class DecodedTokens:
    """The text of one chunk, and the model's confidence."""

    tokens: tuple[int, ...]
    """Words and times, without the end of text."""
    avg_logprob: float
    no_speech_prob: float


@dataclass(frozen=True, slots=True)
class BatchDecoding:
    """The decoding of a batch."""

    network: Any
    tokenizer: Any
    rules: TokenRules
    prompt: tuple[int, ...] = ()
    alive: Callable[[], None] = lambda: None

    def run(self, encoded: Sequence[Any], longest_tokens: int) -> list[DecodedTokens]:
        """(frames, state) for each row → one text a row, of at most `longest_tokens` tokens."""
        import mlx.core as mx

        # The last chosen token is not read, so the context may be one token shorter than the text.
        longest_tokens = min(longest_tokens, self.network.dims.n_text_ctx - len(self.opening) + 1)
        decoder = DecoderRows.listening(self.network, encoded, BEAM_SIZE)
        texts = [Texts() for _ in encoded]
        history, step = self.begin(decoder, texts)
        in_batch = list(range(len(texts)))
        for n in range(1, longest_tokens + 1):
            found = step
            # The next step runs while this one is read; it is wasted once, at the end.
            if n < longest_tokens:
                history, step = self.next_step(decoder, history, step)
                mx.async_eval(step.tokens, step.parents, step.scores)  # type: ignore[no-untyped-call]  # MLX gives it no types
            left = []
            for place, (row, candidates) in enumerate(zip(in_batch, listed(found), strict=True)):
                if not texts[row].take(candidates, self.rules.end_of_text, n == longest_tokens):
                    left.append(place)
            self.alive()
            if not left:
                break
            if len(in_batch) - len(left) >= DONE_SHARE * len(in_batch):
                rows = mx.array(left)
                decoder.keep(rows)
                history, step = history.kept(rows), step.kept(rows)
                in_batch = [in_batch[place] for place in left]
        return [decoded(text) for text in texts]

    def begin(self, decoder: DecoderRows, texts: Sequence[Texts]) -> tuple[TokenHistory, BeamStep]:
        """Reads the prompt, checks each row for speech, and chooses its first token."""
        import mlx.core as mx

        rows = len(texts)
        state = decoder.read(mx.broadcast_to(mx.array(self.opening), (rows, len(self.opening))))
        at_start = decoder.logits(state[:, self.opening.index(self.tokenizer.sot)])
        speechless: Any = mx.softmax(at_start, axis=1)[:, self.tokenizer.no_speech].tolist()
        for text, probability in zip(texts, speechless, strict=True):
            text.no_speech_prob = probability
        self.alive()
        first = self.rules.first(decoder.logits(state[:, -1]))[:, None]
        logits = mx.broadcast_to(first, (rows, BEAM_SIZE, first.shape[2]))
        return self.rules.nothing_said(rows, BEAM_SIZE), best_step(logits, first_scores(rows))

    def next_step(self, decoder: DecoderRows, history: TokenHistory, step: BeamStep) -> tuple[TokenHistory, BeamStep]:
        """The best beams take their chosen tokens, and the next candidates are scored."""
        beams = continuing(step, self.rules.end_of_text)
        history = history.by(beams.parents).then(beams.tokens, self.rules)
        state = decoder.append(beams.tokens, beams.parents)
        return history, best_step(self.rules.further(decoder.logits(state), history), beams.scores)

    @property
    def opening(self) -> list[int]:
        """The tokens before the text; of a prompt the end, up to half the context."""
        most = self.network.dims.n_text_ctx // 2 - 1
        before = [self.tokenizer.sot_prev, *self.prompt[-most:]] if self.prompt else []
        return [*before, *self.tokenizer.sot_sequence]


def listed(step: BeamStep) -> list[list[tuple[int, int, float]]]:
    """Token, parent and score of every candidate of every row. Waits for the device."""
    parts = (step.tokens.tolist(), step.parents.tolist(), step.scores.tolist())
    return [list(zip(*row, strict=True)) for row in zip(*parts, strict=True)]


def decoded(text: Texts) -> DecodedTokens:
    tokens, logprob = text.best()
    return DecodedTokens(tokens, logprob / (len(tokens) + 1), text.no_speech_prob)
