"""Checks of the tensors in an adapter's file, and the virtual tokens that they hold."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from extractor.chatglm3.adapters._support.adapter import VirtualTokens
from extractor.chatglm3.model_dims import ModelDims
from extractor.errors import CheckpointError


def check_numbers(file: Path, name: str, tensor: Tensor) -> None:
    """Raise CheckpointError for a tensor that is not of finite floats."""
    if not tensor.is_floating_point():
        raise CheckpointError(
            f"{file}: tensor {name!r} is {tensor.dtype}, not floating point: save the adapter unquantised"
        )
    if not torch.isfinite(tensor).all():
        raise CheckpointError(
            f"{file}: tensor {name!r} holds NaN or infinity: the training failed; take an earlier state"
        )


def virtual_tokens(file: Path, states: Tensor, dims: ModelDims, first_position: int) -> VirtualTokens:
    """Return what a table holds, with a row for each token: key and value of layer after layer, group by group."""
    width = 2 * dims.layers * dims.key_rows
    if states.dim() != 2 or states.shape[1] != width or not len(states):
        raise CheckpointError(
            f"{file}: a virtual token has {list(states.shape)[1:]} numbers, keys and values of this model are {width}: "
            "pass the model that the prefix was trained on"
        )
    layers = states.view(len(states), dims.layers, 2, dims.groups, dims.head_size).permute(1, 2, 0, 3, 4)
    return VirtualTokens(layers[:, 0], layers[:, 1], first_position)
