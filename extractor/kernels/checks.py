"""What a wrapper checks of an operand before C gets its address.

A kernel trusts its arguments: a wrong shape reads or writes memory that is not its own. These checks compare attributes
only (below a microsecond each); they do not look at values.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Int64Array = NDArray[np.int64]
"""Numbers or addresses."""

_INT64 = np.dtype(np.int64)

BF16, F32, F64, I8, I32, U8 = torch.bfloat16, torch.float32, torch.float64, torch.int8, torch.int32, torch.uint8


def pointer(name: str, tensor: Tensor, dtype: torch.dtype, *shape: int) -> int:
    """Return the address of a contiguous tensor on the CPU.

    Raises TypeError for another dtype, ValueError for another shape, stride or device, each with what was expected.
    """
    if tensor.dtype is dtype and tensor.shape == shape and tensor.is_cpu and tensor.is_contiguous():
        return tensor.data_ptr()
    _refuse(name, tensor, dtype, shape)


def optional_pointer(name: str, tensor: Tensor | None, dtype: torch.dtype, *shape: int) -> int | None:
    """Return what `pointer` returns, None (a null pointer) for None."""
    return None if tensor is None else pointer(name, tensor, dtype, *shape)


def array_pointer(name: str, array: Int64Array, *shape: int) -> int:
    """Return the address of a contiguous int64 array; errors as `pointer`."""
    if array.dtype != _INT64:
        raise TypeError(f"{name} must be int64, not {array.dtype}")
    if array.shape != shape or not array.flags.c_contiguous:
        raise ValueError(f"{name} must be contiguous with shape {list(shape)}, not {list(array.shape)}")
    return torch.from_numpy(array).data_ptr()  # half the time of array.ctypes.data


def matrix_shape(name: str, tensor: Tensor) -> tuple[int, int]:
    """Return (rows, columns) of a matrix; ValueError for other than two dimensions."""
    if tensor.dim() != 2:
        raise ValueError(f"{name} must be a matrix, not of shape {list(tensor.shape)}")
    rows, columns = tensor.shape
    return rows, columns


def require(condition: bool, expected: str) -> None:
    """Raise ValueError with what was expected unless the condition holds."""
    if not condition:
        raise ValueError(f"expected {expected}")


def _refuse(name: str, tensor: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> NoReturn:
    if tensor.dtype is not dtype:
        raise TypeError(f"{name} must be {dtype}, not {tensor.dtype}")
    if tensor.shape != shape:
        raise ValueError(f"{name} must have shape {list(shape)}, not {list(tensor.shape)}")
    if not tensor.is_cpu:
        raise ValueError(f"{name} must be on the CPU, not on {tensor.device}")
    raise ValueError(f"{name} must be contiguous, not with strides {list(tensor.stride())}")
