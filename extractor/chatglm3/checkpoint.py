"""Loading of a ChatGLM3 checkpoint, file by file, into a model with the parameter names of `GlmForCausalLM`.

Which tensor goes where is in `weight_mapping`. Every linear layer is made by the precision, and a weight goes from its
file straight into it (int8 and int4 quantise it there); a checkpoint that is stored quantised already has the names and
shapes of that model. This module does not know tokens and does not import transformers, which takes longer than reading
a small model; nothing in a checkpoint is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from extractor.chatglm3.checkpoint_files import weight_files
from extractor.chatglm3.model_dims import ModelDims, read_dims
from extractor.chatglm3.parameters import Parameters
from extractor.chatglm3.quantization_config import stored_precision
from extractor.chatglm3.weight_mapping import IGNORED, SourceTensor, map_whole, weight_mapping
from extractor.chatglm3.weights import copy_in_groups, iter_all
from extractor.errors import CheckpointError, ModelError, UsageError
from extractor.precisions import Precision, find_precision
from extractor.precisions._support.linear import LinearLayer

Model = TypeVar("Model", bound=nn.Module)

OUTPUT_LAYER = "lm_head"
"""The output layer's name in `GlmForCausalLM`."""


def load_parameters(path: str | Path, precision: str = "half", device: str = "auto") -> Parameters:
    """Load the weights of the checkpoint in folder `path` without code that runs them; otherwise as `load_model`."""
    return load_into(Parameters, path, precision, device)


def load_into(make: Callable[[ModelDims], Model], path: str | Path, precision: str, device: str) -> Model:
    """Fill a model whose parameters are named as in `GlmForCausalLM`. Arguments and errors are as for `load_model`."""
    stored = stored_precision(path)
    choice = find_precision(precision, stored)
    target = find_device(device)
    shape = read_dims(path)
    files = weight_files(path)
    plan = stored_plan(shape, choice) if stored else weight_mapping(shape)
    check_tensors(Path(path), files, plan)
    model = _allocated(skeleton(make, shape, choice, _dtype(choice, target)), choice.weight_bytes(shape), target)
    with torch.no_grad():
        for file in files:
            copy_in_groups(file, lambda name, tensor: _place(model, plan, name, tensor))
    model.train(False)
    model.requires_grad_(False)
    return model


def find_device(device: str) -> torch.device:
    """Return the torch device for `auto`, `cpu` or `cuda[:n]`; ModelError where it does not exist."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (":" in device and not (kind == "cuda" and index.isdecimal())):
        raise UsageError(f"unknown device {device!r}: choose auto, cpu, cuda or cuda:N")
    if kind == "cuda":
        _check_cuda(int(index or 0))
    return torch.device(device)


def stored_plan(shape: ModelDims, precision: Precision) -> dict[str, SourceTensor]:
    """Return every tensor of a checkpoint that is stored quantised: named and shaped as in the loaded model."""
    model = skeleton(Parameters, shape, precision, torch.bfloat16)
    exact = dict(_stored_dtypes(model))
    state = model.state_dict()
    return {name: map_whole(tuple(state[name].shape), name, exact.get(name)) for name in state}


def _stored_dtypes(model: nn.Module) -> Iterator[tuple[str, torch.dtype]]:
    """Yield the tensors that must be stored in exactly one dtype (codes, scales), and that dtype."""
    for owner, layer in model.named_modules():
        if isinstance(layer, LinearLayer):
            yield from ((f"{owner}.{name}", dtype) for name, dtype in layer.stored_dtypes().items())


def check_tensors(folder: Path, files: tuple[Path, ...], plan: Mapping[str, SourceTensor]) -> None:
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


def _check_tensor(file: Path, name: str, tensor: Tensor, plan: Mapping[str, SourceTensor]) -> None:
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
    if plan[name].dtype is not None and tensor.dtype != plan[name].dtype:
        raise CheckpointError(
            f"{file}: tensor {name!r} is {tensor.dtype}, not {plan[name].dtype}: make the quantised checkpoint again"
        )
    if plan[name].dtype is None and not tensor.is_floating_point():
        raise CheckpointError(
            f"{file}: tensor {name!r} is {tensor.dtype}, not floating point: use the unquantised checkpoint"
        )


def _culprit(folder: Path, files: tuple[Path, ...]) -> Path:
    return files[0] if len(files) == 1 else folder


def _place(model: nn.Module, plan: Mapping[str, SourceTensor], name: str, tensor: Tensor) -> None:
    """Copy a source tensor to where its rows belong, cast to the dtype there; a linear layer fills itself."""
    for rows in () if name in IGNORED else plan[name].targets:
        part = tensor[rows.start : rows.stop]
        owner, _, leaf = rows.name.rpartition(".")
        layer = model.get_submodule(owner)
        if isinstance(layer, LinearLayer) and leaf == "weight":
            layer.fill(part)
        else:
            getattr(layer, leaf).copy_(part)


def skeleton(make: Callable[[ModelDims], Model], shape: ModelDims, precision: Precision, dtype: torch.dtype) -> Model:
    """Return a model of this shape and precision without memory (on torch's meta device), its floats in `dtype`."""
    with torch.device("meta"):
        model = make(shape)
        nn.Module.to(model, dtype)
        _replace_linears(model, precision, dtype)
    return model


def _replace_linears(model: nn.Module, precision: Precision, dtype: torch.dtype) -> None:
    """Put the precision's layers in place of torch's linear ones."""
    linears = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    for name, linear in linears.items():
        kind = precision.layer(linear.in_features, name == OUTPUT_LAYER)
        layer = kind(linear.in_features, linear.out_features, linear.bias is not None, dtype=dtype)
        model.set_submodule(name, layer)


def _allocated(model: Model, size: int, device: torch.device) -> Model:
    """Return the model with memory for its parameters, uninitialized."""
    try:
        return model.to_empty(device=device)
    except RuntimeError as error:
        raise ModelError(
            f"the model needs {size / 1e9:.1f} GB on {device} and there is less: free memory, choose a smaller "
            "precision or another device (`extractor doctor` shows what fits)"
        ) from error


def _dtype(precision: Precision, device: torch.device) -> torch.dtype:
    dtype: torch.dtype = getattr(torch, precision.dtype_name(device.type))
    return dtype


def _check_cuda(index: int) -> None:
    if not torch.cuda.is_available():
        raise ModelError("no CUDA device is available: use --device cpu, or run `extractor doctor` to see why")
    if index >= torch.cuda.device_count():
        raise ModelError(f"cuda:{index} does not exist ({torch.cuda.device_count()} found): use cuda:0 or cpu")
