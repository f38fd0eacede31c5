"""Export of a ChatGLM3 checkpoint to a plain `GlmForCausalLM` folder: transformers and vLLM load it, no remote code.

Weights go from file to file in their stored dtype, with at most one shard in memory. The folder appears under its name
when it is complete. Logits, and the ids of texts and prompts, equal the original's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedConfig

from extractor.chatglm3.checkpoint import check_tensors
from extractor.chatglm3.checkpoint_files import checkpoint_files, weight_files
from extractor.chatglm3.export_tokenizer import write_tokenizer
from extractor.chatglm3.model_dims import CONFIG_FILE, ModelDims, read_dims
from extractor.chatglm3.quantization_config import stored_precision
from extractor.chatglm3.safetensors_writer import ShardWriter, atomic_folder
from extractor.chatglm3.tokenizer import Tokenizer
from extractor.chatglm3.transformers_model import glm_config
from extractor.chatglm3.weight_mapping import IGNORED, SourceTensor, weight_mapping
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


def export(
    folder: Path, out: Path, precision: str | None = None, progress: Progress = lambda done, total: None
) -> None:
    """Write the checkpoint in `folder` to the new folder `out`, weights as stored or in the `precision` given.

    Raises UsageError for what cannot be done (`out` is not empty, `folder` is stored in integers), CheckpointError for
    a broken source, OutputError where the disk refuses. `out` exists only when it is complete.
    """
    _check_request(folder, out, precision)
    source = _read_source(folder)
    dtype = source.dtype if precision is None else DTYPES[precision]
    with atomic_folder(out) as unfinished:
        _write_weights(source, unfinished, dtype, progress)
        write_tokenizer(folder, unfinished, source.dims.context)
        stop_ids = list(Tokenizer(folder).stop_ids)
        _write_json(unfinished / "generation_config.json", {"eos_token_id": stop_ids, "pad_token_id": 0})
        _write_json(unfinished / CONFIG_FILE, _config(source.dims, dtype, stop_ids))


@dataclass(frozen=True, slots=True)
class _SourceCheckpoint:
    """A checkpoint whose tensors match its config."""

    dims: ModelDims
    files: tuple[Path, ...]
    mapping: Mapping[str, SourceTensor]

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that holds every weight exactly: their own, where all have the same."""
        types = {tensor.dtype for _, name, tensor in iter_all(self.files) if name not in IGNORED}
        return reduce(torch.promote_types, types)


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


def _read_source(folder: Path) -> _SourceCheckpoint:
    source = _SourceCheckpoint(read_dims(folder), weight_files(folder), weight_mapping(read_dims(folder)))
    check_tensors(folder, source.files, source.mapping)
    return source


def _write_weights(source: _SourceCheckpoint, folder: Path, dtype: torch.dtype, progress: Progress) -> None:
    shards = ShardWriter(folder)
    total = sum(file.stat().st_size for file in source.files)
    done = 0

    def copy(name: str, tensor: Tensor) -> None:
        nonlocal done
        shards.add(_renamed(source.mapping, name, tensor, dtype))
        done += tensor.nbytes
        progress(done, total)

    for file in source.files:
        copy_in_groups(file, copy)
    shards.close()


def _renamed(
    mapping: Mapping[str, SourceTensor], name: str, tensor: Tensor, dtype: torch.dtype
) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters that a source tensor becomes, in `dtype`."""
    for rows in () if name in IGNORED else mapping[name].targets:
        yield rows.name, tensor[rows.start : rows.stop].to(dtype, copy=True).contiguous()


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
