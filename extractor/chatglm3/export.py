"""Export of a ChatGLM3 checkpoint to a plain `GlmForCausalLM` folder: transformers and vLLM load it, no remote code.

Weights go from file to file in their stored dtype, with at most one shard in memory. The folder appears under its name
when it is complete. Logits, and the ids of texts and prompts, equal the original's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial, reduce
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedConfig

from extractor.chatglm3.adapters import Adapter, read_adapters, refuse_prefix
from extractor.chatglm3.chat_tokenizer import ChatTokenizer, load_tokenizer
from extractor.chatglm3.checkpoint_files import checkpoint_files
from extractor.chatglm3.config_file import CONFIG_FILE
from extractor.chatglm3.export_tokenizer import write_tokenizer
from extractor.chatglm3.fast_tokenizer import FastTokenizer
from extractor.chatglm3.model_dims import ModelDims
from extractor.chatglm3.quantization_config import stored_precision
from extractor.chatglm3.safetensors_writer import ShardWriter, atomic_folder
from extractor.chatglm3.source_checkpoint import SourceCheckpoint, open_checkpoint
from extractor.chatglm3.transformers_model import glm_config
from extractor.chatglm3.weight_mapping import is_ignored
from extractor.chatglm3.weights import copy_in_groups, iter_all
from extractor.errors import UsageError

DTYPES: Mapping[str, torch.dtype] = {
    "half": torch.float16,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
}
"""Dtypes of the exported weights. A file has no device, so `half` is float16, as ChatGLM3 is published."""

Progress = Callable[[int, int], None]
"""Called with the bytes that are written and the bytes of all weights."""

Rename = Callable[[str, Tensor], Iterable[tuple[str, Tensor]]]
"""Returns the parameters that a source tensor becomes."""


def export(
    folder: Path,
    out: Path,
    precision: str | None = None,
    progress: Progress = lambda done, total: None,
    adapters: Sequence[Path] = (),
) -> None:
    """Write the checkpoint in `folder` to the new folder `out`, weights as stored or in the `precision` given.

    Adapters are merged into the weights.
    Raises UsageError for what cannot be done (`out` is not empty, `folder` is stored in integers), CheckpointError for
    a broken source, OutputError where the disk refuses. `out` exists only when it is complete.
    """
    _check_request(folder, out, precision)
    source = open_checkpoint(folder)
    adapter = read_adapters(adapters, source.dims)
    refuse_prefix(adapter, source.dims)
    dtype = _stored_dtype(source) if precision is None else DTYPES[precision]
    with atomic_folder(out) as unfinished:
        _write_weights(source, unfinished, partial(_renamed, source, adapter, dtype), progress)
        tokenizer = load_tokenizer(folder, source.dims)
        _write_tokenizer(tokenizer, folder, unfinished, source.dims)
        stop_ids = list(tokenizer.stop_ids)
        settings = {"eos_token_id": stop_ids, "pad_token_id": source.dims.pad_token_id}
        _write_json(unfinished / "generation_config.json", settings)
        _write_json(unfinished / CONFIG_FILE, _config(source.dims, dtype, stop_ids))


def _check_request(folder: Path, out: Path, precision: str | None) -> None:
    if precision is not None and precision not in DTYPES:
        raise UsageError(f"a model is exported in {', '.join(DTYPES)}, not in {precision!r}")
    checkpoint_files(folder)
    stored = stored_precision(folder)
    if stored is not None:
        raise UsageError(
            f"{folder} is stored in {stored}, which only this package reads: export the original checkpoint"
        )
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UsageError(f"{out} is not a folder: choose another path")
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty, and nothing is ever overwritten: choose a new folder")


def _stored_dtype(source: SourceCheckpoint) -> torch.dtype:
    """Return the dtype that holds every weight exactly: their own, where all have the same."""
    types = {tensor.dtype for _, name, tensor in iter_all(source.files) if not is_ignored(name)}
    return reduce(torch.promote_types, types)


def _write_weights(source: SourceCheckpoint, folder: Path, rename: Rename, progress: Progress) -> None:
    shards = ShardWriter(folder)
    total = sum(file.stat().st_size for file in source.files)
    done = 0

    def copy(name: str, tensor: Tensor) -> None:
        nonlocal done
        shards.add(rename(name, tensor))
        done += tensor.nbytes
        progress(done, total)

    for file in source.files:
        copy_in_groups(file, copy)
    shards.close()


def _renamed(
    source: SourceCheckpoint, adapter: Adapter, dtype: torch.dtype, name: str, tensor: Tensor
) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters that a source tensor becomes, in `dtype`."""
    for rows in () if is_ignored(name) else source.plan[name].targets:
        part = adapter.apply(rows.name, tensor[rows.start : rows.stop])
        yield rows.name, part.to(dtype, copy=True).contiguous()


def _write_tokenizer(tokenizer: ChatTokenizer, folder: Path, unfinished: Path, dims: ModelDims) -> None:
    """Write ChatGLM3's tokenizer as one of transformers; copy one that is, or write what GLM-4's was read as."""
    if isinstance(tokenizer, FastTokenizer):
        tokenizer.save(unfinished, dims.context)
        return
    write_tokenizer(folder, unfinished, dims.context)


def _config(dims: ModelDims, dtype: torch.dtype, stop_ids: list[int]) -> dict[str, object]:
    """Return `config.json` as transformers 5 writes it, with the keys that version 4 reads under other names."""
    config = glm_config(dims).to_dict()
    general = PreTrainedConfig().to_dict().keys() - {"model_type", "transformers_version"}
    own = {key: value for key, value in config.items() if key not in general}
    name = str(dtype).removeprefix("torch.")
    rope = {key: config["rope_parameters"][key] for key in ("rope_theta", "partial_rotary_factor")}
    given = {"architectures": ["GlmForCausalLM"], "eos_token_id": stop_ids, "dtype": name, "torch_dtype": name}
    return own | rope | given


def _write_json(file: Path, content: Mapping[str, object]) -> None:
    file.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", "utf-8")
