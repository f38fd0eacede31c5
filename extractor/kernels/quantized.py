"""The kernels of `quantized.c`; without them (`jit`) torch's operations do.

They spare passes over memory: rows go to int8 in one (torch needs six), what follows an int8 product is one, and
4-bit weights are multiplied without being unpacked. Codes and int8 products are the same bits with and without them.
"""

from __future__ import annotations

import ctypes
from functools import cache

import torch
from torch import Tensor

from extractor.kernels.jit import call, load


class Kernels:
    """The library, on tensors on the CPU: bfloat16 in and out, contiguous; the caller sees to shapes."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self.has_int4 = hasattr(library, "multiply_int4")
        """Whether the CPU has what the 4-bit products are written in (AVX-512 with VNNI)."""

    def quantize_rows(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (rows, columns) in int8 and scales (rows, 1)."""
        codes = torch.empty(x.shape, dtype=torch.int8)
        scales = torch.empty(len(x), 1)
        call(self._library, "quantize_rows", x, *x.shape, codes, scales)
        return codes, scales

    def scale_rows(self, product: Tensor, scales: Tensor, target: Tensor) -> None:
        """target = product * scales."""
        call(self._library, "scale_rows", product, *product.shape, scales, target)

    def add_rows(self, product: Tensor, scales: Tensor, residual: Tensor, target: Tensor) -> None:
        """target = residual + product * scales."""
        call(self._library, "add_rows", product, *product.shape, scales, residual, target)

    def gate_rows(self, product: Tensor, scales: Tensor, target: Tensor) -> None:
        """target = silu(gate) * up, the halves of product * scales."""
        call(self._library, "gate_rows", product, *product.shape, scales, target)

    def multiply_int4(self, x: Tensor, codes: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
        """x (n, columns) times a 4-bit weight, x quantised to int8 row by row."""
        product = x.new_empty(len(x), len(codes))
        split, sums = torch.empty(x.shape, dtype=torch.int8), torch.empty(len(x), scales.shape[1])
        call(self._library, "multiply_int4", x, *x.shape, codes, scales, zeros, len(codes), product, split, sums)
        return product

    def unpack_int4(self, codes: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
        """A 4-bit weight in bfloat16 (rows, columns)."""
        weight = torch.empty(len(codes), codes.shape[1] * 2, dtype=torch.bfloat16)
        call(self._library, "unpack_int4", codes, scales, zeros, *weight.shape, weight)
        return weight


@cache
def kernels() -> Kernels | None:
    """The kernels of this machine; None where they are switched off or there is no gcc to make them."""
    library = load("quantized")
    return None if library is None else Kernels(library)
