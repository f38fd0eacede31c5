"""Random ChatGLM3 checkpoints of a named size in the original file layout, for measuring and for tests.

    python -m benchmarks.checkpoints 0.3b FOLDER [--tokenizer FILE]

Weights are drawn from a normal distribution of deviation 0.02, norms are 1: logits spread as those of an untrained
model do, so greedy decoding goes on and hardly ever stops by itself. Each tensor has a seed of its own, so the same
size gives the same weights. Shards are written one after the other, so memory stays near the size of one.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import torch
from torch import Tensor

from extractor.chatglm3.checkpoint_files import TOKENIZER_FILE, is_complete
from extractor.chatglm3.layouts import read_dims, weight_mapping
from extractor.data import Json

DEMO_TOKENIZER = Path(__file__).parent.parent / "extractor" / "models" / "demo" / TOKENIZER_FILE
DEVIATION = 0.02

_COMMON: Mapping[str, Json] = {
    "model_type": "chatglm",
    "architectures": ["ChatGLMModel"],
    "add_bias_linear": False,
    "add_qkv_bias": True,
    "apply_residual_connection_post_layernorm": False,
    "kv_channels": 128,
    "layernorm_epsilon": 1e-05,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "original_rope": True,
    "padded_vocab_size": 65024,
    "post_layer_norm": True,
    "rmsnorm": True,
    "seq_length": 8192,
    "tie_word_embeddings": False,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
SIZES: Mapping[str, Mapping[str, Json]] = {
    "tiny": {"num_layers": 2, "hidden_size": 64, "ffn_hidden_size": 96, "num_attention_heads": 4, "kv_channels": 16},
    "0.3b": {"num_layers": 12, "hidden_size": 1024, "ffn_hidden_size": 3424, "num_attention_heads": 8},
    "6b": {"num_layers": 28, "hidden_size": 4096, "ffn_hidden_size": 13696, "num_attention_heads": 32},
}
"""Name of a size -> what of `config.json` makes it; `6b` is the published model's shape."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How weights are written: their type and about how many bytes go into one file."""

    dtype: torch.dtype = torch.bfloat16
    shard_bytes: int = 5 * 10**8


_HALF = Layout()


def config(size: str) -> dict[str, Json]:
    """The `config.json` of a named size."""
    return {**_COMMON, **SIZES[size]}


def cached_checkpoint(cache: Path, size: str, tokenizer: Path | None = None) -> Path:
    """The folder of a checkpoint of this size inside `cache`, written unless it is there.

    `tokenizer` is the `tokenizer.model` to go with it; the demo model's (8,448 tokens) where None.
    """
    source = tokenizer or DEMO_TOKENIZER
    kind = f"{crc32(source.read_bytes()):08x}"
    folder = cache / f"chatglm3-{size}-{kind}"
    if not is_complete(folder):
        unfinished = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(unfinished, ignore_errors=True)
        write_checkpoint(unfinished, config(size))
        shutil.copyfile(source, unfinished / TOKENIZER_FILE)
        unfinished.rename(folder)
    return folder


def write_checkpoint(folder: Path, configuration: Mapping[str, Json], layout: Layout = _HALF) -> int:
    """Write `config.json`, weights in shards and their index into a new folder; returns the bytes of all shards."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(configuration, indent=2), "utf-8")
    shapes = {name: source.shape for name, source in weight_mapping(read_dims(folder)).items()}
    shards = list(_shards(shapes, layout))
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        file = f"pytorch_model-{number:05}-of-{len(shards):05}.bin"
        torch.save({name: _random(name, shapes[name]).to(layout.dtype) for name in names}, folder / file)
        weight_map |= dict.fromkeys(names, file)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index), "utf-8")
    return sum((folder / file).stat().st_size for file in set(weight_map.values()))


def _shards(shapes: Mapping[str, tuple[int, ...]], layout: Layout) -> Iterator[list[str]]:
    names: list[str] = []
    size = 0
    for name, shape in shapes.items():
        names.append(name)
        size += layout.dtype.itemsize * torch.Size(shape).numel()
        if size >= layout.shard_bytes:
            yield names
            names, size = [], 0
    if names:
        yield names


def _random(name: str, shape: tuple[int, ...]) -> Tensor:
    if "layernorm" in name:
        return torch.ones(shape)
    return torch.empty(shape).normal_(0, DEVIATION, generator=torch.Generator().manual_seed(crc32(name.encode())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", choices=sorted(SIZES))
    parser.add_argument("folder", type=Path, help="the cache: the checkpoint becomes a folder inside it")
    parser.add_argument("--tokenizer", type=Path, help="the tokenizer.model to use (default: the demo model's)")
    arguments = parser.parse_args()
    print(cached_checkpoint(arguments.folder, arguments.size, arguments.tokenizer))


if __name__ == "__main__":
    main()
