"""Prefix tuning as PEFT saves it: `prompt_embeddings`, keys and values of virtual tokens, projected already.

PEFT puts them into the cache of the model that is trained. The original code counts the positions of a prompt without
them, transformers counts them.
"""

from __future__ import annotations

from pathlib import Path

from extractor.chatglm3.adapter_files import weight_file
from extractor.chatglm3.adapters._support.adapter import Adapter
from extractor.chatglm3.adapters._support.tensors import check_numbers, virtual_tokens
from extractor.chatglm3.model_dims import ModelDims
from extractor.chatglm3.weights import open_weights
from extractor.errors import CheckpointError

KINDS = ("PREFIX_TUNING",)


def read(folder: Path, dims: ModelDims) -> Adapter:
    """Return the prefix in a folder; CheckpointError for one that is damaged or not for a model of these dimensions."""
    file = weight_file(folder)
    tensors = open_weights(file)
    if set(tensors) != {"prompt_embeddings"}:
        raise CheckpointError(
            f"{file} holds {', '.join(sorted(tensors))[:80]}, not prompt_embeddings alone: copy it again"
        )
    states = tensors["prompt_embeddings"]
    check_numbers(file, "prompt_embeddings", states)
    first = 0 if dims.layout == "chatglm" else len(states)
    return Adapter(prefix=virtual_tokens(file, states.float(), dims, first_position=first))
