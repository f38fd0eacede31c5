"""Small random adapters for the reference checkpoints, as PEFT saves them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from extractor.chatglm3 import read_dims
from extractor.chatglm3.layouts import chatglm, glm
from tests.chatglm3.conftest import REFERENCE

TINY = REFERENCE / "chatglm3-tiny"
DIMS = read_dims(TINY)
RANK = 4
CONFIG = {"peft_type": "LORA", "r": RANK, "lora_alpha": 12, "target_modules": ["query_key_value"]}

ORIGINAL = {
    name.removesuffix(".weight"): source.shape
    for name, source in chatglm.weight_mapping(DIMS).items()
    if name.endswith(".weight") and "layers" in name and len(source.shape) == 2
}
"""The linear layers of the original code with the shapes of their weights."""

EXPORTED = {
    name.removesuffix(".weight"): source.shape
    for name, source in glm.weight_mapping(DIMS).items()
    if name.endswith("_proj.weight")
}
"""Those of `GlmForCausalLM`."""


def lora_tensors(layers: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    """Return lora_A and lora_B of each layer, under PEFT's names."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for module, (rows, columns) in layers.items():
        tensors[f"base_model.model.{module}.lora_A.weight"] = torch.randn(RANK, columns, generator=generator) / 8
        tensors[f"base_model.model.{module}.lora_B.weight"] = torch.randn(rows, RANK, generator=generator) / 8
    return tensors


def write_lora(
    folder: Path, tensors: Mapping[str, Tensor], file: str = "adapter_model.safetensors", **config: Any
) -> Path:
    """Write an adapter's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | config), "utf-8")
    if file.endswith(".bin"):
        torch.save(dict(tensors), folder / file)
    else:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / file)
    return folder


def original_weights(folder: Path = TINY) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint in `.bin` files, in float32."""
    return {
        name: tensor.float()
        for file in sorted(folder.glob("*.bin"))
        for name, tensor in torch.load(file, weights_only=True).items()
    }


def edited(tensors: Mapping[str, Tensor], change: Callable[[dict[str, Tensor]], object]) -> dict[str, Tensor]:
    """Return the tensors with a change made to them."""
    result = dict(tensors)
    change(result)
    return result
