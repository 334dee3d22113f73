"""Whisper's network as transcribing many chunks at once wants it, over the weights and layers of mlx-whisper.

Runs in: worker, on its main thread.

The sums are mlx-whisper's. Its own decoder makes its caches longer with each token, so that every step has new shapes
for MLX to keep buffers for; its attention writes out the weights that only word times need; and nothing in it can be
interrupted. Shapes in comments: rows of the batch × heads × positions × numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

ROOM_TOKENS = 64
"""The caches grow by so many tokens at once."""


def encode(network: Any, mels: Any, alive: Callable[[], None]) -> Any:
    """Spectrograms (rows, 3000, mels) → what the decoder listens to (rows, 1500, state). Alive after each layer."""
    import mlx.core as mx
    from mlx import nn

    encoder = network.encoder
    x = nn.gelu(convolve(encoder.conv2, nn.gelu(convolve(encoder.conv1, mels)))) + encoder._positional_embedding
    for block in encoder.blocks:
        normed = block.attn_ln(x)
        keys, values = keys_and_values(block.attn, normed)
        x = think(block, x + attend(block.attn, normed, keys, values))
        mx.eval(x)
        alive()
    return encoder.ln_post(x)


@dataclass(slots=True)
class DecoderRows:
    """The decoder with what it has heard and said so far, a row for each chunk of a batch."""

    network: Any
    heard: list[tuple[Any, Any]]
    """Keys and values of the encoded audio for each layer, rows × heads × 1500 × numbers."""
    said: list[tuple[Any, Any]]
    """Keys and values of the tokens so far for each layer, rows × heads × room × numbers."""
    length: int = 0
    """Tokens so far, the same for every row."""

    @classmethod
    def listening(cls, network: Any, encoded: Any) -> "DecoderRows":
        """`encoded` is (rows, 1500, state)."""
        import mlx.core as mx

        heard = [keys_and_values(block.cross_attn, encoded) for block in network.decoder.blocks]
        mx.eval(heard)
        empty = [(keys[:, :, :0], values[:, :, :0]) for keys, values in heard]
        return cls(network, heard, empty)

    def read(self, tokens: Any) -> Any:
        """The next tokens of every row (rows, tokens) → the decoder's state behind each (rows, tokens, state)."""
        import mlx.core as mx

        decoder = self.network.decoder
        start, beyond = self.length, self.length + tokens.shape[1]
        room = self.make_room(beyond)
        seen = mx.arange(room) <= mx.arange(start, beyond)[:, None]
        x = decoder.token_embedding(tokens) + decoder.positional_embedding[start:beyond]
        for n, block in enumerate(decoder.blocks):
            normed = block.attn_ln(x)
            keys, values = self.said[n]
            keys[:, :, start:beyond], values[:, :, start:beyond] = keys_and_values(block.attn, normed)
            x = x + attend(block.attn, normed, keys, values, seen)
            x = x + attend(block.cross_attn, block.cross_attn_ln(x), *self.heard[n])
            x = think(block, x)
        self.length = beyond
        return decoder.ln(x)

    def logits(self, state: Any) -> Any:
        """(rows, state) → (rows, vocabulary) in full precision."""
        import mlx.core as mx

        return self.network.decoder.token_embedding.as_linear(state).astype(mx.float32)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows alone, layer by layer: never is there twice as much memory in use."""
        import mlx.core as mx

        kept = mx.array(list(rows))
        for caches in (self.heard, self.said):
            for layer, (keys, values) in enumerate(caches):
                caches[layer] = keys[kept], values[kept]
                mx.eval(caches[layer])  # the old ones go before the next layer's are copied

    def make_room(self, tokens: int) -> int:
        """How many tokens the caches have room for, at least so many."""
        import mlx.core as mx

        room = -(-tokens // ROOM_TOKENS) * ROOM_TOKENS
        if missing := room - self.said[0][0].shape[2]:
            more = [(0, 0), (0, 0), (0, missing), (0, 0)]
            self.said = [(mx.pad(keys, more), mx.pad(values, more)) for keys, values in self.said]
        return room


def convolve(convolution: Any, x: Any) -> Any:
    """A convolution over three frames; on the CPU as one multiplication, which takes half the time there."""
    import mlx.core as mx

    if not is_on_cpu():
        return convolution(x)
    frames, kernel = x.shape[1], convolution.weight
    padded = mx.pad(x, [(0, 0), (1, 1), (0, 0)])
    beside = mx.concatenate([padded[:, n : n + frames : convolution.stride] for n in range(3)], axis=2)
    return beside @ mx.contiguous(kernel.reshape(len(kernel), -1).T) + convolution.bias


def is_on_cpu() -> bool:
    import mlx.core as mx

    return bool(mx.default_device().type == mx.cpu)


def keys_and_values(attention: Any, x: Any) -> tuple[Any, Any]:
    import mlx.core as mx

    keys, values = split_heads(attention.key(x), attention.n_head), split_heads(attention.value(x), attention.n_head)
    if is_on_cpu():
        # Turned as the weights are, see `turn_weights`: the same numbers, multiplied twice as fast.
        return mx.contiguous(keys.swapaxes(2, 3)).swapaxes(2, 3), mx.contiguous(values)
    return mx.contiguous(keys), mx.contiguous(values)


def attend(attention: Any, x: Any, keys: Any, values: Any, seen: Any = None) -> Any:
    """What `x` finds in the values; `seen` says which positions (columns) each of its own (rows) may look at."""
    import mlx.core as mx

    queries = split_heads(attention.query(x), attention.n_head)
    found = mx.fast.scaled_dot_product_attention(queries, keys, values, scale=queries.shape[-1] ** -0.5, mask=seen)
    return attention.out(found.swapaxes(1, 2).reshape(x.shape))


def split_heads(x: Any, heads: int) -> Any:
    return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)


def think(block: Any, x: Any) -> Any:
    from mlx import nn

    return x + block.mlp2(nn.gelu(block.mlp1(block.mlp_ln(x))))
