"""The tokens of one step side by side, without padding: what the model reads, where keys go, who attends to what.

A row of the batch is one token. A segment is a sequence's tokens in it; there are two kinds, by length alone:

- decode segments, of up to `MAX_DECODE_TOKENS` tokens: what was sampled last, forced tokens, drafts (and the short rest
  of a prompt). Those of one slot pool make one attention call together;
- prefill chunks, which are longer: each has an attention call of its own.

    row        0 1 2 3 4 5 6 7 8 9 ...               num_tokens        (padding to a multiple)
    segment    [a][b  ][c    ][ prefill chunk ......]                  sorted: see `_order`
    logits          ^b ^c^c^c                       ^                  the last `num_logits` rows of each segment

The attention call of decode segments has one of two forms. Where it is fused (CUDA) each token is a row that sees the
cache rows of its slot up to itself (`_RowAttention`). Elsewhere the shortest segments are padded to a rectangle over
the slots of the pool, with a mask (`_PaddedAttention`); longer ones have calls of their own, since a rectangle is as
wide as its longest segment. Compiled operations (`operations.py`) attend to decode segments themselves.

A segment attends to its slot, itself included: keys are written before anything is attended to. A prefix is attended to
apart, by all rows that have it in one call, and merged (see `attention.py`).

Built once per step and used by every layer. Does not know sequences, nor why they are in the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import accumulate, groupby
from typing import Protocol

import torch
from torch import Tensor

from extractor.engine import flash_attention
from extractor.engine.attention import AttentionState, attend, attend_chunk, attend_rows, merge_states
from extractor.engine.flash_attention import KeyRanges
from extractor.engine.kv_cache import KVShape, Prefix, Slot, SlotPool
from extractor.engine.platforms import to_device

MAX_DECODE_TOKENS = 16
"""Tokens of the longest decode segment; a longer one is a prefill chunk."""

_MAX_PADDED_TOKENS = 4
"""Tokens of the longest decode segment that goes into a rectangle."""

_ROW_MULTIPLE = 16
"""Batches are padded to a multiple of rows: libraries prepare a kernel for each number of rows that occurs."""


# Shapes below: rows = tokens of the batch with padding; groups = key-value heads; keys = cached tokens that are seen.


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens of one sequence in a batch."""

    ids: Sequence[int]  # to be read in this step
    start: int  # tokens before them that are in the slot already; the prefix is not counted
    slot: Slot
    prefix: Prefix | None  # what comes before the slot's tokens
    num_logits: int  # so many of the last tokens are sampled from: their hidden states are kept

    @property
    def end(self) -> int:
        """Tokens in the slot after this step."""
        return self.start + len(self.ids)

    @property
    def is_prefill(self) -> bool:
        return len(self.ids) > MAX_DECODE_TOKENS

    @property
    def prefix_length(self) -> int:
        """The position, in the sequence, of the slot's first token."""
        return len(self.prefix.ids) if self.prefix else 0

    @property
    def slot_positions(self) -> range:
        """The positions of the tokens in the slot."""
        return range(self.start, self.end)


class ForwardBatch(Protocol):
    """What one forward pass reads: a `Batch`, or the static one that a CUDA graph was captured with.

    `ids` and `positions` (rows,), of which the first `num_tokens` are tokens and the others padding; `logits_rows`
    (padded), the rows of the hidden states to keep.
    """

    @property
    def ids(self) -> Tensor: ...

    @property
    def positions(self) -> Tensor: ...

    @property
    def logits_rows(self) -> Tensor: ...

    @property
    def num_tokens(self) -> int: ...

    def write(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Write keys and values (tokens, groups, head_size) into the slots."""
        ...

    def attend(self, layer: int, query: Tensor) -> Tensor:
        """Return attention of all tokens: queries and outputs (tokens, groups, heads per group, head_size)."""
        ...


@dataclass(frozen=True, slots=True)
class _RowAttention:
    """Decode segments in one pool, the rows `where` of the batch: each row sees its slot up to itself."""

    pool: SlotPool
    where: slice
    ranges: KeyRanges

    def attend(self, layer: int, query: Tensor) -> tuple[slice, Tensor, Tensor]:
        return self.where, *attend_rows(query[self.where], *self.pool.cache_rows(layer), self.ranges)


@dataclass(frozen=True, slots=True)
class _PaddedAttention:
    """Decode segments in the first `slots` slots of a pool, padded to a rectangle of `width` tokens a slot.

    A slot without a segment, or a cell without a token, sees the first key alone, and nothing reads what comes of it.
    """

    pool: SlotPool
    slots: int
    width: int
    where: slice  # the rows of the batch
    cells: Tensor | None  # (rows,): their places in the rectangle, slot * width + token; None where they fill it
    mask: Tensor  # (slots, 1, heads per group * width, keys), added to the scores

    def attend(self, layer: int, query: Tensor) -> tuple[slice, Tensor, Tensor]:
        """Return which rows, their outputs (rows, groups, heads per group, head_size) and their log-sum-exp."""
        slots, width, (groups, heads, size) = self.slots, self.width, query.shape[1:]
        rows = query[self.where]  # (tokens here, groups, heads, size)
        if self.cells is not None:  # cells without a token are zeros
            rows = rows.new_zeros(slots * width, groups, heads, size).index_copy_(0, self.cells, rows)
        # The heads of a group read the same keys, so they are queries of one head: (slots, groups, heads * width, ...).
        rows = rows.view(slots, width, groups, heads, size).permute(0, 2, 3, 1, 4)
        length = self.mask.shape[-1]
        # Views, (slots, groups, length, size): the slots in use are the first ones, and nothing is gathered.
        key = self.pool.keys[layer][:slots, :length].transpose(1, 2)
        value = self.pool.values[layer][:slots, :length].transpose(1, 2)
        output, logsumexp = attend(rows.reshape(slots, groups, heads * width, size), key, value, self.mask)
        # Back to cells: (slots * width, groups, heads, size).
        output = output.view(slots, groups, heads, width, size).permute(0, 3, 1, 2, 4)
        logsumexp = logsumexp.view(slots, groups, heads, width).permute(0, 3, 1, 2)
        output, logsumexp = output.reshape(-1, groups, heads, size), logsumexp.reshape(-1, groups, heads)
        if self.cells is None:
            return self.where, output, logsumexp
        return self.where, output.index_select(0, self.cells), logsumexp.index_select(0, self.cells)


@dataclass(frozen=True, slots=True)
class _ChunkAttention:
    """One segment with a call of its own."""

    segment: Segment
    first: int  # its first row in the batch
    mask: Tensor | None  # (1, 1, tokens, keys), causal; None where the attention call is causal itself

    def attend(self, layer: int, query: Tensor) -> tuple[slice, Tensor, Tensor]:
        # Only the segment's own slot, up to its last token: (end, groups, head_size).
        slot, end = self.segment.slot, self.segment.end
        where = slice(self.first, self.first + len(self.segment.ids))
        key, value = slot.pool.keys[layer][slot.index, :end], slot.pool.values[layer][slot.index, :end]
        compute = attend_chunk if self.mask is None else partial(attend, mask=self.mask)
        return where, *_attend_sequence(compute, query[where], key, value)


_Attention = _RowAttention | _PaddedAttention | _ChunkAttention


class Batch:
    """The `ForwardBatch` of some segments, in the order of `segments`; decode segments come first.

    `fuse` says how attention is divided into calls; by default as it is fastest on the device.
    """

    def __init__(self, segments: Sequence[Segment], shape: KVShape, *, fuse: bool | None = None) -> None:
        # The order is internal: callers find their rows by `segments` and `first_rows`.
        segments = sorted(segments, key=_order)
        self.segments = segments
        self.shape = shape
        self._fuse = flash_attention.is_supported(shape.device, shape.dtype, shape.head_size) if fuse is None else fuse
        # first_rows[i] is the row of the first token of segments[i].
        *self.first_rows, self.num_tokens = accumulate((len(each.ids) for each in segments), initial=0)
        self.kernel_arguments: object = None
        """What the compiled operations make of the segments, kept here for all layers."""

    @property
    def ids(self) -> Tensor:
        return self._inputs[0]

    @property
    def positions(self) -> Tensor:
        return self._inputs[1]

    @property
    def logits_rows(self) -> Tensor:
        return self._inputs[2]

    @cached_property
    def logits_row_list(self) -> list[int]:
        """The rows of `logits_rows`, without padding: the last `num_logits` of each segment."""
        return [
            row
            for segment, first in self._placed
            for row in range(first + len(segment.ids) - segment.num_logits, first + len(segment.ids))
        ]

    @cached_property
    def num_decode(self) -> int:
        """The number of decode segments; they come first."""
        return sum(not each.is_prefill for each in self.segments)

    def write(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Write keys and values (tokens, groups, head_size) into the slots."""
        # No cache row occurs twice: each slot is in one segment, so the order of writes does not matter.
        for pool, rows, cache_rows in self._writes:
            for target, source in zip(pool.cache_rows(layer), (key, value), strict=True):
                target.index_copy_(0, cache_rows, source if rows is None else source[rows])

    def attend(self, layer: int, query: Tensor) -> Tensor:
        """Return attention of all tokens: queries and outputs (tokens, groups, heads per group, head_size)."""
        # First every row's own slot, then, where there is a prefix, what the row sees of it, merged by log-sum-exp.
        output = torch.empty_like(query, memory_format=torch.contiguous_format)
        logsumexp = query.new_empty(query.shape[:3], dtype=torch.float32)
        for attention in self._attentions:
            where, outputs, sums = attention.attend(layer, query)
            output[where], logsumexp[where] = outputs, sums
        for prefix, rows in self._prefixes:
            shared = attend_prefix(query[rows], prefix, layer)
            output[rows] = merge_states(shared, (output[rows], logsumexp[rows]))
        return output

    @property
    def _placed(self) -> list[tuple[Segment, int]]:
        """The segments with their first rows."""
        return list(zip(self.segments, self.first_rows, strict=True))

    @cached_property
    def _inputs(self) -> tuple[Tensor, ...]:
        # The prefix has the positions 0, 1, ...; the first token of the slot comes after it.
        ids = [token for segment in self.segments for token in segment.ids]
        positions = [each.prefix_length + position for each in self.segments for position in each.slot_positions]
        return _indices(self.shape.device, *map(_pad, (ids, positions, self.logits_row_list)))

    @cached_property
    def _writes(self) -> list[tuple[SlotPool, Tensor | None, Tensor]]:
        return _writes(self._placed, self.shape.device)

    @cached_property
    def _attentions(self) -> list[_Attention]:
        """Rows of all decode segments, or rectangles of the shortest; all others one by one."""
        # groupby needs the segments of a pool side by side, which `_order` sees to.
        if self._fuse:
            pools = groupby(self._placed[: self.num_decode], key=lambda item: item[0].slot.pool)
            return [
                *(_row_attention(pool, list(items), self.shape) for pool, items in pools),
                *_chunk_attentions(self._placed[self.num_decode :], self.shape, masked=False),
            ]
        # A rectangle covers every slot up to the last one in use, with or without a segment: cheap while slots in use
        # are the lowest ones (`SlotPool.acquire`) and segments are short.
        narrow = [item for item in self._placed if len(item[0].ids) <= _MAX_PADDED_TOKENS]
        pools = groupby(narrow, key=lambda item: item[0].slot.pool)
        padded = [_padded_attention(pool, list(items), self.shape) for pool, items in pools]
        return [*padded, *_chunk_attentions(self._placed[len(narrow) :], self.shape, masked=True)]

    @cached_property
    def _prefixes(self) -> list[tuple[Prefix, Tensor | slice]]:
        return _prefix_rows(self._placed, self.shape.device)


def _order(segment: Segment) -> tuple[int, int, int]:
    """Sort segments that share an attention call together, in the order of their slots."""
    # First those that go into rectangles, then other decode segments, then prefill chunks: `attend` and the compiled
    # operations take each kind as one range of rows. Within a pool by slot, so that cells of a rectangle are in order.
    length = len(segment.ids)
    kind = 0 if length <= _MAX_PADDED_TOKENS else 2 if segment.is_prefill else 1
    return kind, segment.slot.pool.capacity, segment.slot.index


def attend_prefix(query: Tensor, prefix: Prefix, layer: int) -> AttentionState:
    """Return attention of queries (tokens, groups, heads per group, head_size) over a prefix before all of them."""
    return _attend_sequence(attend, query, prefix.keys[layer], prefix.values[layer])


def _attend_sequence(
    compute: Callable[[Tensor, Tensor, Tensor], AttentionState], query: Tensor, key: Tensor, value: Tensor
) -> AttentionState:
    """Attend by tokens with a function that attends by groups.

    Queries (tokens, groups, heads per group, head_size), keys and values (tokens, groups, head_size). To `compute` the
    groups are the batch, and all are (groups, heads per group, tokens, head_size).
    """
    # All three are views; the heads of a group read the same keys.
    heads = query.shape[2]
    key, value = flash_attention.expand_groups(key, heads), flash_attention.expand_groups(value, heads)
    output, logsumexp = compute(query.permute(1, 2, 0, 3), key, value)
    return output.permute(2, 0, 1, 3), logsumexp.permute(2, 0, 1)


def _indices(device: torch.device, *lists: Sequence[int]) -> tuple[Tensor, ...]:
    """Return lists of numbers as int64 tensors, sent to the device in one piece."""
    # One transfer: each costs the host more than the few kilobytes do.
    together = to_device(torch.tensor([number for each in lists for number in each], dtype=torch.long), device)
    return torch.split(together, [len(each) for each in lists])


def _pad(numbers: list[int]) -> list[int]:
    # Padding reads token 0 at position 0 and is written nowhere; decode batches up to one multiple stay as they are.
    return numbers + [0] * (-len(numbers) % _ROW_MULTIPLE if len(numbers) > _ROW_MULTIPLE else 0)


def _writes(
    placed: Sequence[tuple[Segment, int]], device: torch.device
) -> list[tuple[SlotPool, Tensor | None, Tensor]]:
    """Return for each pool the rows that are written to it (None when all are) and their cache rows."""
    # The cache row of a token: its position in the slot, after the rows of all slots before it in the pool.
    rows: dict[SlotPool, list[int]] = {}
    cache_rows: dict[SlotPool, list[int]] = {}
    for segment, first in placed:
        pool, base = segment.slot.pool, segment.slot.first_row
        rows.setdefault(pool, []).extend(range(first, first + len(segment.ids)))
        cache_rows.setdefault(pool, []).extend(range(base + segment.start, base + segment.end))
    alone = len(rows) == 1
    sent = _indices(device, *rows.values(), *cache_rows.values())
    return [
        (pool, None if alone else source, target)
        for pool, source, target in zip(rows, sent, sent[len(rows) :], strict=False)
    ]


def _row_attention(pool: SlotPool, items: Sequence[tuple[Segment, int]], shape: KVShape) -> _RowAttention:
    # A token at position p of its slot sees p + 1 keys: those before it and its own, which is written by then.
    starts = [segment.slot.first_row for segment, _ in items for _ in segment.ids]
    lengths = [position + 1 for segment, _ in items for position in segment.slot_positions]
    first = items[0][1]
    sent = _indices(shape.device, starts, lengths)
    ranges = KeyRanges.of(sent[0], sent[1], shape.heads_per_group, pool.capacity)
    return _RowAttention(pool, slice(first, first + len(starts)), ranges)


def _padded_attention(pool: SlotPool, items: Sequence[tuple[Segment, int]], shape: KVShape) -> _PaddedAttention:
    # Rectangle: one line per slot from 0 to the last one in use, as wide as the longest segment.
    slots = 1 + max(segment.slot.index for segment, _ in items)
    width = max(len(segment.ids) for segment, _ in items)
    length = max(segment.end for segment, _ in items)
    cells = [segment.slot.index * width + n for segment, _ in items for n in range(len(segment.ids))]
    last_seen = [0] * (slots * width)  # for each cell the last position that it sees
    for cell, position in zip(cells, (each for segment, _ in items for each in segment.slot_positions), strict=True):
        last_seen[cell] = position
    hidden = torch.arange(length) > torch.tensor(last_seen).unsqueeze(1)
    mask = torch.zeros(hidden.shape, dtype=shape.dtype).masked_fill_(hidden, -torch.inf).to(shape.device)
    # The same for each head of a group: queries are (heads, width) in that order, see `_PaddedAttention.attend`.
    mask = mask.view(slots, 1, width, length).expand(slots, shape.heads_per_group, width, length)
    first = items[0][1]
    return _PaddedAttention(
        pool,
        slots,
        width,
        slice(first, first + len(cells)),
        None if len(cells) == slots * width else torch.tensor(cells, device=shape.device),
        mask.reshape(slots, 1, -1, length),
    )


def _chunk_attentions(items: Sequence[tuple[Segment, int]], shape: KVShape, *, masked: bool) -> list[_ChunkAttention]:
    return [
        _ChunkAttention(each, first, _causal_mask(each, shape) if each.start and masked else None)
        for each, first in items
    ]


def _causal_mask(segment: Segment, shape: KVShape) -> Tensor:
    """Return the causal mask (1, 1, tokens, keys) of a segment that has `start` tokens before it."""
    # Query n sees the keys up to start + n.
    mask = torch.full((len(segment.ids), segment.end), -torch.inf, dtype=shape.dtype, device=shape.device)
    return mask.triu_(1 + segment.start).view(1, 1, *mask.shape)


def _prefix_rows(items: Sequence[tuple[Segment, int]], device: torch.device) -> list[tuple[Prefix, Tensor | slice]]:
    """Return for each prefix the rows that come after it: a slice where all do."""
    rows: dict[Prefix, list[int]] = {}
    for segment, first in items:
        if segment.prefix is not None:
            rows.setdefault(segment.prefix, []).extend(range(first, first + len(segment.ids)))
    # The usual case, all segments after the same prefix: no gather.
    if len(rows) == 1 and all(segment.prefix is not None for segment, _ in items):
        ((prefix, all_rows),) = rows.items()
        return [(prefix, slice(all_rows[0], all_rows[-1] + 1))]
    return list(zip(rows, _indices(device, *rows.values()), strict=True))
