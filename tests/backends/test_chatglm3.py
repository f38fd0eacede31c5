"""The local backend as a queue, on a real (tiny, random) model."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from extractor import backends, prompting
from extractor.backends.chatglm3 import Backend
from extractor.config import ModelConfig
from extractor.errors import ModelError, UsageError
from extractor.tasks import load_task
from extractor.types import Backend as Protocol
from extractor.types import Chunk, Completion, Document, Prompt, Source

CHECKPOINT = Path(__file__).parent.parent / "reference" / "chatglm3-tiny-safetensors"
TASK = load_task("contact")


def _config(**changes: object) -> ModelConfig:
    return ModelConfig(model=str(CHECKPOINT), precision="float32", device="cpu", **changes)  # type: ignore[arg-type]


def _prompt(text: str, max_tokens: int = 40) -> Prompt:
    chunk = Chunk(Document("d", text, Source("d", "")), 0, 0, len(text))
    return prompting.render(TASK, chunk, max_tokens)


def _drain(backend: Protocol, prompts: Sequence[Prompt]) -> dict[int, Completion]:
    for prompt in prompts:
        backend.submit(prompt)
    found: dict[int, Completion] = {}
    while completions := backend.collect():
        found.update({id(completion.prompt): completion for completion in completions})
    return found


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


def test_a_completion_tells_tokens_that_make_up_its_text_and_its_usage() -> None:
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


def test_the_identity_names_content_and_precision_but_not_the_place(tmp_path: Path) -> None:
    elsewhere = tmp_path / "copy"
    elsewhere.mkdir()
    for file in CHECKPOINT.iterdir():
        (elsewhere / file.name).write_bytes(file.read_bytes())
    moved = ModelConfig(model=str(elsewhere), precision="float32")
    assert Backend(_config()).identity == Backend(moved).identity
    assert Backend(_config()).identity != Backend(ModelConfig(model=str(CHECKPOINT))).identity


def test_an_unknown_backend_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match="chatglm3, openai, scripted, vllm"):
        backends.make("nonesuch", ModelConfig())


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_a_backend_whose_package_is_missing_says_how_to_install_it() -> None:
    with pytest.raises(UsageError, match=r"pip install 'extractor\[vllm\]'"):
        backends.make("vllm", ModelConfig())
