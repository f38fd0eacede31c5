"""The functions of `attention.c` and `prefill.c`: norms, rotation into the KV cache, attention, and greedy sampling.

A step's rows are the tokens of its segments, one after another; a segment continues one sequence, whose keys and values
are in a slot of the cache and, before them, in a shared prefix. Slots and prefixes are passed as addresses, which this
module cannot check beyond their number: `engine.operations` takes them from the cache's own tensors.
"""

from __future__ import annotations

import ctypes
from functools import cache, cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from extractor.kernels.checks import BF16, F64, Int64Array, array_pointer, matrix_shape, pointer, require
from extractor.kernels.jit import FLOAT, INT64, POINTER, Signature, load

_P, _N, _F = POINTER, INT64, FLOAT

SIGNATURES = {
    "has_tiles": Signature((), ctypes.c_int),
    "norm_rows": Signature((_P, _N, _N, _P, _F, _P)),
    "rotate_and_store": Signature((_P, _P, _P, _N, _P, _P, _N, _P, _P, _N)),
    "attend_segments": Signature((_P, _P, _P, _N, _P, _P, _P, _P, _P, _P)),
    "attend_segments_tiled": Signature((_P, _P, _P, _N, _P, _P, _P, _P, _P, _P, _P)),
    "pick_rows": Signature((_P, _N, _N, _P, _N, _P)),
}

PREFILL_SIGNATURES = {"attend_prefill": Signature((_P, _P, _P, _N, _P, _P, _P, _P, _P, _P, _P))}

TILE_KEYS = 32
"""Keys that lie together in a slot which is laid out for AMX: its capacity is a multiple of them."""

TILED_HEAD_SIZE = 128
"""The channels of a head that attention on AMX tiles is written for (HEAD)."""

_MOST_HEADS, _MOST_SIZE, _SIZE_MULTIPLE = 64, 256, 16  # MOST_HEADS, MOST_SIZE, LANES
_TASK_ROWS = 256  # TOGETHER * QUERIES of attention.c, TOGETHER of prefill.c

_ADDRESS_BYTES = 8

Addresses = Int64Array
"""The addresses of keys, then those of values, one for each segment: (2, segments)."""


def supports(heads_of_a_group: int, head_size: int) -> bool:
    """Return whether the attention kernels have room for so many query heads that share keys, of so many channels."""
    return heads_of_a_group <= _MOST_HEADS and head_size <= _MOST_SIZE and head_size % _SIZE_MULTIPLE == 0


class AttentionStep:
    """What the calls for all layers of a step have in common; checked here once.

    `segments` (segments, 3) holds for each its first row, its number of rows, and how many tokens precede them in its
    slot; `prefix_lengths` (segments,) the tokens of its prefix, 0 for none. Raises TypeError or ValueError for arrays
    that do not fit together, and for sizes that `supports` refuses.
    """

    def __init__(self, heads: int, groups: int, size: int, segments: Int64Array, prefix_lengths: Int64Array) -> None:
        require(groups > 0 and heads % groups == 0, f"query heads in a multiple of {groups} groups, not {heads}")
        require(supports(heads // groups, size), f"at most {_MOST_HEADS} heads a group of {_MOST_SIZE} channels")
        self.heads, self.groups, self.size = heads, groups, size
        self.count = len(segments)
        self.segments = array_pointer("segments", segments, self.count, 3)
        self.prefix_lengths = array_pointer("prefix_lengths", prefix_lengths, self.count)
        require(self.count == 0 or (segments.min() >= 0 and prefix_lengths.min() >= 0), "no negative place or length")
        self.rows = int((segments[:, 0] + segments[:, 1]).max(initial=0))
        self._sizes = np.array([heads, groups, size], dtype=np.int64)
        self.sizes = array_pointer("sizes", self._sizes, 3)
        self._segments, self._prefix_lengths = segments, prefix_lengths  # alive as long as their addresses are used
        self._tasks_from: tuple[int, Int64Array] | None = None

    def tasks_from(self, first: int) -> int:
        """Return the address of where the tasks of each segment begin, and of their number: int64 (segments + 1,).

        Segments before `first` have none.
        """
        if self._tasks_from is None or self._tasks_from[0] != first:
            rows = self._segments[:, 1].copy()
            rows[:first] = 0
            self._tasks_from = first, self._count_tasks(rows)
        return array_pointer("tasks", self._tasks_from[1], self.count + 1)

    def _count_tasks(self, rows: Int64Array) -> Int64Array:
        tasks = np.zeros(self.count + 1, dtype=np.int64)
        np.cumsum(-(-rows * (self.heads // self.groups) // _TASK_ROWS), out=tasks[1:])
        return tasks

    @cached_property
    def state_width(self) -> int:
        """Numbers in a row of the states: all query heads, then the keys, then the values of all groups."""
        return (self.heads + 2 * self.groups) * self.size


class AttentionKernels:
    """The library's functions on contiguous tensors on the CPU in bfloat16.

    All raise TypeError for a wrong dtype and ValueError for a wrong shape, stride or device, before C is called.
    """

    def __init__(self, library: ctypes.CDLL, prefill: ctypes.CDLL) -> None:
        self._library, self._prefill = library, prefill

    def has_tiles(self) -> bool:
        """Return whether the processor has AMX and Linux grants it; asking is what enables it."""
        return bool(self._library.has_tiles())

    def norm_rows(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """Return weight * x / root mean square of each row of `x` (rows, columns), rounded before the weight."""
        rows, columns = matrix_shape("x", x)
        y = torch.empty_like(x)
        source, scale = pointer("x", x, BF16, rows, columns), pointer("weight", weight, BF16, columns)
        self._library.norm_rows(source, rows, columns, scale, eps, y.data_ptr())
        return y

    def rotate_and_store(
        self, states: Tensor, rotary: tuple[Tensor, Tensor], step: AttentionStep, slots: Addresses, *, tiled: bool
    ) -> None:
        """Rotate queries and keys of `states` (rows, step.state_width) in place; copy keys and values into the slots.

        Cosine and sine are (rows, half of the rotated channels). `tiled` slots are laid out for AMX.
        """
        cos, sin = rotary
        half = matrix_shape("cosine", cos)[1]
        require(2 * half <= step.size, f"at most {step.size} rotated channels, not {2 * half}")
        require(
            not tiled or step.size == TILED_HEAD_SIZE, f"heads of {TILED_HEAD_SIZE} channels for tiles, not {step.size}"
        )
        self._library.rotate_and_store(
            _states(states, step),
            pointer("cosine", cos, BF16, states.shape[0], half),
            pointer("sine", sin, BF16, states.shape[0], half),
            half,
            step.sizes,
            step.segments,
            step.count,
            *_addresses("slot addresses", slots, step),
            int(tiled),
        )

    def attend_segments(
        self, states: Tensor, step: AttentionStep, count: int, slots: Addresses, prefixes: Addresses, output: Tensor
    ) -> None:
        """Attend with vectors for the first `count` segments: each token sees its prefix and its slot up to itself.

        `states` are rotated and stored; `output` is (rows, heads * size), other rows are left as they are.
        """
        require(0 <= count <= step.count, f"at most {step.count} segments, not {count}")
        arguments = _addresses("slot addresses", slots, step), _addresses("prefix addresses", prefixes, step)
        self._library.attend_segments(
            _states(states, step),
            step.sizes,
            step.segments,
            count,
            *arguments[0],
            *arguments[1],
            step.prefix_lengths,
            _output(output, states, step),
        )

    def attend_prefill(
        self, states: Tensor, step: AttentionStep, count: int, slots: Addresses, prefixes: Addresses, output: Tensor
    ) -> None:
        """Do the same with products of vectors, for the segments from `count` on: those of many tokens."""
        require(0 <= count <= step.count, f"at most {step.count} segments, not {count}")
        arguments = _addresses("slot addresses", slots, step), _addresses("prefix addresses", prefixes, step)
        operands = _states(states, step), _output(output, states, step)
        self._prefill.attend_prefill(
            operands[0],
            step.sizes,
            step.segments,
            step.count,
            step.tasks_from(count),
            *arguments[0],
            *arguments[1],
            step.prefix_lengths,
            operands[1],
        )

    def attend_segments_tiled(
        self, states: Tensor, step: AttentionStep, slots: Addresses, prefixes: Addresses, output: Tensor
    ) -> None:
        """Attend on AMX tiles for all segments; heads of 128 channels, slots and prefixes laid out in tiles."""
        require(step.size == TILED_HEAD_SIZE, f"heads of {TILED_HEAD_SIZE} channels for tiles, not {step.size}")
        arguments = _addresses("slot addresses", slots, step), _addresses("prefix addresses", prefixes, step)
        operands = _states(states, step), _output(output, states, step)
        self._function("attend_segments_tiled")(
            operands[0],
            step.sizes,
            step.segments,
            step.count,
            step.tasks_from(0),
            *arguments[0],
            *arguments[1],
            step.prefix_lengths,
            operands[1],
        )

    def pick_rows(self, logits: Tensor, bits: NDArray[np.uint32] | None) -> Tensor:
        """Return the largest allowed of each row of `logits` (rows, vocabulary), and its log-probability among these.

        The result is (rows, 2) in float64; the first of equal logits wins, and a row without an allowed token gives 0
        and NaN. Bit t % 32 of word t / 32 of `bits` (rows, words) allows token t; None allows all.
        """
        rows, vocabulary = matrix_shape("logits", logits)
        source = pointer("logits", logits, BF16, rows, vocabulary)
        masks = _masks(bits, rows, vocabulary)
        picked = torch.empty(rows, 2, dtype=F64)
        self._function("pick_rows")(source, rows, vocabulary, *masks, picked.data_ptr())
        return picked

    def _function(self, name: str) -> ctypes._NamedFuncPointer:
        if not hasattr(self._library, name):
            raise RuntimeError(f"{name} needs instructions that this processor lacks: check has_tiles() first")
        function: ctypes._NamedFuncPointer = getattr(self._library, name)
        return function


@cache
def kernels() -> AttentionKernels | None:
    """Return the kernels of this machine; None where they are switched off or gcc is missing."""
    library, prefill = load("attention", SIGNATURES), load("prefill", PREFILL_SIGNATURES)
    return None if library is None or prefill is None else AttentionKernels(library, prefill)


def _states(states: Tensor, step: AttentionStep) -> int:
    """Return the address of the states, which have at least the rows that the segments name."""
    rows = states.shape[0]
    require(rows >= step.rows, f"states of at least {step.rows} rows, not {rows}")
    return pointer("states", states, BF16, rows, step.state_width)


def _output(output: Tensor, states: Tensor, step: AttentionStep) -> int:
    return pointer("output", output, BF16, states.shape[0], step.heads * step.size)


def _addresses(name: str, addresses: Addresses, step: AttentionStep) -> tuple[int, int]:
    """Return where the addresses of keys begin, and those of values."""
    keys = array_pointer(name, addresses, 2, step.count)
    return keys, keys + _ADDRESS_BYTES * step.count


def _masks(bits: NDArray[np.uint32] | None, rows: int, vocabulary: int) -> tuple[int | None, int]:
    """Return the address of the masks (null: everything is allowed) and the words of a row."""
    if bits is None:
        return None, 0
    if bits.dtype != np.uint32:
        raise TypeError(f"bits must be uint32, not {bits.dtype}")
    words = -(-vocabulary // 32)
    fits = bits.ndim == 2 and len(bits) == rows and bits.shape[1] >= words and bits.flags.c_contiguous
    require(fits, f"contiguous bits of {rows} rows and at least {words} words, not {list(bits.shape)}")
    return bits.ctypes.data, bits.shape[1]
