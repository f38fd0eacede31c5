"""A P-Tuning prefix lies in the key-value cache before every prompt: answers equal those of the original formula."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, DynamicCache, GlmForCausalLM

from extractor.backends.chatglm3 import Backend
from extractor.chatglm3 import ChatGLM3, Tokenizer, load_model, read_dims
from extractor.chatglm3.adapters import VirtualTokens, adapters_of, read_adapters
from extractor.chatglm3.checkpoint import load_parameters
from extractor.chatglm3.export import export
from extractor.chatglm3.hub import resolve
from extractor.chatglm3.quantize import quantize
from extractor.chatglm3.verification import verify
from extractor.config import ModelConfig
from extractor.data import Completion
from extractor.engine.batch import Batch, Segment
from extractor.engine.kv_cache import KVCache
from extractor.engine.model_runner import ModelRunner
from extractor.errors import CheckpointError, UsageError
from extractor.task.task import load_task
from tests.builders import a_chunk, rendered
from tests.chatglm3.adapters.building import DIMS, ORIGINAL, TINY, lora_tensors, original_weights, write_lora

TOKENS = 20
WIDTH = DIMS.layers * 2 * DIMS.groups * DIMS.head_size
TASK = load_task("contact")
TEXTS = ["手机号18888888888", "账号:root 密码:xiaohua123 " * 20, "短", "邮箱123456789@qq.com，" * 8]
IDS = list(range(40, 130))


def _encoder(projected: bool) -> dict[str, Tensor]:
    """Return random tensors of a `prefix_encoder`, under the names of the original code."""
    generator = torch.Generator().manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (TOKENS, WIDTH)}
    if projected:
        hidden = DIMS.hidden_size
        shapes |= {"trans.0.weight": (hidden, WIDTH), "trans.0.bias": (hidden,)}
        shapes |= {"trans.2.weight": (WIDTH, hidden), "trans.2.bias": (WIDTH,)}
    return {
        f"transformer.prefix_encoder.{name}": torch.randn(shape, generator=generator) for name, shape in shapes.items()
    }


def _write_prefix(folder: Path, tensors: dict[str, Tensor], **config: Any) -> Path:
    folder.mkdir()
    given = json.loads((TINY / "config.json").read_text("utf-8")) | {"pre_seq_len": TOKENS, "prefix_projection": False}
    (folder / "config.json").write_text(json.dumps(given | config), "utf-8")
    torch.save(tensors, folder / "pytorch_model.bin")
    return folder


@pytest.fixture(params=[False, True], ids=["table", "projected"])
def prefix(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return _write_prefix(tmp_path / "prefix", _encoder(request.param), prefix_projection=request.param)


def _states(tensors: dict[str, Tensor]) -> Tensor:
    """Compute the past of the original code: (2 * layers, tokens, groups, head_size), a key and a value in turn."""
    named = {name.partition("prefix_encoder.")[2]: tensor for name, tensor in tensors.items()}
    states = named["embedding.weight"]
    if "trans.0.weight" in named:
        states = torch.tanh(states @ named["trans.0.weight"].T + named["trans.0.bias"])
        states = states @ named["trans.2.weight"].T + named["trans.2.bias"]
    return states.view(TOKENS, DIMS.layers * 2, DIMS.groups, DIMS.head_size).transpose(0, 1)


def _logits(model: GlmForCausalLM, states: Tensor, ids: Sequence[int]) -> Tensor:
    """Compute logits with a past whose keys are not rotated, and positions from 0 on, as the original code does."""
    cache = DynamicCache(config=model.config)
    for layer in range(DIMS.layers):
        key, value = (each.transpose(0, 1).unsqueeze(0) for each in states[2 * layer : 2 * layer + 2])
        cache.update(key, value, layer)
    positions = torch.arange(len(ids)).unsqueeze(0)
    mask = torch.ones(1, len(ids) + TOKENS, dtype=torch.long)
    with torch.inference_mode():
        found: Tensor = model(
            torch.tensor([list(ids)]), past_key_values=cache, position_ids=positions, attention_mask=mask
        ).logits[0]
    return found


def _greedy(model: GlmForCausalLM, states: Tensor, prompt: Sequence[int], count: int) -> list[int]:
    ids = list(prompt)
    for _ in range(count):
        ids.append(int(_logits(model, states, ids)[-1].argmax()))
    return ids[len(prompt) :]


def _engine_logits(
    model: Path, virtual: VirtualTokens | None, ids: Sequence[int], cuts: Sequence[int], precision: str = "float32"
) -> Tensor:
    """Compute the logits after each of the last tokens by the engine, the sequence read in several chunks."""
    runner = ModelRunner(load_parameters(model, precision, "cpu"), virtual)
    cache = KVCache(runner.kv_shape, 2**28)
    whole = [0] * len(virtual or ()) + list(ids)
    slot = cache.allocate(len(whole))
    assert slot is not None
    with torch.inference_mode():
        for start, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            last = Batch([Segment(whole[start:stop], start, slot, None, 1)], runner.kv_shape)
            hidden = runner.forward(last)
        return runner.logits(hidden)[0]


@pytest.mark.parametrize("cuts", [[], [TOKENS - 3, TOKENS + 20], [TOKENS, TOKENS + 80]])
def test_the_engines_logits_equal_those_of_the_original_formula(prefix: Path, cuts: list[int]) -> None:
    tensors = torch.load(prefix / "pytorch_model.bin", weights_only=True)
    expected = _logits(load_model(TINY, "float32", "cpu"), _states(tensors), IDS)[-1]
    found = _engine_logits(TINY, read_adapters([prefix], DIMS).prefix, IDS, cuts)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    without = _engine_logits(TINY, None, IDS, [])
    assert not torch.allclose(found, without, atol=0.1)


@pytest.mark.parametrize(("precision", "lost"), [("half", 0.05), ("int8", 0.2)])
def test_half_precision_and_integers_stay_close(prefix: Path, precision: str, lost: float) -> None:
    virtual = read_adapters([prefix], DIMS).prefix
    expected = _engine_logits(TINY, virtual, IDS, [])
    found = _engine_logits(TINY, virtual, IDS, [TOKENS + 30], precision)
    assert (found - expected).norm() / expected.norm() < lost


def test_a_chat_answers_as_the_original_formula_does(prefix: Path) -> None:
    chat = ChatGLM3.load(TINY, "float32", "cpu", adapters=[prefix])
    prompt = chat.tokenizer.chat_prompt([{"role": "user", "content": "你好"}])
    states = _states(torch.load(prefix / "pytorch_model.bin", weights_only=True))
    expected = _greedy(chat.model, states, prompt, 24)
    text = Tokenizer(TINY).decode(expected)
    assert chat.chat("你好", max_tokens=24)[0] in text
    assert chat.chat("你好", max_tokens=24)[0] != ChatGLM3.load(TINY, "float32", "cpu").chat("你好", max_tokens=24)[0]


def _completions(model: Path, *adapters: Path, batch: int = 16, constrain: bool = False) -> list[Completion]:
    config = ModelConfig(
        model=str(model), precision="float32", device="cpu", batch_size=batch, adapters=tuple(map(str, adapters))
    )
    prompts = [rendered(TASK, a_chunk(text), 10, constrain=constrain) for text in TEXTS]
    found: dict[int, Completion] = {}
    with Backend(config) as backend:
        for each in prompts:
            backend.submit(each)
        while completions := backend.collect():
            found |= {id(each.prompt): each for each in completions}
    return [found[id(each)] for each in prompts]


def test_extraction_in_batches_with_shared_instructions_answers_as_the_original_formula_does(prefix: Path) -> None:
    model, tokenizer = load_model(TINY, "float32", "cpu"), Tokenizer(TINY)
    states = _states(torch.load(prefix / "pytorch_model.bin", weights_only=True))
    for batch in (1, 16):
        for completion in _completions(TINY, prefix, batch=batch):
            prompt = tokenizer.answer_prompt(completion.prompt.messages)
            answer = _greedy(model, states, prompt, 10)
            ends = [place for place, token in enumerate(answer) if token in tokenizer.stop_ids]
            text = b"".join(map(tokenizer.piece_bytes, answer[: ends[0]] if ends else answer))
            assert completion.text == text.decode("utf-8", "replace").lstrip()
            assert completion.usage.prompt_tokens == len(prompt)


def test_a_prefix_within_the_models_own_folder_is_used(prefix: Path, tmp_path: Path) -> None:
    tensors = torch.load(prefix / "pytorch_model.bin", weights_only=True)
    config = json.loads((prefix / "config.json").read_text("utf-8"))
    merged = _write_prefix(tmp_path / "merged", original_weights() | tensors, **config)
    shutil.copy(TINY / "tokenizer.model", merged)
    expected = [each.text for each in _completions(TINY, prefix)]
    assert [each.text for each in _completions(merged)] == expected
    assert [each.text for each in _completions(merged, merged)] == expected
    assert f"{TOKENS} virtual tokens" in verify(resolve(merged))


def test_a_prefix_and_a_lora_work_together_and_with_quantised_weights(prefix: Path, tmp_path: Path) -> None:
    lora = write_lora(tmp_path / "lora", lora_tensors(ORIGINAL))
    both = read_adapters([lora, prefix], DIMS)
    assert both.updates
    assert both.prefix is not None
    assert all(each.text.startswith("{") for each in _completions(TINY, lora, prefix, constrain=True))
    quantize(TINY, tmp_path / "int8", "int8")
    chat = ChatGLM3.load(tmp_path / "int8", "half", "cpu", adapters=[prefix])
    assert chat.prefix is not None


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # of PEFT
@pytest.mark.parametrize("projected", [False, True])
def test_prefix_tuning_equals_that_of_peft(tmp_path: Path, projected: bool) -> None:
    peft = pytest.importorskip("peft")
    export(TINY, tmp_path / "hf", "float32")
    torch.manual_seed(0)
    config = peft.PrefixTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=TOKENS, prefix_projection=projected, encoder_hidden_size=32
    )
    theirs = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(tmp_path / "hf"), config).eval()
    theirs.save_pretrained(tmp_path / "prefix")
    with torch.inference_mode():
        expected = theirs(torch.tensor([IDS])).logits[0, -1]
    prefix = read_adapters([tmp_path / "prefix"], read_dims(tmp_path / "hf")).prefix
    assert prefix is not None
    found = _engine_logits(tmp_path / "hf", prefix, IDS, [TOKENS + 30])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_prefix_is_not_written_into_weights(prefix: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="use the result with --adapter DIR"):
        export(TINY, tmp_path / "out", adapters=[prefix])
    with pytest.raises(UsageError, match="use the result with --adapter DIR"):
        quantize(TINY, tmp_path / "out", "int8", adapters=[prefix])


def test_a_second_prefix_is_refused(prefix: Path) -> None:
    with pytest.raises(UsageError, match="a second prefix"):
        read_adapters([prefix, prefix], DIMS)


def test_a_prefix_alone_is_no_model(prefix: Path) -> None:
    shutil.copy(TINY / "tokenizer.model", prefix)
    with pytest.raises(CheckpointError, match="-m MODEL --adapter DIR"):
        verify(resolve(prefix))


TABLE = "transformer.prefix_encoder.embedding.weight"
REFUSED: dict[str, tuple[Callable[[dict[str, Tensor]], dict[str, Tensor]], dict[str, Any], str]] = {
    "another model's": (lambda t: {TABLE: t[TABLE][:, :-8]}, {}, f"keys and values of this model are {WIDTH}"),
    "another length": (lambda t: t, {"pre_seq_len": 64}, "pre_seq_len is 64"),
    "an endless length": (lambda t: t, {"pre_seq_len": 10**9}, "pre_seq_len is 1000000000"),
    "no projection": (lambda t: t, {"prefix_projection": True}, "0 of its 4 tensors"),
    "no prefix": (lambda t: {"x": t[TABLE]}, {}, "no prefix_encoder in its weights"),
    "NaN": (lambda t: {TABLE: t[TABLE] * float("nan")}, {}, "NaN or infinity"),
}


@pytest.mark.parametrize(("change", "config", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_prefix_that_does_not_fit_is_refused_in_one_line(
    tmp_path: Path,
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    config: dict[str, Any],
    reason: str,
) -> None:
    folder = _write_prefix(tmp_path / "prefix", change(_encoder(False)), **config)
    with pytest.raises(CheckpointError) as caught:
        adapters_of(TINY, [folder], DIMS)
    assert reason in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
