"""Attention that also returns the log-sum-exp of its scores, so that parts over different keys can be merged.

A shared prefix is read once for all queries of a step, the own tokens of a sequence apart; `merge_states` makes of the
two what attention over both would return (the identity behind flash attention: Dao et al., 2022, section 3.1).

Knows tensors; does not know batches or slots.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from extractor.engine import flash_attention
from extractor.engine.flash_attention import KeyRanges

AttentionState = tuple[Tensor, Tensor]
"""Outputs (batch, heads, queries, head_size) and the log-sum-exp of the scores (batch, heads, queries) in float32."""


def attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, causal: bool = False
) -> AttentionState:
    """Return attention of queries over keys and values: (batch, heads, queries or keys, head_size) each.

    `mask` is added to the scores, (batch or 1, 1, queries, keys). `causal` is for as many queries as keys.
    """
    if query.device.type == "cpu":
        # The operator behind torch's scaled_dot_product_attention, which does not return the log-sum-exp.
        output, logsumexp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, causal, attn_mask=mask
        )
        return output, logsumexp
    if mask is None and flash_attention.is_supported(query.device, query.dtype, query.shape[-1]):
        return flash_attention.attend(query, key, value, causal)
    # CUDA in float32, on old GPUs, or with a mask: correct and slow.
    return _attend_by_products(query, key, value, mask, causal)


def attend_chunk(query: Tensor, key: Tensor, value: Tensor) -> AttentionState:
    """Return causal attention of queries that are the last tokens of the keys, as a prefill chunk's are.

    It takes no mask: the own keys of the chunk are causal, those before it are seen by all, and the two are merged.
    """
    before = key.shape[-2] - query.shape[-2]
    # "causal" aligns the first query with the first key, so it fits only where there are as many of both.
    own = attend(query, key[..., before:, :], value[..., before:, :], causal=True)
    if not before:
        return own
    earlier = attend(query, key[..., :before, :], value[..., :before, :])
    return merge_states(own, earlier), torch.logaddexp(own[1], earlier[1])


def attend_rows(query: Tensor, key: Tensor, value: Tensor, ranges: KeyRanges) -> AttentionState:
    """Return attention of rows that each see other keys, as tokens that are decoded do.

    Queries (rows, groups, heads per group, head_size), keys and values (cache rows, groups, head_size). Outputs are
    like the queries, the log-sum-exp is (rows, groups, heads per group).
    """
    if flash_attention.is_supported(query.device, query.dtype, query.shape[-1]):
        return flash_attention.attend_rows(query, key, value, ranges)
    # A gather: each row copies `max_length` keys from its first cache row on; what is beyond its range is masked. Rows
    # near the end of the pool would read past it, hence the clamp.
    positions = torch.arange(ranges.max_length, device=query.device)
    cache_rows = (ranges.starts[:-1].unsqueeze(1) + positions).clamp_(max=len(key) - 1)  # (rows, max_length)
    # (rows, 1, heads per group, max_length): to `attend` the rows are the batch, the groups heads, the heads queries.
    hidden = (positions >= ranges.lengths.unsqueeze(1)).view(len(query), 1, 1, -1).expand(-1, -1, query.shape[2], -1)
    mask = query.new_zeros(hidden.shape).masked_fill_(hidden, -torch.inf)
    return attend(query, key[cache_rows].transpose(1, 2), value[cache_rows].transpose(1, 2), mask)


def merge_states(one: AttentionState, other: AttentionState) -> Tensor:
    """Return the outputs of attention over the keys of both parts together."""
    # With lse = log(sum of exp scores), the share of one part is exp(lse1) / (exp(lse1) + exp(lse2)).
    share = torch.sigmoid(one[1] - other[1]).unsqueeze(-1).to(one[0].dtype)
    return torch.lerp(other[0], one[0], share)


def _attend_by_products(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool) -> AttentionState:
    # Softmax and log-sum-exp are in float32, whatever the dtype of the products.
    scores = torch.matmul(query, key.transpose(-1, -2)).float() / math.sqrt(query.shape[-1])
    if causal:
        scores = scores.masked_fill(scores.new_ones(scores.shape[-2:], dtype=torch.bool).triu(1), -torch.inf)
    if mask is not None:
        scores = scores + mask
    logsumexp = scores.logsumexp(-1)
    return torch.matmul((scores - logsumexp.unsqueeze(-1)).exp().to(value.dtype), value), logsumexp
