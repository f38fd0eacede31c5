"""P-Tuning v2 as the original code trains it: keys and values of virtual tokens before every prompt (Liu et al., 2022).

A folder holds `config.json` with `pre_seq_len`, and weights whose names contain `prefix_encoder`: a table with a row
for each virtual token, which with `prefix_projection` goes through two layers. A prompt's positions are counted without
them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from extractor.chatglm3.adapter_files import P_TUNING
from extractor.chatglm3.adapters._support.adapter import Adapter
from extractor.chatglm3.adapters._support.tensors import check_numbers, virtual_tokens
from extractor.chatglm3.checkpoint_files import weight_files
from extractor.chatglm3.config_file import CONFIG_FILE, ConfigFile, read_config
from extractor.chatglm3.model_dims import ModelDims
from extractor.chatglm3.weights import iter_all
from extractor.errors import CheckpointError

KINDS = (P_TUNING,)

_ENCODER = "prefix_encoder."
_PROJECTION = ("trans.0.weight", "trans.0.bias", "trans.2.weight", "trans.2.bias")


def read(folder: Path, dims: ModelDims) -> Adapter:
    """Return the prefix in a folder; CheckpointError for one that is damaged or not for a model of these dimensions."""
    config = ConfigFile(folder / CONFIG_FILE, read_config(folder / CONFIG_FILE))
    file, tensors = _read_encoder(folder)
    states = _encode(file, tensors, projected=config.flag("prefix_projection", False))
    count = config.size("pre_seq_len")
    if len(states) != count:
        raise CheckpointError(
            f"{config.path}: pre_seq_len is {count}, {file.name} holds {len(states)} virtual tokens: they do not "
            "belong together; copy them again"
        )
    return Adapter(prefix=virtual_tokens(file, states, dims, first_position=0))


def _read_encoder(folder: Path) -> tuple[Path, dict[str, Tensor]]:
    tensors: dict[str, Tensor] = {}
    files = weight_files(folder)
    for file, name, tensor in iter_all(files):
        if _ENCODER in name:
            check_numbers(file, name, tensor)
            tensors[name.partition(_ENCODER)[2]] = tensor.float()
    if "embedding.weight" not in tensors:
        raise CheckpointError(
            f"{folder} has pre_seq_len in config.json and no prefix_encoder in its weights: copy the ones that "
            "training saved, or remove pre_seq_len"
        )
    return files[0], tensors


def _encode(file: Path, tensors: dict[str, Tensor], *, projected: bool) -> Tensor:
    """Return a row for each virtual token: its keys and values of all layers."""
    table = tensors["embedding.weight"]
    given = [tensors[name] for name in _PROJECTION if name in tensors]
    if len(given) != (len(_PROJECTION) if projected else 0):
        raise CheckpointError(
            f"{file}: prefix_projection is {projected} in config.json, and the weights have {len(given)} of its "
            f"{len(_PROJECTION)} tensors: they do not belong together; copy them again"
        )
    if not given:
        return table
    try:
        hidden = torch.tanh(functional.linear(table, given[0], given[1]))
        return functional.linear(hidden, given[2], given[3])
    except RuntimeError as error:
        raise CheckpointError(f"{file}: the tensors of prefix_encoder do not fit together: copy them again") from error
