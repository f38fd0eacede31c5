"""Prompts up to the end of the context, of 8K and of 32K tokens, on real (tiny, random) models."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import DynamicCache

from extractor.backends.chatglm3 import Backend
from extractor.chatglm3 import Tokenizer, load_model
from extractor.config import ModelConfig
from extractor.data import Chunk, Completion, Extraction, Prompt
from extractor.pipeline import Pipeline
from extractor.stages.grounding import ground
from extractor.stages.parsing import parse
from extractor.task.task import load_task, make_task
from tests.builders import a_document, rendered
from tests.contracts import contract

REFERENCE = Path(__file__).parent.parent / "reference"
CONTEXTS = {"chatglm3-tiny": 8_192, "chatglm3-tiny-32k": 32_768}
TASK = make_task({"type": "object", "properties": {"公司": {"type": "string", "minLength": 2, "maxLength": 6}}})
ANSWER = 32


def _ids(tokenizer: Tokenizer, prompt: Prompt) -> list[int]:
    return [*tokenizer.chat_prompt(prompt.messages), *tokenizer.encode("\n")]


def _fullest(tokenizer: Tokenizer, context: int) -> Prompt:
    """Return the prompt with as much of a long document as the context holds."""
    document = a_document(contract(2 * context))

    def prompt(end: int) -> Prompt:
        return rendered(TASK, Chunk(document, 0, 0, end), ANSWER)

    most = bisect_right(range(len(document.text)), context - ANSWER, key=lambda end: len(_ids(tokenizer, prompt(end))))
    return prompt(most - 1)


def _answered(backend: Backend, prompt: Prompt) -> Completion:
    backend.submit(prompt)
    (completion,) = backend.collect()
    return completion


@torch.inference_mode()
def _plain(folder: Path, ids: Sequence[int], stop_ids: Sequence[int]) -> list[int]:
    """Return what transformers' model gives greedily, token by token."""
    model, cache = load_model(folder, "float32", "cpu"), DynamicCache()
    logits = model(torch.tensor([ids]), past_key_values=cache, logits_to_keep=1).logits
    answer: list[int] = []
    while len(answer) < ANSWER and (token := int(logits[0, -1].argmax())) not in stop_ids:
        answer.append(token)
        logits = model(torch.tensor([[token]]), past_key_values=cache).logits
    return answer


@pytest.mark.parametrize("name", ["chatglm3-tiny", pytest.param("chatglm3-tiny-32k", marks=pytest.mark.slow)])
def test_a_prompt_that_fills_the_context_gives_the_tokens_of_plain_decoding_and_verbatim_values(name: str) -> None:
    """Asked a second time, with the answer constrained, the same prompt reuses what is in the cache."""
    folder = REFERENCE / name
    tokenizer = Tokenizer(folder)
    with Backend(ModelConfig(str(folder), precision="float32", device="cpu")) as backend:
        assert backend.context == CONTEXTS[name]
        prompt = _fullest(tokenizer, backend.context)
        free = _answered(backend, replace(prompt, constrain=False))
        constrained = _answered(backend, prompt)
        overflow = _answered(backend, replace(prompt, max_tokens=ANSWER + 8))
    ids = _ids(tokenizer, prompt)
    assert backend.context - 4 <= len(ids) + ANSWER <= backend.context
    expected = _plain(folder, ids, tokenizer.stop_ids)
    assert free.usage.completion_tokens == len(expected)
    decoder = tokenizer.decoder()
    assert free.text == ("".join(map(decoder.feed, expected)) + decoder.flush()).lstrip()
    outcome = parse(constrained)
    assert isinstance(outcome, Extraction), outcome
    assert isinstance(ground(outcome), Extraction)
    assert overflow.finish == "overflow"


@pytest.mark.parametrize("name", CONTEXTS)
def test_the_chunks_of_a_contract_fill_the_context_and_never_exceed_it(name: str) -> None:
    backend = Backend(ModelConfig(str(REFERENCE / name)))
    tokenizer = Tokenizer(REFERENCE / name)
    pipeline = Pipeline(load_task("contract"), backend)
    prompts = pipeline.prompts(a_document(contract(4 * backend.context)))
    sizes = [len(_ids(tokenizer, prompt)) + prompt.max_tokens for prompt in prompts]
    assert max(sizes) <= backend.context
    assert min(sizes[:-1]) > 0.9 * backend.context
