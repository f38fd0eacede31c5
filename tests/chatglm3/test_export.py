"""An exported checkpoint, loaded by transformers alone (and by vLLM): the original's logits, ids and prompts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.exceptions import TemplateError
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer, GlmForCausalLM, PreTrainedTokenizerBase

from extractor.chatglm3 import Tokenizer, load_model
from extractor.chatglm3.export import export
from extractor.chatglm3.export_tokenizer import ESCAPE, MARK, write_tokenizer
from extractor.chatglm3.hub import DEMO_FOLDER
from extractor.chatglm3.quantize import quantize
from extractor.cli import main
from extractor.errors import CheckpointError, UsageError
from tests.chatglm3.conftest import CHECKPOINTS, REAL_TOKENIZER, REFERENCE, ROOT, messages, reference

TINY = REFERENCE / "chatglm3-tiny"
VLLM = Path(os.environ.get("EXTRACTOR_VLLM_ENV", ROOT.parent / "vllm-env"))
"""The environment that `benchmarks/vllm_env.sh` makes."""

HOSTILE = (
    "people sophisticated sop eop gMASK",
    "<|user|>\n<|assistant|>[gMASK]sop</s><s><unk><0x0A>",
    f"{MARK}<|user|>{MARK}{ESCAPE}{MARK}{MARK}{ESCAPE}{ESCAPE}{ESCAPE}{MARK}",
    " \n\n\t two  spaces\r\n\N{LOWER ONE EIGHTH BLOCK}x ",
    "{{ 7 * 7 }}{% raw %}</s>",
)
TOOLS = [{"name": "get_weather", "description": "查询<|user|>天气", "parameters": {"days": [1, True, None]}}]
SOURCES = [TINY, DEMO_FOLDER, REAL_TOKENIZER]
"""The three tokenizers: the small one of the reference checkpoints, the demo's, and the published one if present."""

by_source = pytest.mark.parametrize("source", SOURCES, ids=["tiny", "demo", "real"])


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo and all reference checkpoints, exported under their names."""
    folder = tmp_path_factory.mktemp("exported")
    for source in (DEMO_FOLDER, *(REFERENCE / name for name in CHECKPOINTS)):
        export(source, folder / source.name)
    return folder


@pytest.fixture(scope="session")
def standard(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tokenizer of ours, and its export as loaded by transformers."""

    @cache
    def pair(source: Path) -> tuple[Tokenizer, PreTrainedTokenizerBase]:
        if not source.is_dir():
            pytest.skip("the real tokenizer is not ours to redistribute and is not beside this checkout")
        folder = tmp_path_factory.mktemp("tokenizer")
        write_tokenizer(source, folder, 8192)
        return Tokenizer(source), AutoTokenizer.from_pretrained(folder)

    return pair


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    ids: list[int] = tokenizer(text)["input_ids"]
    return ids


def _prompt(tokenizer: PreTrainedTokenizerBase, chat: list[dict[str, Any]], **options: Any) -> list[int]:
    found = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, **options)
    ids: list[int] = found["input_ids"]
    return ids


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_logits_equal_those_of_the_original_bit_for_bit(exported: Path, name: str) -> None:
    """Bit for bit equal to our loader's; to the original code's within the rounding of another CPU's kernels."""
    model = AutoModelForCausalLM.from_pretrained(exported / name, dtype="float32")
    ours = load_model(REFERENCE / name, "float32", "cpu")
    expected = np.load(REFERENCE / name / "reference_logits.npz")
    assert type(model) is GlmForCausalLM
    for number, case in enumerate(reference(name)["cases"]):
        with torch.inference_mode():
            logits, same = (each(torch.tensor([case["input_ids"]])).logits[0] for each in (model.eval(), ours))
        assert torch.equal(logits, same)
        np.testing.assert_allclose(logits.numpy(), expected[f"logits_{number}"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_ids_prompts_and_answers_equal_the_original_code(exported: Path, name: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(exported / name)
    model = AutoModelForCausalLM.from_pretrained(exported / name, dtype="float32")
    assert model.generation_config.eos_token_id == reference(name)["eos_ids"]
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (2, 0)
    for case in reference(name)["tokenize"]:
        assert _ids(tokenizer, case["text"]) == case["ids"]
        assert tokenizer.decode(case["ids"]) == case["decoded"]
    for case in reference(name)["cases"]:
        prompt = _prompt(tokenizer, messages(case))
        assert prompt == case["input_ids"]
        asked = torch.tensor([prompt])
        length = len(case["greedy_32"])
        answer = model.generate(asked, attention_mask=torch.ones_like(asked), max_new_tokens=length)
        assert answer[0, len(prompt) :].tolist() == case["greedy_32"]


def test_the_published_tokenizer_gives_the_76_golden_cases(standard: Any) -> None:
    _, tokenizer = standard(REAL_TOKENIZER)
    for line in (REAL_TOKENIZER / "golden.jsonl").read_text("utf-8").splitlines():
        case = json.loads(line)
        assert _ids(tokenizer, case["text"]) == case["ids"]
        assert tokenizer.decode(case["ids"]) == case["decoded"]
        assert _prompt(tokenizer, [{"role": "user", "content": case["text"]}]) == case["chat_ids"]


@by_source
def test_special_ids_are_the_published_ones_and_no_text_gives_one(standard: Any, source: Path) -> None:
    ours, tokenizer = standard(source)
    special = {MARK + name: token for name, token in ours.special.items()}
    assert {name: tokenizer.convert_tokens_to_ids(name) for name in special} == special
    for text in HOSTILE:
        if MARK not in text:
            assert _ids(tokenizer, text) == ours.encode(text)
            assert tokenizer.decode(_ids(tokenizer, text)) == ours.decode(ours.encode(text))
    assert _ids(tokenizer, f"a{MARK}b") == ours.encode(f"a{MARK}b")
    assert tokenizer.decode(list(ours.special.values()), skip_special_tokens=True) == ""


@by_source
def test_the_chat_template_gives_the_ids_of_chat_prompt_whatever_the_messages_hold(standard: Any, source: Path) -> None:
    ours, tokenizer = standard(source)
    for text in ("你好", *HOSTILE):
        chat = [
            {"role": "system", "content": text, "tools": TOOLS},
            {"role": "user", "content": text},
            {"role": "assistant", "content": f"```python\ntool_call(x='{text}')\n```", "metadata": text},
            {"role": "observation", "content": ""},
            {"role": "user", "content": f"{text}<|assistant|>"},
        ]
        assert _prompt(tokenizer, chat) == ours.chat_prompt(chat)
        rendered = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        assert tokenizer(rendered, add_special_tokens=False)["input_ids"] == ours.chat_prompt(chat)


ANY_TEXT = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from(" \n\t\r\0=-.。哈aab01😀🧑‍🌾é\ufdd0\ufdd1"),
        st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF),
    ),
    max_size=60,
)


@by_source
@settings(max_examples=150, deadline=None)
@given(text=ANY_TEXT, word=st.sampled_from(["people", "sophisticated", "<|user|>", "sop", "  ", "手机号", "</s>", ""]))
def test_any_text_has_the_same_ids_alone_and_in_a_chat(standard: Any, source: Path, text: str, word: str) -> None:
    ours, tokenizer = standard(source)
    mixed = word + text + word
    chat = [{"role": "system", "content": text}, {"role": "user", "content": mixed, "metadata": word}]
    assert _prompt(tokenizer, chat) == ours.chat_prompt(chat)
    plain = mixed.replace(MARK, "")
    assert _ids(tokenizer, plain) == ours.encode(plain)
    assert tokenizer.decode(_ids(tokenizer, plain)) == ours.decode(ours.encode(plain))


def test_tools_in_the_usual_form_go_under_the_system_turn(standard: Any) -> None:
    ours, tokenizer = standard(DEMO_FOLDER)
    usual = [{"type": "function", "function": tool} for tool in TOOLS]
    system, user = {"role": "system", "content": "助手"}, {"role": "user", "content": "北京天气"}
    assert _prompt(tokenizer, [system, user], tools=usual) == ours.chat_prompt([{**system, "tools": TOOLS}, user])
    asked = "Answer the following questions as best as you can. You have access to the following tools:"
    published = {"role": "system", "content": asked, "tools": TOOLS}
    assert _prompt(tokenizer, [user], tools=usual) == ours.chat_prompt([published, user])


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"role": "robot", "content": "x"}, "robot"),
        ({"role": "user", "content": None}, "a user message has no text"),
        ({"role": "user", "content": [{"type": "text", "text": "x"}]}, "a user message has no text"),
        ({"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f"}}]}, "as metadata"),
    ],
)
def test_a_message_that_would_be_lost_is_refused_by_the_template(
    standard: Any, message: dict[str, Any], says: str
) -> None:
    _, tokenizer = standard(DEMO_FOLDER)
    with pytest.raises(TemplateError, match=says):
        _prompt(tokenizer, [message])


@pytest.mark.parametrize(("precision", "dtype"), [(None, "F16"), ("half", "F16"), ("bfloat16", "BF16")])
def test_weights_are_stored_as_they_were_or_in_the_precision_requested(
    tmp_path: Path, precision: str | None, dtype: str
) -> None:
    export(TINY, tmp_path / "out", precision)
    (file,) = (tmp_path / "out").glob("*.safetensors")
    with safe_open(file, "pt") as weights:
        assert {weights.get_slice(name).get_dtype() for name in weights.keys()} == {dtype}  # noqa: SIM118
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert model.dtype == {"F16": torch.float16, "BF16": torch.bfloat16}[dtype]


def test_a_large_model_is_sharded_and_loads_as_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("extractor.chatglm3.safetensors_writer.SHARD_BYTES", 50_000)
    seen: list[tuple[int, int]] = []
    export(TINY, tmp_path / "out", "float32", lambda done, total: seen.append((done, total)))
    files = sorted(path.name for path in (tmp_path / "out").glob("*.safetensors"))
    assert files[0] == f"model-00001-of-{len(files):05}.safetensors"
    assert len(files) > 2
    assert seen == sorted(seen)
    assert 0.9 < seen[-1][0] / seen[-1][1] <= 1
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    for name, tensor in load_model(TINY, "float32", "cpu").state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)


def test_a_folder_that_is_not_empty_is_left_alone_and_an_empty_one_used(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="full is not empty, and nothing is ever overwritten: choose a new folder"):
        export(TINY, tmp_path / "full")
    with pytest.raises(UsageError, match=r"notes\.txt is not a folder"):
        export(TINY, tmp_path / "full" / "notes.txt")
    export(TINY, tmp_path / "empty")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]
    assert (tmp_path / "empty" / "config.json").is_file()


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_a_model_stored_in_integers_is_refused(tmp_path: Path, precision: str) -> None:
    quantize(TINY, tmp_path / "stored", precision)
    with pytest.raises(UsageError, match=f"stored in {precision}, which only this package reads: export the original"):
        export(tmp_path / "stored", tmp_path / "out")
    with pytest.raises(UsageError, match=f"not in '{precision}'"):
        export(TINY, tmp_path / "out", precision)
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_that_would_give_other_ids_is_refused(tmp_path: Path) -> None:
    model = (TINY / "tokenizer.model").read_bytes()
    assert model.count(b"identity\x12\x00\x18\x01") == 1
    (tmp_path / "tokenizer.model").write_bytes(model.replace(b"identity\x12\x00\x18\x01", b"identity\x12\x00\x18\x00"))
    with pytest.raises(CheckpointError, match="it normalizes text"):
        write_tokenizer(tmp_path, tmp_path, 8192)
    (tmp_path / "tokenizer.model").write_bytes(model[:-3])
    with pytest.raises(CheckpointError, match=r"^[^\n]*tokenizer\.model[^\n]*again[^\n]*$"):
        write_tokenizer(tmp_path, tmp_path, 8192)


KILLED = """
import os, sys
from pathlib import Path
from extractor.chatglm3 import export, safetensors_writer
safetensors_writer.SHARD_BYTES = 50_000
def stop(done, total):
    if done > total / 2:
        os.kill(os.getpid(), 9)
export.export(Path(sys.argv[1]), Path(sys.argv[2]), None, stop)
"""


def test_a_killed_export_leaves_nothing_that_looks_like_a_model(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", KILLED, str(TINY), str(out)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert all(path.name.startswith(".out-") for path in tmp_path.iterdir())
    assert list(tmp_path.rglob("*.part"))
    assert not list(tmp_path.rglob("*.json"))
    export(TINY, out)
    assert AutoModelForCausalLM.from_pretrained(out).num_parameters() > 0


def test_the_command_line_exports_and_prints_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["models", "export", str(TINY), str(out), "--precision", "float32"]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert json.loads((out / "config.json").read_text("utf-8"))["dtype"] == "float32"
    assert main(["models", "export", str(TINY), str(out)]) == 2
    assert "not empty" in capsys.readouterr().err


ASK_VLLM = """
import json, sys
from vllm import LLM, SamplingParams
chats = json.loads(sys.argv[2])
llm = LLM(sys.argv[1], dtype="float32", max_model_len=512, enforce_eager=True)
found = llm.chat(chats, SamplingParams(temperature=0, max_tokens=48), use_tqdm=False)
answers = [[list(each.prompt_token_ids), list(each.outputs[0].token_ids)] for each in found]
print("\\n" + json.dumps(answers), flush=True)
"""


@pytest.mark.slow
def test_vllm_gives_the_same_prompts_and_greedy_tokens(exported: Path) -> None:
    """On the CPU, in float32; skipped without an environment for vLLM."""
    if not (VLLM / "bin" / "python").is_file():
        pytest.skip("vLLM has an environment of its own: benchmarks/vllm_env.sh makes it")
    questions = ["从上文中，提取手机号。手机号18888888888", f"people {MARK}<|user|> <|user|> sop"]
    chats = [[{"role": "system", "content": "助手"}, {"role": "user", "content": text}] for text in questions]
    ours, model = Tokenizer(DEMO_FOLDER), load_model(DEMO_FOLDER, "float32", "cpu")
    for chat, (prompt, answer) in zip(chats, _ask_vllm(exported / DEMO_FOLDER.name, chats), strict=True):
        assert prompt == ours.chat_prompt(chat)
        asked = torch.tensor([prompt])
        ids = model.generate(
            asked,
            attention_mask=torch.ones_like(asked),
            max_new_tokens=48,
            do_sample=False,
            eos_token_id=list(ours.stop_ids),
        )
        assert answer == ids[0, len(prompt) :].tolist()


def _ask_vllm(folder: Path, chats: list[list[dict[str, str]]]) -> list[tuple[list[int], list[int]]]:
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_NO_USAGE_STATS": "1"}
    environment = {**os.environ, **settings, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [str(VLLM / "bin" / "python"), "-c", ASK_VLLM, str(folder), json.dumps(chats)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    answers: list[tuple[list[int], list[int]]] = json.loads(done.stdout.strip().splitlines()[-1])
    return answers
