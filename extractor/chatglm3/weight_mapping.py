"""Which rows of a checkpoint's tensor become which parameter of `GlmForCausalLM`; what is where is in `layouts`.

This module touches no file and no tensor, and knows no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

IGNORED = frozenset({"transformer.rotary_pos_emb.inv_freq"})
"""Tensors of a checkpoint that are computed, not learned."""

PREFIX_ENCODER = "transformer.prefix_encoder."
"""What the names of a P-Tuning prefix begin with: it is no weight of the model (`adapters.ptuning` reads it)."""


def is_ignored(name: str) -> bool:
    """Return whether a tensor of a checkpoint is none of the model's weights."""
    return name in IGNORED or name.startswith(PREFIX_ENCODER)


@dataclass(frozen=True, slots=True)
class TargetRows:
    """Rows `start` to `stop` of a source tensor are the parameter `name` of `GlmForCausalLM`."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class SourceTensor:
    """One tensor of the checkpoint: its required shape, where its rows go, its dtype if only one is valid, and whether
    it has to be there."""

    shape: tuple[int, ...]
    targets: tuple[TargetRows, ...]
    dtype: torch.dtype | None = None
    required: bool = True


def map_whole(shape: tuple[int, ...], name: str, dtype: torch.dtype | None = None) -> SourceTensor:
    """Return a source tensor that becomes the parameter `name` unchanged."""
    return SourceTensor(shape, (TargetRows(name, 0, shape[0]),), dtype)
