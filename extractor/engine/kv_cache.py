"""The key-value cache: lanes of a few lengths, each lane the tokens of one sequence, and shared prefixes beside them.

Lanes of like capacity lie in one pool, so that attention of a whole batch over them is a single call without padding
to the longest sequence of all and without a gather. A pool grows and shrinks with its use; `Cache` keeps the sum of
all pools and prefixes under a number of bytes. Memory is zeroed once, because what stands behind a mask must be finite.
On the CPU a pool reserves more than it uses, since that takes nothing, and need not be copied when it grows.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

_RESERVED = 128
"""Lanes that are reserved at once."""


@dataclass(frozen=True, slots=True)
class KeyShape:
    """What a token takes in the cache: layers x groups x head_size, twice, in `dtype`.

    Tokens are laid out `block` at a time, in whatever order the operations on them want within.
    """

    layers: int
    groups: int
    head_size: int
    heads_of_a_group: int
    dtype: torch.dtype
    device: torch.device
    block: int = 1

    @property
    def token_bytes(self) -> int:
        return 2 * self.layers * self.groups * self.head_size * self.dtype.itemsize

    def whole(self, tokens: int) -> int:
        """So many tokens, with those that fill up the last block."""
        return -(-tokens // self.block) * self.block

    def empty(self, *sizes: int) -> list[Tensor]:
        """One zeroed tensor (*sizes, groups, head_size) for each layer."""
        return [self.zeros(*sizes) for _ in range(self.layers)]

    def zeros(self, *sizes: int) -> Tensor:
        """A zeroed tensor (*sizes, groups, head_size). In main memory what is never written to takes no room."""
        size = (*sizes, self.groups, self.head_size)
        bytes_ = math.prod(size) * self.dtype.itemsize
        if self.device.type != "cpu" or not bytes_:
            return torch.zeros(size, dtype=self.dtype, device=self.device)
        return torch.from_numpy(np.zeros(bytes_, np.uint8)).view(self.dtype).view(size)


class Pool:
    """Lanes of one capacity: keys and values (lanes, capacity, groups, head_size) for each layer, or more lanes that
    are not in use yet."""

    def __init__(self, shape: KeyShape, capacity: int) -> None:
        self.capacity = capacity
        self.lanes = 0
        self.version = 0
        """Counts how often the tensors were replaced by others."""
        self._shape = shape
        self._free: list[int] = []
        self.keys = shape.empty(0, capacity)
        self.values = shape.empty(0, capacity)

    @property
    def used(self) -> int:
        return self.lanes - len(self._free)

    @property
    def lane_bytes(self) -> int:
        return self.capacity * self._shape.token_bytes

    def slots(self, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values as (slots, groups, head_size): lane after lane, `capacity` slots each."""
        keys, values = self.keys[layer], self.values[layer]
        return keys.view(-1, *keys.shape[2:]), values.view(-1, *values.shape[2:])

    def grow(self, most: int) -> None:
        """Double the lanes, to at most `most` more. Where memory runs out on the way, the pool is as it was, but for
        tensors that are longer than they need be."""
        more = min(max(1, self.lanes), most)
        if self.lanes + more > len(self.keys[-1]) or self.lanes + more > len(self.values[-1]):
            reserved = min(most, _RESERVED) if self._shape.device.type == "cpu" else more
            self._replace(self.lanes + max(more, reserved))
        for lane in range(self.lanes, self.lanes + more):
            heapq.heappush(self._free, lane)
        self.lanes += more

    def shrink(self) -> None:
        """Give back the lanes behind the last one in use."""
        free = set(self._free)
        keep = next((lane + 1 for lane in reversed(range(self.lanes)) if lane not in free), 0)
        if keep == self.lanes:
            return
        self._free = [lane for lane in self._free if lane < keep]
        heapq.heapify(self._free)
        self.lanes = keep
        self._replace(keep)

    def _replace(self, lanes: int) -> None:
        """Put tensors of so many lanes in the place of those that are there, with what is in them."""
        self.version += 1
        for tensors in (self.keys, self.values):
            for layer, old in enumerate(tensors):
                new = self._shape.zeros(lanes, self.capacity)
                kept = min(self.lanes, lanes)
                new[:kept] = old[:kept]
                tensors[layer] = new

    def take(self) -> int | None:
        """The lowest free lane, so that the lanes in use stay together; None when all are taken."""
        return heapq.heappop(self._free) if self._free else None

    def give(self, lane: int) -> None:
        heapq.heappush(self._free, lane)


@dataclass(frozen=True, slots=True)
class Lane:
    """A place for `pool.capacity` tokens."""

    pool: Pool
    index: int


@dataclass(frozen=True, eq=False)
class Prefix:
    """Tokens that several prompts begin with: keys and values (tokens, groups, head_size) for each layer."""

    ids: tuple[int, ...]
    keys: Sequence[Tensor] = field(repr=False)
    values: Sequence[Tensor] = field(repr=False)


class Cache:
    """All lanes, within `budget` bytes."""

    def __init__(self, shape: KeyShape, budget: int) -> None:
        self.shape = shape
        self.budget = budget
        self._pools: dict[int, Pool] = {}
        self._prefix_bytes = 0

    @property
    def bytes(self) -> int:
        """What is allocated."""
        return self._prefix_bytes + sum(pool.lanes * pool.lane_bytes for pool in self._pools.values())

    def allocate(self, tokens: int) -> Lane | None:
        """A lane for at least `tokens`; None while there is no room for one."""
        capacity = capacity_for(tokens)
        if capacity not in self._pools:
            self._pools[capacity] = Pool(self.shape, capacity)
        pool = self._pools[capacity]
        index = pool.take()
        if index is None:
            self._make_room(pool)
            pool.grow((self.budget - self.bytes) // pool.lane_bytes)
            index = pool.take()
        return None if index is None else Lane(pool, index)

    def free(self, lane: Lane) -> None:
        lane.pool.give(lane.index)

    def move(self, lane: Lane, tokens: int, filled: int) -> Lane | None:
        """The first `filled` tokens of a lane in a larger one; None, and the old lane kept, while there is no room."""
        larger = self.allocate(tokens)
        if larger is not None:
            filled = self.shape.whole(filled)
            for new, old in (*zip(larger.pool.keys, lane.pool.keys, strict=True), *_values(larger, lane)):
                new[larger.index, :filled] = old[lane.index, :filled]
            self.free(lane)
        return larger

    def keep_prefix(self, ids: tuple[int, ...], lane: Lane) -> Prefix:
        """Copy the tokens of a lane to a prefix of their own; the lane is free then."""
        tokens = self.shape.whole(len(ids))
        keys = [each[lane.index, :tokens].clone() for each in lane.pool.keys]
        values = [each[lane.index, :tokens].clone() for each in lane.pool.values]
        self.free(lane)
        self._prefix_bytes += tokens * self.shape.token_bytes
        return Prefix(ids, keys, values)

    def drop_prefix(self, prefix: Prefix) -> None:
        self._prefix_bytes -= self.shape.whole(len(prefix.ids)) * self.shape.token_bytes

    def _make_room(self, pool: Pool) -> None:
        """Take unused lanes from the other pools if a lane of this one would not fit."""
        if self.bytes + pool.lane_bytes > self.budget:
            for other in self._pools.values():
                if other is not pool and other.used < other.lanes:
                    other.shrink()


def capacity_for(tokens: int) -> int:
    """The capacity of the lanes for so many tokens: 64, 128, 256, ... A finer scale would waste less memory and cost
    more attention calls, which are what a step of few tokens spends its time on."""
    return max(64, 1 << (tokens - 1).bit_length())


def _values(one: Lane, other: Lane) -> list[tuple[Tensor, Tensor]]:
    return list(zip(one.pool.values, other.pool.values, strict=True))
