"""Whisper's network for batches of chunks, over the weights and layers of mlx-whisper.

Runs in: worker, on its main thread.

The arithmetic is mlx-whisper's. Its own decoder extends its caches with each token, so that every step has new shapes
for which MLX keeps buffers; its attention computes weights that only word times need; and it cannot be interrupted.
On a CPU the vocabulary is multiplied in blocks, in place of mlx-whisper's layer. Shapes in comments: rows of the
batch × heads × positions × numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

BLOCK = 512
"""Tokens: a megabyte of a small model, which fits into the cache while all rows are multiplied with it."""
ROOM_STEPS = 32
"""The caches grow by this many steps at a time."""


@dataclass(frozen=True, slots=True)
class TurnedVocabulary:
    """Tokens → vectors, and vectors → scores of all tokens, as `mlx.nn.Embedding`."""

    blocks: Any
    """(blocks, state, BLOCK); zeros after the last token."""
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


def encode(network: Any, mels: Sequence[Any], streams: Sequence[Any], alive: Callable[[], None]) -> list[Any]:
    """Spectrograms (frames, mels), at most one for each stream → encoded audio, (frames / 2, state) each. Calls
    `alive` after each layer.

    Windows may be shorter than the 30 s of Whisper's training, with an even number of frames: the work grows with
    them, that of attention with their square.
    """
    import mlx.core as mx
    from mlx import nn

    encoder = network.encoder
    states: list[Any] = []
    for mel, stream in zip(mels, streams, strict=False):
        with mx.stream(stream):
            x = nn.gelu(convolve(encoder.conv2, nn.gelu(convolve(encoder.conv1, mel[None]))))
            states.append(x + encoder._positional_embedding[: x.shape[1]])
    before: list[Any] = []
    for block in encoder.blocks:
        for n, (x, stream) in enumerate(zip(states, streams, strict=False)):
            with mx.stream(stream):
                normed = block.attn_ln(x)
                keys, values = keys_and_values(block.attn, normed)
                states[n] = run_block(block, x + attend(block.attn, normed, keys, values))
        # A GPU gets the next layer before it has finished this one, and each one is reported.
        mx.async_eval(*states)  # type: ignore[no-untyped-call]  # MLX gives it no types
        mx.eval(before)
        before = list(states)
        alive()
    encoded = [encoder.ln_post(x)[0] for x in states]
    mx.eval(encoded)
    return encoded


@dataclass(slots=True)
class DecoderRows:
    """The decoder's state: a row for each chunk of a batch, and several beams in each row.

    Beams of a chunk share one copy of its encoded audio. The keys of the text are not copied either when beams fork:
    those of all beams are stored side by side, and a mask says which of them are a beam's own past. So a step reads
    every key once; other decoders copy the caches of a large model, hundreds of megabytes, for every token.
    """

    network: Any
    beams: int
    audio_cache: list[tuple[Any, Any]]
    """Keys and values of the encoded audio for each layer, rows × heads × longest × numbers."""
    audible: Any
    """Mask of a row's own audio, rows × 1 × 1 × longest; None: all of it."""
    text_cache: list[tuple[Any, Any]]
    """Keys and values of the text for each layer, rows × heads × room × numbers: first the shared prompt of a row,
    then a place for every beam and step."""
    past: Any = None
    """Mask of a beam's own past, rows × beams × room."""
    taken: int = 0
    """Used places, the same for every row."""
    position: int = 0
    """Tokens of each beam so far."""

    @classmethod
    def listening(cls, network: Any, encoded: Sequence[Any], beams: int) -> "DecoderRows":
        """`encoded` is (frames, state) for each row; the shorter ones are padded, and the padding is masked."""
        import mlx.core as mx

        lengths = [len(row) for row in encoded]
        longest = max(lengths)
        rows = mx.stack([mx.pad(row, [(0, longest - len(row)), (0, 0)]) for row in encoded])
        audio_cache = []
        for block in network.decoder.blocks:
            audio_cache.append(keys_and_values(block.cross_attn, rows))
            mx.eval(audio_cache[-1])
        audible = None
        if min(lengths) < longest:
            audible = (mx.arange(longest) < mx.array(lengths)[:, None])[:, None, None]
        return cls(
            network, beams, audio_cache, audible, [(keys[:, :, :0], values[:, :, :0]) for keys, values in audio_cache]
        )

    def read(self, tokens: Any) -> Any:
        """The tokens that every row begins with (rows, tokens) → the decoder's state after each (rows, tokens,
        state)."""
        import mlx.core as mx

        rows, length = tokens.shape
        room = self.make_room(length)
        places = mx.arange(room)
        state = self.step(tokens, mx.arange(length), places <= mx.arange(length)[:, None])
        self.past = mx.broadcast_to(places < length, (rows, self.beams, room))
        self.position = length
        return state

    def append(self, tokens: Any, parents: Any) -> Any:
        """The next token of every beam (rows, beams) → the state after it (rows, beams, state).

        `parents`, of the same shape, are the beams that it follows: a beam may have several children, or none.
        """
        import mlx.core as mx

        room = self.make_room(self.taken + self.beams)
        if missing := room - self.past.shape[2]:
            self.past = mx.pad(self.past, [(0, 0), (0, 0), (0, missing)])
        own = mx.arange(room) == self.taken + mx.arange(self.beams)[:, None]
        self.past = mx.take_along_axis(self.past, parents[:, :, None], axis=1) | own
        state = self.step(tokens, mx.array([self.position]), self.past[:, None])
        self.position += 1
        return state

    def step(self, tokens: Any, positions: Any, seen: Any) -> Any:
        """Tokens take the next places. `seen` masks the places (columns) that each of them (rows) may attend to."""
        decoder = self.network.decoder
        start, beyond = self.taken, self.taken + tokens.shape[1]
        x = decoder.token_embedding(tokens) + decoder.positional_embedding[positions]
        for n, block in enumerate(decoder.blocks):
            normed = block.attn_ln(x)
            keys, values = self.text_cache[n]
            keys[:, :, start:beyond], values[:, :, start:beyond] = keys_and_values(block.attn, normed)
            x = x + attend(block.attn, normed, keys, values, seen)
            x = x + attend(block.cross_attn, block.cross_attn_ln(x), *self.audio_cache[n], self.audible)
            x = run_block(block, x)
        self.taken = beyond
        return decoder.ln(x)

    def logits(self, state: Any) -> Any:
        """(…, state) → (…, vocabulary) in full precision."""
        import mlx.core as mx

        return self.network.decoder.token_embedding.as_linear(state).astype(mx.float32)

    def keep(self, rows: Any) -> None:
        """Keeps only these rows, layer by layer, so that memory use never doubles."""
        import mlx.core as mx

        for caches in (self.audio_cache, self.text_cache):
            for layer, (keys, values) in enumerate(caches):
                caches[layer] = keys[rows], values[rows]
                mx.eval(caches[layer])  # the old ones are freed before the next layer's are copied
        self.past = self.past[rows]
        if self.audible is not None:
            self.audible = self.audible[rows]

    def make_room(self, places: int) -> int:
        """Ensures room for at least `places` places; returns the size of the caches."""
        import mlx.core as mx

        at_once = ROOM_STEPS * self.beams
        room = -(-places // at_once) * at_once
        if missing := room - self.text_cache[0][0].shape[2]:
            more = [(0, 0), (0, 0), (0, missing), (0, 0)]
            self.text_cache = [(mx.pad(keys, more), mx.pad(values, more)) for keys, values in self.text_cache]
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
        # Transposed like the weights, see `turn_weights`: the same numbers, multiplied twice as fast.
        return mx.contiguous(keys.swapaxes(2, 3)).swapaxes(2, 3), mx.contiguous(values)
    return mx.contiguous(keys), mx.contiguous(values)


def attend(attention: Any, x: Any, keys: Any, values: Any, seen: Any = None) -> Any:
    """Attention of `x` to the values; `seen` masks the positions (columns) that each position of `x` (rows) may
    attend to."""
    import mlx.core as mx

    queries = split_heads(attention.query(x), attention.n_head)
    found = mx.fast.scaled_dot_product_attention(queries, keys, values, scale=queries.shape[-1] ** -0.5, mask=seen)
    return attention.out(found.swapaxes(1, 2).reshape(x.shape))


def split_heads(x: Any, heads: int) -> Any:
    return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)


def run_block(block: Any, x: Any) -> Any:
    from mlx import nn

    return x + block.mlp2(nn.gelu(block.mlp1(block.mlp_ln(x))))
