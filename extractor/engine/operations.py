"""What surrounds the matrix products: norms, all from rotation to the outputs of attention, and the choice of tokens.

The same numbers two ways, but for rounding: torch's operations, on any device, and `attention.c` in bfloat16 on a CPU
where there is gcc, which spares passes over memory and reads the keys of an answer once for all its heads.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from extractor.engine.batch import Batch, ForwardBatch
from extractor.engine.constraint import TokenBitmask
from extractor.engine.kv_cache import KVShape
from extractor.kernels.jit import Array, call, load

Rotary = tuple[Tensor, Tensor]
"""Cosine and sine for each row: (rows, half of the rotated channels)."""

_MOST_HEADS, _MOST_SIZE, _MULTIPLE = 64, 256, 16  # what attention.c takes
_TILED_SIZE, _TASK_ROWS, _TILE_KEYS = 128, 128, 32  # what its attention in the matrix unit takes, in which parts


class Operations(Protocol):
    """Norm and attention of a runner. `shape` says how they lay out the cache."""

    shape: KVShape

    def normed(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """weight * x / root mean square of each row."""
        ...

    def attend(self, batch: Batch, layer: int, states: Tensor, rotary: Rotary) -> Tensor:
        """Rotate queries and keys, put keys and values into the cache, and attend.

        `states` (rows, query heads, then keys, then values of all groups) may be changed; the outputs are (rows,
        query heads).
        """
        ...


class TorchOperations:
    """With torch's operations."""

    def __init__(self, shape: KVShape) -> None:
        self.shape = shape

    def normed(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """On a CPU torch's own norm takes eight times as long, in bfloat16, as these passes; on CUDA it is one kernel.
        The weight comes behind its rounding, as the model has it."""
        if x.is_cuda:
            return functional.rms_norm(x, x.shape[-1:], None, eps).mul_(weight)
        wide = x.to(torch.float32, copy=True)
        square = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_().div_(x.shape[-1])
        return wide.mul_(square.add_(eps).rsqrt_()).to(x.dtype).mul_(weight)

    def attend(self, batch: ForwardBatch, layer: int, states: Tensor, rotary: Rotary) -> Tensor:
        groups, each, size = self.shape.groups, self.shape.heads_per_group, self.shape.head_size
        heads = states.view(len(states), -1, size)
        _rotate(heads[:, : groups * each + groups], *rotary)
        query, key, value = torch.split(heads[: batch.num_tokens], [groups * each, groups, groups], dim=1)
        batch.write(layer, key, value)
        attended = batch.attend(layer, query.reshape(batch.num_tokens, groups, each, size))
        return functional.pad(attended.view(batch.num_tokens, -1), (0, 0, 0, len(states) - batch.num_tokens))


class CompiledOperations:
    """With `attention.c`: attention is in the matrix unit where the processor has one that they know; else short runs
    are attended to with vectors, and long ones by torch."""

    def __init__(self, shape: KVShape, library: ctypes.CDLL, *, tiles: bool = True) -> None:
        self._library = library
        self._tiles = tiles and shape.head_size == _TILED_SIZE and bool(library.has_tiles())
        self.picks = hasattr(library, "pick_rows")
        self.shape = replace(shape, block_size=_TILE_KEYS) if self._tiles else shape

    def normed(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        result = torch.empty_like(x)
        call(self._library, "norm_rows", x, *x.shape, weight, eps, result)
        return result

    def attend(self, batch: Batch, layer: int, states: Tensor, rotary: Rotary) -> Tensor:
        groups, each, size = self.shape.groups, self.shape.heads_per_group, self.shape.head_size
        heads = groups * each
        sizes = np.array([heads, groups, size, rotary[0].shape[-1]])
        places = _Places.of(batch)
        keys, values = places.lanes(layer)
        where = (places.runs, len(batch.segments), keys, values)
        call(self._library, "rotate_and_store", states, *rotary, sizes, *where, int(self._tiles))
        output = states.new_zeros(len(states), heads * size)
        lanes = (keys, values, *places.prefixes(layer))
        if self._tiles:
            tasks = places.tasks
            call(self._library, "attend_tiles", states, sizes, places.runs, len(batch.segments), tasks, *lanes, output)
            return output
        call(self._library, "attend_runs", states, sizes, places.runs, batch.num_decode, *lanes, output)
        if batch.num_decode < len(batch.segments):
            query = states[:, : heads * size].view(-1, groups, each, size)
            batch.attend_prefill(layer, query, output.view(-1, groups, each, size))
        return output

    def pick(self, logits: Tensor, bits: TokenBitmask | None) -> Tensor:
        """For each row of logits (rows, vocabulary) the largest that its bits allow (None: all), and its
        log-probability among those, in float64 (rows, 2). Only where `picks` says that there is a kernel for it."""
        picked = torch.empty(len(logits), 2, dtype=torch.float64)
        masks = (None, 0) if bits is None else (torch.from_numpy(bits.view(np.int32)), bits.shape[1])
        call(self._library, "pick_rows", logits.contiguous(), *logits.shape, *masks, picked)
        return picked


class _Places:
    """Where the tokens of a batch stand, as the kernels want it: numbers and addresses."""

    def __init__(self, batch: Batch) -> None:
        self._pools = list(dict.fromkeys(segment.slot.pool for segment in batch.segments))
        self._pool = np.array([self._pools.index(segment.slot.pool) for segment in batch.segments])
        token = batch.shape.groups * batch.shape.head_size * batch.shape.dtype.itemsize
        self._offset = np.array([segment.slot.index * segment.slot.pool.capacity * token for segment in batch.segments])
        self._prefixes = list(dict.fromkeys(segment.prefix for segment in batch.segments if segment.prefix is not None))
        known = [
            self._prefixes.index(segment.prefix) if segment.prefix is not None else -1 for segment in batch.segments
        ]
        self._prefix = np.array(known)
        self._lengths = np.array([segment.prefix_length for segment in batch.segments])
        rows = [
            (first, len(segment.ids), segment.start)
            for segment, first in zip(batch.segments, batch.first_rows, strict=True)
        ]
        self.runs: Array = np.array(rows)
        rows_of = [len(segment.ids) * batch.shape.heads_per_group for segment in batch.segments]
        self.tasks: Array = np.cumsum([0, *(-(-count // _TASK_ROWS) for count in rows_of)])

    @classmethod
    def of(cls, batch: Batch) -> _Places:
        """The places of a batch, made once for all its layers."""
        if batch.kernel_arguments is None:
            batch.kernel_arguments = cls(batch)
        assert isinstance(batch.kernel_arguments, cls)
        return batch.kernel_arguments

    def lanes(self, layer: int) -> tuple[Array, Array]:
        """Addresses of each run's keys and values."""
        keys = _addresses([pool.keys[layer] for pool in self._pools])[self._pool] + self._offset
        values = _addresses([pool.values[layer] for pool in self._pools])[self._pool] + self._offset
        return keys, values

    def prefixes(self, layer: int) -> tuple[Array, Array, Array]:
        """Addresses of the keys and values of each run's prefix (none: 0), and its length."""
        keys = _addresses([prefix.keys[layer] for prefix in self._prefixes], 0)[self._prefix]
        values = _addresses([prefix.values[layer] for prefix in self._prefixes], 0)[self._prefix]
        return keys, values, self._lengths


def operations(shape: KVShape) -> Operations:
    """The fastest operations for a cache of this shape."""
    library = _library() if shape.device.type == "cpu" and shape.dtype == torch.bfloat16 else None
    fits = shape.heads_per_group <= _MOST_HEADS and shape.head_size <= _MOST_SIZE
    if library is None or not fits or shape.head_size % _MULTIPLE:
        return TorchOperations(shape)
    return CompiledOperations(shape, library)


@cache
def _library() -> ctypes.CDLL | None:
    return load("attention")


def _addresses(tensors: Sequence[Tensor], *more: int) -> Array:
    return np.array([*(tensor.data_ptr() for tensor in tensors), *more], dtype=np.int64)


def _rotate(states: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Rotate pairs (first half, second half) of (rows, heads, head_size) in place (RoFormer, Su et al., 2021)."""
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    half = cos.shape[-1]
    one, other = states[..., :half], states[..., half : 2 * half]
    turned = torch.addcmul(other * cos, one, sin)
    one.copy_(torch.addcmul(one * cos, other, sin, value=-1))
    other.copy_(turned)
