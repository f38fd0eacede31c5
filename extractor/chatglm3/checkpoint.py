"""A ChatGLM3 checkpoint in the original layout becomes transformers' `GlmForCausalLM`, file by file.

The mapping of names and shapes is the whole difference between the two: with it the logits equal the original's bit
for bit in float32. This module knows nothing of tokens, and nothing in a checkpoint is executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import GlmConfig, GlmForCausalLM

from extractor.chatglm3.layout import weight_files
from extractor.chatglm3.precisions import Precision, find_precision
from extractor.chatglm3.shape import ModelShape, read_shape
from extractor.chatglm3.weights import copy_in_groups, iter_all
from extractor.errors import CheckpointError, ModelError, UsageError

IGNORED = frozenset({"transformer.rotary_pos_emb.inv_freq"})
"""Tensors of a checkpoint that are computed, not learned."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows `start` to `stop` of a source tensor are the parameter `name` of `GlmForCausalLM`."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Source:
    """One tensor of the original checkpoint: the shape it must have and where its rows go."""

    shape: tuple[int, ...]
    targets: tuple[Rows, ...]


def load_model(path: str | Path, precision: str = "half", device: str = "auto") -> GlmForCausalLM:
    """Load the checkpoint in folder `path`, in eval mode, without gradients.

    `precision` is `half` (float16 on CUDA, bfloat16 on CPU), `float16`, `bfloat16` or `float32`; `device` is `auto`,
    `cpu` or `cuda[:n]`. The peak of memory stays near the model's size: weights are copied in groups of 64 MB.

    Raises CheckpointError (one line, names the file) for a broken checkpoint, ModelError where the device is absent or
    too small, UsageError for an unknown precision or device.
    """
    choice = find_precision(precision)
    target = find_device(device)
    shape = read_shape(path)
    files = weight_files(path)
    plan = weight_plan(shape)
    _check_tensors(Path(path), files, plan)
    model = _empty_model(shape, _dtype(choice, target), target)
    with torch.no_grad():
        for file in files:
            copy_in_groups(file, lambda name, tensor: _place(model, plan, name, tensor))
    model.train(False)
    model.requires_grad_(False)
    return model


def find_device(device: str) -> torch.device:
    """The torch device for `auto`, `cpu` or `cuda[:n]`; ModelError where it is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (":" in device and not (kind == "cuda" and index.isdecimal())):
        raise UsageError(f"unknown device {device!r}: choose auto, cpu, cuda or cuda:N")
    if kind == "cuda":
        _check_cuda(int(index or 0))
    return torch.device(device)


def glm_config(shape: ModelShape) -> GlmConfig:
    """The configuration of `GlmForCausalLM` for a ChatGLM3 of this shape."""
    rope = {
        "rope_type": "default",
        "rope_theta": 10000.0 * shape.rope_ratio,
        "partial_rotary_factor": 0.5,
    }
    return GlmConfig(
        vocab_size=shape.vocab_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.ffn_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.groups,
        head_dim=shape.head_size,
        max_position_embeddings=shape.context,
        rms_norm_eps=shape.norm_eps,
        attention_bias=shape.qkv_bias,
        rope_parameters=rope,
        eos_token_id=shape.eos_token_id,
        pad_token_id=shape.pad_token_id,
        tie_word_embeddings=False,
    )


def weight_plan(shape: ModelShape) -> dict[str, Source]:
    """Every tensor that the original checkpoint must hold, with its shape and its place in `GlmForCausalLM`."""
    table = (shape.vocab_size, shape.hidden_size)
    plan = {
        "transformer.embedding.word_embeddings.weight": _whole(table, "model.embed_tokens.weight"),
        "transformer.encoder.final_layernorm.weight": _whole((shape.hidden_size,), "model.norm.weight"),
        "transformer.output_layer.weight": _whole(table, "lm_head.weight"),
    }
    for layer in range(shape.layers):
        plan |= _layer_plan(shape, f"transformer.encoder.layers.{layer}", f"model.layers.{layer}")
    return plan


def _layer_plan(shape: ModelShape, source: str, target: str) -> dict[str, Source]:
    hidden, ffn = shape.hidden_size, shape.ffn_size
    plan = {
        f"{source}.input_layernorm.weight": _whole((hidden,), f"{target}.input_layernorm.weight"),
        f"{source}.post_attention_layernorm.weight": _whole((hidden,), f"{target}.post_attention_layernorm.weight"),
        f"{source}.self_attention.dense.weight": _whole(
            (hidden, shape.query_rows), f"{target}.self_attn.o_proj.weight"
        ),
        f"{source}.mlp.dense_h_to_4h.weight": _whole((2 * ffn, hidden), f"{target}.mlp.gate_up_proj.weight"),
        f"{source}.mlp.dense_4h_to_h.weight": _whole((hidden, ffn), f"{target}.mlp.down_proj.weight"),
        f"{source}.self_attention.query_key_value.weight": _split(shape, (hidden,), f"{target}.self_attn.{{}}.weight"),
    }
    if shape.qkv_bias:
        bias = f"{source}.self_attention.query_key_value.bias"
        plan[bias] = _split(shape, (), f"{target}.self_attn.{{}}.bias")
    return plan


def _whole(shape: tuple[int, ...], name: str) -> Source:
    return Source(shape, (Rows(name, 0, shape[0]),))


def _split(shape: ModelShape, columns: tuple[int, ...], template: str) -> Source:
    """Query, key and value are stacked by rows: heads x head_size, then twice groups x head_size."""
    key_start, value_start = shape.query_rows, shape.query_rows + shape.key_rows
    end = value_start + shape.key_rows
    bounds = {"q_proj": (0, key_start), "k_proj": (key_start, value_start), "v_proj": (value_start, end)}
    return Source((end, *columns), tuple(Rows(template.format(name), *rows) for name, rows in bounds.items()))


def _check_tensors(folder: Path, files: tuple[Path, ...], plan: Mapping[str, Source]) -> None:
    """Compare names, shapes and types with the plan before anything is allocated."""
    missing = set(plan)
    for file, name, tensor in iter_all(files):
        if name in IGNORED:
            continue
        _check_tensor(file, name, tensor, plan)
        if name not in missing:
            raise CheckpointError(f"{file} repeats tensor {name!r} of another file: download the model again")
        missing.discard(name)
    if missing:
        first = min(missing)
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise CheckpointError(
            f"{_culprit(folder, files)}: tensor {first!r}{more} missing: config.json and weights do not belong "
            "together or the download is incomplete; download the model again"
        )


def _check_tensor(file: Path, name: str, tensor: Tensor, plan: Mapping[str, Source]) -> None:
    if name not in plan:
        raise CheckpointError(
            f"{file} holds unexpected tensor {name!r}: it is not a ChatGLM3 checkpoint of this config.json; "
            "use the files as published"
        )
    expected = plan[name].shape
    if tuple(tensor.shape) != expected:
        raise CheckpointError(
            f"{file}: tensor {name!r} has shape {list(tensor.shape)}, config.json asks for {list(expected)}: "
            "config.json and weights do not belong together; download the model again"
        )
    if not tensor.is_floating_point():
        raise CheckpointError(
            f"{file}: tensor {name!r} is {tensor.dtype}, not floating point: use the unquantised checkpoint"
        )


def _culprit(folder: Path, files: tuple[Path, ...]) -> Path:
    return files[0] if len(files) == 1 else folder


def _place(model: GlmForCausalLM, plan: Mapping[str, Source], name: str, tensor: Tensor) -> None:
    """Copy a source tensor into the parameters its rows belong to, casting to the model's type."""
    for rows in () if name in IGNORED else plan[name].targets:
        model.get_parameter(rows.name).copy_(tensor[rows.start : rows.stop])


def _empty_model(shape: ModelShape, dtype: torch.dtype, device: torch.device) -> GlmForCausalLM:
    """A model whose parameters are allocated but not filled; only the rotary table is computed."""
    config = glm_config(shape)
    with torch.device("meta"):
        skeleton = GlmForCausalLM(config)
    try:
        model = torch.nn.Module.to(skeleton, dtype).to_empty(device=device)
    except RuntimeError as error:
        gigabytes = shape.parameters * dtype.itemsize / 1e9
        raise ModelError(
            f"the model needs {gigabytes:.1f} GB on {device} and there is less: free memory, choose a smaller "
            "precision or another device (`extractor doctor` shows what fits)"
        ) from error
    model.model.rotary_emb = type(model.model.rotary_emb)(config=config).to(device)
    return model


def _dtype(precision: Precision, device: torch.device) -> torch.dtype:
    dtype: torch.dtype = getattr(torch, precision.dtype_name(device.type))
    return dtype


def _check_cuda(index: int) -> None:
    if not torch.cuda.is_available():
        raise ModelError("no CUDA device is available: use --device cpu, or run `extractor doctor` to see why")
    if index >= torch.cuda.device_count():
        raise ModelError(f"cuda:{index} does not exist ({torch.cuda.device_count()} found): use cuda:0 or cpu")
