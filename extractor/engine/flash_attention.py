"""Attention by torch's flash kernels, on CUDA in half precision, with the log-sum-exp.

What they take: no mask; as many queries as keys where it is causal; or many sequences of different lengths in one call,
each with keys anywhere in a tensor (`KeyRanges`). They can be captured in a CUDA graph: no length is read on the host.

No public function returns the log-sum-exp, so torch's operators are called themselves. `is_supported` tries them once,
on few numbers, before they are relied on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

log = logging.getLogger(__name__)

_AMPERE = (8, 0)  # compute capability; older GPUs have no such kernels
_MAX_HEAD_SIZE, _HEAD_SIZE_MULTIPLE = 256, 8  # what the kernels take
_TOLERANCE = 0.03
"""What half precision may be off by, where numbers are near 1."""


@dataclass(frozen=True, slots=True)
class KeyRanges:
    """Which keys each row sees: `lengths` (rows,) of them, at least one and at most `max_length`, from `starts` on.

    The arguments of a variable-length flash kernel, all int32: a row is a sequence whose queries are the heads of a
    group.
    """

    starts: Tensor  # cu_seqlens_k, (rows + 1,): the last number is not read, since `lengths` are given
    lengths: Tensor  # seqused_k, (rows,)
    query_starts: Tensor  # cu_seqlens_q, (rows + 1,): the place at which the queries of each row begin
    max_length: int  # max_seqlen_k: the capacity of the slots, known without asking the device

    @classmethod
    def of(cls, starts: Tensor, lengths: Tensor, heads_per_group: int, max_length: int) -> KeyRanges:
        """Return the ranges of rows that see `lengths` keys from `starts` on, both (rows,) of any integer type."""
        # Computed on the device: while a graph is captured, nothing may be sent there.
        rows = torch.arange(len(starts) + 1, dtype=torch.int32, device=starts.device)
        return cls(functional.pad(starts.int(), (0, 1)), lengths.int(), rows * heads_per_group, max_length)


def attend(query: Tensor, key: Tensor, value: Tensor, causal: bool) -> tuple[Tensor, Tensor]:
    """Return the outputs and their log-sum-exp (batch, heads, queries).

    Queries, keys, values and outputs are (batch, heads, tokens, head_size).
    """
    output, logsumexp, *_ = torch.ops.aten._scaled_dot_product_flash_attention(query, key, value, 0.0, causal)
    return output, logsumexp


def attend_rows(query: Tensor, key: Tensor, value: Tensor, ranges: KeyRanges) -> tuple[Tensor, Tensor]:
    """Return the outputs and their log-sum-exp (rows, groups, heads per group).

    Queries and outputs are (rows, groups, heads per group, head_size), keys and values (cache rows, groups, head_size).
    A row is a sequence of as many queries as a group has heads, which all see the same keys: these are read once.
    """
    rows, groups, heads, size = query.shape
    # Arguments: cum_seq_q, cum_seq_k, max_q, max_k, dropout_p, is_causal, return_debug_mask. A query of the kernel is
    # one head of a row, and its heads are the groups: the heads of a group are one tile, which reads the keys once.
    output, logsumexp, *_ = torch.ops.aten._flash_attention_forward(
        query.transpose(1, 2).reshape(rows * heads, groups, size),
        key,
        value,
        ranges.query_starts,
        ranges.starts,
        heads,
        ranges.max_length,
        0.0,
        False,
        False,
        seqused_k=ranges.lengths,
    )
    # From (rows * heads, groups, head_size) and (groups, rows * heads).
    return output.view(rows, heads, groups, size).transpose(1, 2), logsumexp.view(groups, rows, heads).transpose(0, 1)


def expand_groups(key: Tensor, heads_per_group: int) -> Tensor:
    """Return keys or values (tokens, groups, head_size) of one sequence as `attend` takes them, without a copy.

    They become (groups, heads per group, tokens, head_size): the groups are the batch, and the heads of a group read
    the same (a stride of zero).
    """
    return key.permute(1, 0, 2).unsqueeze(1).expand(-1, heads_per_group, -1, -1)


@cache
def is_supported(device: torch.device, dtype: torch.dtype, head_size: int) -> bool:
    """Return whether these kernels are there and give what plain products give."""
    if device.type != "cuda" or dtype not in (torch.float16, torch.bfloat16):
        return False
    if (
        head_size % _HEAD_SIZE_MULTIPLE
        or head_size > _MAX_HEAD_SIZE
        or torch.cuda.get_device_capability(device) < _AMPERE
    ):
        return False
    try:
        agree = all(
            torch.allclose(*pair, atol=_TOLERANCE, rtol=_TOLERANCE) for pair in _trials(device, dtype, head_size)
        )
    except torch.OutOfMemoryError:
        raise
    # The operators are private: another version of torch may lack them or take other arguments.
    except (AttributeError, RuntimeError, TypeError) as error:
        log.warning("attention does not use torch's flash kernels: %s", error)
        return False
    if not agree:
        log.warning("attention does not use torch's flash kernels: they do not agree with plain products")
    return agree


def _trials(device: torch.device, dtype: torch.dtype, head_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield pairs of what the kernels give and what is right, in float32."""
    groups, heads, tokens = 2, 3, 150
    random = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(size, generator=random).to(device, dtype)
        for size in ((tokens, groups, heads, head_size), (tokens, groups, head_size), (tokens, groups, head_size))
    )
    # (first key, keys): one key, all of them, ranges that overlap, and a range up to the end.
    spans = [(100, 1), (0, 150), (7, 30), (0, 3), (64, 86)]
    starts, lengths = (torch.tensor(numbers, device=device) for numbers in zip(*spans, strict=True))
    found = attend_rows(query[: len(spans)], key, value, KeyRanges.of(starts, lengths, heads, tokens))
    for row, (start, length) in enumerate(spans):
        seen = slice(start, start + length)
        right = _attend_plainly(query[row : row + 1], key[seen], value[seen], causal=False)
        yield from ((one[row].float(), other[0]) for one, other in zip(found, right, strict=True))
    # A prefill chunk as `attend_chunk` divides it: its own keys, and all queries over the keys before.
    for rows, causal in ((tokens, True), (tokens, False), (40, False)):
        kept = expand_groups(key, heads), expand_groups(value, heads)
        output, logsumexp = attend(query[:rows].permute(1, 2, 0, 3), *kept, causal)
        right = _attend_plainly(query[:rows], key, value, causal=causal)
        yield output.permute(2, 0, 1, 3).float(), right[0]
        yield logsumexp.permute(2, 0, 1), right[1]


def _attend_plainly(query: Tensor, key: Tensor, value: Tensor, *, causal: bool) -> tuple[Tensor, Tensor]:
    scores = torch.einsum("qges,kgs->qgek", query.float(), key.float()) / query.shape[-1] ** 0.5
    if causal:
        later = torch.ones(len(query), len(key), dtype=torch.bool, device=query.device).triu(1)
        scores = scores.masked_fill(later[:, None, None, :], -torch.inf)
    return torch.einsum("qgek,kgs->qges", scores.softmax(-1), value.float()), scores.logsumexp(-1)
