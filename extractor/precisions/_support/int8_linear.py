"""Weights in 8 bits, a scale per output channel; the input is quantised row by row, so that products are int8 x int8.

`y[r, n] = x_scale[r] * w_scale[n] * sum_k(x_code[r, k] * w_code[n, k])`, both symmetric, both within -127 to 127. The
sum is exact, so a row gives the same bits alone and in any batch. Where the machine has no int8 products (or CUDA's do
not support the sizes), the input stays as it is and the weight is unpacked for each product.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from extractor.kernels import tiled
from extractor.kernels.tiled import TiledWeight
from extractor.precisions._support.linear import OutputProduct
from extractor.precisions._support.quantized_linear import Packed, QuantizedLinear

LARGEST = 127
BLOCK_ROWS = 1024
"""Rows that are quantised, multiplied and scaled before the next ones, so that what is between stays in the cache."""

_FEW_OUTPUTS = 16
"""Packing one of so many rows of the weight costs about as much as the whole product of a few rows of input."""

_SMALLEST_SCALE = 1e-30
_ZERO = 128
"""oneDNN multiplies unsigned bytes by signed ones with VNNI; for signed inputs it has only plain loops where there is
no AMX, thousands of times slower. A code is handed over with 128 added, which it takes off again: the same sum."""

_FEWEST_CUDA_ROWS = 32
"""CUDA's int8 product needs more than 16 rows; fewer are padded to this."""

_CUDA_MULTIPLE = 8
"""CUDA's int8 product needs outputs and columns in multiples of this."""


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
        """Return code * scale in float32."""
        codes: Tensor = self.state_dict()["codes"]
        return codes.float() * self.scale[:, None]

    def forward_rows(self, x: Tensor, rows: Tensor) -> Tensor:
        """Return `self(x)[..., rows]`, bit for bit, from these rows of the weight alone: for a few of very many.

        `x` is (n, in_features), `rows` are indices. Worth it where `pack_for_rows` has been called.
        """
        if len(rows) * _FEW_OUTPUTS > self.out_features or (self.codes is None and self._kernel is not _TILES):
            return self.forward(x).index_select(-1, rows)
        if self._kernel is _TILES:  # the outputs are padded to whole tiles
            count, rows = len(rows), F.pad(rows, (0, -len(rows) % tiled.MULTIPLE))
            codes = tiled.rows_from_tiles(self.pack()[0], self.in_features, rows)
            return self._product_of_rows(codes, rows, x)[:, :count]
        assert self.codes is not None
        return self._product_of_rows(self.codes.index_select(0, rows), rows, x)

    def pack_for_rows(self) -> None:
        """Pack, and keep what `forward_rows` reads: the plain form, unless the tiles of our kernels serve as well."""
        self.pack(keep=self._kernel is not _TILES)

    def _product_of_rows(self, codes: Tensor, rows: Tensor, x: Tensor) -> Tensor:
        product = self._kernel.multiply(self._kernel.pack(codes), self.scale.index_select(0, rows), x)
        if self.bias is not None:
            product += self.bias.index_select(0, rows)
        return product

    def output(self) -> OutputProduct:
        """Return the output layer; rows of the weight are read from the plain form, which is kept."""
        return _Output(self)

    def tiles(self) -> TiledWeight | None:
        """Return the packed weight where it is in the tiles of our kernels."""
        if self._kernel is not _TILES:
            return None
        return TiledWeight(self.pack()[0], self.in_features, self.scale, self.bias)

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
            fits = self.in_features % _CUDA_MULTIPLE == self.out_features % _CUDA_MULTIPLE == 0
            return _CUDA if fits else _UNPACKED
        if tiled.supports(self.out_features, self.in_features, self.dtype, self.scale.device, torch.int8):
            return _TILES
        return _ONEDNN if _has_int8_products() else _UNPACKED


class _Output:
    """The output layer in int8."""

    def __init__(self, layer: Int8Linear) -> None:
        layer.pack_for_rows()
        self._layer = layer

    def __call__(self, x: Tensor) -> Tensor:
        return self._layer.forward(x)

    def select(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Return the logits of these tokens; on CUDA some are added, as its product needs a multiple."""
        more = -len(tokens) % _CUDA_MULTIPLE if tokens.is_cuda else 0
        return self._layer.forward_rows(x, F.pad(tokens, (0, more)))[:, : len(tokens)]


@functools.cache
def _has_int8_products() -> bool:
    """Return whether oneDNN multiplies int8 exactly here: without VNNI it saturates sums of two products.

    Tried with the largest codes and with others, because oneDNN can be limited to less than what the processor has.
    """
    if not (torch._C._has_mkldnn and torch.cpu._is_vnni_supported()):
        return False
    columns, outputs = 96, 48
    mixed = torch.arange(outputs * columns).mul_(37).remainder_(2 * LARGEST + 1).sub_(LARGEST)
    weight = mixed.to(torch.int8).view(outputs, columns)
    weight[::2] = LARGEST
    packed, scale = _pack_onednn(weight), torch.ones(outputs)
    for codes in (torch.full((8, columns), LARGEST, dtype=torch.int8), weight[:1], weight[1:2]):
        exact = F.linear(codes.float(), weight.float())
        if not torch.equal(_qlinear(codes, packed, scale, torch.float32), exact):
            return False
    return True


def quantize_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return codes (rows, columns) in int8 and scales (rows, 1) in float32 for an `x` (rows, columns) in 16 bits.

    The largest value of a row is found over the bits without the sign, which are ordered like the values. Our kernels
    do the same in one pass, to the same bits.
    """
    bits = x.view(torch.int16).bitwise_and(0x7FFF)
    largest = bits.amax(-1, keepdim=True).view(x.dtype).float()
    scale = largest.div_(LARGEST).clamp_min_(_SMALLEST_SCALE)
    return x.float().mul_(scale.reciprocal()).round_().to(torch.int8), scale


def _multiply_onednn(packed: Packed, scale: Tensor, x: Tensor) -> Tensor:
    product = x.new_empty(len(x), len(scale))
    for rows, target in _blocks(x, product):
        codes, x_scale = quantize_rows(rows)
        torch.mul(_qlinear(codes, packed, scale, x.dtype), x_scale.to(x.dtype), out=target)
    return product


def _blocks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield the same few rows of each."""
    return zip(*(torch.split(tensor, BLOCK_ROWS) for tensor in tensors), strict=True)


def _qlinear(codes: Tensor, packed: Packed, scale: Tensor, dtype: torch.dtype) -> Tensor:
    """Return oneDNN's int8 product, times the scale of each output."""
    weight, zeros = packed
    unsigned = codes.view(torch.uint8).bitwise_xor(_ZERO)  # of a byte in two's complement: 128 more
    product: Tensor = torch.ops.onednn.qlinear_pointwise(
        unsigned, 1.0, _ZERO, weight, scale, zeros, None, 1.0, 0, dtype, "none", [], ""
    )
    return product


def _padded(codes: Tensor, rows: int) -> Tensor:
    """Return at least so many rows, padded with zeros."""
    return F.pad(codes, (0, 0, 0, max(0, rows - len(codes))))


def _pack_onednn(codes: Tensor) -> Packed:
    rows, columns = codes.shape
    return torch.ops.onednn.qlinear_prepack(codes, [BLOCK_ROWS, columns]), torch.zeros(rows, dtype=torch.int32)


def _unpack_onednn(packed: Packed) -> Tensor:
    """Return the codes as the product with the identity, which is exact: the layout itself is oneDNN's secret."""
    columns, rows = packed[0].shape
    ones = torch.ones(rows)
    blocks = torch.split(torch.eye(columns, dtype=torch.int8), BLOCK_ROWS)
    parts = [_qlinear(block, packed, ones, torch.float32).to(torch.int8) for block in blocks]
    return torch.cat(parts).t().contiguous()


def _pack_tiles(codes: Tensor) -> Packed:
    return (tiled.to_tiles(codes),)


def _unpack_tiles(packed: Packed) -> Tensor:
    return tiled.from_tiles(packed[0])


def _multiply_tiles(packed: Packed, scale: Tensor, x: Tensor) -> Tensor:
    return tiled.multiply(x, TiledWeight(packed[0], x.shape[1], scale))


def _multiply_cuda(packed: Packed, scale: Tensor, x: Tensor) -> Tensor:
    codes, x_scale = quantize_rows(x)
    sums = torch._int_mm(_padded(codes, _FEWEST_CUDA_ROWS), packed[0].t())[: len(x)]
    return (sums * scale * x_scale).to(x.dtype)


def _multiply_unpacked(packed: Packed, scale: Tensor, x: Tensor) -> Tensor:
    return (F.linear(x, packed[0].to(x.dtype)) * scale).to(x.dtype)


def _as_it_is(codes: Tensor) -> Packed:
    return (codes,)


def _first(packed: Packed) -> Tensor:
    return packed[0]


@dataclass(frozen=True, slots=True)
class _Kernel:
    """How one kind of machine packs, unpacks and multiplies the weights."""

    pack: Callable[[Tensor], Packed]
    unpack: Callable[[Packed], Tensor]
    multiply: Callable[[Packed, Tensor, Tensor], Tensor]
    """Packed weight, its scales, `x` (rows, columns)."""


_ONEDNN = _Kernel(_pack_onednn, _unpack_onednn, _multiply_onednn)
_TILES = _Kernel(_pack_tiles, _unpack_tiles, _multiply_tiles)
_CUDA = _Kernel(_as_it_is, _first, _multiply_cuda)
_UNPACKED = _Kernel(_as_it_is, _first, _multiply_unpacked)
