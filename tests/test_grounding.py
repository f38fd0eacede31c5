"""Every value stands where its span says, or the answer is refused."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractor.grounding import ground
from extractor.parsing import parse
from extractor.tasks import Schema, Task, load_task
from extractor.types import Completion, Extraction, Json, Rejection
from tests.builders import DATE, INTEGER, NUMBER, STRING, STRINGS, a_chunk, a_prompt, a_task, grounded

LOOSE: Schema = {"type": "string", "x-ground": "normalized"}


def _found(text: str, answer: Json, task: Task) -> dict[str, tuple[str, str]]:
    """Pointer to the text at the span, and how it was chosen."""
    outcome = grounded(a_prompt(a_chunk(text), task), answer)
    assert isinstance(outcome, Extraction), outcome
    return {p: (text[s:e], outcome.grounded[p]) for p, ((s, e),) in outcome.spans.items()}


def _starts(text: str, answer: Json, task: Task) -> dict[str, tuple[int, str]]:
    outcome = grounded(a_prompt(a_chunk(text), task), answer)
    assert isinstance(outcome, Extraction), outcome
    return {pointer: (start, outcome.grounded[pointer]) for pointer, ((start, _),) in outcome.spans.items()}


def test_the_example_of_the_book() -> None:
    text = "参数\n手机号18888888888\n邮箱123456789@qq.com\n账号:root 密码:xiaohua123\n"
    answer = {"手机号": "18888888888", "邮箱": "123456789@qq.com", "账号": "root", "密码": "xiaohua123"}
    found = _found(text, answer, load_task("contact"))
    assert found == {f"/{name}": (value, "only") for name, value in answer.items()}


def test_spans_are_offsets_of_the_document_not_of_the_chunk() -> None:
    text = "甲在前。甲在后。"
    outcome = grounded(a_prompt(a_chunk(text, 4, 8), a_task(a=STRING)), {"a": "甲"})
    assert isinstance(outcome, Extraction)
    assert outcome.spans == {"/a": ((4, 5),)}


@pytest.mark.parametrize(
    ("text", "answer", "expected"),
    [
        ("root 账号:root 密码:root", {"账号": "root", "密码": "root"}, {"/账号": (8, "label"), "/密码": (16, "label")}),
        ("x a x b x", {"账号": "a", "密码": "x"}, {"/账号": (2, "only"), "/密码": (4, "order")}),
        ("x a x b x", {"账号": "x", "密码": "a"}, {"/账号": (0, "order"), "/密码": (2, "only")}),
        ("x a x", {"账号": "x"}, {"/账号": (0, "first")}),
        ("51234 123 1234", {"账号": "123"}, {"/账号": (6, "only")}),
        ("51234 91239", {"账号": "123"}, {"/账号": (1, "first")}),
        ("root_admin root", {"账号": "root"}, {"/账号": (11, "only")}),
        ("密码。x 旁边 x", {"密码": "x"}, {"/密码": (3, "first")}),
    ],
)
def test_of_several_places_the_one_that_label_and_order_speak_for(
    text: str, answer: Json, expected: dict[str, tuple[int, str]]
) -> None:
    assert _starts(text, answer, a_task(账号=STRING, 密码=STRING)) == expected


def test_a_title_is_a_label_too() -> None:
    task = a_task(phone={"type": "string", "title": "电话"})
    assert _starts("1 传真 1 电话：1", {"phone": "1"}, task) == {"/phone": (10, "label")}


def test_items_of_a_list_take_successive_places() -> None:
    found = _starts("李 张 王 张 李", {"姓名": ["李", "张", "王", "张"]}, a_task(姓名=STRINGS))
    assert found == {"/姓名/0": (0, "first"), "/姓名/1": (2, "order"), "/姓名/2": (4, "only"), "/姓名/3": (6, "order")}


def test_values_of_one_object_stand_behind_each_other() -> None:
    row: Schema = {"type": "object", "properties": {"名": STRING, "价": INTEGER}}
    answer = {"行": [{"名": "笔", "价": 5}, {"名": "纸", "价": 5}]}
    found = _starts("5 行：笔 5 纸 5", answer, a_task(行={"type": "array", "items": row}))
    assert found == {
        "/行/0/名": (4, "only"),
        "/行/0/价": (6, "order"),
        "/行/1/名": (8, "only"),
        "/行/1/价": (10, "order"),
    }


def test_pointers_escape_names() -> None:
    assert list(_found("x", {"a/b~": "x"}, a_task((), **{"a/b~": STRING}))) == ["/a~1b~0"]


@pytest.mark.parametrize(
    ("schema", "value", "text", "where"),
    [
        (LOOSE, "abc", "ＡＢ Ｃ公司", "ＡＢ Ｃ"),
        (LOOSE, "北京 路1号", "在北京\n路１号", "北京\n路１号"),
        (LOOSE, "é", "e\u0301t", "e\u0301"),
        (LOOSE, "1200", "共１，２００元", "１，２００"),
        (LOOSE, "一百二十", "共120元", "120"),
        (INTEGER, 1200, "共1,200元", "1,200"),
        (INTEGER, 120, "共一百二十元", "一百二十"),
        (INTEGER, 1200000, "人民币壹佰贰拾万元整", "壹佰贰拾万"),
        (INTEGER, 30000, "约3万元", "3万"),
        (INTEGER, 120000000, "1.2亿", "1.2亿"),
        (INTEGER, 10050, "一万零五十", "一万零五十"),
        (INTEGER, 2024, "二〇二四年", "二〇二四"),
        (NUMBER, 3.5, "三点五倍", "三点五"),
        (NUMBER, 12.5, "12.50元", "12.50"),
        (NUMBER, 0.05, "利率5%", "5%"),
        (DATE, "2024-03-05", "于2024年3月5日签", "2024年3月5日"),
        (DATE, "2024-03-05", "于2024/3/5签", "2024/3/5"),
        (DATE, "2024-03-05", "二〇二四年三月五日", "二〇二四年三月五日"),
        (DATE, "2024-12-31", "二〇二四年十二月三十一日", "二〇二四年十二月三十一日"),
        (DATE, "2024-03-05", "on 5 March 2024.", "5 March 2024"),
        (DATE, "2024-03-05", "on March 5th, 2024.", "March 5th, 2024"),
        (DATE, "2024-03-05", "编号20240305", "20240305"),
        (
            {"type": "string", "format": "date-time"},
            "2024-03-05T15:20:00Z",
            "2024年3月5日 下午3点20分",
            "2024年3月5日 下午3点20分",
        ),
        ({"type": "string", "format": "time"}, "15:20:00Z", "于15:20到", "15:20"),
    ],
)
def test_another_notation_of_the_same_is_found(schema: Schema, value: Json, text: str, where: str) -> None:
    assert _found(text, {"a": value}, a_task(a=schema)) == {"/a": (where, "normalized")}


@pytest.mark.parametrize(
    ("schema", "value", "text", "where"),
    [
        (INTEGER, 3, "约3万元", "3"),
        (INTEGER, -5, "气温 -5 度", "-5"),
        (DATE, "2024-03-05", "于2024-03-05签", "2024-03-05"),
        (LOOSE, "A b", "a B, A b", "A b"),
    ],
)
def test_a_normalized_value_that_stands_as_it_is_keeps_how_it_was_chosen(
    schema: Schema, value: Json, text: str, where: str
) -> None:
    assert _found(text, {"a": value}, a_task(a=schema)) == {"/a": (where, "only")}


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        (STRING, "abc", "ABC"),
        (STRING, "ab", "a b"),
        (INTEGER, 12, "2012年"),
        (INTEGER, 5, "气温 -5 度"),
        (INTEGER, 3, "3.5"),
        (DATE, "2024-03-01", "2024年3月"),
        (DATE, "2024-03-05", "2024年3月15日"),
        (LOOSE, "1", "½"),
        (LOOSE, "无此", "此无"),
    ],
)
def test_what_does_not_stand_in_the_text_is_refused_by_name_only(schema: Schema, value: Json, text: str) -> None:
    outcome = grounded(a_prompt(a_chunk(text), a_task(a=schema, b=STRING)), {"a": value, "b": None})
    assert isinstance(outcome, Rejection)
    assert (outcome.reason, outcome.errors) == ("ungrounded", ("/a: not in the document",))


def test_all_ungrounded_values_are_named() -> None:
    outcome = grounded(a_prompt(a_chunk("甲"), a_task(a=STRING, l=STRINGS)), {"a": "丙", "l": ["甲", "乙"]})
    assert outcome == Rejection(
        outcome.completion, "ungrounded", ("/a: not in the document", "/l/1: not in the document")
    )


def test_a_value_outside_the_chunk_is_not_in_the_text() -> None:
    outcome = grounded(a_prompt(a_chunk("甲。乙。", 2, 4), a_task(a=STRING)), {"a": "甲"})
    assert isinstance(outcome, Rejection)


def test_a_required_empty_string_stands_nowhere() -> None:
    outcome = grounded(a_prompt(a_chunk("甲"), a_task(["a"], a=STRING)), {"a": ""})
    assert isinstance(outcome, Rejection)


def test_options_and_truth_values_have_no_place() -> None:
    task = a_task(kind={"enum": ["采购"]}, yes={"type": "boolean"}, free={"type": "string", "x-ground": "none"})
    assert _found("甲", {"kind": "采购", "yes": True, "free": "乙"}, task) == {}


@given(st.text(st.sampled_from("ab1 ２一。\u0301"), min_size=1, max_size=60), st.data())
def test_a_verbatim_span_is_the_value(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    outcome = grounded(a_prompt(a_chunk(text), a_task(l=STRINGS)), {"l": [text[start:end], text[:1]]})
    if isinstance(outcome, Extraction):
        for pointer, ((first, last),) in outcome.spans.items():
            assert text[first:last] == outcome.data["l"][int(pointer[-1])]
    else:
        assert not text[start:end].strip()


@given(st.text(st.sampled_from("aＢ ｃ１\n\u0301é甲"), min_size=1, max_size=40))
def test_folded_text_is_always_found_again(text: str) -> None:
    if text.strip() and "".join(text.split()) != "\u0301":
        outcome = grounded(a_prompt(a_chunk(f"前{text}后"), a_task(["a"], a=LOOSE)), {"a": text.strip()})
        assert isinstance(outcome, Extraction)


def test_long_documents_and_long_lists_are_quick() -> None:
    text = "张三，李四 12 2024年3月5日。" * 5000 + "王 五"
    answer = {"姓名": ["张三", "李四"] * 300, "数": [12] * 300, "日": "2024-03-05", "名": "王五"}
    task = a_task(姓名=STRINGS, 数={"type": "array", "items": INTEGER}, 日=DATE, 名=LOOSE)
    started = time.perf_counter()
    outcome = grounded(a_prompt(a_chunk(text), task), answer)
    assert isinstance(outcome, Extraction)
    assert len(outcome.spans) == 902
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("piece", ["1,", "1,111", "一", "十", "2024年", "Mar ", "+", " ", "12:", "e\u0301", "1"])
def test_garbage_is_searched_in_reasonable_time(piece: str) -> None:
    task = a_task(n=INTEGER, d=DATE, s=LOOSE)
    prompt = a_prompt(a_chunk(piece * (100_000 // len(piece))), task)
    outcome = parse(Completion(prompt, '{"n": 77, "d": "2024-01-02", "s": "甲乙"}'))
    assert isinstance(outcome, Extraction)
    started = time.perf_counter()
    assert isinstance(ground(outcome), Rejection)
    assert time.perf_counter() - started < 5
