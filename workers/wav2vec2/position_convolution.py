"""wav2vec2's positional embedding: a grouped convolution over many neighbours.

Runs in: worker. Imports torch when called.
"""

from typing import Any

LONG_KERNEL = 64
"""From this length on Fourier transforms are quicker; with the usual 128 they take a sixth of the time."""


class PositionConvolution:
    """Rows (frames, channels) → as many, as torchaudio's `ConvolutionalPositionalEmbedding`."""

    def __init__(self, weight: Any, bias: Any) -> None:
        """`weight` (out, in of a group, kernel) is not kept if its kernel is long."""
        import torch

        self._channels, self._of_group, self._kernel = weight.shape
        self._bias = bias
        self._weight = self._spectrum = None
        if self._kernel < LONG_KERNEL:
            self._weight = weight.clone()
            return
        self._length = 1 << (2 * self._kernel - 1).bit_length()
        # Networks correlate, they do not convolve: hence the conjugate. (frequencies, groups, in, out)
        spectrum = (
            torch.fft.rfft(weight, n=self._length).conj().unflatten(0, (-1, self._of_group)).permute(3, 0, 2, 1)
        )
        self._spectrum = torch.cat([spectrum.real, spectrum.imag], dim=3)

    def __call__(self, rows: Any) -> Any:
        from torch.nn.functional import gelu

        near = self._near(rows) if self._spectrum is None else self._by_spectrum(rows)
        return gelu(near + self._bias)

    def _near(self, rows: Any) -> Any:
        from torch.nn.functional import conv1d

        groups = self._channels // self._of_group
        found = conv1d(rows.T[None], self._weight, padding=self._kernel // 2, groups=groups)
        return found[0, :, : len(rows)].T

    def _by_spectrum(self, rows: Any) -> Any:
        """Overlap-save: blocks of the rows, transformed, multiplied and transformed back."""
        import torch
        from torch.nn.functional import pad

        step = self._length - self._kernel + 1
        blocks = -(-len(rows) // step)
        before = self._kernel // 2
        after = blocks * step + self._kernel - 1 - before - len(rows)
        stretches = pad(rows, (0, 0, before, after)).unfold(0, self._length, step)  # (blocks, channels, length)
        spectrum = torch.fft.rfft(stretches).unflatten(1, (-1, self._of_group)).permute(3, 1, 0, 2)
        answer = self._times_weight(spectrum).permute(2, 1, 3, 0)  # (blocks, groups, out, frequencies)
        found = torch.fft.irfft(answer, n=self._length)[..., :step]  # cuts off what wrapped around
        return found.permute(0, 3, 1, 2).reshape(-1, self._channels)[: len(rows)]

    def _times_weight(self, spectrum: Any) -> Any:
        """Complex (frequencies, groups, blocks, in) → (…, out), by real products: complex ones take twice as long."""
        import torch

        blocks, out = spectrum.shape[2], self._of_group
        parts = torch.view_as_real(spectrum).movedim(4, 2).flatten(2, 3)  # the real blocks, then the imaginary ones
        products = parts @ self._spectrum
        real, imaginary = products[:, :, :blocks], products[:, :, blocks:]
        return torch.complex(
            real[..., :out] - imaginary[..., out:],
            real[..., out:] + imaginary[..., :out],
        )
