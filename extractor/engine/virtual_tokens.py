"""Keys and values that no token has: the prefix that P-Tuning puts before every prompt.

To the scheduler and the prefix cache virtual tokens are tokens like others, at the start of each sequence. The forward
pass reads placeholders for them, and what it computes of these is replaced before it goes into the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from extractor.chatglm3.adapters import VirtualTokens
from extractor.engine.batch import Batch
from extractor.engine.operations import Rotary

Attend = Callable[[int, Tensor, Rotary], Tensor]
"""Attention of a layer: its number, queries, keys and values of all rows, and their rotation."""

Rows = Sequence[tuple[slice, slice]]
"""Rows of a batch, and which virtual tokens they stand for."""


@dataclass(frozen=True, slots=True)
class VirtualStates:
    """Keys and values of virtual tokens for each layer (tokens, 2 * groups * head_size), as the layers compute them."""

    layers: Tensor

    @classmethod
    def of(cls, tokens: VirtualTokens, order: Tensor, like: Tensor) -> VirtualStates:
        """Return the states with the channels of the keys in this order, in the dtype and on the device of `like`."""
        states = torch.cat([tokens.keys[..., order].flatten(-2), tokens.values.flatten(-2)], dim=-1)
        return cls(states.to(like))

    def rows(self, batch: Batch) -> Rows:
        """Return the rows of a batch that are virtual tokens: those with the first positions of a sequence."""
        found = []
        for segment, first in zip(batch.segments, batch.first_rows, strict=True):
            start = segment.prefix_length + segment.start
            count = min(len(segment.ids), self.layers.shape[1] - start)
            if count > 0:
                found.append((slice(first, first + count), slice(start, start + count)))
        return found

    def attend(self, rows: Rows, attend: Attend, layer: int, states: Tensor, rotary: Rotary) -> Tensor:
        """Attend with these rows' keys and values replaced, in `states` (rows, queries, keys and values, flat)."""
        for row, token in rows:
            states[row, -self.layers.shape[2] :] = self.layers[layer, token]
        return attend(layer, states, rotary)
