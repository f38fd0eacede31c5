"""A LoRA is merged while the model is loaded: its weights equal the formula's, and PEFT's where it is installed."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from extractor.chatglm3 import load_model, read_dims
from extractor.chatglm3.adapters import read_adapters
from extractor.chatglm3.export import export
from extractor.chatglm3.hub import resolve
from extractor.chatglm3.quantize import quantize
from extractor.errors import CheckpointError, UsageError
from tests.chatglm3.adapters.building import (
    DIMS,
    EXPORTED,
    ORIGINAL,
    RANK,
    TINY,
    edited,
    lora_tensors,
    original_weights,
    write_lora,
)

FIRST = "transformer.encoder.layers.0.self_attention.query_key_value"
FIRST_A = f"base_model.model.{FIRST}.lora_A.weight"
FIRST_B = f"base_model.model.{FIRST}.lora_B.weight"


def _merged(*adapters: Path, model: Path = TINY, precision: str = "float32") -> dict[str, Tensor]:
    loaded = load_model(model, precision, "cpu", read_adapters(adapters, read_dims(model)))
    return dict(loaded.state_dict())


def _reference(folder: Path, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Load the model of merged weights in the original layout."""
    folder.mkdir()
    shutil.copy(TINY / "config.json", folder)
    torch.save(weights, folder / "pytorch_model.bin")
    return dict(load_model(folder, "float32", "cpu").state_dict())


def _close(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], atol=1e-5, rtol=1e-5)


def _add(weights: dict[str, Tensor], tensors: dict[str, Tensor], scale: Callable[[str], float]) -> dict[str, Tensor]:
    """Return W + scale * B @ A of every layer that the adapter names."""
    for name, down in tensors.items():
        if name.endswith(".lora_A.weight"):
            module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            up = tensors[name.replace("lora_A", "lora_B")]
            weights[f"{module}.weight"] = weights[f"{module}.weight"] + scale(module) * up @ down
    return weights


SCALES: dict[str, tuple[dict[str, Any], Callable[[str], float]]] = {
    "alpha / rank": ({}, lambda module: 12 / RANK),
    "rank-stabilised": ({"use_rslora": True}, lambda module: 12 / math.sqrt(RANK)),
    "its own alpha": (
        {"alpha_pattern": {"self_attention.dense": 2, r"layers\.1\.mlp\.[a-z0-9_]+": 5}},
        lambda module: (2 if module.endswith("attention.dense") else 5 if "layers.1.mlp" in module else 12) / RANK,
    ),
}


@pytest.mark.parametrize(("config", "scale"), SCALES.values(), ids=SCALES)
@pytest.mark.parametrize("file", ["adapter_model.safetensors", "adapter_model.bin"])
def test_the_original_modules_are_merged_by_the_formula(
    tmp_path: Path, config: dict[str, Any], scale: Callable[[str], float], file: str
) -> None:
    tensors = lora_tensors(ORIGINAL)
    adapter = write_lora(tmp_path / "lora", tensors, file, **config)
    expected = _reference(tmp_path / "merged", _add(original_weights(), tensors, scale))
    _close(_merged(adapter), expected)


def test_an_adapter_changes_the_layers_that_it_names_and_no_other(tmp_path: Path) -> None:
    plain = load_model(TINY, "float32", "cpu").state_dict()
    merged = _merged(write_lora(tmp_path / "lora", lora_tensors({FIRST: ORIGINAL[FIRST]})))
    changed = {name for name in plain if not torch.equal(plain[name], merged[name])}
    assert changed == {f"model.layers.0.self_attn.{part}_proj.weight" for part in "qkv"}


def test_several_adapters_are_merged_one_after_the_other(tmp_path: Path) -> None:
    tensors = [lora_tensors(ORIGINAL, seed) for seed in (0, 1)]
    folders = [write_lora(tmp_path / str(seed), each) for seed, each in enumerate(tensors)]
    weights = original_weights()
    for each in tensors:
        weights = _add(weights, each, lambda module: 12 / RANK)
    _close(_merged(*folders), _reference(tmp_path / "merged", weights))


def test_modules_that_were_trained_whole_and_biases_replace_those_of_the_model(tmp_path: Path) -> None:
    head, bias = torch.randn(DIMS.vocab_size, DIMS.hidden_size), torch.randn(ORIGINAL[FIRST][0])
    trained = {
        "base_model.model.transformer.output_layer.modules_to_save.weight": head,
        f"base_model.model.{FIRST}.base_layer.bias": bias,
    }
    adapter = write_lora(tmp_path / "lora", lora_tensors({FIRST: ORIGINAL[FIRST]}) | trained, bias="all")
    merged = _merged(adapter)
    assert torch.equal(merged["lm_head.weight"], head)
    parts = [merged[f"model.layers.0.self_attn.{part}_proj.bias"] for part in "qkv"]
    assert torch.equal(torch.cat(parts), bias)


def test_names_with_the_adapters_name_in_them_are_read_as_well(tmp_path: Path) -> None:
    tensors = lora_tensors(ORIGINAL)
    named = {name.replace(".weight", ".default.weight"): tensor for name, tensor in tensors.items()}
    plain, other = write_lora(tmp_path / "plain", tensors), write_lora(tmp_path / "named", named)
    _close(_merged(plain), _merged(other))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    export(TINY, folder, "float32")
    return folder


@pytest.mark.parametrize("layers", [ORIGINAL, EXPORTED], ids=["original", "exported"])
def test_an_adapter_of_either_layout_fits_a_model_of_either(
    tmp_path: Path, exported: Path, layers: dict[str, tuple[int, ...]]
) -> None:
    adapter = write_lora(tmp_path / "lora", lora_tensors(layers))
    _close(_merged(adapter), _merged(adapter, model=exported))


PEFT: dict[str, dict[str, Any]] = {
    "linear layers": {"target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_up_proj", "down_proj"]},
    "embedding and whole modules": {"target_modules": ["embed_tokens", "q_proj"], "modules_to_save": ["lm_head"]},
    "patterns": {
        "target_modules": ["q_proj", "down_proj"],
        "rank_pattern": {"down_proj": 2},
        "alpha_pattern": {"layers.1.self_attn.q_proj": 3},
        "use_rslora": True,
    },
    "DoRA": {"target_modules": ["q_proj", "gate_up_proj"], "use_dora": True},
    "biases": {"target_modules": ["q_proj", "v_proj"], "bias": "lora_only", "lora_bias": False},
    "bias of the update": {"target_modules": ["q_proj", "v_proj"], "lora_bias": True},
}


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # of PEFT
@pytest.mark.parametrize("config", PEFT.values(), ids=PEFT)
def test_the_logits_equal_those_of_peft(tmp_path: Path, exported: Path, config: dict[str, Any]) -> None:
    """Of the model that the adapter was trained on (with random updates), and of the original checkpoint."""
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    lora = peft.LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=12, init_lora_weights=False, **config)
    theirs = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(exported), lora).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) / 20)
    theirs.save_pretrained(tmp_path / "lora")
    merged = theirs.merge_and_unload()
    ids = torch.arange(5, 45).unsqueeze(0)
    for model in (exported, TINY):
        ours = load_model(model, "float32", "cpu", read_adapters([tmp_path / "lora"], read_dims(model)))
        with torch.inference_mode():
            torch.testing.assert_close(ours.double()(ids).logits, merged.double()(ids).logits, atol=1e-5, rtol=1e-5)


def test_export_and_quantisation_write_the_merged_weights(tmp_path: Path) -> None:
    adapter = write_lora(tmp_path / "lora", lora_tensors(ORIGINAL))
    export(TINY, tmp_path / "hf", "float32", adapters=[adapter])
    _close(_merged(model=tmp_path / "hf"), _merged(adapter))
    quantize(TINY, tmp_path / "int8", "int8", adapters=[adapter])
    stored, merged = _merged(model=tmp_path / "int8", precision="half"), _merged(adapter, precision="int8")
    codes = [name for name in merged if merged[name].dtype == torch.int8]
    assert codes
    changed = sum(int((stored[name] != merged[name]).sum()) for name in codes)
    assert changed / sum(merged[name].numel() for name in codes) < 0.05  # half of them would differ without the adapter


def test_nothing_is_merged_into_weights_that_are_quantised_already(tmp_path: Path) -> None:
    quantize(TINY, tmp_path / "int8", "int8")
    adapter = write_lora(tmp_path / "lora", lora_tensors(ORIGINAL))
    with pytest.raises(UsageError, match="models quantize MODEL OUT --adapter DIR"):
        _merged(adapter, model=tmp_path / "int8", precision="half")


def test_the_adapter_is_part_of_the_models_identity_wherever_it_lies(tmp_path: Path) -> None:
    one = write_lora(tmp_path / "one", lora_tensors(ORIGINAL))
    copy = write_lora(tmp_path / "elsewhere" / "one", lora_tensors(ORIGINAL))
    other = write_lora(tmp_path / "other", lora_tensors(ORIGINAL, seed=1))
    identities = [resolve(TINY, adapters=folders).identity for folders in ([], [one], [other], [one, other])]
    assert len(set(identities)) == 4
    assert resolve(TINY, adapters=[copy]).identity == identities[1]
    assert resolve(TINY, adapters=[one]).name == "chatglm3-tiny+one"


def _nan(tensors: dict[str, Tensor]) -> None:
    tensors[FIRST_A] = tensors[FIRST_A] * float("nan")


TENSORS = lora_tensors({FIRST: ORIGINAL[FIRST]})
REFUSED: dict[str, tuple[dict[str, Tensor], dict[str, Any], str]] = {
    "another kind": (TENSORS, {"peft_type": "IA3"}, "of kind IA3"),
    "an option": (TENSORS, {"fan_in_fan_out": True}, "fan_in_fan_out"),
    "a changed base": (TENSORS, {"init_lora_weights": "pissa_niter_4"}, "pissa"),
    "no number": (TENSORS, {"lora_alpha": "12"}, "lora_alpha"),
    "infinity": (TENSORS, {"lora_alpha": float("inf")}, "lora_alpha"),
    "a bad pattern": (TENSORS, {"alpha_pattern": {"(": 3}}, "alpha_pattern"),
    "an endless pattern": (TENSORS, {"alpha_pattern": {"(.|.)*(.|.)*[!?]": 3}}, "alpha_pattern"),
    "another model's layer": (lora_tensors({"model.layers.9.self_attn.q_proj": (64, 64)}), {}, "layers.9"),
    "another model's shape": (lora_tensors({FIRST: (64, 32)}), {}, "[64, 32]"),
    "half a layer": (edited(TENSORS, lambda t: t.pop(FIRST_B)), {}, "not lora_A and lora_B"),
    "two ranks": (edited(TENSORS, lambda t: t.update({FIRST_A: torch.ones(3, 64)})), {}, "do not fit together"),
    "an unknown part": (edited(TENSORS, lambda t: t.update({f"{FIRST}.lora_C": torch.ones(3)})), {}, "lora_C"),
    "NaN": (edited(TENSORS, _nan), {}, "NaN or infinity"),
    "integers": (edited(TENSORS, lambda t: t.update({FIRST_A: torch.ones(4, 64).char()})), {}, "int8"),
    "nothing": ({}, {}, "holds no tensor"),
}


@pytest.mark.parametrize(("tensors", "config", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_would_not_have_its_effect_is_refused_in_one_line_that_names_the_file(
    tmp_path: Path, tensors: dict[str, Tensor], config: dict[str, Any], reason: str
) -> None:
    adapter = write_lora(tmp_path / "lora", tensors, **config)
    with pytest.raises(CheckpointError) as caught:
        read_adapters([adapter], DIMS)
    assert reason in str(caught.value)
    assert str(adapter) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_an_adapter_says_what_is_missing(tmp_path: Path) -> None:
    write_lora(tmp_path / "run" / "checkpoint-500", TENSORS)
    with pytest.raises(CheckpointError, match="adapters are in its folders checkpoint-500"):
        read_adapters([tmp_path / "run"], DIMS)
    with pytest.raises(CheckpointError, match="there is no such folder"):
        read_adapters([tmp_path / "none"], DIMS)
    (tmp_path / "run" / "checkpoint-500" / "adapter_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"neither adapter_model\.safetensors nor adapter_model\.bin"):
        read_adapters([tmp_path / "run" / "checkpoint-500"], DIMS)


def test_an_adapter_in_a_models_folder_is_used_or_refused_by_name_never_ignored(tmp_path: Path) -> None:
    both = shutil.copytree(TINY, tmp_path / "both")
    write_lora(both, TENSORS)
    with pytest.raises(CheckpointError, match=r"adapter_config\.json.* beside a model: use both with -m .* --adapter"):
        resolve(both)
    assert resolve(both, adapters=[both]).adapters == (both,)
    alone = write_lora(tmp_path / "alone", TENSORS)
    with pytest.raises(CheckpointError, match="is an adapter, not a model: -m MODEL --adapter"):
        resolve(alone)


def test_what_the_adapter_config_of_a_stranger_says_is_read_as_json(tmp_path: Path) -> None:
    adapter = write_lora(tmp_path / "lora", TENSORS)
    (adapter / "adapter_config.json").write_text("[" * 100_000, "utf-8")
    with pytest.raises(CheckpointError, match="not valid JSON"):
        read_adapters([adapter], DIMS)
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": None}), "utf-8")
    with pytest.raises(CheckpointError, match="of kind None"):
        read_adapters([adapter], DIMS)


def test_a_half_precision_adapter_is_merged_in_float32(tmp_path: Path) -> None:
    tensors = {name: tensor.half() for name, tensor in lora_tensors(ORIGINAL).items()}
    adapter = write_lora(tmp_path / "lora", tensors)
    wide = {name: tensor.float() for name, tensor in tensors.items()}
    expected = _reference(tmp_path / "merged", _add(original_weights(), wide, lambda module: 12 / RANK))
    _close(_merged(adapter), expected)
