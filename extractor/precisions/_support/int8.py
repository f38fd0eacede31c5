"""Weights in 8 bits, a scale per output channel; the input is quantised row by row, so that products are int8 x int8.

`y[r, n] = x_scale[r] * w_scale[n] * sum_k(x_code[r, k] * w_code[n, k])`, both symmetric, both within -127 to 127. The
sum is exact, so a row gives the same bits alone and in any batch. Where the machine has no int8 products (or CUDA's do
not take the sizes), the input stays as it is and the weight is unpacked for each product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from extractor.kernels import amx
from extractor.kernels.quantized import kernels
from extractor.precisions._support.base import Packed, QuantizedLinear

LARGEST = 127
BLOCK_ROWS = 1024
"""Rows that are quantised, multiplied and scaled before the next ones: what lies between stays in the cache."""

_FEW_OUTPUTS = 16
"""Laying out one of so many rows of the weight costs about as much as the whole product of a few rows of input."""

_SMALLEST_SCALE = 1e-30
_SMALL, _FILLED_ROWS = 2048, 8
"""oneDNN leaves products of up to some hundred numbers to plain loops, a hundred times slower than filling up rows."""

_FEWEST_CUDA_ROWS = 32
"""CUDA's int8 product wants more than 16 rows; fewer are filled up to this."""


class Int8Linear(QuantizedLinear):
    """A linear layer in int8: about half the memory of bfloat16 and, with AMX or VNNI, twice its rate."""

    BITS: ClassVar[int] = 8

    scale: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        super().__init__(in_features, out_features, bias, device, dtype)
        self.register_buffer("codes", torch.empty(out_features, in_features, dtype=torch.int8, device=device))
        self.register_buffer("scale", torch.empty(out_features, dtype=torch.float32, device=device))

    def dequantized(self) -> Tensor:
        codes: Tensor = self.state_dict()["codes"]
        return codes.float() * self.scale[:, None]

    def forward_rows(self, x: Tensor, rows: Tensor) -> Tensor:
        """`self(x)[..., rows]`, bit for bit, from these rows of the weight alone: for a few of very many rows.

        `x` is (n, in_features), `rows` are indices. Worth it where `pack_for_rows` has been called.
        """
        if len(rows) * _FEW_OUTPUTS > self.out_features or (self.codes is None and self._kernel is not _TILES):
            return self.forward(x).index_select(-1, rows)
        if self._kernel is _TILES:  # which takes multiples of rows
            count, rows = len(rows), F.pad(rows, (0, -len(rows) % amx.MULTIPLE))
            codes = amx.rows(self.pack()[0], self.in_features, rows)
            return self._product_of_rows(codes, rows, x)[:, :count]
        assert self.codes is not None
        return self._product_of_rows(self.codes.index_select(0, rows), rows, x)

    def pack_for_rows(self) -> None:
        """Pack, and keep what `forward_rows` reads: the plain form, except for the matrix unit, whose tiles do."""
        self.pack(keep=self._kernel is not _TILES)

    def _product_of_rows(self, codes: Tensor, rows: Tensor, x: Tensor) -> Tensor:
        product = self._kernel.multiply(self._kernel.pack(codes), self.scale.index_select(0, rows), x)
        if self.bias is not None:
            product += self.bias.index_select(0, rows)
        return product

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        native = kernels() if self._fuses(x) else None
        if native is None or self.bias is not None:
            return super().plus(x, residual)
        y = torch.empty_like(residual)
        for rows, some, target in _blocks(x, residual, y):
            codes, scale = native.quantize_rows(rows)
            native.add_rows(_qlinear(codes, self.pack(), self.scale, x.dtype), scale, some, target)
        return y

    def gated(self, x: Tensor) -> Tensor:
        native = kernels() if self._fuses(x) else None
        if native is None or self.bias is not None:
            return super().gated(x)
        y = x.new_empty(len(x), self.out_features // 2)
        for rows, target in _blocks(x, y):
            codes, scale = native.quantize_rows(rows)
            native.gate_rows(_qlinear(codes, self.pack(), self.scale, x.dtype), scale, target)
        return y

    def tiled(self) -> amx.Tiles | None:
        """The packed weight for what the matrix unit computes in one pass; None where it does not take it."""
        if self._kernel is not _TILES:
            return None
        return amx.Tiles(self.pack()[0], self.in_features, self.scale, self.bias)

    def _fuses(self, x: Tensor) -> bool:
        """Whether the kernels take what follows the product as well."""
        return self._kernel is _ONEDNN and x.dim() == 2 and x.is_contiguous() and x.dtype == torch.bfloat16

    def _quantize_rows(self, rows: slice, weight: Tensor) -> None:
        scale = weight.abs().amax(-1).div_(LARGEST).clamp_min_(_SMALLEST_SCALE)
        self.scale[rows] = scale
        self._plain[rows] = (weight / scale[:, None]).round_().to(torch.int8)

    def _multiply(self, packed: Packed, x: Tensor) -> Tensor:
        return self._kernel.multiply(packed, self.scale, x)

    def _to_packed(self, codes: Tensor) -> Packed:
        return self._kernel.pack(codes)

    def _to_plain(self, packed: Packed) -> Tensor:
        return self._kernel.unpack(packed)[:, : self.in_features].contiguous()

    @property
    def _kernel(self) -> _Kernel:
        if self.scale.is_cuda:
            return _CUDA if self.in_features % 8 == self.out_features % 8 == 0 else _UNPACKED
        if amx.takes(self.out_features, self.in_features, self.dtype, self.scale.device):
            return _TILES
        return _ONEDNN if _has_int8_products() else _UNPACKED


def _has_int8_products() -> bool:
    """Whether this CPU multiplies int8 exactly: older ones saturate sums of two products."""
    return torch._C._has_mkldnn and torch.cpu._is_vnni_supported()


def quantize_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Codes (rows, columns) in int8 and scales (rows, 1) in float32 of an `x` in 16 bits.

    One pass over memory with our kernel. Else six: two for the largest value of each row, over the bits without the
    sign, which are ordered like the values; four (to float32, scale, round, to int8) for the codes.
    """
    native = kernels()
    if native is not None and not x.is_cuda and x.dtype == torch.bfloat16:
        return native.quantize_rows(x.contiguous())
    bits = x.view(torch.int16).bitwise_and(0x7FFF)
    largest = bits.amax(-1, keepdim=True).view(x.dtype).float()
    scale = largest.div_(LARGEST).clamp_min_(_SMALLEST_SCALE)
    return x.float().mul_(scale.reciprocal()).round_().to(torch.int8), scale


def _multiply_onednn(packed: Packed, scale: Tensor, x: Tensor) -> Tensor:
    product = x.new_empty(len(x), len(scale))
    for rows, target in _blocks(x, product):
        codes, x_scale = quantize_rows(rows)
        _scale_rows(_qlinear(codes, packed, scale, x.dtype), x_scale, target)
    return product


def _blocks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The same few rows of each."""
    return zip(*(torch.split(tensor, BLOCK_ROWS) for tensor in tensors), strict=True)


def _scale_rows(product: Tensor, scale: Tensor, target: Tensor) -> None:
    native = kernels()
    if native is not None and product.dtype == torch.bfloat16:
        native.scale_rows(product, scale, target)
    else:
        torch.mul(product, scale.to(product.dtype), out=target)


def _qlinear(codes: Tensor, packed: Packed, scale: Tensor, dtype: torch.dtype) -> Tensor:
    """oneDNN's int8 product, times the scale of each output channel."""
    weight, zeros = packed
    rows = len(codes)
    if rows < _FILLED_ROWS and rows * len(scale) <= _SMALL:
        codes = _filled(codes, _FILLED_ROWS)
    product: Tensor = torch.ops.onednn.qlinear_pointwise(
        codes, 1.0, 0, weight, scale, zeros, None, 1.0, 0, dtype, "none", [], ""
    )
    return product[:rows]


def _filled(codes: Tensor, rows: int) -> Tensor:
    """At least so many rows, those that are added of zeros."""
    return F.pad(codes, (0, 0, 0, max(0, rows - len(codes))))


def _pack_onednn(codes: Tensor) -> Packed:
    rows, columns = codes.shape
    return torch.ops.onednn.qlinear_prepack(codes, [BLOCK_ROWS, columns]), torch.zeros(rows, dtype=torch.int32)


def _unpack_onednn(packed: Packed) -> Tensor:
    """The product with the identity gives the codes back, exactly; the layout itself is oneDNN's secret."""
    columns, rows = packed[0].shape
    ones = torch.ones(rows)
    blocks = torch.split(torch.eye(columns, dtype=torch.int8), BLOCK_ROWS)
    parts = [_qlinear(block, packed, ones, torch.float32).to(torch.int8) for block in blocks]
    return torch.cat(parts).t().contiguous()


def _pack_tiles(codes: Tensor) -> Packed:
    return (amx.lay_out(codes),)


def _unpack_tiles(packed: Packed) -> Tensor:
    return amx.plain(packed[0])


def _multiply_tiles(packed: Packed, scale: Tensor, x: Tensor) -> Tensor:
    return amx.multiply(x, amx.Tiles(packed[0], x.shape[1], scale))


def _multiply_cuda(packed: Packed, scale: Tensor, x: Tensor) -> Tensor:
    codes, x_scale = quantize_rows(x)
    sums = torch._int_mm(_filled(codes, _FEWEST_CUDA_ROWS), packed[0].t())[: len(x)]
    return (sums * scale * x_scale).to(x.dtype)


def _multiply_unpacked(packed: Packed, scale: Tensor, x: Tensor) -> Tensor:
    return (F.linear(x, packed[0].to(x.dtype)) * scale).to(x.dtype)


def _as_it_is(codes: Tensor) -> Packed:
    return (codes,)


def _first(packed: Packed) -> Tensor:
    return packed[0]


@dataclass(frozen=True, slots=True)
class _Kernel:
    """How one kind of machine lays out and multiplies the weights."""

    pack: Callable[[Tensor], Packed]
    unpack: Callable[[Packed], Tensor]
    multiply: Callable[[Packed, Tensor, Tensor], Tensor]
    """Packed weight, its scales, `x` (rows, columns)."""


_ONEDNN = _Kernel(_pack_onednn, _unpack_onednn, _multiply_onednn)
_TILES = _Kernel(_pack_tiles, _unpack_tiles, _multiply_tiles)
_CUDA = _Kernel(_as_it_is, _first, _multiply_cuda)
_UNPACKED = _Kernel(_as_it_is, _first, _multiply_unpacked)
