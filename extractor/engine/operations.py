"""What surrounds the matrix products of a layer (norms, rotation to attention) and greedy sampling.

There are two sets of operations, with the same results up to rounding: torch's, on any device, and the kernels of
`kernels.attention`, in bfloat16 on a CPU, which save passes over memory and read the keys of a sequence once for all
its heads. This module knows where a batch keeps its tokens; the kernels are given rows, lengths and addresses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from extractor.engine.batch import Batch, ForwardBatch
from extractor.engine.constraint import TokenBitmask
from extractor.engine.kv_cache import KVShape, Prefix, SlotPool
from extractor.kernels import attention
from extractor.kernels.attention import Addresses, AttentionKernels, AttentionStep

Rotary = tuple[Tensor, Tensor]
"""Cosine and sine for each row: (rows, half of the rotated channels)."""


class Operations(Protocol):
    """Norm and attention of a model runner. `shape` says how they lay out the cache."""

    shape: KVShape

    def normed(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """Return weight * x / root mean square of each row of `x` (rows, hidden)."""
        ...

    def attend(self, batch: Batch, layer: int, states: Tensor, rotary: Rotary) -> Tensor:
        """Rotate queries and keys, write keys and values into the cache, and return the outputs of attention.

        `states` (rows, (query heads + 2 * groups) * head_size), queries, then keys, then values, may be changed; the
        outputs are (rows, query heads * head_size), padding included. Of the last layer only `batch.logits_rows` count.
        """
        ...


class TorchOperations:
    """Torch's operations, on any device and in any dtype."""

    def __init__(self, shape: KVShape) -> None:
        self.shape = shape

    def normed(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """Return the norm of each row, rounded before the weight, as the model does."""
        # On a CPU torch's own norm takes eight times as long in bfloat16 as these passes; on CUDA it is one kernel.
        if x.is_cuda:
            return functional.rms_norm(x, x.shape[-1:], None, eps).mul_(weight)
        wide = x.to(torch.float32, copy=True)
        square = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_().div_(x.shape[-1])
        return wide.mul_(square.add_(eps).rsqrt_()).to(x.dtype).mul_(weight)

    def attend(self, batch: ForwardBatch, layer: int, states: Tensor, rotary: Rotary) -> Tensor:
        """Rotate, write into the cache and attend; the rows of padding come out as zeros."""
        groups, each, size = self.shape.groups, self.shape.heads_per_group, self.shape.head_size
        heads = states.view(len(states), -1, size)
        _rotate(heads[:, : groups * each + groups], *rotary)
        query, key, value = torch.split(heads[: batch.num_tokens], [groups * each, groups, groups], dim=1)
        batch.write(layer, key, value)
        attended = batch.attend(layer, query.reshape(batch.num_tokens, groups, each, size))
        return functional.pad(attended.view(batch.num_tokens, -1), (0, 0, 0, len(states) - batch.num_tokens))


class CompiledOperations:
    """The kernels of `kernels.attention`.

    Attention is on AMX tiles where the processor has them, else with vectors: token by token for decode segments, as
    matrix products for prefill segments, whose many rows are worth it.
    """

    def __init__(self, shape: KVShape, kernels: AttentionKernels, *, tiles: bool = True) -> None:
        self._kernels = kernels
        self._tiled = tiles and shape.head_size == attention.TILED_HEAD_SIZE and kernels.has_tiles()
        self.shape = replace(shape, block_size=attention.TILE_KEYS) if self._tiled else shape
        self._width = shape.groups * shape.heads_per_group * shape.head_size

    def normed(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """Return the norm of each row, rounded before the weight."""
        return self._kernels.norm_rows(x, weight, eps)

    def attend(self, batch: Batch, layer: int, states: Tensor, rotary: Rotary) -> Tensor:
        """Rotate, write into the cache and attend; rows of padding, and those that nobody reads, come out as zeros."""
        places = _Places.of(batch)
        slots, prefixes = places.slots[layer], places.prefixes[layer]
        self._kernels.rotate_and_store(states, rotary, places.step, slots, tiled=self._tiled)
        last = layer == self.shape.layers - 1
        step = places.last_step if last else places.step
        unwritten = last or batch.num_tokens < states.shape[0]
        output = (torch.zeros if unwritten else torch.empty)(states.shape[0], self._width, dtype=states.dtype)
        if self._tiled:
            self._kernels.attend_segments_tiled(states, step, slots, prefixes, output)
            return output
        self._kernels.attend_segments(states, step, batch.num_decode, slots, prefixes, output)
        if batch.num_decode < len(batch.segments):
            self._kernels.attend_prefill(states, step, batch.num_decode, slots, prefixes, output)
        return output

    def pick(self, logits: Tensor, bits: TokenBitmask | None) -> Tensor:
        """Return the largest allowed of each row of logits (rows, vocabulary), and its log-probability among these.

        The result is (rows, 2) in float64; `bits` None allows all.
        """
        return self._kernels.pick_rows(logits.contiguous(), None if bits is None else np.ascontiguousarray(bits))


class _Places:
    """Where the tokens of a batch are, as the kernels need it: numbers for the whole step, addresses for each layer.

    A pool's tensors may be replaced by larger ones between steps and differ from layer to layer, so addresses are taken
    once a step, for all layers: that of a pool's tensor plus the offset of the slot in it.
    """

    def __init__(self, batch: Batch) -> None:
        segments, shape = batch.segments, batch.shape
        pools = list(dict.fromkeys(segment.slot.pool for segment in segments))
        token_bytes = shape.groups * shape.head_size * shape.dtype.itemsize
        offset = np.array([segment.slot.index * segment.slot.pool.capacity * token_bytes for segment in segments])
        pool = [pools.index(segment.slot.pool) for segment in segments]
        self.slots = _addresses(pools, pool, shape.layers) + offset
        """Of each layer the addresses of each segment's keys, then values, in its slot: (layers, 2, segments)."""
        prefixes = list(dict.fromkeys(segment.prefix for segment in segments if segment.prefix is not None))
        # -1 for none: the last of the addresses, a null pointer, which nothing reads as its length is 0
        known = [-1 if segment.prefix is None else prefixes.index(segment.prefix) for segment in segments]
        self.prefixes = _addresses(prefixes, known, shape.layers)
        """The same of each segment's prefix (none: 0)."""
        lengths = np.array([segment.prefix_length for segment in segments])
        heads = shape.groups * shape.heads_per_group
        rows = np.array(
            [(first, len(each.ids), each.start) for each, first in zip(segments, batch.first_rows, strict=True)]
        )
        self.step = AttentionStep(heads, shape.groups, shape.head_size, rows, lengths)
        read = np.array([each.num_logits for each in segments])
        unread = rows[:, 1] - read
        rows = np.stack([rows[:, 0] + unread, read, rows[:, 2] + unread], axis=1)
        self.last_step = AttentionStep(heads, shape.groups, shape.head_size, rows, lengths)
        """That of the last layer, where only the tokens to sample from are attended for."""

    @classmethod
    def of(cls, batch: Batch) -> _Places:
        """Return the places of a batch, made once for all its layers."""
        if batch.kernel_arguments is None:
            batch.kernel_arguments = cls(batch)
        assert isinstance(batch.kernel_arguments, cls)
        return batch.kernel_arguments


def operations(shape: KVShape) -> Operations:
    """Return the fastest operations for a cache of this shape."""
    kernels = attention.kernels() if shape.device.type == "cpu" and shape.dtype == torch.bfloat16 else None
    if kernels is None or not attention.supports(shape.heads_per_group, shape.head_size):
        return TorchOperations(shape)
    return CompiledOperations(shape, kernels)


def _addresses(owners: Sequence[SlotPool | Prefix], chosen: Sequence[int], layers: int) -> Addresses:
    """Return for each layer the addresses of keys and of values of the chosen owners (indices): (layers, 2, chosen).

    The last of the owners, -1, is none: 0.
    """
    found = np.zeros((layers, 2, len(owners) + 1), dtype=np.int64)
    for number, owner in enumerate(owners):
        for part, tensors in enumerate((owner.keys, owner.values)):
            found[:, part, number] = [tensor.data_ptr() for tensor in tensors]
    addresses: Addresses = np.take(found, chosen, axis=2)
    return addresses


def _rotate(states: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Rotate pairs (first half, second half) of (rows, heads, head_size) in place (RoFormer, Su et al., 2021)."""
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    half = cos.shape[-1]
    one, other = states[..., :half], states[..., half : 2 * half]
    turned = torch.addcmul(other * cos, one, sin)
    one.copy_(torch.addcmul(one * cos, other, sin, value=-1))
    other.copy_(turned)
