"""The tokens that Whisper may produce next, for all rows of a batch together.

Runs in: worker, on its main thread. Source of the rules: `SuppressBlank`, `SuppressTokens` and `ApplyTimestampRules`
in https://github.com/openai/whisper/blob/main/whisper/decoding.py. mlx-whisper's copy of the last one loops over the
rows in Python at every step, and allows times to run backwards.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from workers.text.timestamp_tokens import TOKEN_SECONDS

LATEST_START_SECONDS = 1.0
"""Speech must begin within the first second of the audio."""


@dataclass(frozen=True, slots=True)
class TokenHistory:
    """What the rules need to know of the tokens so far: arrays with one number for each row and beam."""

    last: Any
    before_last: Any
    latest_time: Any
    """The last timestamp token, or the number before the first one."""
    every: Any
    """All tokens, rows × beams × tokens; only kept if repetitions are to be found."""

    def then(self, tokens: Any, rules: "TokenRules") -> "TokenHistory":
        import mlx.core as mx

        latest_time = mx.where(tokens >= rules.first_time, tokens, self.latest_time)
        every = mx.concatenate([self.every, tokens[..., None]], axis=2) if rules.longest_echo else self.every
        return TokenHistory(tokens, self.last, latest_time, every)

    def kept(self, rows: Any) -> "TokenHistory":
        return TokenHistory(self.last[rows], self.before_last[rows], self.latest_time[rows], self.every[rows])

    def by(self, beams: Any) -> "TokenHistory":
        """The state of these beams (rows, beams)."""
        import mlx.core as mx

        last, before_last, latest_time = (
            mx.take_along_axis(part, beams, axis=1) for part in (self.last, self.before_last, self.latest_time)
        )
        return TokenHistory(last, before_last, latest_time, mx.take_along_axis(self.every, beams[..., None], axis=1))


@dataclass(frozen=True, slots=True)
class TokenRules:
    """The rules of one vocabulary."""

    end_of_text: int
    first_time: int
    never: Any
    """(vocabulary,) to be added to logits: minus infinity for suppressed tokens."""
    at_first: Any
    """The same for the first token: an early timestamp."""
    longest_echo: int = 0
    """No sequence of this many tokens may repeat; 0: no limit."""

    def nothing_said(self, rows: int, beams: int) -> TokenHistory:
        """As if two timestamps came before the first token: the second token has to be text."""
        import mlx.core as mx

        time = mx.full((rows, beams), self.first_time, dtype=mx.int32)
        return TokenHistory(time, time, time - 1, mx.zeros((rows, beams, 0), mx.int32))

    def first(self, logits: Any) -> Any:
        """(…, vocabulary) → the same, with minus infinity for tokens that may not come first."""
        return logits + self.at_first

    def further(self, logits: Any, history: TokenHistory) -> Any:
        """The same for every later token. Times come in pairs, never run backwards, and outweigh words together."""
        import mlx.core as mx

        tokens = mx.arange(logits.shape[-1])
        is_time = tokens >= self.first_time
        after_time, after_pair = history.last >= self.first_time, history.before_last >= self.first_time
        word_due = (after_time & after_pair)[..., None]
        time_due = (after_time & ~after_pair)[..., None]
        earliest = history.latest_time[..., None] + mx.where(time_due, 0, 1)
        closed = mx.where(is_time, word_due | (tokens < earliest), time_due & (tokens < self.end_of_text))
        open_logits = self.without_echoes(mx.where(closed, -mx.inf, logits + self.never), history.every)
        times = mx.logsumexp(open_logits[..., self.first_time :], axis=-1, keepdims=True)
        words = mx.max(open_logits[..., : self.first_time], axis=-1, keepdims=True)
        return mx.where((times > words) & ~is_time, -mx.inf, open_logits)

    def without_echoes(self, logits: Any, history: Any) -> Any:
        """The same, with minus infinity for tokens that would repeat an earlier sequence of (rows, beams, tokens)."""
        import mlx.core as mx

        before, places = self.longest_echo - 1, history.shape[2] - self.longest_echo + 1
        if before < 0 or places < 1:
            return logits
        length = history.shape[2]
        alike = [history[..., n : n + places] == history[..., length - before + n, None] for n in range(before)]
        echo = mx.all(mx.stack(alike), axis=0)
        vocabulary = logits.shape[-1]
        # Tokens after other beginnings go to an index beyond the vocabulary.
        follows = mx.where(echo, history[..., before:], vocabulary)
        wider = mx.pad(logits, [(0, 0), (0, 0), (0, 1)])
        return mx.put_along_axis(wider, follows, mx.array(-mx.inf), axis=2)[..., :vocabulary]


def token_rules(tokenizer: Any, vocabulary: int, longest_echo: int = 0) -> TokenRules:
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
    return TokenRules(tokenizer.eot, tokenizer.timestamp_begin, mx.array(never), mx.array(at_first), longest_echo)
