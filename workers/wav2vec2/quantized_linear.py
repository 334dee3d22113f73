"""Rows times a matrix, in a precision that the processor computes quickly.

Runs in: worker. Imports torch when a matrix is made.

`workers.wav2vec2.precision` finds out which of these to use.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

Matrix = Callable[[Any], Any]
"""Rows (n, in) → rows (n, out), float32 tensors."""
MatrixKind = Callable[[Any, Any, bool], Matrix]
"""Weight (out, in), bias (out,) or None, and whether all future rows have about the same size → the matrix."""

CPU_FLAGS = Path("/proc/cpuinfo")
WEIGHT_STEPS = 63
"""Of the 127 in eight bits: AVX2 adds two products in sixteen bits, and more than this would overflow."""
INPUT_STEPS, INPUT_SHIFT = 127, 128
"""To each side of the zero point."""
SMALLEST = 1e-12
"""The step if all values are equal."""
ONE_BY_ONE = ([1, 1], [0, 0], [1, 1], 1)
"""Stride, padding, dilation and groups of a convolution that is the product of each pixel with a matrix."""
FEW_INPUTS = 64
"""A matrix this narrow costs little, and its input is often the raw sound."""


def exact(weight: Any, bias: Any, alike: bool = False) -> Matrix:
    """Full precision. Keeps a reference to its arguments."""
    from torch.nn.functional import linear

    return partial(linear, weight=weight, bias=bias)


def sixteen_bit(weight: Any, bias: Any, alike: bool = False) -> Matrix:
    """bfloat16 in, float32 out. Twenty times slower on a processor without instructions for it."""
    import torch
    from torch.nn.functional import linear

    if weight.shape[1] <= FEW_INPUTS:
        return exact(weight.clone(), bias)
    short = weight.to(torch.bfloat16)
    short_bias = None if bias is None else bias.to(torch.bfloat16)
    return lambda rows: linear(rows.to(torch.bfloat16), short, short_bias).to(torch.float32)


def eight_bit(weight: Any, bias: Any, alike: bool = False) -> Matrix:
    """int8, with a scale for each row of the weight and, unless they are `alike`, for each input row.

    PyTorch's own dynamic quantization has one scale for the whole input: a quiet frame beside a loud one is lost. It
    also keeps a second copy of the weight. The rows are passed as pixels, channels last: oneDNN's convolution keeps
    the weight in the processor's layout, its matrix product converts it in each call, a tenth of the time.
    """
    import torch

    if weight.shape[1] <= FEW_INPUTS:
        return exact(weight.clone(), bias)
    steps = weight.abs().amax(dim=1).clamp_min(SMALLEST) / WEIGHT_STEPS
    kernels = (weight / steps[:, None]).round_().to(torch.int8)[:, :, None, None]
    packed = torch.ops.onednn.qconv_prepack(kernels, steps, 1 / INPUT_STEPS, INPUT_SHIFT, *ONE_BY_ONE)
    no_shifts = torch.zeros(len(steps), dtype=torch.long)

    def times(rows: Any, step: float, added: Any) -> Any:
        """`rows` are within INPUT_STEPS times `step` of zero."""
        quantized = torch.quantize_per_tensor(rows, step, INPUT_SHIFT, torch.quint8)
        # Wraps the bytes: PyTorch's own conversion copies them one by one.
        whole = torch.empty(0, dtype=torch.uint8)
        whole.set_(quantized.untyped_storage(), 0, rows.shape, quantized.stride())
        products = torch.ops.onednn.qconv_pointwise(
            *(whole.T[None, :, :, None], step, INPUT_SHIFT, packed, steps, no_shifts, added, *ONE_BY_ONE),
            *(1.0, 0, torch.float32, "none", [], "none"),
        )
        return products[0, :, :, 0].T

    def times_alike(rows: Any) -> Any:
        return times(rows, max(float(rows.amax()), -float(rows.amin()), SMALLEST) / INPUT_STEPS, bias)

    def times_each(rows: Any) -> Any:
        largest = torch.maximum(rows.amax(dim=1, keepdim=True), -rows.amin(dim=1, keepdim=True))
        largest.clamp_min_(SMALLEST)
        products = times(rows * largest.reciprocal(), 1 / INPUT_STEPS, None)
        return products.mul_(largest) if bias is None else torch.addcmul(bias, products, largest)

    return times_alike if alike else times_each


def reduced_kinds(cpu_flags: frozenset[str], quantized_engines: list[str]) -> dict[str, MatrixKind]:
    """Name → kinds that may be quicker on this processor, the most exact first."""
    if cpu_flags & {"avx512_bf16", "amx_bf16"}:
        return {"bfloat16": sixteen_bit}
    if cpu_flags & {"avx2", "avx512_vnni", "avx_vnni"} and "onednn" in quantized_engines:
        return {"int8": eight_bit}
    return {}


def flags_of_cpu(listing: Path = CPU_FLAGS) -> frozenset[str]:
    """The processor's flags on Linux; empty elsewhere: Apple's is quickest at full precision."""
    try:
        lines = listing.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())
