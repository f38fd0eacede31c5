"""Answers as models write them: parsed where possible, rejected with a reason where not, never filled in."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractor.data import Extraction, Json, Rejection
from extractor.stages.parsing import parse, read_json, read_value
from extractor.task.task import Schema, Task, load_task
from extractor.text.strict_json import ParsedJson
from tests.builders import DATE, INTEGER, NUMBER, STRING, STRINGS, a_task, an_answer

MALFORMED = Path(__file__).resolve().parents[3] / "shared" / "samples-public" / "json_malformed.jsonl"
CONTACT = load_task("contact")
TASK = a_task(姓名=STRING, 年龄=INTEGER, 标签=STRINGS)
FIELDS = ("姓名", "年龄", "标签")

UNREASONABLE = {
    "pub-json-15": "a literal under a string schema is expected to become an empty string, which nobody wrote"
}


def _cases() -> list[Json]:
    return [json.loads(line) for line in MALFORMED.read_text("utf-8").splitlines()] if MALFORMED.exists() else []


def _data(answer: str, task: Task = TASK) -> Json:
    outcome = parse(an_answer(answer, task))
    assert isinstance(outcome, Extraction), outcome
    return outcome.data


def _rejection(answer: str, task: Task = TASK, **more: Json) -> Rejection:
    outcome = parse(an_answer(answer, task, **more))
    assert isinstance(outcome, Rejection), outcome
    return outcome


@pytest.mark.skipif(not MALFORMED.exists(), reason="the shared samples are not here")
def test_malformed_json_of_other_projects_is_read_as_they_expect() -> None:
    wrong = []
    for case in _cases():
        parsed = read_value(case["input"], case.get("json_schema", case.get("schema")))
        expected = None if "expected_error" in case else (case["expected"],)
        if (parsed and (parsed.value,)) != expected and case["id"] not in UNREASONABLE:
            wrong.append((case["id"], case["input"], parsed))
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "value", "steps"),
    [
        ('{"姓名": "张三"}', {"姓名": "张三"}, "strict"),
        ("\ufeff\n {} ", {}, "strict"),
        ('```json\n{"姓名": "张三"}\n```\n以上。', {"姓名": "张三"}, "fence"),
        ('{"姓名" "张三", "年龄" 3, "在职" true}', {"姓名": "张三", "年龄": 3, "在职": True}, "separators"),
        (
            '{"人": [{"姓名": "张三"} {"姓名": "李四"}] "年龄": 3}',
            {"人": [{"姓名": "张三"}, {"姓名": "李四"}], "年龄": 3},
            "separators",
        ),
        ('{"标签": ("a", "b"), "空": ()}', {"标签": ["a", "b"], "空": []}, "tuples"),
        ('{"净利": (1,200), "人": 张三(主任)}', {"净利": "(1,200)", "人": "张三(主任)"}, "unquoted"),
        ('{"标签": ["a", "b]}', {"标签": ["a", "b"]}, "cut-off"),
        ('{"标签": ["a", "', {"标签": ["a"]}, "cut-off"),
        ('如下[1]：{"姓名": "张三"}。希望有用', {"姓名": "张三"}, "prose"),
        ('屏幕 5" 如下 {"姓名": "张三"}', {"姓名": "张三"}, "prose"),
        ('{\\"姓名\\": \\"张三\\"}', {"姓名": "张三"}, "escaped"),
        ('{"姓名"：“张三”，"年龄"：3}', {"姓名": "张三", "年龄": 3}, "punctuation+quotes"),
        ("{「姓名」：「张“三”」、『年龄』：３}", {"姓名": "张“三”", "年龄": "３"}, "punctuation+quotes+unquoted"),
        ("{'姓名': 'it's \"x\"'}", {"姓名": 'it\'s "x"'}, "quotes"),
        ('{"姓名": None, "年龄": TRUE}', {"姓名": None, "年龄": True}, "literals"),
        ('{"年龄": .5, "n": 007}', {"年龄": 0.5, "n": "007"}, "literals+unquoted"),
        ("{姓名: 张 三, 年龄: 3}", {"姓名": "张 三", "年龄": 3}, "unquoted"),
        ('{"姓名": "张三", /* 是 */ "年龄": 3} // 完', {"姓名": "张三", "年龄": 3}, "prose+comments"),
        ('{"标签": ["a", "b",],,}', {"标签": ["a", "b"]}, "commas"),
        ('{"标签": ["a", ...], ……}', {"标签": ["a"]}, "ellipses+commas"),
        ('{"标签": ["...", "a"]}', {"标签": ["...", "a"]}, "strict"),
        ('[{"姓名": "a"}}, {"标签": ["b"]}]', [{"姓名": "a"}, {"标签": ["b"]}], "repair"),
        ('{"姓名": "张\n三\n"}', {"姓名": "张\n三"}, "line-breaks"),
        ('{"姓名": null, "姓名": "张三", "姓名": "李四"}', {"姓名": "张三"}, "duplicate-keys"),
        ('{"姓名": "张三", "标签": ["a", "b', {"姓名": "张三", "标签": ["a", "b"]}, "cut-off"),
        ('{"姓名": "张三", "年龄":', {"姓名": "张三"}, "cut-off"),
        ('{"姓名": "张三", "年', {"姓名": "张三"}, "cut-off"),
        ('"姓名": "张三", "年龄": 3', {"姓名": "张三", "年龄": 3}, "braces"),
        ('{"姓名": "张三" "年龄": 3}', {"姓名": "张三", "年龄": 3}, "repair"),
        ("姓名：张三\n年龄: 3", {"姓名": "张三", "年龄": "3"}, "lines"),
        ("1. **姓名**：张三；\n- 标签：a\n- 标签：b", {"姓名": "张三", "标签": ["a", "b"]}, "lines"),
        ("姓名：张三，年龄：3。", {"姓名": "张三", "年龄": "3"}, "lines"),
        ('{"姓名": "\ud800"}', {"姓名": "\ud800"}, "strict"),
        ('{"a": 1}\n{"b": 2,}', [{"a": 1}, {"b": 2}], "prose+commas"),
    ],
)
def test_each_strategy_and_repair(text: str, value: Json, steps: str) -> None:
    assert read_json(text, FIELDS) == ParsedJson(value, tuple(steps.split("+")))


@pytest.mark.parametrize(
    "text", ["", "  \n", "没有找到任何实体。", "抱歉，我不能：", "}", "{" * 200, "[" * 100_000, "\\"]
)
def test_a_text_without_json_has_no_value(text: str) -> None:
    assert read_json(text, FIELDS) is None


@pytest.mark.parametrize(
    "piece",
    [
        '{"a":',
        '"',
        '{"',
        '\\"',
        "'a ",
        "“",
        "/* ",
        "# ",
        "\n",
        ",",
        '{"a":1}',
        "{a:1,}",
        "[1],",
        "```\n",
        "姓名：a，",
        "{}",
        "(",
        "()",
        '("x", 1), ',
        '{"a" ',
        "\\",
    ],
)
@pytest.mark.parametrize("start", ["", "{", '{"a":"'])
def test_garbage_is_parsed_in_reasonable_time(start: str, piece: str) -> None:
    started = time.process_time()
    parse(an_answer(start + piece * (100_000 // len(piece)), TASK))
    assert time.process_time() - started < 8  # of this process: other load on the machine says nothing


@given(st.text(st.sampled_from("{}[]\",:：，“”'\\ab1 \n姓名"), max_size=60))
def test_no_text_makes_the_parser_fail(text: str) -> None:
    outcome = parse(an_answer(text, TASK))
    assert isinstance(outcome, Extraction | Rejection)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(_JSON, st.booleans())
def test_strict_json_is_parsed_as_by_the_standard_library(value: Json, ascii_only: bool) -> None:
    assert read_json(json.dumps(value, ensure_ascii=ascii_only)) == ParsedJson(value)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_nan_and_infinity_are_rejected(number: str) -> None:
    assert _rejection(f'{{"年龄": {number}}}').messages == ('/年龄: must be of type "integer"',)


def test_a_repeated_key_before_broken_json_does_not_keep_it_from_being_repaired() -> None:
    parsed = read_json('[{"姓名": "张三", "姓名": "李四"}')
    assert parsed == ParsedJson([{"姓名": "张三"}], ("cut-off", "duplicate-keys"))


def test_a_number_in_a_string_that_is_too_large_for_a_float_is_rejected() -> None:
    for written in ('"1e999"', '"9e999"', "9e999", '"-1E999"', "Infinity"):
        assert _rejection(f'{{"n": {written}}}', a_task(n=NUMBER)).messages == ('/n: must be of type "number"',)


def test_huge_integers_are_numbers() -> None:
    assert _data('{"年龄": ' + "9" * 4000 + "}")["年龄"] == 10**4000 - 1


# Unwrapping and coercion


def test_every_field_is_present_in_the_order_of_the_schema() -> None:
    assert list(_data('{"年龄": 3}').items()) == [("姓名", None), ("年龄", 3), ("标签", None)]


@pytest.mark.parametrize(
    "answer",
    [
        '[{"姓名": "张三"}]',
        '{"result": {"姓名": "张三"}}',
        '{"信息": [{"姓名": "张三"}]}',
        '[{"姓名": "张三"}, {"年龄": null}]',
        '{"信息": [{"keyword": "姓名", "content": "张三"}]}',
        '"{\\"姓名\\": \\"张三\\"}"',
    ],
)
def test_the_one_object_is_unwrapped(answer: str) -> None:
    assert _data(answer) == {"姓名": "张三", "年龄": None, "标签": None}


@pytest.mark.parametrize(
    ("schema", "written", "value", "steps"),
    [
        (STRING, "12.50", "12.50", "strict+types"),
        (STRING, "18888888888", "18888888888", "strict+types"),
        (STRING, '["x"]', "x", "strict+types"),
        (STRING, '"无"', None, "strict+null-words"),
        (STRING, '" N/A "', None, "strict+null-words"),
        (STRING, '""', None, "strict+null-words"),
        (INTEGER, '"12"', 12, "strict+types"),
        (INTEGER, '"１，２００"', 1200, "strict+types"),
        (INTEGER, "3.0", 3.0, "strict"),
        (NUMBER, '"-1.5"', -1.5, "strict+types"),
        (INTEGER, '"八万"', 80000, "strict+types"),
        (INTEGER, '"1_000"', 1000, "strict+types"),
        (STRING, '"007"', "007", "strict"),
        (STRING, "007", "007", "unquoted"),
        ({"oneOf": [{"const": "有"}, {"const": "无"}]}, '"无"', "无", "strict"),
        ({"type": "boolean"}, '"是"', True, "strict+types"),
        (STRINGS, '"x"', ["x"], "strict+types"),
        (STRINGS, '["x", "", "无"]', ["x"], "strict+null-words"),
        ({**STRINGS, "uniqueItems": True}, '["x", "y", "x"]', ["x", "y"], "strict+repeats"),
        (STRINGS, '["x", "y", "x"]', ["x", "y", "x"], "strict"),
        ({"enum": ["采购", "Sale"]}, '"sale "', "Sale", "strict+enum"),
        ({"enum": ["无", "有"]}, '"无"', "无", "strict"),
        ({"anyOf": [INTEGER, {"type": "null"}]}, '"7"', 7, "strict+types"),
        ({"type": ["string", "null"]}, "7", "7", "strict+types"),
    ],
)
def test_values_are_coerced_to_the_schema_and_the_steps_say_so(
    schema: Schema, written: str, value: Json, steps: str
) -> None:
    outcome = parse(an_answer(f'{{"a": {written}}}', a_task(a=schema)))
    assert isinstance(outcome, Extraction), outcome
    assert (outcome.data["a"], outcome.parsed) == (value, steps)
    assert type(outcome.data["a"]) is type(value)


@pytest.mark.parametrize("key", ["Phone", " phone ", "ＰＨＯＮＥ", "手机号"])
def test_keys_that_mean_a_field_are_mapped_to_it(key: str) -> None:
    task = a_task(phone={"type": "string", "title": "手机号"})
    assert _data(json.dumps({key: "1"}), task) == {"phone": "1"}


def test_unknown_keys_are_kept_where_the_schema_allows_them() -> None:
    task = Task("t", {"properties": {"a": STRING}}, "zh", "")
    assert _data('{"b": 1, "a": "x"}', task) == {"a": "x", "b": 1}


@pytest.mark.parametrize(
    ("answer", "reason", "errors"),
    [
        ("", "parse", ("the answer is empty",)),
        ("没有。", "parse", ("the answer holds no JSON",)),
        ("[1, 2]", "parse", ("the answer must be one JSON object, not a list of 2",)),
        ("null", "parse", ("the answer must be one JSON object, not null",)),
        ("{", "parse", ("the answer names no field",)),
        ('{"年龄": "三岁"}', "schema", ('/年龄: must be of type "integer"',)),
        ('{"姓名": ["a", "b"]}', "schema", ('/姓名: must be of type "string"',)),
        ('[{"姓名": "a"}, {"姓名": "b"}]', "parse", ("the answer must be one JSON object, not a list of 2",)),
    ],
)
def test_an_unusable_answer_is_rejected_with_a_reason(answer: str, reason: str, errors: tuple[str, ...]) -> None:
    rejection = _rejection(answer)
    assert (rejection.code, rejection.messages) == (reason, errors)


def test_an_answer_longer_than_any_model_gives_is_not_read() -> None:
    outcome = parse(an_answer('{"a": "x"}' + " " * 1_000_000, a_task(a=STRING)))
    assert isinstance(outcome, Rejection)
    assert [problem.code for problem in outcome.problems] == ["length"]


def test_unknown_keys_are_rejected_where_the_schema_forbids_them() -> None:
    (message,) = _rejection('{"姓名": "a", "秘密": "b"}').messages
    assert message == "/秘密: is not known to the schema"


def test_a_missing_required_field_is_named() -> None:
    assert _rejection("{}", a_task(["a"], a=STRING)).messages == ("/a: required, not found in the document",)
    rejection = _rejection('{"a": null, "b": "x"}', a_task(["a"], a=STRING, b=STRING))
    assert (rejection.code, rejection.messages) == ("required", ("/a: required, not found in the document",))
    assert rejection.salvage is not None
    assert rejection.salvage.data == {"a": None, "b": "x"}


def test_a_value_of_another_format_is_rejected() -> None:
    assert _rejection('{"d": "3月5日"}', a_task(d=DATE)).messages == ('/d: must have the format "date"',)


# Thoughts before an answer


@pytest.mark.parametrize("finish", ["stop", "length"])
def test_thoughts_before_an_answer_are_no_part_of_it(finish: str) -> None:
    thought = '<think>可能是 {"姓名": "李四"}，不对。</think>\n'
    outcome = parse(an_answer(thought + '{"姓名": "张三"}', TASK, finish=finish))
    assert isinstance(outcome, Extraction)
    assert (outcome.data["姓名"], outcome.parsed) == ("张三", "thoughts")
    assert _rejection('<think>可能是 {"姓名": "李四"}，再看', finish=finish).code == "length"
    assert _rejection(thought).code == "parse"


# Answers that are cut off or missing


@pytest.mark.parametrize(
    "answer",
    ["", '{"姓名": "张', '{"姓名": "张三"', '{"姓名": "张三"}\n{"年龄":', "姓名：张三\n年龄：1", '{"标签": ["a", "b"'],
)
def test_an_answer_cut_off_at_the_token_limit_is_never_repaired(answer: str) -> None:
    assert _rejection(answer, finish="length").code == "length"


@pytest.mark.parametrize(
    ("answer", "begun"),
    [
        ('{"姓名": "张三", "标签": ["a", "b', {"姓名": "张三", "标签": ["a"]}),
        ('{"姓名": "张三", "标签": ["a"], "', {"姓名": "张三"}),
        ('```json\n{"姓名": "张三", "年龄": 4', {"姓名": "张三"}),
        ('<think>李四？</think>{"姓名": "张三", "标签": [', {"姓名": "张三"}),
        ('{"姓名": null, "标签": ["a', None),
        ('{"姓名": "张', None),
    ],
    ids=["list", "after a list", "fence", "thoughts", "null alone", "first value"],
)
def test_what_was_said_to_its_end_before_the_token_limit_is_left(answer: str, begun: dict[str, object] | None) -> None:
    salvage = _rejection(answer, finish="length").salvage
    said = salvage and {name: value for name, value in salvage.data.items() if value is not None}
    assert said == begun


def test_a_complete_answer_at_the_token_limit_counts() -> None:
    outcome = parse(an_answer('```json\n{"姓名": "张三"}\n```\n说明', TASK, finish="length"))
    assert isinstance(outcome, Extraction)


@pytest.mark.parametrize("finish", ["overflow", "error"])
def test_a_backend_that_gave_up_is_a_rejection(finish: str) -> None:
    assert _rejection("", finish=finish, detail="out of memory").messages == ("out of memory",)
    assert _rejection("", finish=finish).code == finish


def test_the_answer_of_the_book() -> None:
    answer = '{"手机号": "18888888888", "邮箱": "123456789@qq.com", "账号": "root", "密码": "xiaohua123"}'
    assert _data(answer, CONTACT) == json.loads(answer)
