"""Steps of short runs in buffers of fixed sizes, so that CUDA can capture them once and replay them.

A step of few tokens is over sooner than the host can say what its thousand kernels are; a captured one is said at once.
The rows of a `StaticStep` are shares of the pools in use, each filled up by repeating its first token: what such a row
writes is what that token writes, to where it writes it, so no other lane is touched and none need be kept free.

A captured graph holds addresses, not tensors. So a step belongs to the very tensors it was captured with: to pools in
the `version` they had then, and to one prefix, which it does not keep alive. Graphs share one pool of memory; what a
step gives is to be used before the next step.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from weakref import ref

import torch
from torch import Tensor

from extractor.engine import flash_attention
from extractor.engine.attention import attend_rows, join
from extractor.engine.batch import Pack, Run, Step, over_prefix
from extractor.engine.flash_attention import Reach
from extractor.engine.kv_cache import KeyShape, Pool, Prefix
from extractor.engine.platform import out_of_memory, sent

log = logging.getLogger(__name__)

Forward = Callable[[Step], Tensor]
"""The forward pass of a runner."""

Record = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]
"""Makes of a function that computes from static buffers one that does so again, into the same output."""

Recorder = Callable[[], Record]
"""Makes what records. What one of them recorded shares memory."""

MOST_ROWS = 512
"""A step of more rows takes its time in computing."""

_GRAPHS = 32
_FEWEST = 8
_WARMING = 2


@dataclass(frozen=True, slots=True)
class _Share:
    """So many rows of a step are tokens of lanes of this pool, as it was at this version."""

    pool: ref[Pool]
    version: int
    rows: int

    @property
    def fresh(self) -> bool:
        pool = self.pool()
        return pool is not None and pool.version == self.version


@dataclass(frozen=True, slots=True)
class Kind:
    """What a static step is made for. Two are equal where one step serves both."""

    shares: tuple[_Share, ...]
    prefix: ref[Prefix] | None

    @classmethod
    def of(cls, pack: Pack) -> Kind | None:
        """The kind of a pack; None where no static step can be made for it: it has long runs, several prefixes, or
        more rows than are worth it."""
        prefixes = {run.prefix for run in pack.runs if run.prefix is not None}
        if pack.shorts < len(pack.runs) or len(prefixes) > 1 or pack.size > MOST_ROWS:
            return None
        counts: Counter[Pool] = Counter()
        for run in pack.runs:
            counts[run.lane.pool] += len(run.ids)
        pools = sorted(counts, key=lambda pool: pool.capacity)
        shares = tuple(_Share(ref(pool), pool.version, _bucket(counts[pool])) for pool in pools)
        return cls(shares, ref(prefixes.pop()) if prefixes else None)

    @property
    def rows(self) -> int:
        return sum(share.rows for share in self.shares)

    @property
    def fresh(self) -> bool:
        """Whether all that it was made for is still there."""
        return all(share.fresh for share in self.shares) and (self.prefix is None or self.prefix() is not None)


class StaticStep:
    """A `Step` whose tensors stay where they are: `fill` puts the tokens of a pack of this kind into them."""

    def __init__(self, kind: Kind, shape: KeyShape) -> None:
        self._kind = kind
        self._shape = shape
        self._inputs = torch.zeros(7, kind.rows, dtype=torch.long, device=shape.device)
        self.ids, self.positions, self.wanted, self._slots, self._starts, self._counts, self._behind = self._inputs
        ends = [sum(share.rows for share in kind.shares[: n + 1]) for n in range(len(kind.shares))]
        self._parts = [slice(end - share.rows, end) for end, share in zip(ends, kind.shares, strict=True)]
        self._reaches: list[Reach] = []
        self._shared = self._behind

    @property
    def size(self) -> int:
        return self._kind.rows

    def fill(self, pack: Pack) -> None:
        """One copy to the device."""
        rows: list[tuple[int, ...]] = []
        places: dict[int, int] = {}  # row of the pack -> row of this step
        for share, part in zip(self._kind.shares, self._parts, strict=True):
            for run, first in zip(pack.runs, pack.firsts, strict=True):
                if run.lane.pool is share.pool():
                    places |= zip(range(first, first + len(run.ids)), range(len(rows), part.stop), strict=False)
                    rows += _tokens(run)
            rows += [rows[part.start]] * (part.stop - len(rows))
        wanted = [places[row] for row in pack.wanted_rows]
        columns = list(zip(*rows, strict=True))
        columns.insert(2, (*wanted, *[0] * (len(rows) - len(wanted))))
        self._inputs.copy_(sent(torch.tensor(columns, dtype=torch.long), self._shape.device), non_blocking=True)

    def run(self, forward: Forward) -> Tensor:
        """Hidden states (rows, hidden), the first of them those that the pack wants."""
        self._reaches = [
            Reach.of(self._starts[part], self._counts[part], self._shape.heads_of_a_group, pool.capacity)
            for pool, part in self._placed
        ]
        self._shared = self._behind.bool().view(-1, 1, 1, 1)
        return forward(self)

    def write(self, layer: int, key: Tensor, value: Tensor) -> None:
        for pool, part in self._placed:
            for target, source in zip(pool.slots(layer), (key, value), strict=True):
                target.index_copy_(0, self._slots[part], source[part])

    def attend(self, layer: int, query: Tensor) -> Tensor:
        attended = [
            attend_rows(query[part], *pool.slots(layer), reach)
            for (pool, part), reach in zip(self._placed, self._reaches, strict=True)
        ]
        output, logsumexp = (torch.cat(each) for each in zip(*attended, strict=True))
        prefix = self._kind.prefix() if self._kind.prefix else None
        if prefix is None:
            return output
        both = join(over_prefix(query, prefix, layer), (output, logsumexp))
        return torch.where(self._shared, both, output)

    @property
    def _placed(self) -> list[tuple[Pool, slice]]:
        """Pools with their rows."""
        pools = [share.pool() for share in self._kind.shares]
        return [(pool, part) for pool, part in zip(pools, self._parts, strict=True) if pool is not None]


class Graphs:
    """Static steps that were captured, each kind when it comes up for the second time; the least used go.

    They are recorded anew from the beginning when none is left, since memory that no graph uses is given back.
    """

    def __init__(self, forward: Forward, shape: KeyShape, recorder: Recorder) -> None:
        self._forward = forward
        self._shape = shape
        self._recorder = recorder
        self._record: Record | None = None
        self._known: OrderedDict[Kind, tuple[StaticStep, Callable[[], Tensor]]] = OrderedDict()
        self._seen: set[Kind] = set()
        self._failed = False

    def forward(self, pack: Pack) -> Tensor | None:
        """The hidden states that a pack wants, more rows behind them; None where it is to go the usual way."""
        kind = None if self._failed else Kind.of(pack)
        if kind is None:
            return None
        if kind not in self._known and not (self._was_seen(kind) and self._capture(kind, pack)):
            return None
        self._known.move_to_end(kind)
        step, replay = self._known[kind]
        step.fill(pack)
        return replay()

    def drop(self) -> None:
        """Forget all graphs, and give their memory back."""
        self._known.clear()
        self._seen.clear()
        self._record = None

    def _was_seen(self, kind: Kind) -> bool:
        """Whether this kind was seen before. Those that cannot come again are forgotten."""
        if kind in self._seen:
            return True
        self._seen = {each for each in self._seen if each.fresh} | {kind}
        return False

    def _capture(self, kind: Kind, pack: Pack) -> bool:
        """Capture a step for this kind; a failure other than lack of memory is the last one."""
        for stale in [each for each in self._known if not each.fresh]:
            del self._known[stale]
        if len(self._known) >= _GRAPHS:
            self._seen.discard(self._known.popitem(last=False)[0])
        if self._record is None or not self._known:
            self._record = self._recorder()
        step = StaticStep(kind, self._shape)
        step.fill(pack)
        try:
            self._known[kind] = step, self._record(lambda: step.run(self._forward))
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            log.warning("steps are not captured as CUDA graphs: %s", error)
            self.drop()
            self._failed = True
        return not self._failed


class CudaGraphs:
    """Captures on a CUDA device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._memory = torch.cuda.graph_pool_handle()
        self._side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def __call__(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Kernels are chosen and workspaces allocated on a side stream first, as torch asks for."""
        current = torch.cuda.current_stream(self._device)
        self._side.wait_stream(current)
        with torch.cuda.stream(self._side):
            for _ in range(_WARMING):
                run()
        current.wait_stream(self._side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._memory, stream=self._side, capture_error_mode="thread_local"):
            output = run()

        def replay() -> Tensor:
            graph.replay()
            return output

        return replay


def uncaptured() -> Record:
    """What is recorded is just called again: static steps on any device."""
    return lambda run: run


def recorder_for(shape: KeyShape) -> Recorder | None:
    """What captures on the device of a cache; None where nothing does, or attention needs more than it is worth."""
    if flash_attention.works(shape.device, shape.dtype, shape.head_size):
        return partial(CudaGraphs, shape.device)
    return None


def _bucket(rows: int) -> int:
    """Few sizes, so that they come again: 8, 12, 16, 24, 32, 48, 64, ..."""
    size = _FEWEST
    while size < rows:
        size = size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3
    return size


def _tokens(run: Run) -> Sequence[tuple[int, ...]]:
    """For each token of a run: its id, its position, its slot, the first slot of its lane, how many keys it sees, and
    whether there is a prefix before them."""
    first = run.lane.index * run.lane.pool.capacity
    places = range(run.start, run.end)
    behind = int(run.prefix is not None)
    return [
        (token, run.offset + place, first + place, first, place + 1, behind)
        for token, place in zip(run.ids, places, strict=True)
    ]
