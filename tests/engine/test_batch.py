"""Batched answers equal single ones, and keep to their constraint, on a real (tiny, random) model in float32."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from extractor.chatglm3 import Tokenizer, load_model
from extractor.engine import batch
from extractor.engine.constraint import Vocabulary
from extractor.tasks import load_task
from extractor.types import GREEDY, Sampling

CHECKPOINT = Path(__file__).parent.parent / "reference" / "chatglm3-tiny"
TOKENIZER = Tokenizer(CHECKPOINT)
MODEL = load_model(CHECKPOINT, "float32", "cpu")
VOCABULARY = Vocabulary(TOKENIZER, 960)
TEXTS = [
    "短",
    "手机号18888888888 邮箱123456789@qq.com",
    "账号:root 密码:xiaohua123\n" * 20,
    "General Language Model " * 60,
    "订单号：CK-5518-204，金额：742.30。",
]


def _request(text: str, *, constrain: bool, max_tokens: int = 60, sampling: Sampling = GREEDY) -> batch.Request:
    ids = TOKENIZER.chat_prompt([{"role": "user", "content": text}]) + TOKENIZER.encode("\n")
    constraint = VOCABULARY.constrain(load_task("contact"), text) if constrain else None
    return batch.Request(tuple(ids), max_tokens, sampling, constraint)


def _answers(requests: list[batch.Request]) -> list[batch.Answer]:
    return batch.generate(MODEL, requests, TOKENIZER.stop_ids)


@pytest.mark.parametrize("constrain", [True, False])
def test_batched_output_equals_single_output_token_for_token(constrain: bool) -> None:
    together = _answers([_request(text, constrain=constrain) for text in TEXTS])
    alone = [_answers([_request(text, constrain=constrain)])[0] for text in TEXTS]
    assert [answer.ids for answer in together] == [answer.ids for answer in alone]
    assert [answer.finish for answer in together] == [answer.finish for answer in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_greedy_answers_are_those_of_the_reference() -> None:
    reference = json.loads((CHECKPOINT / "reference.json").read_text("utf-8"))
    for case in reference["cases"]:
        request = batch.Request(tuple(case["input_ids"]), 32)
        (answer,) = batch.generate(MODEL, [request], reference["eos_ids"])
        ended = case["greedy_32"][-1] in reference["eos_ids"]
        assert answer.ids == (case["greedy_32"][:-1] if ended else case["greedy_32"])
        assert answer.finish == ("stop" if ended else "length")


def test_a_constrained_answer_of_a_random_model_is_json_of_the_schema_and_verbatim() -> None:
    requests = [_request(text, constrain=True, max_tokens=2000) for text in TEXTS[:3]]
    for text, answer in zip(TEXTS, _answers(requests), strict=False):
        assert answer.finish == "stop"
        data = json.loads(TOKENIZER.decode(answer.ids))
        assert list(data) == ["手机号", "邮箱", "账号", "密码"]
        assert all(value is None or (value and value in text) for value in data.values())


def test_a_forced_token_has_probability_one() -> None:
    (answer,) = _answers([_request(TEXTS[1], constrain=True)])
    skeleton = len(TOKENIZER.encode_continuation(' {"手机号": '))
    assert answer.logprobs[0] == pytest.approx(0.0, abs=1e-6)
    assert sum(answer.logprobs[: skeleton // 2]) <= 0


def test_sampling_depends_on_its_seed_and_on_nothing_else() -> None:
    def sampled(seed: int) -> batch.Request:
        return _request(TEXTS[1], constrain=False, sampling=Sampling(1.5, seed))

    other = _request(TEXTS[3], constrain=False)
    (alone,) = _answers([sampled(7)])
    _, beside = _answers([other, sampled(7)])
    (different,) = _answers([sampled(8)])
    assert alone.ids == beside.ids
    assert alone.ids != different.ids


def test_an_answer_that_runs_out_of_room_says_so() -> None:
    (answer,) = _answers([replace(_request(TEXTS[1], constrain=True), max_tokens=3)])
    assert (answer.finish, len(answer.ids)) == ("length", 3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_gpu_gives_the_same_tokens_in_float32() -> None:
    model = load_model(CHECKPOINT, "float32", "cuda")
    requests = [_request(text, constrain=False) for text in TEXTS]
    there = batch.generate(model, requests, TOKENIZER.stop_ids)
    assert [answer.ids for answer in there] == [answer.ids for answer in _answers(requests)]
