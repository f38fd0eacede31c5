"""The functions of `amx.c`, `vectors.c` and `integers.c`: products with a weight in tiles.

On the processor's AMX tiles in bfloat16, int8 and int4; on its vectors, where it has no AMX, in bfloat16 and, from AVX2
on, in int8 and int4. Norm, gate and residual are part of a product. Where there is no gcc, `supports` is False for
everything. A row of a result is the same bits alone and among others, which oneDNN does not promise; on AMX in int4 up
to a rounding, as few rows are multiplied differently from many.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from extractor.kernels.checks import BF16, F32, I8, U8, matrix_shape, optional_pointer, pointer, require
from extractor.kernels.jit import FLOAT, INT64, POINTER, Signature, load

_P, _N, _F = POINTER, INT64, FLOAT

SIGNATURES = {
    "scratch_bytes": Signature((_N, _N, _N), INT64),
    "multiply_tiles": Signature((_P, _N, _N, _P, _F, _N, _P, _N, _N, _P, _P, _P, _P, _P)),
    "mlp_tiles": Signature((_P, _N, _N, _P, _F, _N, _P, _N, _N, _P, _P, _N, _N, _P, _P, _P)),
}

AMX_SIGNATURES = {"has_tiles": Signature((), ctypes.c_int), **SIGNATURES}

MULTIPLE = 32
"""What outputs and columns must be multiples of."""

_OUTPUTS = 16  # of a tile
_TILE_BYTES = 64  # of one output of a tile
_GROUP = 32  # columns of int4 that share scale and zero: one step
_INT4_TILE_BYTES = _OUTPUTS * (_GROUP // 2 + 2 + 2)  # codes, a scale and a zero for each output: `struct packed`
_ALIGNMENT = 64
_KINDS = (BF16, I8, U8)
"""The dtype of a weight's tiles by the number that `enum kind` has for it; int4 tiles are bytes."""


def supports(outputs: int, columns: int, dtype: torch.dtype, device: torch.device, tiles: torch.dtype = BF16) -> bool:
    """Return whether this machine multiplies inputs of a dtype by a weight of this size in tiles of another dtype."""
    fits = outputs % MULTIPLE == columns % MULTIPLE == 0
    return fits and dtype == BF16 and device.type == "cpu" and _library(tiles) is not None


def to_tiles(weight: Tensor) -> Tensor:
    """Return a weight (outputs, columns) as tiles: (outputs / 16, steps, 16, 16, numbers in 4 bytes).

    A tile is 16 outputs by 64 bytes of columns (a step); numbers that one instruction sums up are adjacent. Columns are
    padded with zeros to whole steps.
    """
    outputs, columns = weight.shape
    step, run = _TILE_BYTES // weight.itemsize, 4 // weight.itemsize
    steps = -(-columns // step)
    padded = functional.pad(weight, (0, steps * step - columns)) if columns % step else weight.contiguous()
    # As numbers of 4 bytes, which are moved whole: a third of the time that their parts take.
    runs = padded.view(torch.int32).view(outputs // _OUTPUTS, _OUTPUTS, steps, step // run)
    tiles = runs.permute(0, 2, 3, 1).contiguous().view(weight.dtype)
    return tiles.view(*tiles.shape[:3], _OUTPUTS, run)


def from_tiles(tiles: Tensor) -> Tensor:
    """Return the weight that `to_tiles` was given, with the columns that pad the last step."""
    return tiles.permute(0, 3, 1, 2, 4).reshape(len(tiles) * _OUTPUTS, -1)


def rows_from_tiles(tiles: Tensor, columns: int, outputs: Tensor) -> Tensor:
    """Return the rows of the weight for these outputs (indices): (len(outputs), columns)."""
    found = tiles[outputs // _OUTPUTS, :, :, outputs % _OUTPUTS]
    return found.reshape(len(outputs), -1)[:, :columns]


def int4_to_tiles(codes: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
    """Return an int4 weight as tiles of 16 outputs by 32 columns: (outputs / 16, steps, bytes of a tile).

    Codes (outputs, columns / 2) are two to a byte; scales and zeros (outputs, columns / 32) go into their tile.
    """
    outputs, steps = scales.shape
    runs = codes.view(outputs // _OUTPUTS, _OUTPUTS, steps, 4, 4).permute(0, 2, 3, 1, 4).flatten(2)
    parts = [each.view(-1, _OUTPUTS, steps).transpose(1, 2).contiguous().view(torch.uint8) for each in (scales, zeros)]
    return torch.cat([runs, *parts], dim=2)


def int4_from_tiles(tiles: Tensor) -> Tensor:
    """Return the codes (outputs, columns / 2) that `int4_to_tiles` was given."""
    runs = tiles[:, :, : _OUTPUTS * _GROUP // 2].reshape(len(tiles), -1, 4, _OUTPUTS, 4)
    return runs.permute(0, 3, 1, 2, 4).reshape(len(tiles) * _OUTPUTS, -1)


@dataclass(frozen=True, slots=True)
class Norm:
    """An RMS norm: weight * x / root mean square of each row of x. The weight is (columns,) in bfloat16 here."""

    weight: Tensor
    eps: float


class TiledWeight:
    """A weight (outputs, columns) in tiles: bfloat16, int8 with a scale for each output, or int4 (bytes); and a bias.

    Raises TypeError or ValueError for tensors that do not belong together, so a call need not check them again. Neither
    it nor its tensors may be changed: what every product of every step asks of it is taken here once.
    """

    def __init__(self, tiles: Tensor, columns: int, scales: Tensor | None = None, bias: Tensor | None = None) -> None:
        if tiles.dtype not in _KINDS:
            raise TypeError(f"tiles must be bfloat16, int8 or (int4) uint8, not {tiles.dtype}")
        count, self.steps = tiles.shape[:2]  # steps: tiles along the columns
        self.tiles, self.columns, self.scales, self.bias = tiles, columns, scales, bias
        self.outputs = count * _OUTPUTS  # rows of the weight
        self.kind = _KINDS.index(tiles.dtype)  # its number in `enum kind` of `amx.c`
        require(self.outputs % MULTIPLE == columns % MULTIPLE == 0, f"a weight in multiples of {MULTIPLE}")
        require((scales is not None) == (tiles.dtype == I8), "scales for int8 tiles, and only for them")
        address = pointer("tiles", tiles, tiles.dtype, count, *self._tile_shape)
        scales_address = optional_pointer("scales", scales, F32, self.outputs)
        self.arguments = address, self.steps, self.outputs // MULTIPLE, scales_address
        """What the functions are given of it: tiles, steps, blocks of outputs, scales."""
        self.bias_pointer = optional_pointer("bias", bias, BF16, self.outputs)

    @property
    def _tile_shape(self) -> tuple[int, ...]:
        """What the tiles of 16 outputs must look like for the number of columns."""
        if self.tiles.dtype == U8:
            return self.columns // _GROUP, _INT4_TILE_BYTES
        step, run = _TILE_BYTES // self.tiles.itemsize, 4 // self.tiles.itemsize
        return -(-self.columns // step), step // run, _OUTPUTS, run


def multiply(x: Tensor, weight: TiledWeight, *, norm: Norm | None = None, residual: Tensor | None = None) -> Tensor:
    """Return `x` (rows, columns) in bfloat16, or its norm, times a weight, plus bias and residual: (rows, outputs).

    For an int8 or int4 weight the input is quantised to int8 row by row. Raises TypeError for a wrong dtype,
    ValueError for a wrong shape or device, RuntimeError where the machine does not support it.
    """
    x = x.contiguous()
    rows, columns = matrix_shape("x", x)
    source = _input_arguments(x, norm, weight)
    added = optional_pointer("residual", residual, BF16, rows, weight.outputs)
    library, y = _loaded(weight.tiles.dtype), torch.empty(rows, weight.outputs, dtype=BF16)
    scratch = _Scratch(library, rows, weight.steps, 0)
    library.multiply_tiles(
        *source, weight.kind, *weight.arguments, weight.bias_pointer, added, y.data_ptr(), scratch.address
    )
    return y


def mlp(x: Tensor, norm: Norm, gate_up: TiledWeight, down: TiledWeight) -> Tensor:
    """Return x + down(silu(gate) * up), where gate and up are the halves of `gate_up` times the norm of `x`.

    `x` is (rows, columns) in bfloat16. Neither weight has a bias, and both are of one kind. Errors as `multiply`.
    """
    x = x.contiguous()
    rows, columns = matrix_shape("x", x)
    source = _input_arguments(x, norm, gate_up)
    require(gate_up.bias is None and down.bias is None, "weights without a bias")
    require(gate_up.kind == down.kind, "two weights of one kind")
    shape = columns, gate_up.outputs // 2
    found = down.outputs, down.columns
    require(found == shape, f"a second weight (outputs, columns) of {shape}, not {found}")
    library, y = _loaded(down.tiles.dtype), torch.empty_like(x)
    scratch = _Scratch(library, rows, gate_up.steps, down.steps)
    library.mlp_tiles(*source, gate_up.kind, *gate_up.arguments, *down.arguments, y.data_ptr(), scratch.address)
    return y


def scratch_bytes(rows: int, steps: int, next_steps: int, tiles: torch.dtype = BF16) -> int:
    """Return the bytes that a product of so many rows and steps needs beside its operands.

    If `next_steps` is not 0, of two products and what is between them.
    """
    require(rows >= 0 and steps > 0 and next_steps >= 0, "rows and steps that are not negative")
    return int(_loaded(tiles).scratch_bytes(rows, steps, next_steps))


def has_amx() -> bool:
    """Return whether the kernel grants this process the AMX tiles; asking is what enables them."""
    return _amx() is not None


def _input_arguments(x: Tensor, norm: Norm | None, weight: TiledWeight) -> tuple[int, int, int, int | None, float]:
    rows, columns = x.shape
    source = pointer("x", x, BF16, rows, weight.columns)
    if norm is None:
        return source, rows, columns, None, 0.0
    return source, rows, columns, pointer("norm", norm.weight, BF16, columns), norm.eps


class _Scratch:
    """Memory for a product, from an address that is a multiple of 64."""

    __slots__ = ("_memory", "address")

    def __init__(self, library: ctypes.CDLL, rows: int, steps: int, next_steps: int) -> None:
        self._memory = torch.empty(library.scratch_bytes(rows, steps, next_steps) + _ALIGNMENT, dtype=U8)
        address = self._memory.data_ptr()
        self.address = address + -address % _ALIGNMENT


def _loaded(tiles: torch.dtype) -> ctypes.CDLL:
    library = _library(tiles)
    if library is None:
        raise RuntimeError(f"this machine has no kernels for weights in {tiles}: check supports() first")
    return library


def _library(tiles: torch.dtype) -> ctypes.CDLL | None:
    """Return the functions that multiply by a weight in tiles of a dtype."""
    return _amx() or (_vectors() if tiles == BF16 else _integers())


@cache
def _amx() -> ctypes.CDLL | None:
    library = load("amx", AMX_SIGNATURES)
    return library if library is not None and library.has_tiles() else None


@cache
def _vectors() -> ctypes.CDLL | None:
    return load("vectors", SIGNATURES)


@cache
def _integers() -> ctypes.CDLL | None:
    library = load("integers", SIGNATURES)
    return library if library is not None and hasattr(library, "multiply_tiles") else None
