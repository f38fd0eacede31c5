"""Weights in 4 bits, with a scale and a zero for each group of 32 columns of an output: 5 bits in all.

`w = (code - 8) * scale + zero`, codes 0 to 15, scale and zero in bfloat16: the form that torch's kernels read. A kernel
reads a weight once for a few rows of input; for many, the weight is unpacked to half precision and multiplied as such.
The plain form has two codes a byte, the even column in the low half. On a CPU with our kernels the input is quantised
to int8 row by row, and a weight is unpacked tile by tile, never as a whole. Groups of 64 would save half a bit and lose
nearly twice as much (measured).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from extractor.kernels import tiled
from extractor.kernels.tiled import TiledWeight
from extractor.precisions._support.quantized_linear import Packed, QuantizedLinear

GROUP = 32
"""Columns of an output that share scale and zero."""

FEW_ROWS = 32
"""Rows up to which torch's kernels for few rows beat unpacking the weight (measured)."""

_MIDDLE, _LARGEST = 8, 15
_BLOCK = 64
_SMALLEST_SCALE = 1e-8
_INNER_TILES = 8
"""How CUDA's kernel interleaves; 8 needs columns in multiples of 128."""


class Int4Linear(QuantizedLinear):
    """A linear layer in int4, for a model that must fit and for single documents."""

    BITS: ClassVar[int] = 4

    scale: Tensor
    zero: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        if not self.supports(in_features):
            raise ValueError(f"int4 needs columns in multiples of {GROUP}, not {in_features}")
        super().__init__(in_features, out_features, bias, device, dtype)
        groups = in_features // GROUP
        self.register_buffer("codes", torch.empty(out_features, in_features // 2, dtype=torch.uint8, device=device))
        for name in ("scale", "zero"):
            self.register_buffer(name, torch.empty(out_features, groups, dtype=torch.bfloat16, device=device))

    @staticmethod
    def supports(columns: int) -> bool:
        """Return whether a weight of so many columns divides into groups."""
        return columns % GROUP == 0

    def dequantized(self) -> Tensor:
        """Return (code - 8) * scale + zero in float32."""
        return self._in_type(self.state_dict()["codes"], torch.float32)

    def tiles(self) -> TiledWeight | None:
        """Return the packed weight where it is in the tiles of our kernels."""
        if self._kernel is not _TILES:
            return None
        return TiledWeight(self.pack()[0], self.in_features, bias=self.bias)

    def _quantize_rows(self, rows: slice, weight: Tensor) -> None:
        """Fill codes, scales and zeros. The latter are rounded to bfloat16 first, so that the codes make up for it."""
        groups = weight.view(len(weight), -1, GROUP)
        low, high = groups.amin(-1), groups.amax(-1)
        scale = ((high - low) / _LARGEST).clamp_min_(_SMALLEST_SCALE).bfloat16()
        zero = (low + scale.float() * _MIDDLE).bfloat16()
        steps = (groups - zero.float()[..., None]).div_(scale.float()[..., None]).add_(_MIDDLE)
        self._plain[rows] = _pairs(steps.round_().clamp_(0, _LARGEST).to(torch.uint8).flatten(1))
        self.scale[rows], self.zero[rows] = scale, zero

    def _multiply(self, packed: Packed, x: Tensor) -> Tensor:
        return self._kernel.multiply(self, packed, x)

    def _to_packed(self, codes: Tensor) -> Packed:
        return self._kernel.pack(self, codes)

    def _to_plain(self, packed: Packed) -> Tensor:
        return self._kernel.unpack(packed)

    @property
    def _kernel(self) -> _Kernel:
        if self.dtype != torch.bfloat16:
            return _UNPACKED
        if self.scale.is_cuda:
            return _CUDA if self.in_features % (16 * _INNER_TILES) == self.out_features % 8 == 0 else _UNPACKED
        if tiled.supports(self.out_features, self.in_features, self.dtype, self.scale.device, torch.uint8):
            return _TILES
        fits = self.out_features % _BLOCK == 0 and torch.backends.cpu.get_cpu_capability() == "AVX512"
        return _TORCH if fits else _UNPACKED

    def _in_type(self, codes: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the weight (rows, columns) that plain codes mean."""
        scale, zero = (each.to(dtype).unsqueeze(-1) for each in (self.scale, self.zero))
        groups = _columns(codes).to(dtype).view(self.out_features, -1, GROUP)
        return groups.sub_(_MIDDLE).mul_(scale).add_(zero).view(self.out_features, self.in_features)

    def _scale_and_zero(self) -> Tensor:
        """Return both as (groups, rows, 2), as torch's kernels read them."""
        return torch.stack([self.scale.t(), self.zero.t()], dim=-1)


def _columns(codes: Tensor) -> Tensor:
    """Return one code a byte, (rows, columns), from the plain form."""
    return torch.stack([codes & 15, codes >> 4], dim=-1).flatten(1)


def _pairs(columns: Tensor) -> Tensor:
    """Return the plain form from one code a byte."""
    return columns[:, 0::2] | columns[:, 1::2] << 4


def _pack_tiles(layer: Int4Linear, codes: Tensor) -> Packed:
    return (tiled.int4_to_tiles(codes, layer.scale, layer.zero),)


def _unpack_tiles(packed: Packed) -> Tensor:
    return tiled.int4_from_tiles(packed[0])


def _multiply_tiles(layer: Int4Linear, packed: Packed, x: Tensor) -> Tensor:
    return tiled.multiply(x, TiledWeight(packed[0], layer.in_features))


def _pack_torch(layer: Int4Linear, codes: Tensor) -> Packed:
    packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(_columns(codes).int(), 1)
    return packed, layer._scale_and_zero()


def _unpack_torch(packed: Packed) -> Tensor:
    """Return the codes from the layout of torch's kernel for AVX-512.

    It has blocks of 64 outputs, by column 32 bytes, output i in the low half and 32 + i in the high one.
    """
    rows = len(packed[0])
    blocks = packed[0].view(rows // _BLOCK, -1, _BLOCK // 2)
    columns = torch.stack([blocks & 15, blocks >> 4], dim=1).transpose(2, 3)
    return _pairs(columns.reshape(rows, -1))


def _multiply_torch(layer: Int4Linear, packed: Packed, x: Tensor) -> Tensor:
    if len(x) > FEW_ROWS:
        return F.linear(x, layer._in_type(_unpack_torch(packed), x.dtype))
    product: Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(x.contiguous(), packed[0], GROUP, packed[1])
    return product


def _pack_cuda(layer: Int4Linear, codes: Tensor) -> Packed:
    """Return the layout of CUDA's kernel, whose packing reads the even column from the high half."""
    packed = torch.ops.aten._convert_weight_to_int4pack((codes << 4 | codes >> 4).contiguous(), _INNER_TILES)
    return packed, layer._scale_and_zero()


def _unpack_cuda(packed: Packed) -> Tensor:
    """Return the codes from the layout of tensor cores (m16n8k16), two tiles of 16 columns to each 32 bits.

    Byte by byte: 8 outputs, runs of tiles, output, quarter, pair of tiles, odd column, tile; a half byte is eight
    columns further.
    """
    tiles, runs, _, pairs = packed[0].shape
    bytes_ = packed[0].view(torch.uint8).view(tiles, runs, 8, 4, pairs, 2, 2)
    halves = torch.stack([bytes_ & 15, bytes_ >> 4], dim=-1)
    return _pairs(halves.permute(0, 2, 1, 4, 6, 7, 3, 5).reshape(tiles * 8, -1))


def _multiply_cuda(layer: Int4Linear, packed: Packed, x: Tensor) -> Tensor:
    if len(x) > FEW_ROWS:
        return F.linear(x, layer._in_type(_unpack_cuda(packed), x.dtype))
    product: Tensor = torch.ops.aten._weight_int4pack_mm(x.contiguous(), packed[0], GROUP, packed[1])
    return product


def _multiply_unpacked(layer: Int4Linear, packed: Packed, x: Tensor) -> Tensor:
    return F.linear(x, layer._in_type(packed[0], x.dtype))


def _as_it_is(layer: Int4Linear, codes: Tensor) -> Packed:
    return (codes,)


def _first(packed: Packed) -> Tensor:
    return packed[0]


@dataclass(frozen=True, slots=True)
class _Kernel:
    """How one kind of machine packs, unpacks and multiplies the weights."""

    pack: Callable[[Int4Linear, Tensor], Packed]
    unpack: Callable[[Packed], Tensor]
    multiply: Callable[[Int4Linear, Packed, Tensor], Tensor]


_TORCH = _Kernel(_pack_torch, _unpack_torch, _multiply_torch)
_TILES = _Kernel(_pack_tiles, _unpack_tiles, _multiply_tiles)
_CUDA = _Kernel(_pack_cuda, _unpack_cuda, _multiply_cuda)
_UNPACKED = _Kernel(_as_it_is, _first, _multiply_unpacked)
