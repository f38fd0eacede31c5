"""Products in the matrix unit of the processor (AMX), in bfloat16, int8 and int4, with what stands around them.

`amx.c` is compiled once where there is gcc and the processor has the unit; elsewhere it `takes` nothing, and
oneDNN's products do. A row of a result is the same bits alone and among others, which oneDNN does not promise; in int4
that holds up to a rounding, since few rows are multiplied otherwise than many.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from extractor.kernels.jit import call, load

_OUTPUTS = 16
MULTIPLE = 32
"""Of outputs and of columns."""
_BYTES = 64
_ALIGNED = 64
_KINDS = (torch.bfloat16, torch.int8, torch.uint8)


def takes(outputs: int, columns: int, dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the matrix unit of this machine takes inputs of this type and a weight of this size there."""
    fits = outputs % MULTIPLE == columns % MULTIPLE == 0
    return fits and dtype == torch.bfloat16 and device.type == "cpu" and _library() is not None


def lay_out(weight: Tensor) -> Tensor:
    """A weight (outputs, columns) in tiles of 16 outputs by 64 bytes, numbers that are summed up side by side:
    (outputs / 16, steps, 16, 16, 4 bytes of numbers)."""
    outputs, columns = weight.shape
    step, run = _BYTES // weight.itemsize, 4 // weight.itemsize
    steps = -(-columns // step)
    padded = functional.pad(weight, (0, steps * step - columns))
    return padded.view(outputs // _OUTPUTS, _OUTPUTS, steps, step // run, run).permute(0, 2, 3, 1, 4).contiguous()


def lay_out_int4(codes: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
    """A weight in int4 in tiles of 16 outputs by 32 columns, each with its scales and zeros: (outputs / 16, steps,
    bytes of a tile). Codes (outputs, columns / 2) are two to a byte, scales and zeros (outputs, columns / 32)."""
    outputs, steps = scales.shape
    runs = codes.view(outputs // _OUTPUTS, _OUTPUTS, steps, 4, 4).permute(0, 2, 3, 1, 4).flatten(2)
    parts = [each.view(-1, _OUTPUTS, steps).transpose(1, 2).contiguous().view(torch.uint8) for each in (scales, zeros)]
    return torch.cat([runs, *parts], dim=2)


def plain_int4(tiles: Tensor) -> Tensor:
    """The codes (outputs, columns / 2) that were laid out."""
    runs = tiles[:, :, : _OUTPUTS * MULTIPLE // 2].reshape(len(tiles), -1, 4, _OUTPUTS, 4)
    return runs.permute(0, 3, 1, 2, 4).reshape(len(tiles) * _OUTPUTS, -1)


def plain(tiles: Tensor) -> Tensor:
    """The weight that was laid out, with zeros where its columns were filled up to whole tiles."""
    return tiles.permute(0, 3, 1, 2, 4).reshape(len(tiles) * _OUTPUTS, -1)


def rows(tiles: Tensor, columns: int, outputs: Tensor) -> Tensor:
    """The weight of these outputs (indices): (len(outputs), columns)."""
    found = tiles[outputs // _OUTPUTS, :, :, outputs % _OUTPUTS]
    return found.reshape(len(outputs), -1)[:, :columns]


@dataclass(frozen=True, slots=True)
class Norm:
    """weight * x / root mean square of each row of x."""

    weight: Tensor
    eps: float


@dataclass(frozen=True, slots=True)
class Tiles:
    """A weight (outputs, columns) that is laid out: bfloat16, int8 with the scales of its outputs, or int4 (which has
    scales in its tiles, of bytes); and a bias."""

    tiles: Tensor
    columns: int
    scales: Tensor | None = None
    bias: Tensor | None = None

    @property
    def kind(self) -> int:
        """As `amx.c` counts."""
        return _KINDS.index(self.tiles.dtype)

    @property
    def outputs(self) -> int:
        return len(self.tiles) * _OUTPUTS

    @property
    def steps(self) -> int:
        return self.tiles.shape[1]


def multiply(x: Tensor, weight: Tiles, *, norm: Norm | None = None, residual: Tensor | None = None) -> Tensor:
    """`x` (rows, columns) in bfloat16, or its norm, times a weight, plus bias and residual: (rows, outputs).

    For a weight in int8 or int4 the input is quantised to int8 row by row.
    """
    library, x = _known(), x.contiguous()
    y = x.new_empty(len(x), weight.outputs)
    scratch = _scratch(library, len(x), weight.steps, 0)
    call(
        library, "multiply_tiles", *_input(x, norm), weight.kind, *_laid_out(weight), weight.bias, residual, y, scratch
    )
    return y


def mlp(x: Tensor, norm: Norm, gate_up: Tiles, down: Tiles) -> Tensor:
    """x + down(silu(gate) * up), where gate and up are the halves of the outputs of `gate_up` for the norm of `x`.

    Neither has a bias, and both are of one kind.
    """
    library, x = _known(), x.contiguous()
    y = torch.empty_like(x)
    scratch = _scratch(library, len(x), gate_up.steps, down.steps)
    call(library, "mlp_tiles", *_input(x, norm), gate_up.kind, *_laid_out(gate_up), *_laid_out(down), y, scratch)
    return y


def _input(x: Tensor, norm: Norm | None) -> tuple[Tensor, int, int, Tensor | None, float]:
    rows, columns = x.shape
    return x, rows, columns, None if norm is None else norm.weight, 0.0 if norm is None else norm.eps


def _laid_out(weight: Tiles) -> tuple[Tensor, int, int, Tensor | None]:
    return weight.tiles, weight.steps, weight.outputs // MULTIPLE, weight.scales


def _scratch(library: ctypes.CDLL, rows: int, steps: int, next_steps: int) -> Tensor:
    """Memory for a product, at a multiple of 64 bytes."""
    library.scratch_bytes.restype = ctypes.c_int64
    size = library.scratch_bytes(*(ctypes.c_int64(number) for number in (rows, steps, next_steps)))
    scratch = torch.empty(size + _ALIGNED, dtype=torch.uint8)
    return scratch[-scratch.data_ptr() % _ALIGNED :]


def _known() -> ctypes.CDLL:
    library = _library()
    if library is None:
        raise RuntimeError("this machine has no matrix unit that the kernels know")
    return library


@cache
def _library() -> ctypes.CDLL | None:
    library = load("amx")
    return library if library is not None and library.has_tiles() else None
