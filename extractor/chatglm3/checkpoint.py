"""Loading of a ChatGLM3 checkpoint, file by file, into a model with the parameter names of `GlmForCausalLM`.

Which tensor goes where is in `weight_mapping`. Every linear layer is made by the precision, and a weight goes from its
file straight into it (int8 and int4 quantise it there); a checkpoint that is stored quantised already has the names and
shapes of that model. This module does not know tokens and does not import transformers, which takes longer than reading
a small model; nothing in a checkpoint is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from extractor.chatglm3.adapters import NO_ADAPTER, Adapter
from extractor.chatglm3.model_dims import ModelDims
from extractor.chatglm3.parameters import Parameters
from extractor.chatglm3.quantization_config import stored_precision
from extractor.chatglm3.source_checkpoint import open_checkpoint
from extractor.chatglm3.weight_mapping import SourceTensor, is_ignored, map_whole
from extractor.chatglm3.weights import copy_in_groups
from extractor.errors import ModelError, UsageError
from extractor.precisions import Precision, find_precision
from extractor.precisions._support.linear import LinearLayer

Model = TypeVar("Model", bound=nn.Module)

OUTPUT_LAYER = "lm_head"
"""The output layer's name in `GlmForCausalLM`."""


def load_parameters(
    path: str | Path, precision: str = "half", device: str = "auto", adapter: Adapter = NO_ADAPTER
) -> Parameters:
    """Load the weights of the checkpoint in folder `path` without code that runs them; otherwise as `load_model`."""
    return load_into(Parameters, path, precision, device, adapter)


def load_into(
    make: Callable[[ModelDims], Model],
    path: str | Path,
    precision: str,
    device: str,
    adapter: Adapter = NO_ADAPTER,
) -> Model:
    """Fill a model whose parameters are named as in `GlmForCausalLM`; weights are merged with `adapter` on their way.

    Other arguments and errors are as for `load_model`.
    """
    stored = stored_precision(path)
    choice = find_precision(precision, stored)
    target = find_device(device)
    check_mergeable(Path(path), adapter)
    source = open_checkpoint(Path(path), partial(stored_plan, precision=choice) if stored else None)
    empty = skeleton(make, source.dims, choice, _dtype(choice, target))
    model = _allocated(empty, choice.weight_bytes(source.dims), target)
    with torch.no_grad():
        for file in source.files:
            copy_in_groups(file, lambda name, tensor: _place(model, source.plan, adapter, name, tensor))
    model.train(False)
    model.requires_grad_(False)
    return model


def check_mergeable(folder: Path, adapter: Adapter) -> None:
    """Raise UsageError for an adapter that changes weights, and a model whose weights are quantised already."""
    stored = stored_precision(folder)
    if stored and adapter.updates:
        raise UsageError(
            f"{folder} is stored in {stored}, into which nothing is merged: extractor models quantize MODEL OUT "
            "--adapter DIR makes a new one"
        )


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


def _place(model: nn.Module, plan: Mapping[str, SourceTensor], adapter: Adapter, name: str, tensor: Tensor) -> None:
    """Copy a source tensor to where its rows belong, cast to the dtype there; a linear layer fills itself."""
    for rows in () if is_ignored(name) else plan[name].targets:
        part = adapter.apply(rows.name, tensor[rows.start : rows.stop])
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
    """Return the model with memory for its parameters, uninitialized.

    Not by `to_empty`: of a meta tensor, `empty_like` imports half a second of torch's symbolic shapes.
    """
    try:
        for module in model.modules():
            for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
                empty = torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
                setattr(module, name, nn.Parameter(empty, False) if isinstance(tensor, nn.Parameter) else empty)
        return model
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
