"""Attention that also returns the log-sum-exp of its scores, so that parts over different keys can be joined.

A shared prefix is read once for all queries of a step, the own tokens of a sequence apart; `join` makes of the two
what attention over both would give (the identity behind flash attention: Dao et al., 2022, section 3.1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from extractor.engine import flash_attention
from extractor.engine.flash_attention import Reach

Attended = tuple[Tensor, Tensor]
"""Outputs (batch, heads, queries, head_size) and log-sum-exp (batch, heads, queries) in float32."""


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, causal: bool = False) -> Attended:
    """Attention of queries (batch, heads, queries, head_size) over keys and values (batch, heads, keys, head_size).

    `mask` is added to the scores, (batch or 1, 1, queries, keys). `causal` is for as many queries as keys.
    """
    if query.device.type == "cpu":
        output, logsumexp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, causal, attn_mask=mask
        )
        return output, logsumexp
    if mask is None and flash_attention.works(query.device, query.dtype, query.shape[-1]):
        return flash_attention.attend(query, key, value, causal)
    return _attend_by_products(query, key, value, mask, causal)


def attend_continued(query: Tensor, key: Tensor, value: Tensor) -> Attended:
    """Causal attention of queries that are the last tokens of the keys, without a mask: over their own keys, over those
    before, and joined."""
    before = key.shape[-2] - query.shape[-2]
    own = attend(query, key[..., before:, :], value[..., before:, :], causal=True)
    if not before:
        return own
    earlier = attend(query, key[..., :before, :], value[..., :before, :])
    return join(own, earlier), torch.logaddexp(own[1], earlier[1])


def attend_rows(query: Tensor, key: Tensor, value: Tensor, reach: Reach) -> Attended:
    """Attention of rows that each see other keys: queries (rows, groups, heads of a group, head_size), keys and values
    (slots, groups, head_size). Outputs are like the queries, the log-sum-exp is (rows, groups, heads of a group)."""
    if flash_attention.works(query.device, query.dtype, query.shape[-1]):
        return flash_attention.attend_rows(query, key, value, reach)
    places = torch.arange(reach.most, device=query.device)
    slots = (reach.starts[:-1].unsqueeze(1) + places).clamp_(max=len(key) - 1)
    hidden = (places >= reach.counts.unsqueeze(1)).view(len(query), 1, 1, -1).expand(-1, -1, query.shape[2], -1)
    mask = query.new_zeros(hidden.shape).masked_fill_(hidden, -torch.inf)
    return attend(query, key[slots].transpose(1, 2), value[slots].transpose(1, 2), mask)


def join(one: Attended, other: Attended) -> Tensor:
    """Attention over the keys of both parts together."""
    share = torch.sigmoid(one[1] - other[1]).unsqueeze(-1).to(one[0].dtype)
    return torch.lerp(other[0], one[0], share)


def _attend_by_products(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool) -> Attended:
    scores = torch.matmul(query, key.transpose(-1, -2)).float() / math.sqrt(query.shape[-1])
    if causal:
        scores = scores.masked_fill(scores.new_ones(scores.shape[-2:], dtype=torch.bool).triu(1), -torch.inf)
    if mask is not None:
        scores = scores + mask
    logsumexp = scores.logsumexp(-1)
    return torch.matmul((scores - logsumexp.unsqueeze(-1)).exp().to(value.dtype), value), logsumexp
