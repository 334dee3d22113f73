"""Which token Whisper may say next, for all rows of a batch at once.

Runs in: worker, on its main thread.
Source of the rules: `SuppressBlank`, `SuppressTokens` and `ApplyTimestampRules` in
https://github.com/openai/whisper/blob/main/whisper/decoding.py. mlx-whisper's copy of the last one goes through the
rows in Python at every step, and lets times run backwards.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from workers.timestamp_tokens import TOKEN_SECONDS

LATEST_START_SECONDS = 1.0
"""Speech is expected to begin within the first second of what is heard."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the rules want to know of the tokens so far, an array of one number a row each."""

    last: Any
    before_last: Any
    latest_time: Any
    """The last token of time, or the number before the first one."""

    def then(self, tokens: Any, first_time: int) -> "Said":
        import mlx.core as mx

        return Said(tokens, self.last, mx.where(tokens >= first_time, tokens, self.latest_time))

    def kept(self, rows: Any) -> "Said":
        return Said(self.last[rows], self.before_last[rows], self.latest_time[rows])


@dataclass(frozen=True, slots=True)
class TokenRules:
    """The rules of one vocabulary."""

    end_of_text: int
    first_time: int
    never: Any
    """(vocabulary,) to be added to logits: minus infinity for what is never said."""
    at_first: Any
    """The same for the first token: a time, and an early one."""

    def nothing_said(self, rows: int) -> Said:
        """Before the first token stand two times, as it were: the second token has to be a word."""
        import mlx.core as mx

        time = mx.full((rows,), self.first_time, dtype=mx.int32)
        return Said(time, time, time - 1)

    def first(self, logits: Any) -> Any:
        """(rows, vocabulary) → the same with what may not be said first at minus infinity."""
        return logits + self.at_first

    def further(self, logits: Any, said: Said) -> Any:
        """The same for every later token. Times come in pairs, never run backwards, and outweigh words together."""
        import mlx.core as mx

        tokens = mx.arange(logits.shape[1])
        is_time = tokens >= self.first_time
        after_time, after_pair = said.last >= self.first_time, said.before_last >= self.first_time
        word_due = (after_time & after_pair)[:, None]
        time_due = (after_time & ~after_pair)[:, None]
        earliest = said.latest_time[:, None] + mx.where(time_due, 0, 1)
        closed = mx.where(is_time, word_due | (tokens < earliest), time_due & (tokens < self.end_of_text))
        open_logits = mx.where(closed, -mx.inf, logits + self.never)
        times = mx.logsumexp(open_logits[:, self.first_time :], axis=1, keepdims=True)
        words = mx.max(open_logits[:, : self.first_time], axis=1, keepdims=True)
        return mx.where((times > words) & ~is_time, -mx.inf, open_logits)


def token_rules(tokenizer: Any, vocabulary: int) -> TokenRules:
    """The rules for an mlx_whisper.tokenizer.Tokenizer."""
    import mlx.core as mx

    unspoken = {
        *tokenizer.non_speech_tokens,
        *(tokenizer.transcribe, tokenizer.translate, tokenizer.sot, tokenizer.sot_prev, tokenizer.sot_lm),
        *(tokenizer.no_speech, tokenizer.no_timestamps),
    }
    never = np.zeros(vocabulary, np.float32)
    never[sorted(token for token in unspoken if token is not None)] = -np.inf
    at_first = np.full(vocabulary, -np.inf, np.float32)
    latest = tokenizer.timestamp_begin + round(LATEST_START_SECONDS / TOKEN_SECONDS)
    at_first[tokenizer.timestamp_begin : latest + 1] = 0.0
    return TokenRules(tokenizer.eot, tokenizer.timestamp_begin, mx.array(never), mx.array(at_first))
