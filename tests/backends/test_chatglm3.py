"""The local backend as a queue, on a real (tiny, random) model."""

import math
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from extractor import backends
from extractor.backends.chatglm3 import HOPELESS, Backend
from extractor.config import ModelConfig
from extractor.data import GREEDY, Chunk, Completion, Document, Prompt, Sampling, Source
from extractor.data import Backend as Protocol
from extractor.engine import platforms
from extractor.engine.engine import Engine, Output
from extractor.errors import ModelError, UsageError
from extractor.task.task import load_task
from tests.builders import rendered

CHECKPOINT = Path(__file__).parent.parent / "reference" / "chatglm3-tiny-safetensors"
TASK = load_task("contact")


def _config(**changes: object) -> ModelConfig:
    return ModelConfig(model=str(CHECKPOINT), precision="float32", device="cpu", **changes)  # type: ignore[arg-type]


def _prompt(text: str, max_tokens: int = 40) -> Prompt:
    chunk = Chunk(Document("d", text, Source("d", "")), 0, 0, len(text))
    return rendered(TASK, chunk, max_tokens)


def _drain(backend: Protocol, prompts: Sequence[Prompt]) -> dict[int, Completion]:
    for prompt in prompts:
        backend.submit(prompt)
    found: dict[int, Completion] = {}
    while completions := backend.collect():
        found.update({id(completion.prompt): completion for completion in completions})
    return found


def _collect_all(backend: Protocol, found: list[Completion]) -> None:
    while completions := backend.collect():
        found += completions


TEXTS = ["手机号18888888888", "账号:root 密码:xiaohua123 " * 30, "短", "邮箱123456789@qq.com，" * 8, "x", "y", "z"]


def test_every_prompt_comes_back_and_the_batch_size_does_not_matter() -> None:
    answers = []
    for size in (1, 2, 16):
        prompts = [_prompt(text) for text in TEXTS]
        with Backend(_config(batch_size=size)) as backend:
            found = _drain(backend, prompts)
        answers.append([found[id(prompt)].text for prompt in prompts])
    assert answers[0] == answers[1] == answers[2]
    assert all(text.startswith("{") for text in answers[0])


def test_a_completion_has_the_tokens_of_its_text_and_its_usage() -> None:
    prompt = _prompt(TEXTS[0])
    with Backend(_config()) as backend:
        (completion,) = _drain(backend, [prompt]).values()
        assert completion.usage.prompt_tokens > backend.count_tokens(prompt.messages[0].content)
    assert "".join(piece for piece, _ in completion.tokens) == completion.text
    assert len(completion.tokens) == completion.usage.completion_tokens
    assert all(logprob <= 0 for _, logprob in completion.tokens)


def test_a_prompt_whose_cache_does_not_fit_is_an_error_of_its_own() -> None:
    prompts = [_prompt("短"), _prompt("长" * 1000), _prompt("手机号18888888888")]
    with Backend(_config(kv_memory=1500 * 1024)) as backend:
        found = _drain(backend, prompts)
    finishes = [found[id(prompt)].finish for prompt in prompts]
    assert finishes[1] == "error"
    assert "error" not in (finishes[0], finishes[2])
    assert "--kv-memory" in found[id(prompts[1])].detail


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the checkpoint with a last norm that float16 cannot hold: its hidden states are infinite."""
    folder = tmp_path_factory.mktemp("overflowing") / "model"
    shutil.copytree(CHECKPOINT, folder)
    for shard in folder.glob("*.safetensors"):
        weights = load_file(shard)
        norms = [name for name in weights if name.endswith("final_layernorm.weight")]
        weights.update({name: weights[name].float() * 1e6 for name in norms})
        save_file(weights, shard, {"format": "pt"})
    return folder


@pytest.mark.parametrize("constrain", [True, False])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_numbers_that_are_none_fail_the_prompt_with_advice_and_the_run_after_a_few(
    overflowing: Path, constrain: bool, temperature: float
) -> None:
    sampling = Sampling(temperature, seed=1) if temperature else GREEDY
    prompts = [replace(_prompt(text), constrain=constrain, sampling=sampling) for text in 2 * TEXTS]
    found: list[Completion] = []
    with Backend(ModelConfig(model=str(overflowing), precision="float16", device="cpu", batch_size=2)) as backend:
        for prompt in prompts:
            backend.submit(prompt)
        with pytest.raises(ModelError, match="--precision bfloat16"):
            _collect_all(backend, found)
    assert HOPELESS <= len(found) < len(prompts)
    assert {(each.finish, each.text, each.tokens) for each in found} == {("numerics", "", ())}
    assert all(each.detail.endswith("use --precision bfloat16") for each in found)


def test_the_same_model_answers_in_a_precision_that_holds_its_numbers(overflowing: Path) -> None:
    with Backend(ModelConfig(model=str(overflowing), precision="bfloat16", device="cpu")) as backend:
        (found,) = _drain(backend, [_prompt(TEXTS[0])]).values()
    assert found.finish in ("stop", "length")
    assert all(math.isfinite(logprob) for _, logprob in found.tokens)


def test_a_prompt_longer_than_the_context_comes_back_as_overflow() -> None:
    with Backend(_config()) as backend:
        (completion,) = _drain(backend, [_prompt("字" * 9000)]).values()
    assert (completion.finish, completion.text) == ("overflow", "")
    assert "exceed the context of 8192" in completion.detail


def test_counting_works_before_the_model_is_loaded_and_answering_does_not() -> None:
    backend = Backend(_config())
    assert backend.count_tokens("手机号") > 0
    assert backend.context == 8192
    with pytest.raises(ModelError, match="not loaded"):
        backend.submit(_prompt("x"))


def test_the_identity_is_content_and_precision_but_not_the_path(tmp_path: Path) -> None:
    elsewhere = tmp_path / "copy"
    elsewhere.mkdir()
    for file in CHECKPOINT.iterdir():
        (elsewhere / file.name).write_bytes(file.read_bytes())
    moved = ModelConfig(model=str(elsewhere), precision="float32")
    assert Backend(_config()).identity == Backend(moved).identity
    assert Backend(_config()).identity != Backend(ModelConfig(model=str(CHECKPOINT))).identity


def test_an_unknown_backend_is_refused_with_a_list_of_the_known_ones() -> None:
    with pytest.raises(UsageError, match="chatglm3, openai, scripted, vllm"):
        backends.make("nonesuch", ModelConfig())


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_a_backend_whose_package_is_missing_says_how_to_install_it() -> None:
    with pytest.raises(UsageError, match=r"pip install 'chatglm3-extractor\[vllm\]'"):
        backends.make("vllm", ModelConfig())


def test_steps_run_in_a_thread_of_their_own_with_as_many_threads_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, int]] = []

    def step(engine: Engine) -> list[tuple[int, Output]]:
        seen.append((threading.current_thread() is threading.main_thread(), torch.get_num_threads()))
        return original(engine)

    original = Engine.step
    monkeypatch.setattr(Engine, "step", step)
    monkeypatch.setattr(platforms, "tune_process", lambda _: None)  # gives a small model one thread
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with Backend(_config()) as backend:
            _drain(backend, [_prompt("x")])
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {(False, 2)}


def test_an_error_in_a_step_is_raised_by_collect_and_the_model_can_be_loaded_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(engine: Engine) -> list[tuple[int, Output]]:
        raise ArithmeticError("the step broke")

    backend = Backend(_config())
    with monkeypatch.context() as patched, backend:
        patched.setattr(Engine, "step", broken)
        backend.submit(_prompt("x"))
        with pytest.raises(ArithmeticError, match="the step broke"):
            backend.collect()
    with backend:
        assert len(_drain(backend, [_prompt("x")])) == 1


ENDLESS_RUN = """
import itertools, sys
from extractor import Extractor, ModelConfig, RunConfig
extractor = Extractor("contact", ModelConfig(sys.argv[1], precision="float32", device="cpu"))
for record in extractor.run("手机号18888888888 " * 20 for _ in itertools.count()):
    print(record.status, flush=True)
    if sys.argv[2:] == ["stop"]:
        break
"""


def test_a_process_ends_quietly_in_the_middle_of_a_run() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDLESS_RUN, str(CHECKPOINT), "stop"], capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupt_ends_a_run_within_a_step_or_so() -> None:
    command = [sys.executable, "-c", ENDLESS_RUN, str(CHECKPOINT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        assert run.stdout.readline()
        run.send_signal(signal.SIGINT)
        began = time.perf_counter()
        said = run.communicate(timeout=60)[1]
    assert time.perf_counter() - began < 10
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert "Exception ignored" not in said
