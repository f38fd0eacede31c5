"""The local backend as a queue, on a real (tiny, random) model."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from extractor import backends, prompting
from extractor.backends.chatglm3 import Backend
from extractor.config import ModelConfig
from extractor.engine import batch
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


def test_out_of_memory_halves_the_batch_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    really = batch.generate

    def small(model: object, requests: Sequence[batch.Request], stop_ids: Sequence[int]) -> list[batch.Answer]:
        tried.append(len(requests))
        if len(requests) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return really(model, requests, stop_ids)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "generate", small)
    prompts = [_prompt(text, 10) for text in TEXTS]
    with Backend(_config(batch_size=7)) as backend:
        found = _drain(backend, prompts)
    assert len(found) == len(TEXTS)
    assert all(completion.finish != "error" for completion in found.values())
    assert tried == [7, 3, 1, 1, 1, 1, 1, 1, 1]


def test_a_prompt_that_does_not_fit_into_memory_alone_is_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(model: object, requests: Sequence[batch.Request], stop_ids: Sequence[int]) -> list[batch.Answer]:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(batch, "generate", never)
    with Backend(_config()) as backend:
        (completion,) = _drain(backend, [_prompt("x")]).values()
    assert completion.finish == "error"
    assert "out of memory" in completion.detail


def test_another_error_of_the_engine_is_not_taken_for_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(model: object, requests: Sequence[batch.Request], stop_ids: Sequence[int]) -> list[batch.Answer]:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(batch, "generate", broken)
    with Backend(_config()) as backend:
        backend.submit(_prompt("x"))
        with pytest.raises(RuntimeError, match="shapes"):
            backend.collect()


def test_a_prompt_longer_than_the_context_comes_back_as_overflow() -> None:
    with Backend(_config()) as backend:
        (completion,) = _drain(backend, [_prompt("字" * 9000)]).values()
    assert (completion.finish, completion.text) == ("overflow", "")
    assert "exceed the context of 8192" in completion.detail


def test_counting_works_before_the_model_is_loaded_and_answering_does_not() -> None:
    backend = Backend(_config())
    assert backend.count_tokens("手机号") > 0
    assert backend.context == 8192
    backend.submit(_prompt("x"))
    with pytest.raises(ModelError, match="not loaded"):
        backend.collect()


def test_the_identity_names_content_and_precision_but_not_the_place(tmp_path: Path) -> None:
    elsewhere = tmp_path / "copy"
    elsewhere.mkdir()
    for file in CHECKPOINT.iterdir():
        (elsewhere / file.name).write_bytes(file.read_bytes())
    moved = ModelConfig(model=str(elsewhere), precision="float32")
    assert Backend(_config()).identity == Backend(moved).identity
    assert Backend(_config()).identity != Backend(ModelConfig(model=str(CHECKPOINT))).identity


def test_an_unknown_backend_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match="chatglm3, scripted"):
        backends.make("nonesuch", ModelConfig())
