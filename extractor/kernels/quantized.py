"""The functions of `quantized.c`: rows to int8, what follows an int8 product, and int4 products on AVX-512 with VNNI.

They save passes over memory: rows go to int8 in one (torch needs six), what follows an int8 product is one, and int4
weights are multiplied without being unpacked. Codes and int8 products are the same bits with and without them.
Products on AMX tiles are in `amx`; choosing between the two is left to the layers of a precision.
"""

from __future__ import annotations

import ctypes
from functools import cache

import torch
from torch import Tensor

from extractor.kernels.checks import BF16, F32, I8, U8, matrix_shape, pointer, require
from extractor.kernels.jit import FLOAT, INT64, POINTER, Signature, load

_P, _N, _F = POINTER, INT64, FLOAT

SIGNATURES = {
    "quantize_rows": Signature((_P, _N, _N, _P, _P)),
    "scale_rows": Signature((_P, _N, _N, _P, _P)),
    "add_rows": Signature((_P, _N, _N, _P, _P, _P)),
    "gate_rows": Signature((_P, _N, _N, _P, _P)),
    "unpack_int4": Signature((_P, _P, _P, _N, _N, _P)),
    "multiply_int4": Signature((_P, _N, _N, _P, _P, _P, _N, _P, _P, _P)),
}

GROUP = 32
"""Columns of an int4 weight that share scale and zero."""


class QuantizedKernels:
    """The library's functions on contiguous tensors on the CPU, bfloat16 in and out.

    All raise TypeError for a wrong dtype and ValueError for a wrong shape, stride or device, before C is called.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self.has_int4 = hasattr(library, "multiply_int4")
        """Whether the processor has the instructions of the int4 products (AVX-512 with VNNI)."""

    def quantize_rows(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return int8 codes (rows, columns) and float32 scales (rows, 1) of `x` (rows, columns): x = code * scale."""
        rows, columns = matrix_shape("x", x)
        source = pointer("x", x, BF16, rows, columns)
        codes, scales = torch.empty(rows, columns, dtype=I8), torch.empty(rows, 1, dtype=F32)
        self._library.quantize_rows(source, rows, columns, codes.data_ptr(), scales.data_ptr())
        return codes, scales

    def scale_rows(self, product: Tensor, scales: Tensor, target: Tensor) -> None:
        """Set target = product * scales, for `product` (rows, columns) and `scales` (rows, 1); in place works too."""
        rows, columns = matrix_shape("product", product)
        self._library.scale_rows(*_scaled(product, scales), pointer("target", target, BF16, rows, columns))

    def add_rows(self, product: Tensor, scales: Tensor, residual: Tensor, target: Tensor) -> None:
        """Set target = residual + product * scales; all but `scales` (rows, 1) are (rows, columns)."""
        rows, columns = matrix_shape("product", product)
        self._library.add_rows(
            *_scaled(product, scales),
            pointer("residual", residual, BF16, rows, columns),
            pointer("target", target, BF16, rows, columns),
        )

    def gate_rows(self, product: Tensor, scales: Tensor, target: Tensor) -> None:
        """Set target = silu(gate) * up, the halves of product * scales: (rows, columns) to (rows, columns / 2)."""
        rows, columns = matrix_shape("product", product)
        require(columns % 2 == 0, f"a product of gate and up, so an even number of columns, not {columns}")
        self._library.gate_rows(*_scaled(product, scales), pointer("target", target, BF16, rows, columns // 2))

    def multiply_int4(self, x: Tensor, codes: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
        """Return x @ weight.T (rows, outputs) for `x` (rows, columns), which is quantised to int8 row by row.

        The weight is that of `unpack_int4`.
        """
        rows, columns = matrix_shape("x", x)
        source, weight = pointer("x", x, BF16, rows, columns), _int4_pointers(codes, scales, zeros, columns)
        outputs = len(codes)
        product = x.new_empty(rows, outputs)
        split, sums = torch.empty(x.shape, dtype=I8), torch.empty(rows, columns // GROUP, dtype=F32)
        self._function("multiply_int4")(
            source, rows, columns, *weight, outputs, product.data_ptr(), split.data_ptr(), sums.data_ptr()
        )
        return product

    def unpack_int4(self, codes: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
        """Return an int4 weight in bfloat16 (outputs, columns).

        `codes` (outputs, columns / 2) are two to a byte, the even column low; scales and zeros are (outputs,
        columns / 32): weight = (code - 8) * scale + zero.
        """
        outputs, columns = matrix_shape("codes", codes)
        columns *= 2
        weight = torch.empty(outputs, columns, dtype=BF16)
        packed = _int4_pointers(codes, scales, zeros, columns)
        self._function("unpack_int4")(*packed, outputs, columns, weight.data_ptr())
        return weight

    def _function(self, name: str) -> ctypes._NamedFuncPointer:
        if not self.has_int4:
            raise RuntimeError(f"{name} needs a processor with AVX-512 VNNI: check has_int4 first")
        function: ctypes._NamedFuncPointer = getattr(self._library, name)
        return function


@cache
def kernels() -> QuantizedKernels | None:
    """Return the kernels of this machine; None where they are switched off or gcc is missing."""
    library = load("quantized", SIGNATURES)
    return None if library is None else QuantizedKernels(library)


def _scaled(product: Tensor, scales: Tensor) -> tuple[int, int, int, int]:
    """Return the leading arguments of the functions that follow an int8 product."""
    rows, columns = product.shape
    return pointer("product", product, BF16, rows, columns), rows, columns, pointer("scales", scales, F32, rows, 1)


def _int4_pointers(codes: Tensor, scales: Tensor, zeros: Tensor, columns: int) -> tuple[int, int, int]:
    """Return the addresses of an int4 weight with so many columns."""
    require(columns % GROUP == 0, f"columns in multiples of {GROUP}, not {columns}")
    outputs, groups = len(codes), columns // GROUP
    return (
        pointer("codes", codes, U8, outputs, columns // 2),
        pointer("scales", scales, BF16, outputs, groups),
        pointer("zeros", zeros, BF16, outputs, groups),
    )
