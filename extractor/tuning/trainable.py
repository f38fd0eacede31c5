"""A model whose weights can be trained: all of them, or those of a LoRA beside them. And what is written of it.

Embedding and output layer that are equal in the checkpoint stay one matrix: so rare characters are copied as well as
those that the gold has.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GlmForCausalLM

from extractor.chatglm3 import ModelLocation
from extractor.chatglm3.adapters import adapters_of, refuse_prefix
from extractor.chatglm3.checkpoint import find_device
from extractor.chatglm3.checkpoint_files import tokenizer_files
from extractor.chatglm3.config_file import CONFIG_FILE
from extractor.chatglm3.quantization_config import stored_precision
from extractor.chatglm3.safetensors_writer import ShardWriter, atomic_folder
from extractor.chatglm3.source_checkpoint import SourceCheckpoint, open_checkpoint
from extractor.chatglm3.transformers_model import glm_config
from extractor.chatglm3.weight_mapping import is_ignored
from extractor.chatglm3.weights import copy_in_groups, iter_all
from extractor.errors import ModelError, UsageError

RANK, ALPHA = 16, 32
"""Of a LoRA."""
LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_up_proj", "down_proj")

Weights = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Trainable:
    """`model` computes, `parameters` are what is trained of it, by name; `dtype` is what products are computed in."""

    location: ModelLocation
    source: SourceCheckpoint
    model: nn.Module
    parameters: dict[str, nn.Parameter]
    dtype: torch.dtype
    lora: bool
    wrapped: Any = None
    """PEFT's model around it, of a LoRA."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(iter(self.parameters.values())).device

    def copy(self) -> dict[str, Tensor]:
        """Return the trained weights as they are now, on the CPU."""
        return {name: each.detach().to("cpu", torch.float32, copy=True) for name, each in self.parameters.items()}

    @torch.no_grad()
    def load(self, weights: Weights) -> None:
        """Take trained weights."""
        for name, each in self.parameters.items():
            each.copy_(weights[name])

    def write(self, out: Path, notes: Mapping[str, object]) -> None:
        """Write the model's folder in its own layout, or the adapter's. Raises OutputError."""
        with atomic_folder(out) as unfinished:
            if self.lora:
                self.wrapped.save_pretrained(unfinished)
            else:
                _write_model(self, unfinished)
            text = json.dumps(notes, ensure_ascii=False, indent=2) + "\n"
            (unfinished / "tuning.json").write_text(text, "utf-8")


def load_trainable(location: ModelLocation, device: str, lora: bool) -> Trainable:
    """Load a model to train all of its weights in float32, or a LoRA beside them. Raises ModelError, UsageError."""
    if stored_precision(location.path):
        raise UsageError(f"{location.path} is stored in integers, which cannot be trained: pass the original model")
    target = find_device(device)
    dtype = compute_dtype(target)
    source = open_checkpoint(location.path)
    model = _filled(location, source, target, dtype if lora else torch.float32)
    if lora:
        return _with_lora(location, source, model, dtype)
    if torch.equal(model.model.embed_tokens.weight, model.lm_head.weight):
        model.lm_head.weight = model.model.embed_tokens.weight
    return Trainable(location, source, model, dict(model.named_parameters()), dtype, False)


def compute_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 where the machine has instructions for it, else float32."""
    fast = device.type == "cuda" or torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def _filled(
    location: ModelLocation, source: SourceCheckpoint, device: torch.device, dtype: torch.dtype
) -> GlmForCausalLM:
    adapter = adapters_of(location.path, location.adapters, source.dims)
    refuse_prefix(adapter, source.dims)
    with torch.device("meta"):
        model = GlmForCausalLM(glm_config(source.dims))
    nn.Module.to(model, dtype)
    try:
        model.to_empty(device=device)
    except RuntimeError as error:
        raise ModelError(f"the model does not fit into the memory of {device}: use a smaller one") from error

    def place(name: str, tensor: Tensor) -> None:
        for rows in () if is_ignored(name) else source.plan[name].targets:
            model.get_parameter(rows.name).copy_(adapter.apply(rows.name, tensor[rows.start : rows.stop]))

    with torch.no_grad():
        for file in source.files:
            copy_in_groups(file, place)
    model.model.rotary_emb = type(model.model.rotary_emb)(config=model.config).to(device)
    model.train()
    return model


def _with_lora(
    location: ModelLocation, source: SourceCheckpoint, model: GlmForCausalLM, dtype: torch.dtype
) -> Trainable:
    try:
        import peft
    except ImportError as error:
        raise UsageError(
            "A LoRA is trained with PEFT, which is not installed: pip install 'chatglm3-extractor[tune]', or --full."
        ) from error
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=ALPHA, target_modules=list(LAYERS))
    wrapped = peft.get_peft_model(model, config)
    for settings in wrapped.peft_config.values():
        settings.base_model_name_or_path = location.name
    model.enable_input_require_grads()  # type: ignore[no-untyped-call]
    model.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[no-untyped-call]
    trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
    for each in trained.values():
        each.data = each.data.float()
    return Trainable(location, source, model, trained, dtype, True, wrapped)


def _write_model(trained: Trainable, folder: Path) -> None:
    """Write the weights under the names and in the dtypes of their source, with its config and tokenizer."""
    state = trained.model.state_dict()
    state.setdefault("lm_head.weight", state["model.embed_tokens.weight"])
    dtypes = {name: tensor.dtype for _, name, tensor in iter_all(trained.source.files)}
    shards = ShardWriter(folder)
    for name, source in trained.source.plan.items():
        if name in dtypes and source.targets:
            rows = {each.start: state[each.name] for each in source.targets}  # one, where two share all rows
            whole = torch.cat([rows[start] for start in sorted(rows)])
            shards.add([(name, whole.to("cpu", dtypes[name]).contiguous())])
    shards.close()
    path = trained.location.path
    for file in {path / CONFIG_FILE, path / "tokenizer_config.json", *tokenizer_files(path)}:
        if file.is_file():
            shutil.copy(file, folder / file.name)
