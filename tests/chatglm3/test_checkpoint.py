"""The loaded model equals the original code's; a broken checkpoint is an error of one line."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from extractor.chatglm3 import ChatGLM3, Tokenizer, load_model, read_dims
from extractor.chatglm3.checkpoint import find_device
from extractor.chatglm3.generation import GenerationOptions, generate
from extractor.chatglm3.model_dims import CHATGLM3_6B
from extractor.chatglm3.weights import copy_in_groups
from extractor.errors import CheckpointError, ModelError, UsageError
from tests.chatglm3.conftest import CHECKPOINTS, REFERENCE, reference

FIRST_SHARD = "pytorch_model-00001-of-00003.bin"
INDEX = "pytorch_model.bin.index.json"


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_float32_logits_equal_those_of_the_original_code(name: str) -> None:
    """Within 1e-5, absolute or relative: kernels of another CPU round differently in the last bit."""
    model = load_model(REFERENCE / name, "float32", "cpu")
    expected = np.load(REFERENCE / name / "reference_logits.npz")
    for number, case in enumerate(reference(name)["cases"]):
        with torch.inference_mode():
            logits = model(torch.tensor([case["input_ids"]])).logits[0].numpy()
        np.testing.assert_allclose(logits, expected[f"logits_{number}"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_greedy_continuations_equal_those_of_the_original_code(name: str) -> None:
    model = load_model(REFERENCE / name, "float32", "cpu")
    tokenizer = Tokenizer(REFERENCE / name)
    for case in reference(name)["cases"]:
        answer = list(generate(model, case["input_ids"], (), GenerationOptions(max_tokens=len(case["greedy_32"]))))
        assert answer == case["greedy_32"]
        assert tokenizer.decode(answer) == case["greedy_text"]


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [
        ("half", torch.bfloat16),
        ("float16", torch.float16),
        ("bfloat16", torch.bfloat16),
        ("float32", torch.float32),
    ],
)
def test_every_precision_has_all_weights_in_its_dtype(precision: str, dtype: torch.dtype) -> None:
    model = load_model(REFERENCE / "chatglm3-tiny", precision, "cpu")
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert model.model.rotary_emb.inv_freq.dtype == torch.float32


def test_the_32k_variant_differs_only_by_its_own_config() -> None:
    plain, long = (read_dims(REFERENCE / name) for name in ("chatglm3-tiny", "chatglm3-tiny-32k"))
    assert (plain.context, plain.rope_ratio) == (8192, 1.0)
    assert (long.context, long.rope_ratio) == (32768, 50.0)
    model = load_model(REFERENCE / "chatglm3-tiny-32k", "float32", "cpu")
    assert model.config.rope_parameters["rope_theta"] == 500_000


def test_the_published_size_has_6_24_billion_parameters_and_28_kib_of_cache_a_token() -> None:
    assert CHATGLM3_6B.parameters == 6_243_584_000
    assert CHATGLM3_6B.cache_bytes(1) == 28 * 1024


def test_the_parameter_count_equals_that_of_the_loaded_model() -> None:
    model = load_model(REFERENCE / "chatglm3-tiny", "float32", "cpu")
    assert read_dims(REFERENCE / "chatglm3-tiny").parameters == sum(weight.numel() for weight in model.parameters())


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A copy to break: the sharded checkpoint."""
    return shutil.copytree(REFERENCE / "chatglm3-tiny", tmp_path / "model")


def _edit_json(file: Path, **changes: Any) -> None:
    content = json.loads(file.read_text("utf-8")) | changes
    kept = {key: value for key, value in content.items() if value is not ...}
    file.write_text(json.dumps(kept), "utf-8")


def _edit_shard(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = torch.load(folder / FIRST_SHARD, weights_only=True)
    change(tensors)
    torch.save(tensors, folder / FIRST_SHARD)


class _Code:
    """Unpickling it would make a folder."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


NORM = "transformer.encoder.layers.0.input_layernorm.weight"

BREAKS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "no config": (lambda d: (d / "config.json").unlink(), "config.json", "missing"),
    "config is not JSON": (lambda d: (d / "config.json").write_text("{"), "config.json", "not valid JSON"),
    "config is a list": (lambda d: (d / "config.json").write_text("[]"), "config.json", "JSON object"),
    "config is binary": (lambda d: (d / "config.json").write_bytes(b"\xff\xfe\x00"), "config.json", "not valid JSON"),
    "another model": (lambda d: _edit_json(d / "config.json", model_type="llama"), "config.json", "'llama'"),
    "first ChatGLM": (
        lambda d: _edit_json(d / "config.json", padded_vocab_size=...),
        "config.json",
        "padded_vocab_size",
    ),
    "size as text": (lambda d: _edit_json(d / "config.json", num_layers="3"), "config.json", "num_layers"),
    "size of zero": (lambda d: _edit_json(d / "config.json", kv_channels=0), "config.json", "kv_channels"),
    "quantised": (lambda d: _edit_json(d / "config.json", quantization_bit=4), "config.json", "quantization_bit"),
    "layer norm": (lambda d: _edit_json(d / "config.json", rmsnorm=False), "config.json", "rmsnorm"),
    "odd groups": (lambda d: _edit_json(d / "config.json", multi_query_group_num=3), "config.json", "multiple"),
    "one layer more": (lambda d: _edit_json(d / "config.json", num_layers=4), "model", "layers.3"),
    "one layer less": (lambda d: _edit_json(d / "config.json", num_layers=2), ".bin", "unexpected tensor"),
    "other vocabulary": (lambda d: _edit_json(d / "config.json", padded_vocab_size=961), FIRST_SHARD, "[960, 64]"),
    "no weights": (lambda d: [file.unlink() for file in d.glob("pytorch_model*")], "model", "has no weights"),
    "no shard": (lambda d: (d / FIRST_SHARD).unlink(), FIRST_SHARD, "missing"),
    "index is not JSON": (lambda d: (d / INDEX).write_text("]"), INDEX, "not an index"),
    "index without map": (lambda d: (d / INDEX).write_text("{}"), INDEX, "not an index"),
    "index leads outside": (lambda d: _edit_json(d / INDEX, weight_map={"a": "../x.bin"}), INDEX, "'../x.bin'"),
    "truncated shard": (lambda d: os.truncate(d / FIRST_SHARD, 100_000), FIRST_SHARD, "truncated or damaged"),
    "empty shard": (lambda d: os.truncate(d / FIRST_SHARD, 0), FIRST_SHARD, "truncated or damaged"),
    "text as shard": (lambda d: (d / FIRST_SHARD).write_text("version https://git-lfs"), FIRST_SHARD, "again"),
    "missing tensor": (lambda d: _edit_shard(d, lambda t: t.pop(NORM)), "model", NORM),
    "unexpected tensor": (lambda d: _edit_shard(d, lambda t: t.update(extra=torch.ones(2))), FIRST_SHARD, "'extra'"),
    "wrong shape": (lambda d: _edit_shard(d, lambda t: t.update({NORM: torch.ones(3)})), FIRST_SHARD, "[3]"),
    "integers": (lambda d: _edit_shard(d, lambda t: t.update({NORM: torch.ones(64).char()})), FIRST_SHARD, "int8"),
    "a list": (lambda d: torch.save([torch.ones(1)], d / FIRST_SHARD), FIRST_SHARD, "no table of tensors"),
    "code": (lambda d: torch.save({"a": _Code(d / "ran")}, d / FIRST_SHARD), FIRST_SHARD, "nothing was executed"),
    "bare code": (lambda d: (d / FIRST_SHARD).write_bytes(pickle.dumps(_Code(d / "ran"))), FIRST_SHARD, "again"),
}


@pytest.mark.parametrize(("break_it", "file", "reason"), BREAKS.values(), ids=BREAKS)
def test_a_broken_checkpoint_is_one_line_that_names_the_file(
    broken: Path, break_it: Callable[[Path], object], file: str, reason: str
) -> None:
    break_it(broken)
    with pytest.raises(CheckpointError) as caught:
        load_model(broken, "float32", "cpu")
    message = str(caught.value)
    assert "\n" not in message
    assert file in message
    assert reason in message
    assert not (broken / "ran").exists()


@pytest.mark.parametrize("size", [0, 7, 300, 300_000])
def test_a_truncated_safetensors_file_is_named(tmp_path: Path, size: int) -> None:
    folder = shutil.copytree(REFERENCE / "chatglm3-tiny-safetensors", tmp_path / "model")
    os.truncate(folder / "model.safetensors", size)
    with pytest.raises(CheckpointError, match=r"model\.safetensors is truncated or damaged"):
        load_model(folder, "float32", "cpu")


@pytest.mark.parametrize("position", range(0, 4000, 250))
def test_a_flipped_byte_in_a_shard_never_gives_another_error(broken: Path, position: int) -> None:
    content = bytearray((broken / FIRST_SHARD).read_bytes())
    content[position] ^= 0xFF
    (broken / FIRST_SHARD).write_bytes(content)
    try:
        model = load_model(broken, "float32", "cpu")
    except CheckpointError as error:
        assert str(broken) in str(error)  # noqa: PT017  # either outcome is right
    else:  # a flip in the numbers themselves cannot be seen
        assert model.lm_head.weight.shape == (960, 64)


def test_one_bin_file_and_sharded_safetensors_load_as_well(tmp_path: Path) -> None:
    whole = load_file(REFERENCE / "chatglm3-tiny-safetensors" / "model.safetensors")
    single, sharded = tmp_path / "single", tmp_path / "sharded"
    for folder in (single, sharded):
        folder.mkdir()
        shutil.copy(REFERENCE / "chatglm3-tiny-safetensors" / "config.json", folder)
    torch.save(whole, single / "pytorch_model.bin")
    names = sorted(whole)
    parts = {"model-1.safetensors": names[:9], "model-2.safetensors": names[9:]}
    for file, held in parts.items():
        save_file({name: whole[name] for name in held}, sharded / file)
    weight_map = {name: file for file, held in parts.items() for name in held}
    (sharded / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    first, second = (load_model(folder, "float32", "cpu").state_dict() for folder in (single, sharded))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_computed_tensor_in_the_checkpoint_is_ignored(broken: Path) -> None:
    _edit_shard(broken, lambda tensors: tensors.update({"transformer.rotary_pos_emb.inv_freq": torch.ones(4)}))
    assert load_model(broken, "float32", "cpu").config.num_hidden_layers == 3


def test_small_groups_copy_every_tensor_once() -> None:
    copied: list[str] = []
    copy_in_groups(REFERENCE / "chatglm3-tiny" / FIRST_SHARD, lambda name, _: copied.append(name), group_bytes=1000)
    index = json.loads((REFERENCE / "chatglm3-tiny" / INDEX).read_text("utf-8"))["weight_map"]
    assert sorted(copied) == sorted(name for name, file in index.items() if file == FIRST_SHARD)


@pytest.mark.parametrize(
    ("device", "error", "says"),
    [
        ("gpu", UsageError, "auto, cpu, cuda"),
        ("cuda:x", UsageError, "auto, cpu, cuda"),
        ("cpu:0", UsageError, "auto, cpu, cuda"),
        ("cuda", ModelError, "--device cpu"),
        ("cuda:1", ModelError, "--device cpu"),
    ],
)
def test_a_missing_device_is_an_error_that_names_another(
    monkeypatch: pytest.MonkeyPatch, device: str, error: type[Exception], says: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(error, match=says):
        find_device(device)


def test_auto_is_the_cpu_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device("auto") == torch.device("cpu")


def test_an_unknown_precision_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="choose one of bfloat16, float16, float32, half, int4, int8"):
        load_model(REFERENCE / "chatglm3-tiny", "fp8", "cpu")


def test_a_tokenizer_with_more_tokens_than_the_weights_is_refused(broken: Path) -> None:
    def shrink(tensors: dict[str, torch.Tensor]) -> None:
        name = "transformer.embedding.word_embeddings.weight"
        tensors[name] = tensors[name][:900].clone()

    _edit_shard(broken, shrink)
    last = broken / "pytorch_model-00003-of-00003.bin"
    tensors = torch.load(last, weights_only=True)
    tensors["transformer.output_layer.weight"] = tensors["transformer.output_layer.weight"][:900].clone()
    torch.save(tensors, last)
    _edit_json(broken / "config.json", padded_vocab_size=900)
    with pytest.raises(CheckpointError, match="909 tokens, the weights only 900"):
        ChatGLM3.load(broken, "float32", "cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_half_is_float16_on_a_gpu_and_answers_there() -> None:
    model = load_model(REFERENCE / "chatglm3-tiny", "half", "cuda")
    assert model.dtype == torch.float16
    assert len(list(generate(model, [901, 903], (), GenerationOptions(max_tokens=4)))) == 4
