"""Decode steps in buffers of fixed sizes, so that CUDA can capture them once and replay them.

A decode step is over sooner than the host can launch its thousand kernels; a captured one is launched at once.
Steps with a prefill chunk take their time in computing and are never captured.

The rows of a `StaticBatch` are divided among the slot pools in use. The share of each is padded by repeating its first
token: what such a row writes is what that token writes, to where it writes it, so no other slot is touched and none
need be kept free.

A captured graph holds addresses, not tensors. So it belongs to the very tensors it was captured with: to pools in the
`version` they had then, and to one prefix, which it does not keep alive (`GraphKey`). Graphs share one memory pool; the
output of a step is to be used before the next step.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from weakref import ref

import torch
from torch import Tensor

from extractor.engine import flash_attention
from extractor.engine.attention import attend_rows, merge_states
from extractor.engine.batch import Batch, ForwardBatch, Segment, attend_prefix
from extractor.engine.flash_attention import KeyRanges
from extractor.engine.kv_cache import KVShape, Prefix, SlotPool
from extractor.engine.platforms import is_out_of_memory, to_device

log = logging.getLogger(__name__)

Forward = Callable[[ForwardBatch], Tensor]
"""The forward pass of a model runner."""

Replay = Callable[[], Tensor]
"""Computes again from the same buffers, into the same output."""

Capture = Callable[[Callable[[], Tensor]], Replay]
"""Makes a replay of a function that computes from static buffers."""

NewCapture = Callable[[], Capture]
"""Makes a capture with a memory pool of its own, which what it captured shares."""

MAX_ROWS = 512
"""A step of more rows takes its time in computing."""

_MAX_GRAPHS = 32
_MIN_ROWS = 8  # of one pool
_WARMUP_RUNS = 2


@dataclass(frozen=True, slots=True)
class _PoolRows:
    """The part of a step whose tokens are in slots of one pool."""

    pool: ref[SlotPool]
    version: int  # of the pool, when the key was made
    rows: int  # tokens and padding: a bucket's size, not the number of tokens

    @property
    def is_valid(self) -> bool:
        pool = self.pool()
        return pool is not None and pool.version == self.version


@dataclass(frozen=True, slots=True)
class GraphKey:
    """What a graph is captured for. Two are equal where one graph serves both batches."""

    pools: tuple[_PoolRows, ...]  # by capacity; the parts of the rows are in this order
    prefix: ref[Prefix] | None  # that all rows attend to, whether they have it or not

    @classmethod
    def of(cls, batch: Batch) -> GraphKey | None:
        """Return the key of a batch.

        None where no graph can be captured for it: it has a prefill chunk, several prefixes, or more rows than are
        worth it.
        """
        # Rows without the prefix may be among those with it (`_has_prefix`), but not rows with another one.
        prefixes = {segment.prefix for segment in batch.segments if segment.prefix is not None}
        if batch.num_decode < len(batch.segments) or len(prefixes) > 1 or batch.num_tokens > MAX_ROWS:
            return None
        # Weak references: a graph must not keep the tensors of a pool or prefix that was dropped.
        rows: Counter[SlotPool] = Counter()
        for segment in batch.segments:
            rows[segment.slot.pool] += len(segment.ids)
        pools = sorted(rows, key=lambda pool: pool.capacity)  # equal keys need an equal order
        pool_rows = tuple(_PoolRows(ref(pool), pool.version, _bucket(rows[pool])) for pool in pools)
        return cls(pool_rows, ref(prefixes.pop()) if prefixes else None)

    @property
    def rows(self) -> int:
        return sum(each.rows for each in self.pools)

    @property
    def is_valid(self) -> bool:
        """Whether all tensors that the graph would read are still there."""
        return all(each.is_valid for each in self.pools) and (self.prefix is None or self.prefix() is not None)


class StaticBatch:
    """A `ForwardBatch` whose tensors stay where they are: `fill` puts the tokens of a batch of this key into them.

    Its inputs are the rows of one int64 tensor (7, rows), so that filling is one copy: ids, positions, rows to sample
    from, and for each row the cache row to write to, the first cache row of its slot, how many keys of the slot it
    sees, and whether the prefix comes before them.
    """

    def __init__(self, key: GraphKey, shape: KVShape) -> None:
        self._key = key
        self._shape = shape
        # The rows below are views of this tensor, so a graph sees what `fill` copies into it.
        self._inputs = torch.zeros(7, key.rows, dtype=torch.long, device=shape.device)
        self.ids, self.positions, self.logits_rows, *attention_inputs = self._inputs
        self._cache_rows, self._starts, self._lengths, self._has_prefix = attention_inputs
        ends = list(accumulate(each.rows for each in key.pools))
        self._parts = [slice(end - each.rows, end) for end, each in zip(ends, key.pools, strict=True)]
        # Made by `run`, that is inside the graph: they are computed again from the inputs at every replay.
        self._ranges: list[KeyRanges] = []
        self._prefix_mask = self._has_prefix

    @property
    def num_tokens(self) -> int:
        return self._key.rows

    def fill(self, batch: Batch) -> None:
        """Put a batch into the buffers, in one copy to the device."""
        # Rows are put together pool by pool; a batch has them by kind of segment first, hence the mapping.
        rows: list[tuple[int, ...]] = []
        static_rows: dict[int, int] = {}  # row of the batch -> row of this one
        for each, part in zip(self._key.pools, self._parts, strict=True):
            for segment, first in zip(batch.segments, batch.first_rows, strict=True):
                if segment.slot.pool is each.pool():
                    static_rows |= zip(
                        range(first, first + len(segment.ids)), range(len(rows), part.stop), strict=False
                    )
                    rows += _input_rows(segment)
            rows += [rows[part.start]] * (part.stop - len(rows))  # padding; a part has at least one token
        logits_rows = [static_rows[row] for row in batch.logits_row_list]
        # From one tuple per row to one per input. Padding of the third samples from row 0, which nobody reads.
        columns = list(zip(*rows, strict=True))
        columns.insert(2, (*logits_rows, *[0] * (len(rows) - len(logits_rows))))
        self._inputs.copy_(to_device(torch.tensor(columns, dtype=torch.long), self._shape.device), non_blocking=True)

    def run(self, forward: Forward) -> Tensor:
        """Return hidden states (rows, hidden), of which the first are those that the batch samples from."""
        self._ranges = [
            KeyRanges.of(self._starts[part], self._lengths[part], self._shape.heads_per_group, pool.capacity)
            for pool, part in self._placed
        ]
        self._prefix_mask = self._has_prefix.bool().view(-1, 1, 1, 1)
        return forward(self)

    def write(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Write keys and values (rows, groups, head_size) into the slots."""
        # Padding writes the same numbers to the same cache row as the token that it repeats.
        for pool, part in self._placed:
            for target, source in zip(pool.cache_rows(layer), (key, value), strict=True):
                target.index_copy_(0, self._cache_rows[part], source[part])

    def attend(self, layer: int, query: Tensor) -> Tensor:
        """Return attention of all rows: queries and outputs (rows, groups, heads per group, head_size)."""
        attended = [
            attend_rows(query[part], *pool.cache_rows(layer), ranges)
            for (pool, part), ranges in zip(self._placed, self._ranges, strict=True)
        ]
        # Pools are consecutive ranges of rows, so their outputs are just joined.
        output, logsumexp = (torch.cat(each) for each in zip(*attended, strict=True))
        prefix = self._key.prefix() if self._key.prefix else None
        if prefix is None:
            return output
        # All rows attend to the prefix, since which of them have it is not known when the graph is captured.
        merged = merge_states(attend_prefix(query, prefix, layer), (output, logsumexp))
        return torch.where(self._prefix_mask, merged, output)

    @property
    def _placed(self) -> list[tuple[SlotPool, slice]]:
        """The pools with their rows."""
        pools = [each.pool() for each in self._key.pools]
        return [(pool, part) for pool, part in zip(pools, self._parts, strict=True) if pool is not None]


class CudaGraphs:
    """Captured decode steps, each captured when its key occurs for the second time; the least recently used go.

    They are captured into a new memory pool when none is left, since memory that no graph uses is given back.
    """

    def __init__(self, forward: Forward, shape: KVShape, new_capture: NewCapture) -> None:
        self._forward = forward
        self._shape = shape
        self._new_capture = new_capture
        self._capture: Capture | None = None
        self._graphs: OrderedDict[GraphKey, tuple[StaticBatch, Replay]] = OrderedDict()  # least recently used first
        self._seen: set[GraphKey] = set()  # occurred once, or captured already
        self._failed = False  # capturing failed for another reason than memory: not tried again

    def forward(self, batch: Batch) -> Tensor | None:
        """Return the hidden states to sample from, with more rows after them; None where there is no graph."""
        key = None if self._failed else GraphKey.of(batch)
        if key is None:
            return None
        # Capturing costs several steps: it pays only for a key that comes again.
        if key not in self._graphs and not (self._was_seen(key) and self._add(key, batch)):
            return None
        self._graphs.move_to_end(key)
        static, replay = self._graphs[key]
        static.fill(batch)
        return replay()

    def clear(self) -> None:
        """Drop all graphs, and free their memory."""
        self._graphs.clear()
        self._seen.clear()
        self._capture = None

    def _was_seen(self, key: GraphKey) -> bool:
        """Return whether this key was seen before. Those that cannot come again are forgotten."""
        if key in self._seen:
            return True
        self._seen = {each for each in self._seen if each.is_valid} | {key}
        return False

    def _add(self, key: GraphKey, batch: Batch) -> bool:
        """Capture a graph for this key, and return whether that worked.

        After a failure other than lack of memory nothing is captured any more.
        """
        # Stale graphs cannot be replayed by mistake, since a key with the new version is another key; they are dropped
        # for their memory.
        for stale in [each for each in self._graphs if not each.is_valid]:
            del self._graphs[stale]
        if len(self._graphs) >= _MAX_GRAPHS:
            self._seen.discard(self._graphs.popitem(last=False)[0])
        if self._capture is None or not self._graphs:
            self._capture = self._new_capture()
        static = StaticBatch(key, self._shape)
        static.fill(batch)
        try:
            self._graphs[key] = static, self._capture(lambda: static.run(self._forward))
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            log.warning("decode steps are not captured as CUDA graphs: %s", error)
            self.clear()
            self._failed = True
        return not self._failed


class CudaCapture:
    """Captures on a CUDA device, into one memory pool."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._memory = torch.cuda.graph_pool_handle()
        self._side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def __call__(self, run: Callable[[], Tensor]) -> Replay:
        """Capture `run`, after a warm-up on a side stream, which selects kernels and allocates workspaces."""
        current = torch.cuda.current_stream(self._device)
        self._side.wait_stream(current)
        with torch.cuda.stream(self._side):
            for _ in range(_WARMUP_RUNS):
                run()
        current.wait_stream(self._side)
        # The output belongs to the graph's memory pool: the next replay of any graph of this capture may overwrite it.
        graph = torch.cuda.CUDAGraph()
        # The threads for masks and constraints may use CUDA meanwhile; only this one's calls are checked.
        with torch.cuda.graph(graph, pool=self._memory, stream=self._side, capture_error_mode="thread_local"):
            output = run()

        def replay() -> Tensor:
            graph.replay()
            return output

        return replay


def no_capture() -> Capture:
    """Return a capture whose replay is calling again: static batches on any device."""
    return lambda run: run


def capture_for(shape: KVShape) -> NewCapture | None:
    """Return what captures on the device of a cache; None where nothing does, or attention cannot be captured."""
    if flash_attention.is_supported(shape.device, shape.dtype, shape.head_size):
        return partial(CudaCapture, shape.device)
    return None


def _bucket(rows: int) -> int:
    """Round up to one of few sizes, so that keys come again: 8, 12, 16, 24, 32, 48, 64, ..."""
    # Powers of two and one and a half times those: above the smallest, at most a third is padding.
    size = _MIN_ROWS
    while size < rows:
        size = size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3
    return size


def _input_rows(segment: Segment) -> Sequence[tuple[int, ...]]:
    """Return the inputs of a `StaticBatch` for each token of a segment, without the rows to sample from."""
    first = segment.slot.first_row
    has_prefix = int(segment.prefix is not None)
    return [
        (token, segment.prefix_length + position, first + position, first, position + 1, has_prefix)
        for token, position in zip(segment.ids, segment.slot_positions, strict=True)
    ]
