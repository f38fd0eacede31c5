"""A checkpoint on disk whose tensors are what its config says: checked by names, shapes and types before it is read.

Whoever reads weights (`checkpoint`, `quantize`, `export`) opens them here. No number of a tensor is read, but for a few
where a folder holds two sets of weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from extractor.chatglm3.checkpoint_files import other_weight_files, weight_files
from extractor.chatglm3.folder_check import SERVE
from extractor.chatglm3.layouts import read_dims, weight_mapping
from extractor.chatglm3.model_dims import ModelDims
from extractor.chatglm3.weight_mapping import PREFIX_ENCODER, SourceTensor, is_ignored
from extractor.chatglm3.weights import iter_all, open_weights
from extractor.errors import CheckpointError

Plan = Mapping[str, SourceTensor]
"""Every tensor that a checkpoint must have."""

_LEAST_BYTES = 0.4
"""A parameter takes at least so many in any precision: a config that asks for more than the files hold is wrong."""

_SAMPLED = 64
"""Numbers at either end of a tensor that are compared where there are two of it."""

_MARKS: Mapping[str, str] = {
    ".qweight": f"it is quantised by GPTQ or AWQ: {SERVE}, or pass the original model",
    ".qzeros": f"it is quantised by GPTQ or AWQ: {SERVE}, or pass the original model",
    ".weight_scale": "it is saved by quantize() of the original code: pass the original model, with --precision int4",
    "lora_": "it is a LoRA or a model with one that is not merged: -m MODEL --adapter DIR, or merge it with PEFT",
    "base_model.model.": "it is saved within PEFT's wrapper: call merge_and_unload() before save_pretrained()",
    "module.": "it is saved within a wrapper of the training: save the model itself",
}
"""Parts of the names of tensors that say what a file is instead, the first that fits."""


@dataclass(frozen=True, slots=True)
class SourceCheckpoint:
    """A checkpoint whose tensors match its config."""

    dims: ModelDims
    plan: Plan
    files: tuple[Path, ...]


def open_checkpoint(folder: Path, stored_plan: Callable[[ModelDims], Plan] | None = None) -> SourceCheckpoint:
    """Return the checkpoint in a folder; CheckpointError, in one line that names the file, for one that cannot be read.

    `stored_plan` gives the tensors of a folder that is not in the layout of its config: one that is stored quantised.
    """
    dims, files = read_dims(folder), weight_files(folder)
    _check_size(folder, dims, files)
    plan = weight_mapping(dims) if stored_plan is None else stored_plan(dims)
    _check_tensors(folder, files, plan, dims)
    _check_other_weights(folder, files)
    return SourceCheckpoint(dims, plan, files)


def _check_size(folder: Path, dims: ModelDims, files: tuple[Path, ...]) -> None:
    parameters = dims.parameters - dims.tied * dims.table_parameters
    size = sum(file.stat().st_size for file in files)
    if size < _LEAST_BYTES * parameters:
        for file in files:
            open_weights(file)  # says so if it is damaged
        raise CheckpointError(
            f"{folder}: config.json describes {parameters:,} parameters, the weights have {size:,} bytes: they do not "
            "belong together, the download is incomplete, or it is an adapter (-m MODEL --adapter DIR); download the "
            "model again"
        )


def _check_tensors(folder: Path, files: tuple[Path, ...], plan: Plan, dims: ModelDims) -> None:
    """Compare names, shapes and types with the plan before anything is allocated."""
    seen: set[str] = set()
    for file, name, tensor in iter_all(files):
        if name.startswith(PREFIX_ENCODER) and not dims.virtual_tokens:
            raise CheckpointError(
                f"{file} holds a P-Tuning prefix ({name}) that config.json does not mention: add "
                f'"pre_seq_len": {len(tensor)} to it'
            )
        if is_ignored(name):
            continue
        _check_tensor(file, name, tensor, plan)
        if name in seen:
            raise CheckpointError(f"{file} repeats tensor {name!r} of another file: download the model again")
        seen.add(name)
    _check_complete(files[0] if len(files) == 1 else folder, plan, seen)


def _check_complete(culprit: Path, plan: Plan, seen: Set[str]) -> None:
    required = {name for name, source in plan.items() if source.required}
    missing = required - seen
    if not missing:
        return
    if not seen:
        raise CheckpointError(f"{culprit} holds no tensor of a model, it is an adapter: -m MODEL --adapter DIR")
    more = f" and {len(missing) - 1} more of {len(required)}" if len(missing) > 1 else ""
    raise CheckpointError(
        f"{culprit}: tensor {min(missing)!r}{more} missing: config.json and weights do not belong together, the "
        "download is incomplete, or a training saved only what it changed; download the model again, or save all of it"
    )


def _check_tensor(file: Path, name: str, tensor: Tensor, plan: Plan) -> None:
    if name not in plan:
        hint = next((hint for mark, hint in _MARKS.items() if mark in name), "use the files as published")
        raise CheckpointError(f"{file} holds unexpected tensor {name!r}, which config.json does not ask for: {hint}")
    expected, dtype = plan[name].shape, plan[name].dtype
    if not tensor.numel():
        raise CheckpointError(
            f"{file}: tensor {name!r} is empty, as training with ZeRO-3 leaves it: gather the weights before they are "
            "saved (zero_to_fp32.py)"
        )
    if dtype is None and not tensor.is_floating_point():
        raise CheckpointError(
            f"{file}: tensor {name!r} is {tensor.dtype}, not floating point: it is quantised; pass the original model "
            "with --precision int4"
        )
    if tuple(tensor.shape) != expected:
        raise CheckpointError(
            f"{file}: tensor {name!r} has shape {list(tensor.shape)}, config.json asks for {list(expected)}: "
            "config.json and weights do not belong together; download the model again"
        )
    if dtype not in (None, tensor.dtype):
        raise CheckpointError(
            f"{file}: tensor {name!r} is {tensor.dtype}, not {dtype}: make the quantised checkpoint again"
        )


def _check_other_weights(folder: Path, files: tuple[Path, ...]) -> None:
    """Raise CheckpointError where a folder holds two sets of weights that are not the same.

    Many models are published in both formats; a fine-tuned one saved beside the original must not be passed over.
    """
    others = other_weight_files(folder)
    if not others:
        return
    used = {name: tensor for _, name, tensor in iter_all(files)}
    for other in others:
        for file, name, tensor in iter_all(other):
            if not is_ignored(name) and not (name in used and _looks_equal(used[name], tensor)):
                raise CheckpointError(
                    f"{folder} holds two sets of weights, {files[0].name} and {file.name}, that differ in {name!r}: "
                    "move away the files of one"
                )


def _looks_equal(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    exact = one.dtype == other.dtype
    return all(
        torch.allclose(a.float(), b.float(), rtol=0 if exact else 0.01, atol=0 if exact else 1e-4, equal_nan=True)
        for a, b in zip(_ends(one), _ends(other), strict=True)
    )


def _ends(tensor: Tensor) -> tuple[Tensor, Tensor]:
    numbers = tensor.flatten()
    return numbers[:_SAMPLED], numbers[-_SAMPLED:]
