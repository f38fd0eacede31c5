"""A checkpoint stored again with integer weights, so that the next start need not quantise.

The new folder holds safetensors named as in the loaded model, the config with its precision, and the tokenizer. It is
written beside its place, weight by weight, and put there when it is complete: what is there is never half a model.
Loading it gives, bit for bit, the model that loading the original in that precision gives.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from extractor.chatglm3 import quantization_config
from extractor.chatglm3.adapters import Adapter, read_adapters, refuse_prefix
from extractor.chatglm3.checkpoint import skeleton
from extractor.chatglm3.checkpoint_files import checkpoint_files, tokenizer_files
from extractor.chatglm3.config_file import CONFIG_FILE, read_config
from extractor.chatglm3.parameters import Parameters
from extractor.chatglm3.safetensors_writer import ShardWriter, atomic_folder
from extractor.chatglm3.source_checkpoint import Plan, open_checkpoint
from extractor.chatglm3.weight_mapping import is_ignored
from extractor.chatglm3.weights import copy_in_groups
from extractor.errors import UsageError
from extractor.precisions import find_precision, quantized_names
from extractor.precisions._support.linear import LinearLayer


def quantize(
    folder: Path, out: Path, precision: str, *, overwrite: bool = False, adapters: Sequence[Path] = ()
) -> None:
    """Write the checkpoint in `folder` to the new folder `out` in a precision with integer weights (`int8`, `int4`).

    Adapters are merged into the weights before. With `overwrite` a quantised checkpoint that is there is replaced;
    nothing else ever is. Raises UsageError for what cannot be done, CheckpointError for a broken source,
    OutputError where the disk refuses.
    """
    _check_request(folder, out, precision, overwrite)
    source = open_checkpoint(folder)
    adapter = read_adapters(adapters, source.dims)
    refuse_prefix(adapter, source.dims)
    model = skeleton(Parameters, source.dims, find_precision(precision), torch.bfloat16)
    with atomic_folder(out) as unfinished, torch.no_grad():
        shards = ShardWriter(unfinished)
        for file in source.files:
            copy_in_groups(file, lambda name, tensor: shards.add(_converted(model, source.plan, adapter, name, tensor)))
        shards.close()
        _write_rest(folder, unfinished, precision)


def _check_request(folder: Path, out: Path, precision: str, overwrite: bool) -> None:
    if precision not in quantized_names():
        raise UsageError(f"a model is stored in {' or '.join(quantized_names())}, not in {precision!r}")
    checkpoint_files(folder)
    found = quantization_config.stored_precision(folder)
    if found is not None:
        raise UsageError(f"{folder} is stored in {found} already: give the original checkpoint")
    if not out.exists():
        return
    if not overwrite:
        raise UsageError(f"{out} exists: choose another folder, or --overwrite to replace the model there")
    if not _is_ours(out) or out.resolve() == folder.resolve():
        raise UsageError(f"{out} is no quantised model, so it is not replaced: choose another folder")


def _is_ours(out: Path) -> bool:
    return (out / CONFIG_FILE).is_file() and quantization_config.stored_precision(out) is not None


def _converted(
    model: Parameters, plan: Plan, adapter: Adapter, name: str, tensor: Tensor
) -> Iterator[tuple[str, Tensor]]:
    """Yield what becomes of a source tensor: codes and scales of its quantised layers, or its rows as they are."""
    for rows in () if is_ignored(name) else plan[name].targets:
        part = adapter.apply(rows.name, tensor[rows.start : rows.stop])
        owner, _, leaf = rows.name.rpartition(".")
        layer = model.get_submodule(owner)
        if isinstance(layer, LinearLayer) and leaf == "weight":
            state = type(layer).from_float(part).state_dict()
            yield from ((f"{owner}.{buffer}", value) for buffer, value in state.items())
        else:
            yield rows.name, part.to(tensor.dtype, copy=True)


def _write_rest(folder: Path, unfinished: Path, precision: str) -> None:
    config = read_config(folder / CONFIG_FILE) | {quantization_config.KEY: quantization_config.describe(precision)}
    (unfinished / CONFIG_FILE).write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", "utf-8")
    for file in {*tokenizer_files(folder), folder / "tokenizer_config.json"}:
        if file.is_file():
            shutil.copy(file, unfinished / file.name)
