"""Attention that also returns the log-sum-exp of its scores, so that parts over different keys can be joined.

A shared prefix is read once for all queries of a step, the own tokens of a sequence apart; `join` makes of the two
what attention over both would give (the identity behind flash attention: Dao et al., 2022, section 3.1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

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
    return _attend_by_products(query, key, value, mask, causal)


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
