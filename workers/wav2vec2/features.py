"""The first half of wav2vec2: samples → features, by strided convolutions.

Runs in: worker. Imports torch when called.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workers.wav2vec2.quantized_linear import Matrix, MatrixKind, exact

FRAMES_AT_ONCE = 50
"""One second for the usual networks: its activations fit into the cache."""
EPSILON = 1e-5
"""The epsilon of every normalization, as in torchaudio."""


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution followed by gelu."""

    kernel: int
    stride: int
    matrix: Matrix
    norm: "tuple[Any, Any] | None"
    """Weight and bias of the normalization of each frame."""


class SoundFeatures:
    """Samples (n,), at least `window` of them → features (frames, channels).

    As torchaudio's `FeatureExtractor`, but a block of frames at a time, each frame's channels together, so that every
    convolution is the product of a matrix with overlapping rows of its input.
    """

    def __init__(
        self, weights: Mapping[str, Any], strides: tuple[int, ...], channels_normalized: bool, kind: MatrixKind
    ) -> None:
        """`channels_normalized`: only the first layer is normalized, over the whole sound; otherwise each layer,
        frame by frame."""
        self._layers: list[Convolution] = []
        self._over_all: GlobalNormConvolution | None = None
        for place, stride in enumerate(strides):
            name = f"feature_extractor.conv_layers.{place}"
            weight, bias = weights[f"{name}.conv.weight"], weights.get(f"{name}.conv.bias")
            rows = weight.transpose(1, 2).flatten(1)  # (out, kernel · in)
            norm = None
            if not channels_normalized:
                norm = weights[f"{name}.layer_norm.weight"], weights[f"{name}.layer_norm.bias"]
            elif place == 0:
                gain, shift = weights[f"{name}.layer_norm.weight"], weights[f"{name}.layer_norm.bias"]
                self._over_all = GlobalNormConvolution(rows.double(), gain.double(), shift.double(), stride)
            self._layers.append(Convolution(weight.shape[2], stride, kind(rows, bias, False), norm))
        self.stride = math.prod(strides)
        """Samples from one frame to the next."""
        self.window = 1
        """Samples in the receptive field of a frame."""
        for layer in reversed(self._layers):
            self.window = (self.window - 1) * layer.stride + layer.kernel

    def __call__(self, samples: Any) -> Any:
        import torch

        first = self._layers[0].matrix if self._over_all is None else self._over_all.fitted_to(samples)
        frames = (len(samples) - self.window) // self.stride + 1
        stretches = [
            samples[begin * self.stride : (min(begin + FRAMES_AT_ONCE, frames) - 1) * self.stride + self.window]
            for begin in range(0, frames, FRAMES_AT_ONCE)
        ]
        return torch.cat([self._of_stretch(stretch, first) for stretch in stretches])

    def _of_stretch(self, samples: Any, first: Matrix) -> Any:
        import torch
        from torch.nn.functional import layer_norm

        rows = samples[:, None]
        for place, layer in enumerate(self._layers):
            length, channels = rows.shape
            seen = ((length - layer.kernel) // layer.stride + 1, layer.kernel * channels)
            overlapping = rows.as_strided(seen, (layer.stride * channels, 1))
            rows = (layer.matrix if place else first)(overlapping)
            if layer.norm is not None:
                rows = layer_norm(rows, rows.shape[1:], *layer.norm, EPSILON)
            rows = torch.ops.aten.gelu_(rows)
        return rows


@dataclass(frozen=True, slots=True)
class GlobalNormConvolution:
    """A first convolution, each channel of which is normalized over the whole sound, in double precision.

    Mean and variance of a kernel's output follow from mean and covariance of its input windows, so the normalization
    is folded into the kernel before the sound is convolved.
    """

    rows: Any
    """(out, kernel)"""
    gain: Any
    shift: Any
    stride: int

    def fitted_to(self, samples: Any) -> Matrix:
        """Convolution and normalization in one matrix; a bias of the convolution would be normalized away."""
        windows = samples.unfold(0, self.rows.shape[1], self.stride).double()
        mean = windows.mean(dim=0)
        centred = windows - mean
        covariance = centred.T @ centred / len(windows)
        variance = ((self.rows @ covariance) * self.rows).sum(dim=1)
        gain = self.gain / (variance + EPSILON).sqrt()
        return exact((self.rows * gain[:, None]).float(), (self.shift - self.rows @ mean * gain).float())
