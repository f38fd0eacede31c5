"""Random checkpoints are real checkpoints: they load, are the same each time, and do not degenerate."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.checkpoints import Layout, cached_checkpoint, config, write_checkpoint
from extractor.chatglm3 import load_model
from extractor.chatglm3.layouts import read_dims
from extractor.chatglm3.model_dims import CHATGLM3_6B


def test_it_loads_and_its_logits_spread(checkpoint: Path) -> None:
    model = load_model(checkpoint, "float32", "cpu")
    logits = model(torch.tensor([[64, 65, 66]])).logits[0, -1]
    assert logits.shape == (65024,)
    assert 0.05 < logits.std().item() < 5


def test_it_is_written_once(checkpoint: Path) -> None:
    before = (checkpoint / "config.json").stat().st_mtime_ns
    assert cached_checkpoint(checkpoint.parent, "tiny") == checkpoint
    assert (checkpoint / "config.json").stat().st_mtime_ns == before


def test_shards_are_as_small_as_asked_and_all_in_the_index(tmp_path: Path) -> None:
    small = {**config("tiny"), "padded_vocab_size": 500}
    size = write_checkpoint(tmp_path / "small", small, Layout(torch.float16, shard_bytes=100_000))
    shards = sorted(tmp_path.glob("small/*.bin"))
    assert [shard.name for shard in shards] == [
        f"pytorch_model-{number:05}-of-{len(shards):05}.bin" for number in range(1, len(shards) + 1)
    ]
    assert len(shards) > 2
    assert size == sum(shard.stat().st_size for shard in shards)
    assert load_model(tmp_path / "small", "float32", "cpu").num_parameters() == read_dims(tmp_path / "small").parameters


def test_the_same_size_gives_the_same_weights(checkpoint: Path, tmp_path: Path) -> None:
    again = load_model(cached_checkpoint(tmp_path, "tiny"), "bfloat16", "cpu")
    for one, other in zip(load_model(checkpoint, "bfloat16", "cpu").parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("size", "parameters"), [("0.3b", 291e6), ("6b", 6.24e9)])
def test_sizes_are_those_they_are_named_for(size: str, parameters: float, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config(size)), "utf-8")
    assert read_dims(tmp_path).parameters == pytest.approx(parameters, rel=0.01)
    assert size != "6b" or read_dims(tmp_path) == CHATGLM3_6B
