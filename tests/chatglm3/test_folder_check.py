"""A folder that is not what it seems is refused by name, with the way out, before anything is loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from extractor.chatglm3.hub import resolve
from extractor.chatglm3.verification import verify
from extractor.cli import main
from extractor.errors import CheckpointError
from tests.chatglm3.adapters.building import TINY, original_weights

SINGLE = "pytorch_model.bin"
QKV = "transformer.encoder.layers.0.self_attention.query_key_value.weight"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy to change: all weights in one file."""
    copy = tmp_path / "model"
    copy.mkdir()
    for name in ("config.json", "tokenizer.model", "tokenizer_config.json"):
        shutil.copy(TINY / name, copy)
    torch.save(original_weights(), copy / SINGLE)
    return copy


def _config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")


def _write(name: str, content: bytes, *removed: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        for each in removed:
            (folder / each).unlink()
        (folder / name).write_bytes(content)

    return change


def _weights(change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Callable[[Path], object]:
    return lambda folder: torch.save(change(original_weights()), folder / SINGLE)


def _deepspeed(folder: Path) -> None:
    (folder / SINGLE).unlink()
    (folder / "global_step10").mkdir()


def _second_set(folder: Path) -> None:
    weights = original_weights()
    weights[QKV] = weights[QKV] + 1
    save_file(weights, folder / "model.safetensors")


def _stale_index(folder: Path) -> None:
    for file in TINY.glob("pytorch_model*"):
        shutil.copy(file, folder)
    torch.save({name: tensor * 0 for name, tensor in original_weights().items()}, folder / SINGLE)


def _named(name: str) -> Callable[[Path], object]:
    return lambda folder: _config(folder, _name_or_path=name)


CODE_OF_THE_SECOND = b'prompt += "[Round {}]\\n\\n\xe9\x97\xae\xef\xbc\x9a{}"'

REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "GGUF": (_write("chatglm3-q4_0.gguf", b"GGUF\3\0", SINGLE), "a GGUF file of llama.cpp, and no weights"),
    "GGUF of another name": (_write(SINGLE, b"GGUF\3\0"), "a GGUF file of llama.cpp: serve it"),
    "GGML": (_write("chatglm-ggml.bin", b"ggml\0\0"), "a GGML file of chatglm.cpp"),
    "fastllm": (_write("chatglm3.flm", b"\2\0\0\0", SINGLE), "a model of fastllm"),
    "LFS": (_write(SINGLE, b"version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    "GPTQ": (lambda d: _config(d, quantization_config={"quant_method": "gptq", "bits": 4}), "quantised by GPTQ"),
    "old GPTQ": (_write("quantize_config.json", b"{}"), "quantised by GPTQ"),
    "AWQ": (_write("quant_config.json", b"{}"), "quantised by AWQ"),
    "GPTQ by its tensors": (_weights(lambda w: w | {QKV[:-6] + "qweight": torch.ones(2).int()}), "GPTQ or AWQ"),
    "quantize(4)": (lambda d: _config(d, quantization_bit=4), "quantised by the original code"),
    "quantize(8), config unchanged": (_weights(lambda w: w | {QKV: w[QKV].char()}), "it is quantised"),
    "the first generation": (lambda d: _config(d, position_encoding_2d=True), "is ChatGLM-6B, the first"),
    "ChatGLM2": (_named("THUDM/chatglm2-6b"), "ChatGLM2-6B or CodeGeeX2 (THUDM/chatglm2-6b)"),
    "ChatGLM2, moved": (_named("/data/My_ChatGLM2-6B-sft"), "ChatGLM2-6B or CodeGeeX2"),
    "ChatGLM2 32K": (lambda d: _config(d, _name_or_path="chatglm2-6b-32k", rope_ratio=16), "ChatGLM2-6B"),
    "CodeGeeX2": (_named("THUDM/codegeex2-6b"), "ChatGLM2-6B or CodeGeeX2"),
    "ChatGLM2 by its tokenizer": (_write("tokenizer_config.json", b'{"name_or_path": "chatglm2-6b"}'), "ChatGLM2"),
    "ChatGLM2 by its code": (_write("tokenization_chatglm.py", CODE_OF_THE_SECOND), "the prompt format of"),
    "ChatGLM2 by its context": (lambda d: _config(d, seq_length=32768, _name_or_path=""), "without a rope_ratio"),
    "scaled positions": (lambda d: _config(d, rope_scaling={"type": "linear", "factor": 4.0}), "rope_scaling"),
    "GLM-4V": (lambda d: _config(d, vision_config={"depth": 2}), "reads images"),
    "GLM-4-0414": (lambda d: _config(d, model_type="glm4"), "GLM-4-0414"),
    "another model": (lambda d: _config(d, model_type="qwen2"), "--backend openai"),
    "DeepSpeed": (_deepspeed, "zero_to_fp32.py"),
    "two formats": (_second_set, "two sets of weights, model.safetensors and pytorch_model.bin, that differ"),
    "a new file beside old shards": (_stale_index, "two sets of weights"),
    "PEFT's wrapper": (_weights(lambda w: {f"base_model.model.{name}": w[name] for name in w}), "merge_and_unload"),
    "a LoRA in it": (_weights(lambda w: w | {"x.lora_A.weight": torch.ones(2)}), "--adapter DIR"),
    "freeze tuning": (_weights(lambda w: {name: w[name] for name in w if "layers.1." not in name}), "saved only what"),
    "ZeRO-3": (_weights(lambda w: w | {QKV: torch.empty(0)}), "ZeRO-3"),
    "a prefix": (
        _weights(lambda w: w | {"transformer.prefix_encoder.embedding.weight": torch.ones(16, 192)}),
        '"pre_seq_len": 16',
    ),
    "a billion layers": (lambda d: _config(d, num_layers=10**9), "num_layers is 1000000000"),
    "a thousand layers": (lambda d: _config(d, num_layers=1000), "the weights have"),
    "an endless context": (lambda d: _config(d, seq_length=10**12), "seq_length"),
    "a number of a thousand digits": (lambda d: _config(d, hidden_size=10**1000), "hidden_size"),
    "infinity": (lambda d: _config(d, rope_ratio=float("inf")), "rope_ratio is inf"),
    "NaN": (lambda d: _config(d, layernorm_epsilon=float("nan")), "layernorm_epsilon is nan"),
    "more digits than Python reads": (_write("config.json", b'{"num_layers": ' + b"1" * 5000 + b"}"), "not valid JSON"),
    "a config of gigabytes": (_write("config.json", b" " * (17 * 1024**2)), "larger than any configuration"),
}


@pytest.mark.parametrize(("change", "reason"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_in_one_line_that_says_what_it_is(
    folder: Path, change: Callable[[Path], object], reason: str
) -> None:
    change(folder)
    with pytest.raises(CheckpointError) as caught:
        verify(resolve(folder))
    assert reason in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


ACCEPTED: dict[str, Callable[[Path], object]] = {
    "as published": lambda folder: None,
    "both formats, equal": lambda folder: save_file(original_weights(), folder / "model.safetensors"),
    "another set that is not complete": _write("pytorch_model.bin.index.json", b'{"weight_map": {"a": "gone.bin"}}'),
    "a GGUF beside": _write("chatglm3.gguf", b"GGUF\3\0"),
    "longer, by its own ratio": lambda folder: _config(folder, seq_length=32768, rope_ratio=50),
    "code of the third generation": _write("tokenization_chatglm.py", CODE_OF_THE_SECOND + b"<|user|>"),
    "keys of a newer transformers": lambda folder: _config(folder, vocab_size=960, num_hidden_layers=3),
    "rope_scaling of null": lambda folder: _config(folder, rope_scaling=None),
}


@pytest.mark.parametrize("change", ACCEPTED.values(), ids=ACCEPTED)
def test_what_people_have_as_well_loads(folder: Path, change: Callable[[Path], object]) -> None:
    change(folder)
    assert verify(resolve(folder)).startswith("yes: 24 tensors")


def test_a_file_in_the_place_of_a_folder_says_what_it_is(tmp_path: Path) -> None:
    gguf, weights = tmp_path / "model.gguf", tmp_path / "model.safetensors"
    gguf.write_bytes(b"GGUF\3\0")
    weights.write_bytes(b"\0" * 8)
    with pytest.raises(CheckpointError, match=r"a GGUF file of llama\.cpp, not the folder of a model: serve it"):
        resolve(gguf)
    with pytest.raises(CheckpointError, match=r"weights alone, not the folder of a model: pass the folder"):
        resolve(weights)


def test_models_info_says_whether_the_model_loads(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "info", str(folder)]) == 0
    assert (
        capsys.readouterr().out.splitlines()[-1].split() == "loads yes: 24 tensors, a tokenizer of 909 tokens".split()
    )
    _config(folder, num_layers=2)
    assert main(["models", "info", str(folder)]) == 3
    assert "unexpected tensor" in capsys.readouterr().err
