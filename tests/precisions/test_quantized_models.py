"""A model loaded in int8 or int4, from the original files or from `models quantize`: near half precision, the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import GlmForCausalLM

from extractor.chatglm3 import ChatGLM3, load_model, read_dims, resolve
from extractor.chatglm3.hub import DEMO_FOLDER
from extractor.chatglm3.model_dims import CHATGLM3_6B
from extractor.chatglm3.quantize import quantize
from extractor.cli import main
from extractor.errors import CheckpointError, OutputError, UsageError
from extractor.precisions import WORKING_BYTES, find_precision, quantized_names
from extractor.precisions._support.int4_linear import Int4Linear
from extractor.precisions._support.int8_linear import Int8Linear
from extractor.precisions._support.quantized_linear import QuantizedLinear
from tests.chatglm3.conftest import CHECKPOINTS, REFERENCE, reference

TINY = REFERENCE / "chatglm3-tiny"
SHARD, INDEX = "model-00001-of-00001.safetensors", "model.safetensors.index.json"
QUESTION = "从上文中，提取手机号。手机号18888888888，邮箱123456789@qq.com"
CLOSE = {("demo", "int8"): 0.02, ("demo", "int4"): 0.25, ("tiny", "int8"): 0.02, ("tiny", "int4"): 0.4}
"""Mean KL from float32 over all positions. The tiny models are random, so nothing in them is redundant."""


@cache
def _ids(folder: Path) -> tuple[tuple[int, ...], ...]:
    if folder == DEMO_FOLDER:
        model = ChatGLM3.load(folder, "float32", "cpu")
        return (tuple(model.tokenizer.chat_prompt([{"role": "user", "content": QUESTION}])),)
    return tuple(tuple(case["input_ids"]) for case in reference(folder.name)["cases"])


def _logits(model: GlmForCausalLM, ids: tuple[int, ...]) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = model(torch.tensor([ids])).logits[0]
    return logits


def _divergence(folder: Path, precision: str) -> float:
    """Mean KL of the next token's distribution from that in float32."""
    exact, model = load_model(folder, "float32", "cpu"), load_model(folder, precision, "cpu")
    found = []
    for ids in _ids(folder):
        p, q = (_logits(each, ids).float().log_softmax(-1) for each in (exact, model))
        found.append((p.exp() * (p - q)).sum(-1))
    return float(torch.cat(found).mean())


@pytest.mark.parametrize("precision", quantized_names())
@pytest.mark.parametrize("folder", [DEMO_FOLDER, *(REFERENCE / name for name in CHECKPOINTS)], ids=lambda f: f.name)
def test_the_next_tokens_distribution_stays_close_to_float32(folder: Path, precision: str) -> None:
    kind = "demo" if folder == DEMO_FOLDER else "tiny"
    assert 0 < _divergence(folder, precision) < CLOSE[kind, precision]


@pytest.mark.parametrize("precision", quantized_names())
def test_every_linear_layer_is_quantised_and_the_rest_is_in_half_precision(precision: str) -> None:
    model = load_model(TINY, precision, "cpu")
    layers = [layer for layer in model.modules() if isinstance(layer, QuantizedLinear)]
    inner = Int4Linear if precision == "int4" else Int8Linear
    assert isinstance(model, GlmForCausalLM)
    assert len(layers) == 3 * 6 + 1
    assert not any(isinstance(layer, torch.nn.Linear) for layer in model.modules())
    assert {type(layer) for layer in model.model.modules() if isinstance(layer, QuantizedLinear)} == {inner}
    assert isinstance(model.lm_head, Int8Linear)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert model.model.rotary_emb.inv_freq.dtype == torch.float32


@pytest.mark.parametrize("precision", quantized_names())
def test_a_quantised_model_holds_as_many_bytes_as_its_precision_says(precision: str) -> None:
    model = load_model(DEMO_FOLDER, precision, "cpu")
    held = sum(tensor.nbytes for tensor in model.state_dict().values())
    assert held == pytest.approx(find_precision(precision).weight_bytes(read_dims(DEMO_FOLDER)), rel=0.02)


def test_the_6b_model_needs_less_memory_and_the_same_cache_in_integers() -> None:
    cache_bytes = 28 * 1024 * 8192
    needs = {name: find_precision(name).needed_bytes(CHATGLM3_6B) for name in ("half", "int8", "int4", "float32")}
    assert needs["half"] - 2 * CHATGLM3_6B.parameters == cache_bytes + WORKING_BYTES
    assert needs["int8"] == pytest.approx(6.51e9 + cache_bytes + WORKING_BYTES, rel=0.01)
    assert needs["int4"] == pytest.approx(4.37e9 + cache_bytes + WORKING_BYTES, rel=0.01)
    assert needs["float32"] - 4 * CHATGLM3_6B.parameters == 2 * cache_bytes + WORKING_BYTES


@pytest.mark.slow  # where oneDNN has only its reference product for int8
@pytest.mark.parametrize("precision", quantized_names())
def test_a_quantised_model_chats_and_takes_the_cache_of_transformers(precision: str) -> None:
    model = ChatGLM3.load("demo", precision, "cpu")
    answer, history = model.chat(QUESTION, max_tokens=8)
    assert isinstance(answer, str)
    assert history[-1]["role"] == "assistant"
    ids = _ids(DEMO_FOLDER)[0]
    generated = model.model.generate(torch.tensor([ids]), max_new_tokens=4, do_sample=False)
    assert generated.shape == (1, len(ids) + 4)


@pytest.mark.parametrize("precision", quantized_names())
@pytest.mark.parametrize("name", ["demo", *CHECKPOINTS])
def test_a_stored_model_gives_the_same_logits_bit_for_bit(name: str, precision: str, tmp_path: Path) -> None:
    folder = DEMO_FOLDER if name == "demo" else REFERENCE / name
    quantize(folder, tmp_path / "out", precision)
    direct = load_model(folder, precision, "cpu")
    for asked in ("half", precision):
        again = load_model(tmp_path / "out", asked, "cpu")
        assert all(torch.equal(_logits(direct, ids), _logits(again, ids)) for ids in _ids(folder))


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """The tiny model, stored in int4."""
    quantize(TINY, tmp_path / "stored", "int4")
    return tmp_path / "stored"


def test_a_stored_model_has_its_tokenizer_and_an_identity_of_its_own(stored: Path, tmp_path: Path) -> None:
    assert (stored / "tokenizer.model").read_bytes() == (TINY / "tokenizer.model").read_bytes()
    quantize(TINY, tmp_path / "int8", "int8")
    assert len({resolve(folder).identity for folder in (TINY, stored, tmp_path / "int8")}) == 3


@pytest.mark.parametrize("precision", ["int8", "float32", "bfloat16", "float16"])
def test_another_precision_than_the_stored_one_is_a_contradiction(stored: Path, precision: str) -> None:
    with pytest.raises(UsageError, match=f"stored in int4 and cannot be loaded in {precision}: leave --precision out"):
        load_model(stored, precision, "cpu")


def test_a_large_model_is_stored_in_several_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("extractor.chatglm3.safetensors_writer.SHARD_BYTES", 50_000)
    quantize(TINY, tmp_path / "out", "int8")
    assert len(list((tmp_path / "out").glob("*.safetensors"))) > 2
    ids = _ids(TINY)[0]
    assert torch.equal(
        _logits(load_model(tmp_path / "out", "half", "cpu"), ids), _logits(load_model(TINY, "int8", "cpu"), ids)
    )


def _edit_config(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | changes), "utf-8")


def _edit(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = load_file(folder / SHARD)
    change(tensors)
    save_file(tensors, folder / SHARD)


CODES = "model.layers.0.mlp.down_proj.codes"

BREAKS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "an unknown precision": (
        lambda d: _edit_config(d, quantization={"precision": "int2", "version": 1}),
        "config.json",
        "models quantize",
    ),
    "a later version": (
        lambda d: _edit_config(d, quantization={"precision": "int4", "version": 2}),
        "config.json",
        "version 1",
    ),
    "no precision": (lambda d: _edit_config(d, quantization="int4"), "config.json", "models quantize"),
    "the other precision": (
        lambda d: _edit_config(d, quantization={"precision": "int8", "version": 1}),
        SHARD,
        "config.json asks for",
    ),
    "not said at all": (lambda d: _edit_config(d, quantization=None), SHARD, "unexpected tensor"),
    "a missing tensor": (lambda d: _edit(d, lambda t: t.pop(CODES)), "stored", CODES),
    "codes of another type": (lambda d: _edit(d, lambda t: t.update({CODES: t[CODES].char()})), SHARD, "torch.int8"),
    "codes of another shape": (lambda d: _edit(d, lambda t: t.update({CODES: t[CODES][:-1].clone()})), SHARD, "shape"),
}


@pytest.mark.parametrize(("break_it", "file", "reason"), BREAKS.values(), ids=BREAKS)
def test_a_broken_stored_model_is_one_line_that_names_the_file(
    stored: Path, break_it: Callable[[Path], object], file: str, reason: str
) -> None:
    break_it(stored)
    with pytest.raises(CheckpointError) as caught:
        load_model(stored, "half", "cpu")
    message = str(caught.value)
    assert "\n" not in message
    assert file in message
    assert reason in message


def test_nothing_is_replaced_unasked_and_only_a_quantised_model_ever(stored: Path, tmp_path: Path) -> None:
    before = (stored / SHARD).read_bytes()
    with pytest.raises(UsageError, match="exists: choose another folder, or --overwrite"):
        quantize(TINY, stored, "int8")
    assert (stored / SHARD).read_bytes() == before
    quantize(TINY, stored, "int8", overwrite=True)
    assert load_model(stored, "int8", "cpu").config.num_hidden_layers == 3
    original = shutil.copytree(TINY, tmp_path / "original")
    for place in (original, tmp_path):
        with pytest.raises(UsageError, match="not replaced"):
            quantize(TINY, place, "int8", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["original", "stored"]


def test_a_quantised_model_is_not_quantised_again(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="stored in int4 already"):
        quantize(stored, tmp_path / "again", "int8")


def test_a_broken_source_leaves_nothing_behind(tmp_path: Path) -> None:
    source = shutil.copytree(TINY, tmp_path / "source")
    (source / "pytorch_model-00002-of-00003.bin").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="00002-of-00003"):
        quantize(source, tmp_path / "out", "int4")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        quantize(TINY, tmp_path / "file" / "out", "int4")


def test_the_command_line_stores_describes_and_runs_a_quantised_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small"
    assert main(["models", "quantize", "demo", str(out), "--precision", "int8"]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert main(["models", "info", str(out)]) == 0
    described = capsys.readouterr().out
    assert "stored in    int8" in described
    assert "needs, int8" in described
    assert "needs, half" not in described
    assert main(["models", "quantize", "demo", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["chat", "-m", str(out), "--precision", "int4", "--device", "cpu", "你好"]) == 2
