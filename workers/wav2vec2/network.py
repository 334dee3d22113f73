"""A wav2vec2 CTC network: samples → log probability of each letter in each frame.

Runs in: worker. Imports torch when a network is built.

Computes what torchaudio's `Wav2Vec2Model` and transformers' `Wav2Vec2ForCTC` compute from the same weights; tests
compare. Both first initialise every weight at random; this takes tensors as they are on disk, and multiplies by
matrices that may be of reduced precision.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workers.wav2vec2.features import EPSILON, SoundFeatures
from workers.wav2vec2.position_convolution import PositionConvolution
from workers.wav2vec2.quantized_linear import Matrix, MatrixKind


@dataclass(frozen=True, slots=True)
class Architecture:
    """What the weights do not show."""

    strides: tuple[int, ...]
    """One for each convolution."""
    heads: int
    channels_normalized: bool
    """Whether the first convolution is normalized over the whole sound (base), or each of them frame by frame."""
    normalized_before: bool
    """Whether attention and feed-forward normalize their input (large) or their output (base)."""


class CtcNetwork:
    """Samples (n,), at least `window` of them → scores (frames, letters); float32 tensors.

    `weights` are float32 tensors by torchaudio's names: vectors are kept, matrices are converted by `kind`. Raises
    KeyError if one is missing, and RuntimeError, then or when called, if shapes do not fit.
    """

    def __init__(self, architecture: Architecture, weights: Mapping[str, Any], kind: MatrixKind) -> None:
        self._features = SoundFeatures(weights, architecture.strides, architecture.channels_normalized, kind)
        self.window = self._features.window
        self._features_norm = Norm(weights, "encoder.feature_projection.layer_norm")
        self._projection = matrix(weights, kind, "encoder.feature_projection.projection", normalized=True)
        self._positions = PositionConvolution(
            position_weight(weights), weights["encoder.transformer.pos_conv_embed.conv.bias"]
        )
        self._norm = Norm(weights, "encoder.transformer.layer_norm")
        self._normalized_before = architecture.normalized_before
        layers = {name.split(".")[3] for name in weights if name.startswith("encoder.transformer.layers.")}
        self._layers = [Layer(architecture, weights, kind, place) for place in range(len(layers))]
        self._letters = matrix(weights, kind, "aux", normalized=True)

    def __call__(self, samples: Any) -> Any:
        import torch

        with torch.inference_mode():
            rows = self._projection(self._features_norm(self._features(samples)))
            rows = rows + self._positions(rows)
            if not self._normalized_before:
                rows = self._norm(rows)
            for layer in self._layers:
                rows = layer(rows)
            if self._normalized_before:
                rows = self._norm(rows)
            return torch.log_softmax(self._letters(rows), dim=-1)


class Layer:
    """A layer of the encoder: rows (frames, channels) → as many."""

    def __init__(self, architecture: Architecture, weights: Mapping[str, Any], kind: MatrixKind, place: int) -> None:
        name = f"encoder.transformer.layers.{place}"
        parts = ("q_proj", "k_proj", "v_proj")
        self._heads = architecture.heads
        self._normalized_before = architecture.normalized_before
        self._queries_keys_values = matrix(
            weights, kind, *(f"{name}.attention.{part}" for part in parts), normalized=True
        )
        self._attended = matrix(weights, kind, f"{name}.attention.out_proj")
        self._attention_norm = Norm(weights, f"{name}.layer_norm")
        self._widened = matrix(weights, kind, f"{name}.feed_forward.intermediate_dense", normalized=True)
        self._narrowed = matrix(weights, kind, f"{name}.feed_forward.output_dense")
        self._final_norm = Norm(weights, f"{name}.final_layer_norm")

    def __call__(self, rows: Any) -> Any:
        if self._normalized_before:
            rows = rows + self._attention(self._attention_norm(rows))
            return rows + self._feed_forward(self._final_norm(rows))
        rows = self._attention_norm(rows + self._attention(rows))
        return self._final_norm(rows + self._feed_forward(rows))

    def _attention(self, rows: Any) -> Any:
        from torch.nn.functional import scaled_dot_product_attention

        of_heads = self._queries_keys_values(rows).unflatten(1, (3, 1, self._heads, -1))
        queries, keys, values = of_heads.permute(1, 2, 3, 0, 4)  # each (1, heads, frames, width)
        answer = scaled_dot_product_attention(queries, keys, values)
        return self._attended(answer[0].transpose(0, 1).flatten(1))

    def _feed_forward(self, rows: Any) -> Any:
        import torch

        return self._narrowed(torch.ops.aten.gelu_(self._widened(rows)))


class Norm:
    """A layer normalization by its name."""

    def __init__(self, weights: Mapping[str, Any], name: str) -> None:
        self._weight, self._bias = weights[f"{name}.weight"], weights[f"{name}.bias"]

    def __call__(self, rows: Any) -> Any:
        from torch.nn.functional import layer_norm

        return layer_norm(rows, self._weight.shape, self._weight, self._bias, EPSILON)


def matrix(weights: Mapping[str, Any], kind: MatrixKind, *names: str, normalized: bool = False) -> Matrix:
    """The linear layer of this name, `normalized` if a Norm precedes it; several are joined, outputs side by side."""
    import torch

    if len(names) == 1:
        return kind(weights[f"{names[0]}.weight"], weights[f"{names[0]}.bias"], normalized)
    weight, bias = (torch.cat([weights[f"{name}.{part}"] for name in names]) for part in ("weight", "bias"))
    return kind(weight, bias, normalized)


def position_weight(weights: Mapping[str, Any]) -> Any:
    """Stored as direction and length, normalized over all dimensions but the kernel: undoes `weight_norm(conv,
    dim=2)`."""
    import torch

    name = "encoder.transformer.pos_conv_embed.conv.parametrizations.weight"
    return torch._weight_norm(weights[f"{name}.original1"], weights[f"{name}.original0"], 2)
