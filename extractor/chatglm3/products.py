"""Products in the matrix unit of the processor (AMX), in bfloat16 and int8, with what follows them in the same pass.

`products.c` is compiled once where there is gcc and the processor has the unit; elsewhere it `takes` nothing, and
oneDNN's products do. A row of a result is the same bits alone and among others, which oneDNN does not promise.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from extractor.chatglm3.compiled import call, load

_OUTPUTS = 16
MULTIPLE = 32
"""Of outputs and of columns."""
_BYTES = 64
_ALIGNED = 64


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


def plain(tiles: Tensor) -> Tensor:
    """The weight that was laid out, with zeros where its columns were filled up to whole tiles."""
    return tiles.permute(0, 3, 1, 2, 4).reshape(len(tiles) * _OUTPUTS, -1)


def rows(tiles: Tensor, columns: int, outputs: Tensor) -> Tensor:
    """The weight of these outputs (indices): (len(outputs), columns)."""
    found = tiles[outputs // _OUTPUTS, :, :, outputs % _OUTPUTS]
    return found.reshape(len(outputs), -1)[:, :columns]


def multiply(
    x: Tensor,
    tiles: Tensor,
    *,
    scales: Tensor | None = None,
    bias: Tensor | None = None,
    residual: Tensor | None = None,
    gated: bool = False,
) -> Tensor:
    """`x` (rows, columns) in bfloat16 times a weight, plus bias and residual: (rows, outputs).

    `scales` (outputs,) in float32 are those of int8 codes; `x` is quantised row by row then. `gated` gives
    silu(gate) * up, (rows, outputs / 2), where gate and up are the halves of the outputs.
    """
    library = _library()
    assert library is not None
    assert (scales is None) == (tiles.dtype == torch.bfloat16)
    x = x.contiguous()
    outputs, steps = len(tiles) * _OUTPUTS, tiles.shape[1]
    y = x.new_empty(len(x), outputs // 2 if gated else outputs)
    scratch = torch.empty(_scratch_bytes(library, len(x), steps) + _ALIGNED, dtype=torch.uint8)
    scratch = scratch[-scratch.data_ptr() % _ALIGNED :]
    sizes = (*x.shape, tiles, steps, outputs // MULTIPLE)
    call(library, "multiply_tiles", x, *sizes, scales, bias, residual, int(gated), y, scratch)
    return y


def _scratch_bytes(library: ctypes.CDLL, rows: int, steps: int) -> int:
    library.scratch_bytes.restype = ctypes.c_int64
    return int(library.scratch_bytes(ctypes.c_int64(rows), ctypes.c_int64(steps)))


@cache
def _library() -> ctypes.CDLL | None:
    library = load(Path(__file__).with_name("products.c"))
    return library if library is not None and library.has_tiles() else None
