"""The forward pass in half precision and with integers computes what `GlmForCausalLM` computes in float32: with heads
of 128 channels, which AMX is used for, and as on processors without it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks import checkpoints
from extractor.chatglm3 import load_model
from extractor.chatglm3.checkpoint import load_parameters
from extractor.engine.batch import Batch, Segment
from extractor.engine.kv_cache import KVCache, Slot
from extractor.engine.model_runner import ModelRunner
from extractor.kernels import attention, tiled

SHAPE = {
    "num_layers": 2,
    "hidden_size": 256,
    "ffn_hidden_size": 352,
    "num_attention_heads": 4,
    "padded_vocab_size": 4992,
}
LOST = {"half": 0.01, "int8": 0.03, "int4": 0.2}
"""How far the logits may be from those of float32, as a share of their size."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    patch = pytest.MonkeyPatch()
    patch.setattr(checkpoints, "SIZES", {"small": SHAPE})
    folder = checkpoints.cached_checkpoint(tmp_path_factory.mktemp("checkpoints"), "small")
    patch.undo()
    return folder


@cache
def _expected(checkpoint: Path) -> Tensor:
    """Return the logits after each of two sequences."""
    model = load_model(checkpoint, "float32", "cpu")
    with torch.inference_mode():
        return torch.stack([model(torch.tensor([ids])).logits[0, -1] for ids in _sequences()])


def _sequences() -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(3, 4000, (size,), generator=generator).tolist() for size in (210, 75)]


def _slot(cache: KVCache, tokens: int) -> Slot:
    slot = cache.allocate(tokens)
    assert slot is not None
    return slot


@pytest.mark.parametrize("machine", ["all kernels", "no matrix unit", "no kernels"])
@pytest.mark.parametrize("precision", LOST)
@torch.inference_mode()
def test_logits_are_those_of_float32_up_to_what_a_precision_loses(
    monkeypatch: pytest.MonkeyPatch, checkpoint: Path, precision: str, machine: str
) -> None:
    """A shared prefix, a prompt in two chunks, and the last tokens of two sequences beside each other."""
    if machine != "all kernels":
        monkeypatch.setattr(tiled, "_amx", lambda: None)
    if machine == "no kernels":
        monkeypatch.setattr(attention, "kernels", lambda: None)
    long, short = _sequences()
    runner = ModelRunner(load_parameters(checkpoint, precision, "cpu"))
    cache, shape = KVCache(runner.kv_shape, 2**28), runner.kv_shape
    slot = _slot(cache, 40)
    runner.forward(Batch([Segment(long[:37], 0, slot, None, 0)], shape))
    prefix = cache.store_prefix(tuple(long[:37]), slot)
    one, other = _slot(cache, 190), _slot(cache, 80)
    runner.forward(Batch([Segment(long[37:150], 0, one, prefix, 0), Segment(short[:-3], 0, other, None, 0)], shape))
    runner.forward(Batch([Segment(long[150:-1], 113, one, prefix, 0)], shape))
    last = [Segment(short[-3:], 72, other, None, 1), Segment(long[-1:], 172, one, prefix, 1)]
    batch = Batch(last, shape)
    hidden = runner.forward(batch)
    sequences = [
        row for segment in batch.segments for row in [long] * (segment.slot is one) + [short] * (segment.slot is other)
    ]
    expected = torch.stack([_expected(checkpoint)[_sequences().index(ids)] for ids in sequences])
    found = runner.logits(hidden[:2])
    assert (found - expected).norm() / expected.norm() < LOST[precision]
    some = torch.tensor([5, 17, 2000, 4991])
    torch.testing.assert_close(runner.logits(hidden[:2], some), found[:, some], atol=0.02, rtol=0.02)
