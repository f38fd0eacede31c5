"""Weights in 4 bits, with a scale and a zero for each group of columns of an output channel; the input stays as it is.

`w = (code - 8) * scale + zero`, codes 0 to 15: the form that torch's int4 kernels take, scale and zero in bfloat16.
The kernels read a weight once for a few rows of input and are slow for many, so many rows are multiplied with the
weight unpacked to half precision. The plain form has two codes a byte, the even column in the low half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from extractor.chatglm3.quantized.base import QuantizedLinear

GROUP = 32
"""Columns that share scale and zero: 5 bits a weight in all. Wider groups save half a bit and lose twice as much."""

FEW_ROWS = 40
"""Up to here the int4 kernels, which take rows one by one or in small tiles, beat unpacking the weight (measured)."""

_MIDDLE, _LARGEST = 8, 15
_BLOCK = 64
_SMALLEST_SCALE = 1e-8
_INNER_TILES = 8
"""How CUDA's kernel interleaves; 8 wants columns in multiples of 128."""


class Int4Linear(QuantizedLinear):
    """A linear layer in int4: 5 bits a weight, for a model that must fit and for single documents."""

    BITS: ClassVar[int] = 4
    ROW_DIMENSION: ClassVar[Mapping[str, int]] = {"codes": 0, "scale_and_zero": 1, "bias": 0}

    scale_and_zero: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        if not self.takes(in_features):
            raise ValueError(f"int4 wants columns in multiples of {GROUP}, not {in_features}")
        super().__init__(in_features, out_features, bias, device, dtype)
        groups = in_features // GROUP
        self.register_buffer("codes", torch.empty(out_features, in_features // 2, dtype=torch.uint8, device=device))
        pairs = torch.empty(groups, out_features, 2, dtype=torch.bfloat16, device=device)
        self.register_buffer("scale_and_zero", pairs)

    @staticmethod
    def takes(columns: int) -> bool:
        """Whether a weight of so many columns divides into groups."""
        return columns % GROUP == 0

    def dequantized(self) -> Tensor:
        return self._in_type(self.state_dict()["codes"], torch.float32)

    def _quantize_rows(self, rows: slice, weight: Tensor) -> None:
        """Scale and zero are rounded to bfloat16 first, so that the codes make up for it."""
        groups = weight.view(len(weight), -1, GROUP)
        low, high = groups.amin(-1), groups.amax(-1)
        scale = ((high - low) / _LARGEST).clamp_min_(_SMALLEST_SCALE).bfloat16()
        zero = (low + scale.float() * _MIDDLE).bfloat16()
        steps = (groups - zero.float()[..., None]).div_(scale.float()[..., None]).add_(_MIDDLE)
        codes = steps.round_().clamp_(0, _LARGEST).to(torch.uint8).view(len(weight), -1, 2)
        self._plain[rows] = codes[..., 0] | codes[..., 1] << 4
        self.scale_and_zero[:, rows] = torch.stack([scale.t(), zero.t()], dim=-1)

    def _multiply(self, packed: Tensor, x: Tensor) -> Tensor:
        return self._kernel.multiply(self, packed, x)

    def _to_packed(self, codes: Tensor) -> Tensor:
        return self._kernel.pack(codes)

    def _to_plain(self, packed: Tensor) -> Tensor:
        return self._kernel.unpack(packed)

    @property
    def _kernel(self) -> _Kernel:
        if self.dtype != torch.bfloat16:
            return _UNPACKED
        if self.scale_and_zero.is_cuda:
            return _CUDA if self.in_features % (16 * _INNER_TILES) == self.out_features % 8 == 0 else _UNPACKED
        fits = self.out_features % _BLOCK == 0 and torch.backends.cpu.get_cpu_capability() == "AVX512"
        return _CPU if fits else _UNPACKED

    def _in_type(self, codes: Tensor, dtype: torch.dtype) -> Tensor:
        """The weight (rows, columns) that plain codes stand for."""
        scale, zero = self.scale_and_zero.permute(2, 1, 0).unsqueeze(-1).to(dtype)
        groups = _columns(codes).to(dtype).view(self.out_features, -1, GROUP)
        return groups.mul_(scale).add_(zero - scale * _MIDDLE).view(self.out_features, self.in_features)


def _columns(codes: Tensor) -> Tensor:
    """One code a byte, (rows, columns), from the plain form."""
    return torch.stack([codes & 15, codes >> 4], dim=-1).flatten(1)


def _pairs(columns: Tensor) -> Tensor:
    """The plain form from one code a byte."""
    return columns[:, 0::2] | columns[:, 1::2] << 4


def _pack_cpu(codes: Tensor) -> Tensor:
    packed: Tensor = torch.ops.aten._convert_weight_to_int4pack_for_cpu(_columns(codes).int(), 1)
    return packed


def _unpack_cpu(packed: Tensor) -> Tensor:
    """The kernel for AVX-512 holds 64 output channels together: by column 32 bytes, channel i low and 32 + i high."""
    blocks = packed.view(len(packed) // _BLOCK, -1, _BLOCK // 2)
    columns = torch.stack([blocks & 15, blocks >> 4], dim=1).transpose(2, 3)
    return _pairs(columns.reshape(len(packed), -1))


def _multiply_cpu(layer: Int4Linear, packed: Tensor, x: Tensor) -> Tensor:
    if len(x) > FEW_ROWS:
        return x @ _transposed_weight(layer, packed)
    product: Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(x.contiguous(), packed, GROUP, layer.scale_and_zero)
    return product


def _transposed_weight(layer: Int4Linear, packed: Tensor) -> Tensor:
    """The weight (columns, rows) in the layer's type, in the order in which the packed form lies."""
    blocks = packed.view(layer.out_features // _BLOCK, layer.in_features, _BLOCK // 2).transpose(0, 1)
    codes = torch.empty(layer.in_features, len(packed) // _BLOCK, 2, _BLOCK // 2, dtype=layer.dtype)
    codes[:, :, 0], codes[:, :, 1] = blocks & 15, blocks >> 4
    scale, zero = layer.scale_and_zero.unbind(-1)
    groups = codes.view(-1, GROUP, layer.out_features)
    groups.mul_(scale[:, None].contiguous()).add_((zero - scale * _MIDDLE)[:, None])
    return codes.view(layer.in_features, layer.out_features)


def _pack_cuda(codes: Tensor) -> Tensor:
    """CUDA's packing wants the even column in the high half."""
    packed: Tensor = torch.ops.aten._convert_weight_to_int4pack((codes << 4 | codes >> 4).contiguous(), _INNER_TILES)
    return packed


def _unpack_cuda(packed: Tensor) -> Tensor:
    """The layout of tensor cores (m16n8k16), two tiles of 16 columns to each 32 bits.

    Byte by byte: 8 channels, runs of tiles, channel, quarter, pair of tiles, odd column, tile; a half byte is eight
    columns further.
    """
    tiles, runs, _, pairs = packed.shape
    bytes_ = packed.view(torch.uint8).view(tiles, runs, 8, 4, pairs, 2, 2)
    halves = torch.stack([bytes_ & 15, bytes_ >> 4], dim=-1)
    return _pairs(halves.permute(0, 2, 1, 4, 6, 7, 3, 5).reshape(tiles * 8, -1))


def _multiply_cuda(layer: Int4Linear, packed: Tensor, x: Tensor) -> Tensor:
    if len(x) > FEW_ROWS:
        return F.linear(x, layer._in_type(_unpack_cuda(packed), x.dtype))
    product: Tensor = torch.ops.aten._weight_int4pack_mm(x.contiguous(), packed, GROUP, layer.scale_and_zero)
    return product


def _multiply_unpacked(layer: Int4Linear, packed: Tensor, x: Tensor) -> Tensor:
    return F.linear(x, layer._in_type(packed, x.dtype))


def _as_it_is(weight: Tensor) -> Tensor:
    return weight


@dataclass(frozen=True, slots=True)
class _Kernel:
    """How one kind of machine lays out and multiplies the weights."""

    pack: Callable[[Tensor], Tensor]
    unpack: Callable[[Tensor], Tensor]
    multiply: Callable[[Int4Linear, Tensor, Tensor], Tensor]


_CPU = _Kernel(_pack_cpu, _unpack_cpu, _multiply_cpu)
_CUDA = _Kernel(_pack_cuda, _unpack_cuda, _multiply_cuda)
_UNPACKED = _Kernel(_as_it_is, _as_it_is, _multiply_unpacked)
