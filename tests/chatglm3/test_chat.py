"""The book's two-turn chat runs, streams equal answers, tool calls come back as data and nothing is evaluated."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from extractor.chatglm3 import ChatGLM3, Tokenizer
from extractor.chatglm3.chat import Answer, fit_turns
from extractor.chatglm3.chat_format import with_system
from extractor.chatglm3.generation import GenerationOptions, generate
from extractor.chatglm3.tool_calls import assistant_turn, parse_tool_call, response_of
from extractor.errors import UsageError
from tests.chatglm3.conftest import REFERENCE

TINY = Tokenizer(REFERENCE / "chatglm3-tiny")
GREEDY = GenerationOptions()


def test_the_two_turns_of_the_book_run(tiny: ChatGLM3) -> None:
    response, history = tiny.chat("你好", history=[], max_tokens=40)
    assert response == "调提mail公不�邮�ߒ{乙取str .公不日�内�3�do公不单件公不乙取�型人"
    assert [turn["role"] for turn in history] == ["user", "assistant"]
    response, history = tiny.chat("晚上睡不着应该怎么办", history=history, max_tokens=8)
    assert isinstance(response, str)
    assert [turn["role"] for turn in history] == ["user", "assistant", "user", "assistant"]
    assert history[3]["content"] == response


def test_the_line_of_the_book_runs_as_it_stands_there(tiny: ChatGLM3) -> None:
    model, tokenizer = tiny, TINY
    response, history = model.chat(tokenizer, "你好", history=[], max_tokens=8)
    assert (response, history) == tiny.chat("你好", history=[], max_tokens=8)
    assert model.chat(tokenizer, "你好", history, max_tokens=8) == tiny.chat("你好", history, max_tokens=8)


@pytest.mark.parametrize("question", [7, ["你好"], {"role": "user"}, None])
def test_what_is_neither_a_question_nor_a_tokenizer_is_refused(tiny: ChatGLM3, question: Any) -> None:
    with pytest.raises(UsageError, match=r'chat\(tokenizer, "你好", history\)'):
        tiny.chat(question, "你好")


def test_a_stream_gives_the_same_text_in_pieces(tiny: ChatGLM3) -> None:
    response, history = tiny.chat("提取手机号", max_tokens=24)
    stream = tiny.stream("提取手机号", max_tokens=24)
    assert "".join(stream).strip() == response
    assert (stream.response, stream.history) == (response, history)


def test_the_given_history_is_not_changed(tiny: ChatGLM3) -> None:
    history: list[dict[str, Any]] = []
    tiny.chat("你好", history=history, max_tokens=2)
    assert history == []


def test_the_same_seed_samples_the_same_answer(tiny: ChatGLM3) -> None:
    def ask(seed: int) -> object:
        return tiny.chat("你好", max_tokens=16, temperature=1.0, top_p=1.0, seed=seed)[0]

    assert ask(1) == ask(1)
    assert len({str(ask(seed)) for seed in range(4)}) > 1


def test_sampling_neither_reads_nor_moves_the_random_numbers_of_the_caller(tiny: ChatGLM3) -> None:
    def ask() -> list[str]:
        return list(tiny.stream("你好", max_tokens=16, temperature=1.0, top_p=1.0, seed=1))

    expected = ask()
    torch.manual_seed(3)
    stream = iter(tiny.stream("你好", max_tokens=16, temperature=1.0, top_p=1.0, seed=1))
    found, drawn = [], []
    for text in stream:
        found.append(text)
        drawn.append(float(torch.rand(1)))
    torch.manual_seed(3)
    assert found == expected
    assert drawn == [float(torch.rand(1)) for _ in found]


def test_a_tiny_nucleus_leaves_the_greedy_answer(tiny: ChatGLM3) -> None:
    greedy, _ = tiny.chat("你好", max_tokens=16)
    assert tiny.chat("你好", max_tokens=16, temperature=1.0, top_p=1e-6)[0] == greedy


def test_all_tokens_of_the_nucleus_are_drawn_and_no_others(tiny: ChatGLM3) -> None:
    prompt = tiny.tokenizer.chat_prompt([{"role": "user", "content": "你好"}])
    with torch.inference_mode():
        probabilities = tiny.model(torch.tensor([prompt])).logits[0, -1].softmax(-1)
    best, ids = probabilities.topk(3)
    within = float(best[:2].sum() + best[2] / 2)  # the third token completes the nucleus
    options = [GenerationOptions(1, temperature=1.0, top_p=within, seed=seed) for seed in range(60)]
    assert {next(generate(tiny.model, prompt, (), each)) for each in options} == set(ids.tolist())


def test_nothing_is_decoded_ahead_of_the_reader(tiny: ChatGLM3, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    forward = tiny.model.forward
    monkeypatch.setattr(tiny.model, "forward", lambda *args, **kwargs: (calls.append(1), forward(*args, **kwargs))[1])
    ids = generate(tiny.model, tiny.tokenizer.chat_prompt([{"role": "user", "content": "你好"}]), (), GREEDY)
    assert calls == []
    next(ids), next(ids)
    assert len(calls) == 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_sampling_on_a_gpu_is_repeatable_and_leaves_its_random_numbers_alone() -> None:
    model = ChatGLM3.load(REFERENCE / "chatglm3-tiny", "half", "cuda")
    before = torch.cuda.get_rng_state()
    first, second = ("".join(model.stream("你好", max_tokens=8, temperature=1.0, seed=1)) for _ in range(2))
    assert first == second
    assert torch.equal(torch.cuda.get_rng_state(), before)


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_a_quantised_model_chats(precision: str) -> None:
    model = ChatGLM3.load(REFERENCE / "chatglm3-tiny", precision, "cpu")
    text = "".join(model.stream("你好", max_tokens=12))
    assert text == "".join(model.stream("你好", max_tokens=12)) != ""


@pytest.mark.parametrize(
    "options", [{"max_tokens": 0}, {"temperature": -1.0}, {"temperature": float("nan")}, {"top_p": 0.0}, {"top_p": 1.1}]
)
def test_options_out_of_range_are_refused(tiny: ChatGLM3, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        tiny.chat("你好", **options)


def test_an_unknown_option_is_refused(tiny: ChatGLM3) -> None:
    with pytest.raises(TypeError, match="topp"):
        tiny.chat("你好", topp=0.5)  # type: ignore[call-arg]


def answer_to(text: str) -> Answer:
    """The answer of a model that writes `text`; `<|assistant|>` in it is the token."""

    def ids() -> Iterator[int]:
        for number, part in enumerate(text.split("<|assistant|>")):
            yield from [TINY.special["<|assistant|>"]] if number else []
            yield from TINY.encode_continuation(part)

    return Answer(ids(), TINY, [{"role": "user", "content": "?"}])


CALL = "get_weather\n```python\ntool_call(city='北京', days=3)\n```"


@pytest.mark.parametrize(
    ("written", "shown", "response"),
    [
        ("\n 你好！", "你好！", "你好！"),
        ("\n\n 你好\n再见 ", "你好\n再见 ", "你好\n再见"),
        ("你好，没有换行", "你好，没有换行", "你好，没有换行"),
        ("a first line, then\nmore", "a first line, then\nmore", "a first line, then\nmore"),
        ("", "", ""),
        ("\n我是[[训练时间]]的", "我是[[训练时间]]的", "我是2023年的"),
        (CALL, "", {"name": "get_weather", "parameters": {"city": "北京", "days": 3}}),
        (
            "\n我来查。\n<|assistant|>" + CALL,
            "我来查。\n",
            {"name": "get_weather", "parameters": {"city": "北京", "days": 3}},
        ),
        ("interpreter\nprint(1)", "", {"name": "interpreter", "content": "print(1)"}),
    ],
)
def test_what_the_model_writes_becomes_text_or_a_tool_call(written: str, shown: str, response: object) -> None:
    answer = answer_to(written)
    assert "".join(answer) == shown
    assert answer.response == response


def test_a_thought_and_a_tool_call_are_two_turns_of_the_history() -> None:
    turns = answer_to("\n我来查。\n<|assistant|>" + CALL).history
    assert [(turn["role"], turn.get("metadata")) for turn in turns[1:]] == [
        ("assistant", ""),
        ("assistant", "get_weather"),
    ]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\ufffd"), max_size=90))
def test_the_shown_text_is_the_response_whatever_is_written(text: str) -> None:
    answer = answer_to(text)
    shown = "".join(answer)
    if isinstance(answer.response, str):
        assert shown.strip() == answer.response.replace("2023年", "[[训练时间]]") or "2023年" in text
    else:
        assert shown == ""


@pytest.mark.parametrize(
    ("content", "parameters"),
    [
        ("```python\ntool_call(symbol='10111')\n```", {"symbol": "10111"}),
        (
            "tool_call(a=1, b=-2.5, c=[True, None], d={'x': (1, 2)})",
            {"a": 1, "b": -2.5, "c": [True, None], "d": {"x": (1, 2)}},
        ),
        ("```\ntool_call()\n```", {}),
        ("tool_call(a=__import__('os').system('true'))", None),
        ("tool_call(a=open('x'))", None),
        ("tool_call(**{'a': 1})", None),
        ("tool_call('a')", None),
        ("os.tool_call(a=1)", None),
        ("exit(a=1)", None),
        ("tool_call(a=1); tool_call(b=2)", None),
        ("tool_call(a=" + "(" * 5000, None),
        ("tool_call(a='\0')", None),
        ("", None),
    ],
)
def test_a_tool_call_is_read_as_literals_only(content: str, parameters: dict[str, Any] | None) -> None:
    assert parse_tool_call(content) == parameters


@given(st.text(max_size=60))
def test_no_content_crashes_the_tool_call_parser(content: str) -> None:
    assert parse_tool_call(content) is None or "tool_call" in content
    response_of(assistant_turn("tool\n" + content))


def test_tools_are_rendered_under_the_system_text_as_chatglm3_expects(tokenizer: Tokenizer) -> None:
    tools = [{"name": "get_weather", "description": "查询天气"}]
    turns = with_system([{"role": "user", "content": "?"}], "助手", tools)
    rendered = '助手\n[\n    {\n        "name": "get_weather",\n        "description": "查询天气"\n    }\n]'
    assert tokenizer.encode_turn(turns[0]) == tokenizer.encode_turn({"role": "system", "content": rendered})
    assert with_system(turns, None, None) == turns
    assert with_system(turns, "新", None) == [{"role": "system", "content": "新"}, turns[1]]
    assert with_system([], None, tools)[0]["content"].startswith("Answer the following questions")


def test_a_tool_result_is_given_as_an_observation(tiny: ChatGLM3) -> None:
    history = answer_to(CALL).history
    _, turns = tiny.chat('{"天气": "晴"}', history=history, role="observation", max_tokens=2)
    assert [turn["role"] for turn in turns] == ["user", "assistant", "observation", "assistant"]


def turns_of(roles: str) -> list[dict[str, Any]]:
    names = {"s": "system", "u": "user", "a": "assistant", "o": "observation"}
    return [{"role": names[letter], "content": str(number)} for number, letter in enumerate(roles)]


@pytest.mark.parametrize(
    ("roles", "budget", "kept"),
    [("suauau", 60, "012345"), ("suauau", 59, "0345"), ("suauau", 30, "05"), ("uau", 20, "2"), ("u", 10, "0")],
)
def test_the_oldest_turns_are_dropped_when_the_context_is_full(roles: str, budget: int, kept: str) -> None:
    turns = turns_of(roles)
    assert "".join(turn["content"] for turn in fit_turns(turns, [10] * len(turns), budget)) == kept


def test_dropping_turns_is_logged_and_the_history_keeps_them(tiny: ChatGLM3, caplog: pytest.LogCaptureFixture) -> None:
    history = [{"role": role, "content": "很长" * 500} for role in ("user", "assistant") * 2]
    with caplog.at_level(logging.WARNING):
        answer = tiny.stream("你好", history=history, max_tokens=2)
    assert answer.dropped == 2
    assert "old turns are left out" in caplog.text
    assert len(answer.history) == 6


def test_a_question_longer_than_the_context_is_an_error_with_advice(tiny: ChatGLM3) -> None:
    with pytest.raises(UsageError, match="shorten it"):
        tiny.chat("长" * 9000)
