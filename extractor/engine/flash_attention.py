"""Attention by torch's flash kernels, on CUDA in half precision, with the log-sum-exp.

What they take: no mask; as many queries as keys where it is causal; or many sequences of different lengths in one call,
each with keys that lie anywhere (`Reach`). A graph can be captured of them: no length is read on the host.

No public function returns the log-sum-exp, so torch's operators are called themselves. `works` tries them once, on few
numbers, before they are relied on.
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

_AMPERE = (8, 0)
_LARGEST_HEAD, _MULTIPLE = 256, 8
_ROUNDING = 0.03
"""What half precision may be off by, where numbers are near 1."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Which keys each row sees: `counts` (rows,) of them, at least one, from `starts` on, and never more than `most`.

    `queries` (rows + 1,) are the places at which the queries of a row begin, the heads of a group being one behind the
    other; `starts` is as long, its last number is not read. All are int32.
    """

    starts: Tensor
    counts: Tensor
    queries: Tensor
    most: int

    @classmethod
    def of(cls, starts: Tensor, counts: Tensor, heads_of_a_group: int, most: int) -> Reach:
        places = torch.arange(len(starts) + 1, dtype=torch.int32, device=starts.device)
        return cls(functional.pad(starts.int(), (0, 1)), counts.int(), places * heads_of_a_group, most)


def attend(query: Tensor, key: Tensor, value: Tensor, causal: bool) -> tuple[Tensor, Tensor]:
    """(batch, heads, tokens, head_size) each; the outputs and their log-sum-exp (batch, heads, queries)."""
    output, logsumexp, *_ = torch.ops.aten._scaled_dot_product_flash_attention(query, key, value, 0.0, causal)
    return output, logsumexp


def attend_rows(query: Tensor, key: Tensor, value: Tensor, reach: Reach) -> tuple[Tensor, Tensor]:
    """Queries (rows, groups, heads of a group, head_size), keys and values (slots, groups, head_size).

    A row is a sequence of as many queries as a group has heads, which all see the same keys: these are read once.
    """
    rows, groups, each, size = query.shape
    output, logsumexp, *_ = torch.ops.aten._flash_attention_forward(
        query.transpose(1, 2).reshape(rows * each, groups, size),
        key,
        value,
        reach.queries,
        reach.starts,
        each,
        reach.most,
        0.0,
        False,
        False,
        seqused_k=reach.counts,
    )
    return output.view(rows, each, groups, size).transpose(1, 2), logsumexp.view(groups, rows, each).transpose(0, 1)


def over_heads(key: Tensor, heads_of_a_group: int) -> Tensor:
    """Keys or values (tokens, groups, head_size) of one sequence for `attend`: the groups are the batch, and the heads
    of a group read the same (a stride of zero)."""
    return key.permute(1, 0, 2).unsqueeze(1).expand(-1, heads_of_a_group, -1, -1)


@cache
def works(device: torch.device, dtype: torch.dtype, head_size: int) -> bool:
    """Whether these kernels are there and give what plain products give."""
    if device.type != "cuda" or dtype not in (torch.float16, torch.bfloat16):
        return False
    if head_size % _MULTIPLE or head_size > _LARGEST_HEAD or torch.cuda.get_device_capability(device) < _AMPERE:
        return False
    try:
        agree = all(torch.allclose(*pair, atol=_ROUNDING, rtol=_ROUNDING) for pair in _trials(device, dtype, head_size))
    except torch.OutOfMemoryError:
        raise
    except (AttributeError, RuntimeError, TypeError) as error:
        log.warning("attention goes without torch's flash kernels: %s", error)
        return False
    if not agree:
        log.warning("attention goes without torch's flash kernels: their numbers are others than those of products")
    return agree


def _trials(device: torch.device, dtype: torch.dtype, head_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs of what the kernels give and what is right, in float32."""
    groups, each, slots = 2, 3, 150
    random = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(size, generator=random).to(device, dtype)
        for size in ((slots, groups, each, head_size), (slots, groups, head_size), (slots, groups, head_size))
    )
    spans = [(100, 1), (0, 150), (7, 30), (0, 3), (64, 86)]
    starts, counts = (torch.tensor(numbers, device=device) for numbers in zip(*spans, strict=True))
    found = attend_rows(query[: len(spans)], key, value, Reach.of(starts, counts, each, slots))
    for row, (start, count) in enumerate(spans):
        seen = slice(start, start + count)
        right = _plainly(query[row : row + 1], key[seen], value[seen], causal=False)
        yield from ((one[row].float(), other[0]) for one, other in zip(found, right, strict=True))
    for rows, causal in ((slots, True), (slots, False), (40, False)):
        heads = over_heads(key, each), over_heads(value, each)
        output, logsumexp = attend(query[:rows].permute(1, 2, 0, 3), *heads, causal)
        right = _plainly(query[:rows], key, value, causal=causal)
        yield output.permute(2, 0, 1, 3).float(), right[0]
        yield logsumexp.permute(2, 0, 1), right[1]


def _plainly(query: Tensor, key: Tensor, value: Tensor, *, causal: bool) -> tuple[Tensor, Tensor]:
    scores = torch.einsum("qges,kgs->qgek", query.float(), key.float()) / query.shape[-1] ** 0.5
    if causal:
        later = torch.ones(len(query), len(key), dtype=torch.bool, device=query.device).triu(1)
        scores = scores.masked_fill(later[:, None, None, :], -torch.inf)
    return torch.einsum("qgek,kgs->qges", scores.softmax(-1), value.float()), scores.logsumexp(-1)
