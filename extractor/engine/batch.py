"""The tokens of one step, packed without padding: what the model reads, where its keys go, who attends to what.

Short runs (the next tokens of answers) of all lanes of one pool make one attention call, a long run (a part of a
prompt) one of its own. Where attention is fused (`fused`), a short run is so many rows that each see their lane as far
as themselves; elsewhere a rectangle with a mask. Built once per step and used by every layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby
from typing import Protocol

import torch
from torch import Tensor

from extractor.engine import flash_attention
from extractor.engine.attention import Attended, attend, attend_continued, attend_rows, join
from extractor.engine.flash_attention import Reach
from extractor.engine.kv_cache import KeyShape, Lane, Pool, Prefix
from extractor.engine.platform import sent

SHORT = 16
"""A run of more tokens is attended to on its own."""

_WIDEST = 4

_MULTIPLE = 16
"""Packs are filled up to a multiple of rows: kernels are made once for each number of rows that comes up."""


@dataclass(frozen=True, slots=True)
class Run:
    """Tokens of one sequence: `ids` come behind `start` tokens of it that stand in its lane (the prefix apart).

    The hidden states of the last `wanted` tokens are asked for.
    """

    ids: Sequence[int]
    start: int
    lane: Lane
    prefix: Prefix | None
    wanted: int

    @property
    def end(self) -> int:
        return self.start + len(self.ids)

    @property
    def offset(self) -> int:
        """The position of the lane's first token."""
        return len(self.prefix.ids) if self.prefix else 0


class Step(Protocol):
    """What the model reads at once: `ids` and `positions` (rows,), the first `size` of which are tokens, and `wanted`,
    the rows of the hidden states to keep."""

    @property
    def ids(self) -> Tensor: ...

    @property
    def positions(self) -> Tensor: ...

    @property
    def wanted(self) -> Tensor: ...

    @property
    def size(self) -> int: ...

    def write(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Put keys and values (tokens, groups, head_size) into the lanes."""
        ...

    def attend(self, layer: int, query: Tensor) -> Tensor:
        """Attention of all tokens: queries (tokens, groups, heads of a group, head_size), outputs the same."""
        ...


@dataclass(frozen=True, slots=True)
class _Rows:
    """The tokens `where` of the pack, of short runs in one pool: each sees its lane as far as itself."""

    pool: Pool
    where: slice
    reach: Reach

    def attend(self, layer: int, query: Tensor) -> tuple[slice, Tensor, Tensor]:
        return self.where, *attend_rows(query[self.where], *self.pool.slots(layer), self.reach)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Short runs in the lanes 0..lanes of a pool, as a rectangle of `width` tokens a lane; they are the tokens `where`
    of the pack. `cells` are their places in the rectangle, None where they fill it."""

    pool: Pool
    lanes: int
    width: int
    where: slice
    cells: Tensor | None
    mask: Tensor

    def attend(self, layer: int, query: Tensor) -> tuple[slice, Tensor, Tensor]:
        """Which tokens, their outputs (tokens, groups, heads of a group, head_size) and their log-sum-exp."""
        lanes, width, (groups, each, size) = self.lanes, self.width, query.shape[1:]
        rows = query[self.where]
        if self.cells is not None:
            rows = rows.new_zeros(lanes * width, groups, each, size).index_copy_(0, self.cells, rows)
        rows = rows.view(lanes, width, groups, each, size).permute(0, 2, 3, 1, 4)
        length = self.mask.shape[-1]
        key = self.pool.keys[layer][:lanes, :length].transpose(1, 2)
        value = self.pool.values[layer][:lanes, :length].transpose(1, 2)
        output, logsumexp = attend(rows.reshape(lanes, groups, each * width, size), key, value, self.mask)
        output = output.view(lanes, groups, each, width, size).permute(0, 3, 1, 2, 4)
        logsumexp = logsumexp.view(lanes, groups, each, width).permute(0, 3, 1, 2)
        output, logsumexp = output.reshape(-1, groups, each, size), logsumexp.reshape(-1, groups, each)
        if self.cells is None:
            return self.where, output, logsumexp
        return self.where, output.index_select(0, self.cells), logsumexp.index_select(0, self.cells)


@dataclass(frozen=True, slots=True)
class _Long:
    """A long run: tokens first..last of the pack. Without a mask it is causal."""

    run: Run
    first: int
    mask: Tensor | None

    def attend(self, layer: int, query: Tensor) -> tuple[slice, Tensor, Tensor]:
        pool, lane = self.run.lane.pool, self.run.lane.index
        where = slice(self.first, self.first + len(self.run.ids))
        key = pool.keys[layer][lane, : self.run.end]
        value = pool.values[layer][lane, : self.run.end]
        return where, *_over_heads(query[where], key, value, self.mask)


class Pack:
    """The `Step` of some runs: rows are their tokens, run by run in the order of `runs`, shorter ones first; what is
    behind the first `size` rows fills up and counts nowhere.

    `fuse` says how attention is divided into calls; by default as it is fastest on the device.
    """

    def __init__(self, runs: Sequence[Run], shape: KeyShape, *, fuse: bool | None = None) -> None:
        runs = sorted(runs, key=_order)
        self.runs = runs
        self.shape = shape
        self._fuse = flash_attention.works(shape.device, shape.dtype, shape.head_size) if fuse is None else fuse
        firsts = [0]
        for run in runs:
            firsts.append(firsts[-1] + len(run.ids))
        self.size = firsts.pop()
        self.firsts = firsts
        self.places: object = None
        """Kept here by operations that want places in another form."""

    @property
    def ids(self) -> Tensor:
        return self._inputs[0]

    @property
    def positions(self) -> Tensor:
        return self._inputs[1]

    @property
    def wanted(self) -> Tensor:
        return self._inputs[2]

    @cached_property
    def wanted_rows(self) -> list[int]:
        """The rows of `wanted`, without what fills up."""
        return [first + place for run, first in self._placed for place in _last(run)]

    @cached_property
    def shorts(self) -> int:
        """How many runs are short; they come first."""
        return sum(len(run.ids) <= SHORT for run in self.runs)

    def write(self, layer: int, key: Tensor, value: Tensor) -> None:
        for pool, tokens, slots in self._writes:
            for target, source in zip(pool.slots(layer), (key, value), strict=True):
                target.index_copy_(0, slots, source if tokens is None else source[tokens])

    def attend(self, layer: int, query: Tensor) -> Tensor:
        output = torch.empty_like(query, memory_format=torch.contiguous_format)
        self._attend(layer, query, output, self._parts, self._prefixes)
        return output

    def attend_long(self, layer: int, query: Tensor, output: Tensor) -> None:
        """The same for the tokens of runs that are not short, into their rows of `output`."""
        self._attend(layer, query, output, self._long_parts, self._long_prefixes)

    def _attend(
        self,
        layer: int,
        query: Tensor,
        output: Tensor,
        parts: Sequence[_Rows | _Batch | _Long],
        prefixes: Sequence[tuple[Prefix, Tensor | slice]],
    ) -> None:
        logsumexp = query.new_empty(query.shape[:3], dtype=torch.float32)
        for part in parts:
            where, outputs, sums = part.attend(layer, query)
            output[where], logsumexp[where] = outputs, sums
        for prefix, rows in prefixes:
            shared = over_prefix(query[rows], prefix, layer)
            output[rows] = join(shared, (output[rows], logsumexp[rows]))

    @property
    def _placed(self) -> list[tuple[Run, int]]:
        """Runs with their first rows."""
        return list(zip(self.runs, self.firsts, strict=True))

    @cached_property
    def _inputs(self) -> tuple[Tensor, ...]:
        ids = [token for run in self.runs for token in run.ids]
        positions = [run.offset + place for run in self.runs for place in range(run.start, run.end)]
        return _numbers(self.shape.device, *map(_filled_up, (ids, positions, self.wanted_rows)))

    @cached_property
    def _writes(self) -> list[tuple[Pool, Tensor | None, Tensor]]:
        return _writes(self.runs, self.firsts, self.shape.device)

    @cached_property
    def _parts(self) -> list[_Rows | _Batch | _Long]:
        """Rows of all short runs, or rectangles of the shortest; all others one by one."""
        if self._fuse:
            pools = groupby(self._placed[: self.shorts], key=lambda item: item[0].lane.pool)
            return [*(_rows(pool, list(items), self.shape) for pool, items in pools), *self._long_parts]
        narrow = [(run, first) for run, first in self._placed if len(run.ids) <= _WIDEST]
        batches = [
            _batch(pool, list(items), self.shape) for pool, items in groupby(narrow, key=lambda item: item[0].lane.pool)
        ]
        return [*batches, *_longs(self._placed[len(narrow) :], self.shape, masked=True)]

    @cached_property
    def _long_parts(self) -> list[_Long]:
        return _longs(self._placed[self.shorts :], self.shape, masked=not self._fuse)

    @cached_property
    def _prefixes(self) -> list[tuple[Prefix, Tensor | slice]]:
        return _prefixes(self._placed, self.shape.device)

    @cached_property
    def _long_prefixes(self) -> list[tuple[Prefix, Tensor | slice]]:
        return _prefixes(self._placed[self.shorts :], self.shape.device)


def _order(run: Run) -> tuple[int, int, int]:
    """Runs that share a call stand together, in the order of their lanes."""
    length = len(run.ids)
    kind = 0 if length <= _WIDEST else 1 if length <= SHORT else 2
    return kind, run.lane.pool.capacity, run.lane.index


def over_prefix(query: Tensor, prefix: Prefix, layer: int) -> Attended:
    """Attention of queries (tokens, groups, heads of a group, head_size) over a prefix that is before all of them."""
    return _of_sequence(attend, query, prefix.keys[layer], prefix.values[layer])


def _over_heads(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Attended:
    """One sequence whose last tokens ask."""
    if mask is None:
        return _of_sequence(attend_continued, query, key, value)
    return _of_sequence(partial(attend, mask=mask), query, key, value)


def _of_sequence(how: Callable[[Tensor, Tensor, Tensor], Attended], query: Tensor, *kept: Tensor) -> Attended:
    """Queries, keys and values by tokens, as `how` wants them by groups."""
    key, value = (flash_attention.over_heads(part, query.shape[2]) for part in kept)
    output, logsumexp = how(query.permute(1, 2, 0, 3), key, value)
    return output.permute(2, 0, 1, 3), logsumexp.permute(2, 0, 1)


def _numbers(device: torch.device, *lists: Sequence[int]) -> tuple[Tensor, ...]:
    """Lists of numbers as int64, sent to the device in one piece."""
    together = sent(torch.tensor([number for each in lists for number in each], dtype=torch.long), device)
    return torch.split(together, [len(each) for each in lists])


def _filled_up(numbers: list[int]) -> list[int]:
    return numbers + [0] * (-len(numbers) % _MULTIPLE if len(numbers) > _MULTIPLE else 0)


def _last(run: Run) -> range:
    return range(len(run.ids) - run.wanted, len(run.ids))


def _writes(
    runs: Sequence[Run], firsts: Sequence[int], device: torch.device
) -> list[tuple[Pool, Tensor | None, Tensor]]:
    """For each pool the tokens that go there (None when all do) and their slots, lane by lane."""
    tokens: dict[Pool, list[int]] = {}
    slots: dict[Pool, list[int]] = {}
    for run, first in zip(runs, firsts, strict=True):
        pool, base = run.lane.pool, run.lane.index * run.lane.pool.capacity
        tokens.setdefault(pool, []).extend(range(first, first + len(run.ids)))
        slots.setdefault(pool, []).extend(range(base + run.start, base + run.end))
    alone = len(tokens) == 1
    placed = _numbers(device, *tokens.values(), *slots.values())
    return [
        (pool, None if alone else where, slot)
        for pool, where, slot in zip(tokens, placed, placed[len(tokens) :], strict=False)
    ]


def _rows(pool: Pool, items: Sequence[tuple[Run, int]], shape: KeyShape) -> _Rows:
    starts = [run.lane.index * pool.capacity for run, _ in items for _ in run.ids]
    counts = [place + 1 for run, _ in items for place in range(run.start, run.end)]
    first = items[0][1]
    placed = _numbers(shape.device, starts, counts)
    reach = Reach.of(placed[0], placed[1], shape.heads_of_a_group, pool.capacity)
    return _Rows(pool, slice(first, first + len(starts)), reach)


def _batch(pool: Pool, items: Sequence[tuple[Run, int]], shape: KeyShape) -> _Batch:
    lanes = 1 + max(run.lane.index for run, _ in items)
    width = max(len(run.ids) for run, _ in items)
    length = max(run.end for run, _ in items)
    cells = [run.lane.index * width + place for run, _ in items for place in range(len(run.ids))]
    reach = [0] * (lanes * width)  # how far each cell sees
    for cell, seen in zip(cells, (place for run, _ in items for place in range(run.start, run.end)), strict=True):
        reach[cell] = seen
    hidden = torch.arange(length) > torch.tensor(reach).unsqueeze(1)
    mask = torch.zeros(hidden.shape, dtype=shape.dtype).masked_fill_(hidden, -torch.inf).to(shape.device)
    mask = mask.view(lanes, 1, width, length).expand(lanes, shape.heads_of_a_group, width, length)
    first = items[0][1]
    return _Batch(
        pool,
        lanes,
        width,
        slice(first, first + len(cells)),
        None if len(cells) == lanes * width else torch.tensor(cells, device=shape.device),
        mask.reshape(lanes, 1, -1, length),
    )


def _longs(items: Sequence[tuple[Run, int]], shape: KeyShape, *, masked: bool) -> list[_Long]:
    return [_Long(run, first, _behind(run, shape) if run.start and masked else None) for run, first in items]


def _behind(run: Run, shape: KeyShape) -> Tensor:
    """The causal mask of a part of a prompt that has `start` tokens before it."""
    mask = torch.full((len(run.ids), run.end), -torch.inf, dtype=shape.dtype, device=shape.device)
    return mask.triu_(1 + run.start).view(1, 1, *mask.shape)


def _prefixes(items: Sequence[tuple[Run, int]], device: torch.device) -> list[tuple[Prefix, Tensor | slice]]:
    """For each prefix the tokens that come behind it: a slice where all do."""
    users: dict[Prefix, list[int]] = {}
    for run, first in items:
        if run.prefix is not None:
            users.setdefault(run.prefix, []).extend(range(first, first + len(run.ids)))
    if len(users) == 1 and all(run.prefix is not None for run, _ in items):
        ((prefix, tokens),) = users.items()
        return [(prefix, slice(tokens[0], tokens[-1] + 1))]
    return list(zip(users, _numbers(device, *users.values()), strict=True))
