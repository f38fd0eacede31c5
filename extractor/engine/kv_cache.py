"""The KV cache: slots of a few capacities, each slot the tokens of one sequence, with shared prefixes beside them.

Layout, from the outside in:

    KVCache            all of it, within a budget of bytes
      SlotPool         one per capacity (64, 128, 256, ... tokens): for each layer a key and a value tensor
                       (slots, capacity, groups, head_size)
        Slot           one index into a pool: the own tokens of one sequence, the first at position 0 of the slot
          cache row    one token's place in a pool, seen as (slots * capacity, groups, head_size):
                       slot * capacity + position
      Prefix           tokens that many sequences share, in tensors of their own (tokens, groups, head_size) per layer

Slots of one capacity lie in one pool, so that attention of a whole batch over them is a single call: no gather, and no
padding to the longest sequence of all. There is no page table: a sequence that fills its slot is moved to a larger one.
A pool grows and shrinks with its use. Memory is zeroed once, because what a mask hides must still be finite.

Does not know sequences, nor who may use a slot when: the scheduler says that.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

MIN_CAPACITY = 64
"""Tokens of the smallest slots."""

_RESERVED_SLOTS = 128
"""Slots for which a CPU pool reserves address space at once: it takes no memory before it is written to, and a pool
that grows into it need not be copied."""


@dataclass(frozen=True, slots=True)
class KVShape:
    """What a token takes in the cache: layers x groups x head_size, once for its key and once for its value.

    `block_size` tokens are laid out together: within a block the numbers lie in whatever order the kernels want (see
    `operations.py`), so tokens may be copied from one place to another in whole blocks only.
    """

    layers: int
    groups: int  # key-value heads (grouped-query attention)
    head_size: int
    heads_per_group: int  # query heads that read one group
    dtype: torch.dtype
    device: torch.device
    block_size: int = 1  # 1: plain (tokens, groups, head_size)

    @property
    def token_bytes(self) -> int:
        return 2 * self.layers * self.groups * self.head_size * self.dtype.itemsize

    def round_up(self, tokens: int) -> int:
        """Return the number of tokens in whole blocks."""
        return -(-tokens // self.block_size) * self.block_size

    def zeros_per_layer(self, *sizes: int) -> list[Tensor]:
        """Return one zeroed tensor (*sizes, groups, head_size) for each layer."""
        return [self.zeros(*sizes) for _ in range(self.layers)]

    def zeros(self, *sizes: int) -> Tensor:
        """Return a zeroed tensor (*sizes, groups, head_size)."""
        size = (*sizes, self.groups, self.head_size)
        # A device zeroes memory itself; an empty tensor has none.
        bytes_ = math.prod(size) * self.dtype.itemsize
        if self.device.type != "cpu" or not bytes_:
            return torch.zeros(size, dtype=self.dtype, device=self.device)
        # NumPy's zeros come from calloc, which touches no page; torch's are written.
        return torch.from_numpy(np.zeros(bytes_, np.uint8)).view(self.dtype).view(size)


class SlotPool:
    """The slots of one capacity: keys and values (slots, capacity, groups, head_size) for each layer.

    The tensors may be longer than `num_slots`: what lies beyond is reserved and in no one's use.
    """

    def __init__(self, shape: KVShape, capacity: int) -> None:
        self.capacity = capacity
        self.num_slots = 0  # in use or free, without those that are only reserved
        self.version = 0
        """How often the tensors were replaced. A captured CUDA graph holds their addresses, so it dies with them."""
        self._shape = shape
        self._free: list[int] = []  # a heap
        self.keys = shape.zeros_per_layer(0, capacity)
        self.values = shape.zeros_per_layer(0, capacity)

    @property
    def in_use(self) -> int:
        """Slots that are in use."""
        return self.num_slots - len(self._free)

    @property
    def slot_bytes(self) -> int:
        return self.capacity * self._shape.token_bytes

    def cache_rows(self, layer: int) -> tuple[Tensor, Tensor]:
        """Return views of keys and values as (cache rows, groups, head_size): slot after slot, `capacity` rows each."""
        keys, values = self.keys[layer], self.values[layer]
        return keys.view(-1, *keys.shape[2:]), values.view(-1, *values.shape[2:])

    def grow(self, max_new: int) -> None:
        """Double the slots, by at most `max_new`.

        Where memory runs out on the way, the pool is as it was, but for tensors that are longer than they need be.
        """
        # Doubling keeps the number of copies, each of the whole pool, logarithmic in its final size.
        new = min(max(1, self.num_slots), max_new)
        # The last layer's tensors tell whether an earlier attempt got through: they are replaced last.
        if self.num_slots + new > min(len(self.keys[-1]), len(self.values[-1])):
            reserved = min(max_new, _RESERVED_SLOTS) if self._shape.device.type == "cpu" else new
            self._reallocate(self.num_slots + max(new, reserved))
        for index in range(self.num_slots, self.num_slots + new):
            heapq.heappush(self._free, index)
        self.num_slots += new

    def shrink(self) -> None:
        """Give back the memory of the slots after the last one in use. Slots in use stay where they are."""
        # Slots are not compacted: sequences hold their index.
        free = set(self._free)
        keep = next((index + 1 for index in reversed(range(self.num_slots)) if index not in free), 0)
        if keep == self.num_slots:
            return
        self._free = [index for index in self._free if index < keep]
        heapq.heapify(self._free)
        self.num_slots = keep
        self._reallocate(keep)

    def _reallocate(self, slots: int) -> None:
        """Replace the tensors by tensors of so many slots with the same contents, layer by layer to save memory."""
        # The version counts even if memory runs out below: some tensors are others by then.
        self.version += 1
        for tensors in (self.keys, self.values):
            for layer, old in enumerate(tensors):
                new = self._shape.zeros(slots, self.capacity)
                kept = min(self.num_slots, slots)
                new[:kept] = old[:kept]
                tensors[layer] = new  # the old one is freed before the next is made

    def acquire(self) -> int | None:
        """Return the lowest free slot, which keeps those in use together; None when all are in use."""
        return heapq.heappop(self._free) if self._free else None

    def release(self, index: int) -> None:
        """Make a slot free. Its numbers stay until they are overwritten; nothing may read them."""
        heapq.heappush(self._free, index)


@dataclass(frozen=True, slots=True)
class Slot:
    """Room for `pool.capacity` tokens of one sequence."""

    pool: SlotPool
    index: int

    @property
    def first_row(self) -> int:
        """The cache row of its first token."""
        return self.index * self.pool.capacity

    def clear(self) -> None:
        """Fill the slot with zeros: attention weighs what it masks with 0, and 0 times a NaN left there is NaN."""
        rows = slice(self.first_row, self.first_row + self.pool.capacity)
        for layer in range(len(self.pool.keys)):
            for states in self.pool.cache_rows(layer):
                states[rows].zero_()


@dataclass(frozen=True, eq=False)
class Prefix:
    """Tokens that several prompts begin with: keys and values (tokens, groups, head_size) for each layer.

    Two are equal only if they are the same one: a captured graph reads the tensors of one.
    """

    ids: tuple[int, ...]  # at the positions 0, 1, ... of a sequence
    keys: Sequence[Tensor] = field(repr=False)  # of whole blocks: may be longer than `ids`
    values: Sequence[Tensor] = field(repr=False)


class KVCache:
    """All slots and prefixes, within `budget` bytes."""

    def __init__(self, shape: KVShape, budget: int) -> None:
        self.shape = shape
        self.budget = budget
        self._pools: dict[int, SlotPool] = {}  # by capacity
        self._prefix_bytes = 0  # of the prefixes that count

    @property
    def allocated_bytes(self) -> int:
        return self._prefix_bytes + sum(pool.num_slots * pool.slot_bytes for pool in self._pools.values())

    def could_hold(self, prefix_tokens: int, slot_tokens: int) -> bool:
        """Return whether there is room for a prefix and a slot beside it while there is nothing else."""
        tokens = self.shape.round_up(prefix_tokens) + slot_capacity(slot_tokens)
        return tokens * self.shape.token_bytes <= self.budget

    def allocate(self, tokens: int) -> Slot | None:
        """Return a slot for at least `tokens`; None while there is no room for one."""
        capacity = slot_capacity(tokens)
        if capacity not in self._pools:
            self._pools[capacity] = SlotPool(self.shape, capacity)
        pool = self._pools[capacity]
        index = pool.acquire()
        if index is None:
            # The budget counts whole pools, free slots included; so free slots elsewhere are given back first.
            self._shrink_others(pool)
            pool.grow(max(0, self.budget - self.allocated_bytes) // pool.slot_bytes)
            index = pool.acquire()
        return None if index is None else Slot(pool, index)

    def free(self, slot: Slot) -> None:
        """Make a slot available again."""
        slot.pool.release(slot.index)

    def move(self, slot: Slot, tokens: int, filled: int) -> Slot | None:
        """Move the first `filled` tokens of a slot to a slot for at least `tokens`.

        Return None, and keep the old slot, while there is no room: both exist at once for a moment.
        """
        larger = self.allocate(tokens)
        if larger is not None:
            filled = self.shape.round_up(filled)  # a block that is partly filled is copied whole
            for tensors, larger_tensors in ((slot.pool.keys, larger.pool.keys), (slot.pool.values, larger.pool.values)):
                for old, new in zip(tensors, larger_tensors, strict=True):
                    new[larger.index, :filled] = old[slot.index, :filled]
            self.free(slot)
        return larger

    def store_prefix(self, ids: tuple[int, ...], slot: Slot) -> Prefix:
        """Copy the tokens `ids` out of a slot into a prefix. The slot is the caller's to free."""
        # In whole blocks as well: what the last one holds after the prefix is never read (`ids` says how long it is).
        tokens = self.shape.round_up(len(ids))
        keys = [each[slot.index, :tokens].clone() for each in slot.pool.keys]
        values = [each[slot.index, :tokens].clone() for each in slot.pool.values]
        self._prefix_bytes += tokens * self.shape.token_bytes
        return Prefix(ids, keys, values)

    def drop_prefix(self, prefix: Prefix) -> None:
        """Count a prefix no longer. Its memory goes with the last reference to it."""
        self._prefix_bytes -= self.shape.round_up(len(prefix.ids)) * self.shape.token_bytes

    def _shrink_others(self, pool: SlotPool) -> None:
        """Take unused slots from the other pools if a slot of this one would not fit."""
        if self.allocated_bytes + pool.slot_bytes > self.budget:
            for other in self._pools.values():
                if other is not pool and other.in_use < other.num_slots:
                    other.shrink()


def slot_capacity(tokens: int) -> int:
    """Return the capacity of the slots for so many tokens: 64, 128, 256, ...

    A finer scale would waste less memory and cost more attention calls, on which a decode step spends its time.
    """
    return max(MIN_CAPACITY, 1 << (tokens - 1).bit_length())
