"""Every value occurs where its span says, or the answer is rejected."""

import json
import time
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from extractor.data import Chunk, Completion, Extraction, Json, Outcome, Prompt, Rejection, Segment, Ungrounded
from extractor.errors import Problem, SchemaError
from extractor.stages.grounding import all_occurrences, ground
from extractor.stages.merging import merge
from extractor.stages.parsing import parse
from extractor.task.coerce import NULL_WORDS, fold
from extractor.task.task import Schema, Task, load_task
from extractor.text.borders import Borders
from tests.builders import DATE, INTEGER, NUMBER, RUN, STRING, STRINGS, a_chunk, a_document, a_prompt, a_task, grounded

LOOSE: Schema = {"type": "string", "x-ground": "normalized"}


def _found(text: str, answer: Json, task: Task) -> dict[str, tuple[str, str]]:
    """Return the text at each span, and how it was selected, by pointer."""
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
        ("root_admin xroot root", {"账号": "root"}, {"/账号": (0, "first")}),
        ("密码。x 旁边 x", {"密码": "x"}, {"/密码": (3, "first")}),
    ],
)
def test_label_and_order_decide_between_several_places(
    text: str, answer: Json, expected: dict[str, tuple[int, str]]
) -> None:
    assert _starts(text, answer, a_task(账号=STRING, 密码=STRING)) == expected


def test_a_title_is_a_label_too() -> None:
    task = a_task(phone={"type": "string", "title": "电话"})
    assert _starts("1 传真 1 电话：1", {"phone": "1"}, task) == {"/phone": (10, "label")}


def test_items_of_a_list_take_successive_places() -> None:
    found = _starts("李 张 王 张 李", {"姓名": ["李", "张", "王", "张"]}, a_task(姓名=STRINGS))
    assert found == {"/姓名/0": (0, "first"), "/姓名/1": (2, "order"), "/姓名/2": (4, "only"), "/姓名/3": (6, "order")}


def test_values_of_one_object_take_places_after_each_other() -> None:
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
        (LOOSE, "é", "（e\u0301）", "e\u0301"),
        (LOOSE, "1200", "共１，２００元", "１，２００"),
        (LOOSE, "一百二十", "共120元", "120"),
        (INTEGER, 1200, "共1,200元", "1,200"),
        (INTEGER, 120, "共一百二十元", "一百二十"),
        (INTEGER, 1200000, "人民币壹佰贰拾万元整", "壹佰贰拾万"),
        (INTEGER, 30000, "约3万元", "3万"),
        (INTEGER, 120000000, "1.2亿", "1.2亿"),
        (INTEGER, 10050, "一万零五十", "一万零五十"),
        (INTEGER, 2024, "二〇二四年", "二〇二四"),
        (INTEGER, 35000, "共3.5万元", "3.5万"),
        (INTEGER, 35000, "合计叁万伍仟元整", "叁万伍仟"),
        (INTEGER, 35000, "３５，０００元", "３５，０００"),
        (INTEGER, 35000, "3万5千元", "3万5千"),
        (INTEGER, 35000, "三点五万", "三点五万"),
        (INTEGER, 12000, "约一万二", "一万二"),
        (INTEGER, 2500, "两千五", "两千五"),
        (INTEGER, 102, "一百零二", "一百零二"),
        (INTEGER, -5, "负五度", "负五"),
        (NUMBER, 35000.5, "叁万伍仟元伍角整", "叁万伍仟元伍角"),
        (NUMBER, 1200.34, "1,200元3角4分", "1,200元3角4分"),
        (NUMBER, 10.05, "十元零五分", "十元零五分"),
        (NUMBER, 0.05, "百分之五", "百分之五"),
        (LOOSE, "3.5万元", "共35000元", "35000"),
        (LOOSE, "￥35,000.00", "叁万伍仟元整", "叁万伍仟"),
        (NUMBER, 3.5, "三点五倍", "三点五"),
        (NUMBER, 12.5, "12.50元", "12.50"),
        (NUMBER, 0.05, "利率5%", "5%"),
        (DATE, "2024-03-05", "于2024年3月5日签", "2024年3月5日"),
        (DATE, "2024-03-05", "于2024/3/5签", "2024/3/5"),
        (DATE, "2024-03-05", "二〇二四年三月五日", "二〇二四年三月五日"),
        (DATE, "2024-12-31", "二〇二四年十二月三十一日", "二〇二四年十二月三十一日"),
        (DATE, "2024-03-25", "二〇二四年三月廿五日", "二〇二四年三月廿五日"),
        (DATE, "2024-03-05", "２０２４年０３月０５日", "２０２４年０３月０５日"),
        (DATE, "2024-03-05", "on 5 March 2024.", "5 March 2024"),
        (DATE, "2024-03-05", "on March 5th, 2024.", "March 5th, 2024"),
        (DATE, "2024-03-05", "编号20240305", "20240305"),
        (
            {"type": "string", "format": "date-time"},
            "2024-03-05T15:20:00",
            "2024年3月5日 下午3点20分",
            "2024年3月5日 下午3点20分",
        ),
        ({"type": "string", "format": "time"}, "15:20:00", "于15:20到", "15:20"),
    ],
)
def test_a_normalized_value_is_found_in_another_notation(schema: Schema, value: Json, text: str, where: str) -> None:
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
def test_a_normalized_value_that_occurs_verbatim_keeps_how_it_was_selected(
    schema: Schema, value: Json, text: str, where: str
) -> None:
    assert _found(text, {"a": value}, a_task(a=schema)) == {"/a": (where, "only")}


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        (STRING, "abc", "ABC"),
        (STRING, "ab", "a b"),
        (STRING, "123", "51234 91239"),
        (INTEGER, 12, "2012年"),
        (INTEGER, 5, "气温 -5 度"),
        (INTEGER, 10002, "约一万二"),
        (LOOSE, "007", "第7件"),
        (INTEGER, 3, "3.5"),
        (DATE, "2024-03-01", "2024年3月"),
        (DATE, "2024-03-05", "2024年3月15日"),
        (LOOSE, "1", "½"),
        (LOOSE, "无此", "此无"),
        (LOOSE, "é", "e\u0301t"),
    ],
)
def test_a_value_that_is_not_found_in_the_text_is_rejected_by_field_without_the_value(
    schema: Schema, value: Json, text: str
) -> None:
    outcome = grounded(a_prompt(a_chunk(text), a_task(a=schema, b=STRING)), {"a": value, "b": None})
    assert isinstance(outcome, Rejection)
    assert (outcome.code, outcome.messages) == ("ungrounded", ("/a: not found in the document",))


def test_all_ungrounded_values_are_named() -> None:
    outcome = grounded(a_prompt(a_chunk("甲"), a_task(a=STRING, l=STRINGS)), {"a": "丙", "l": ["甲", "乙"]})
    assert isinstance(outcome, Rejection)
    assert (outcome.code, outcome.messages) == (
        "ungrounded",
        ("/a: not found in the document", "/l/1: not found in the document"),
    )
    assert outcome.salvage is not None
    assert outcome.salvage.data == {"a": None, "l": ["甲"]}
    assert [each.value for each in outcome.salvage.withheld] == ["丙", "乙"]


def test_a_value_outside_the_chunk_is_not_found() -> None:
    outcome = grounded(a_prompt(a_chunk("甲。乙。", 2, 4), a_task(a=STRING)), {"a": "甲"})
    assert isinstance(outcome, Rejection)


def test_a_required_empty_string_is_not_found() -> None:
    outcome = grounded(a_prompt(a_chunk("甲"), a_task(["a"], a=STRING)), {"a": ""})
    assert isinstance(outcome, Rejection)


def test_enums_and_booleans_have_no_place() -> None:
    task = a_task(kind={"enum": ["采购"]}, yes={"type": "boolean"}, free={"type": "string", "x-ground": "none"})
    assert _found("甲", {"kind": "采购", "yes": True, "free": "乙"}, task) == {}


# Values that are not found

KEPT: Schema = {**STRING, "x-ungrounded": "keep"}
WITHHELD: Schema = {**STRING, "x-ungrounded": "null"}


def _judged(answer: Json, ungrounded: Ungrounded = "retry", required: Sequence[str] = (), **fields: Schema) -> Outcome:
    return ground(_parsed(a_prompt(a_chunk("甲在此"), a_task(required, **fields)), answer), ungrounded)


def _parsed(prompt: Prompt, answer: Json) -> Extraction:
    outcome = parse(Completion(prompt, json.dumps(answer, ensure_ascii=False)))
    assert isinstance(outcome, Extraction)
    return outcome


@pytest.mark.parametrize(
    ("schema", "default", "value", "left", "flags", "withheld"),
    [
        (KEPT, "retry", "乙", "乙", {"/a": "ungrounded"}, []),
        (STRING, "keep", "乙", "乙", {"/a": "ungrounded"}, []),
        (WITHHELD, "keep", "乙", None, {}, ["乙"]),
        (STRING, "null", "甲", "甲", {"/a": "only"}, []),
        (
            {"type": "array", "x-ungrounded": "null", "items": STRING},
            "retry",
            ["乙", "甲"],
            ["甲"],
            {"/a/0": "only"},
            ["乙"],
        ),
        ({"type": "array", "items": WITHHELD}, "retry", ["甲", "乙"], ["甲"], {"/a/0": "only"}, ["乙"]),
        ({"type": "array", "x-ungrounded": "null", "items": KEPT}, "retry", ["乙"], ["乙"], {"/a/0": "ungrounded"}, []),
        ({"$ref": "#/properties/b", "x-ungrounded": "null"}, "retry", "乙", None, {}, ["乙"]),
        ({**WITHHELD, "type": ["string", "null"]}, "retry", "乙", None, {}, ["乙"]),
    ],
)
def test_a_field_says_what_becomes_of_a_value_that_is_not_found(
    schema: Schema, default: Ungrounded, value: Json, left: Json, flags: dict[str, str], withheld: list[Json]
) -> None:
    outcome = _judged({"a": value, "b": None}, default, a=schema, b=STRING)
    assert isinstance(outcome, Extraction)
    assert (outcome.data["a"], outcome.grounded) == (left, flags)
    assert [(each.field, each.value, each.code) for each in outcome.withheld] == [
        ("a", value, "ungrounded") for value in withheld
    ]


def test_one_value_to_retry_is_enough_to_reject_the_answer() -> None:
    outcome = _judged({"a": "乙", "b": "丙", "c": "丁"}, a=KEPT, b=WITHHELD, c=STRING)
    assert isinstance(outcome, Rejection)
    assert outcome.messages == ("/c: not found in the document",)


@pytest.mark.parametrize(
    ("schema", "required", "left", "rule"),
    [
        (WITHHELD, ["a"], None, "/a: required, not found in the document"),
        ({"type": "array", "minItems": 1, "items": WITHHELD}, [], [], "/a: has fewer than 1 items"),
    ],
)
@pytest.mark.parametrize("policy", ["null", "retry"])
def test_an_ungrounded_value_that_the_schema_requires_leaves_the_record_partial(
    schema: Schema, required: list[str], left: Json, rule: str, policy: Ungrounded
) -> None:
    value: Json = ["乙"] if "items" in schema else "乙"
    outcome = _judged({"a": value, "b": "甲"}, required=required, a={**schema, "x-ungrounded": policy}, b=STRING)
    record = merge(a_document("甲在此"), [outcome], RUN)
    assert (record.status, record.data) == ("partial", {"a": left, "b": "甲"})
    assert record.errors[-1].problem == Problem("ungrounded", f"{rule}, without the values withheld")
    assert [each.value for each in record.provenance.withheld] == ["乙"]


DATE_TIME: Schema = {"type": "string", "format": "date-time"}
TIME: Schema = {"type": "string", "format": "time"}


@pytest.mark.parametrize(
    ("schema", "value", "text", "found"),
    [
        (INTEGER, -5, "增长率-5%", "-5"),
        (INTEGER, 5, "增长率-5%", None),
        (NUMBER, -0.05, "增长率-5%", "-5%"),
        (INTEGER, -3, "今晨-3℃", "-3"),
        (INTEGER, 3, "今晨-3℃", None),
        (INTEGER, -5, "气温−5℃", "−5"),
        (INTEGER, -5, "气温－５℃", "－５"),
        (INTEGER, -5, "退款-¥5", "-¥5"),
        (INTEGER, -5, "亏损(5)万元", "(5)"),
        (INTEGER, -5, "A-5", None),
        (INTEGER, -5, "3-5", None),
        (INTEGER, 1000, "共1_000件", "1_000"),
        (INTEGER, 80000, "约八万元", "八万"),
        (STRING, "007", "编号007", "007"),
        (LOOSE, "7", "编号007", None),
        (DATE_TIME, "2024-03-05T14:05:00+08:00", "于2024-03-05T14:05:00+08:00", "2024-03-05T14:05:00+08:00"),
        (DATE_TIME, "2024-03-05T06:05:00Z", "于2024-03-05T14:05:00+08:00", "2024-03-05T14:05:00+08:00"),
        (DATE_TIME, "2024-03-05T14:05:00-11:00", "于2024-03-05T14:05:00+08:00", None),
        (DATE_TIME, "2024-03-05T14:05:00-11:00", "于2024年3月5日 14:05", None),
        (DATE_TIME, "2024-03-05T14:05:00", "于2024年3月5日 14:05", "2024年3月5日 14:05"),
        (TIME, "14:00:00", "14点到", "14点"),
        (TIME, "14:00:00+05:00", "14点到", None),
        (STRING, "1861234", "电话18612345678", None),
        (STRING, "ht", "https://a.cn", None),
        ({**STRING, "x-border": "any"}, "1861234", "电话18612345678", "1861234"),
    ],
)
def test_signs_zones_and_borders_are_part_of_a_value(schema: Schema, value: Json, text: str, found: str | None) -> None:
    outcome = grounded(a_prompt(a_chunk(text), a_task(a=schema)), {"a": value})
    if found is None:
        assert isinstance(outcome, Rejection)
        assert outcome.code == "ungrounded"
    else:
        assert isinstance(outcome, Extraction), outcome
        ((start, end),) = outcome.spans["/a"]
        assert text[start:end] == found


def test_a_policy_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SchemaError, match="retry, null, keep"):
        a_task(a={**STRING, "x-ungrounded": "drop"})


# All occurrences


def _everywhere(text: str, value: Json, schema: Schema) -> list[str]:
    """Return the text at each place of a value, in order."""
    document = a_document(text)
    chunk = a_chunk(text)
    record = merge(document, [grounded(a_prompt(chunk, a_task(a=schema)), {"a": value})], RUN)
    spans = all_occurrences(record, document, a_task(a=schema)).spans["/a"]
    assert list(spans) == sorted(spans)
    return [text[start:end] for start, end in spans]


@pytest.mark.parametrize(
    ("schema", "value", "text", "places"),
    [
        (STRING, "甲", "甲乙甲甲", ["甲", "甲", "甲"]),
        (STRING, "root", "root root_admin xroot root", ["root", "root", "root"]),
        (LOOSE, "abc", "ABC abc ａｂｃ a\nbc abcd", ["ABC", "abc", "ａｂｃ", "a\nbc"]),
        (LOOSE, "ab", "xab ab ＡＢ", ["ab", "ＡＢ"]),
        (INTEGER, 1200, "1,200元，壹仟贰佰元，１２００，12000", ["1,200", "壹仟贰佰", "１２００"]),
        (
            DATE,
            "2024-03-05",
            "2024-03-05即2024年3月5日（二〇二四年三月五日）",
            ["2024-03-05", "2024年3月5日", "二〇二四年三月五日"],
        ),
    ],
)
def test_all_occurrences_lists_every_place_of_a_value(
    schema: Schema, value: Json, text: str, places: list[str]
) -> None:
    assert _everywhere(text, value, schema) == places


def test_all_occurrences_searches_the_whole_document_not_only_the_chunks_that_gave_the_value() -> None:
    document = replace(a_document("甲一。甲二。"), segments=(Segment(0, 3, {"page": 1}), Segment(3, 6, {"page": 2})))
    task = a_task(a=STRING)
    outcomes = [
        grounded(a_prompt(Chunk(document, 0, 0, 3), task), {"a": "甲"}),
        grounded(a_prompt(Chunk(document, 1, 3, 6), task), {"a": None}),
    ]
    record = all_occurrences(merge(document, outcomes, RUN), document, task)
    assert record.spans == {"/a": ((0, 1), (3, 4))}
    assert record.locations == {"/a": ({"page": 1}, {"page": 2})}


@given(st.text(max_size=80), st.data())
def test_the_text_at_each_place_of_a_verbatim_value_is_the_value(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, max(0, len(text) - 1)))
    end = data.draw(st.integers(start, len(text)))
    value = text[start:end]
    assume(Borders(text).fit((start, end)))
    if value.strip() and fold(value).strip("()") not in NULL_WORDS:  # a model that writes "null" means null
        found = _everywhere(text, value, STRING)
        assert set(found) == {value}
        assert len(found) <= text.count(value)
        assert len(found) == text.count(value) or value[0].isalnum() or value[-1].isalnum() or "_" in value


@given(
    st.text(st.sampled_from("aBé甲 １．x"), min_size=1, max_size=20), st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"])
)
def test_a_normalized_value_is_found_in_any_unicode_form_case_and_spacing(
    value: str, form: Literal["NFC", "NFD", "NFKC", "NFKD"]
) -> None:
    written = unicodedata.normalize(form, " ".join(value)).swapcase()
    if value.strip():
        (place,) = _everywhere(f"（{value.strip()}）", written.strip(), LOOSE)
        assert place == value.strip()


@given(st.text(st.sampled_from("ab1 ２一。\u0301"), min_size=1, max_size=60), st.data())
def test_a_verbatim_span_is_the_value(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    outcome = grounded(a_prompt(a_chunk(text), a_task(l=STRINGS)), {"l": [text[start:end]]})
    if isinstance(outcome, Extraction):
        for pointer, ((first, last),) in outcome.spans.items():
            assert text[first:last] == outcome.data["l"][int(pointer[-1])]
    else:
        assert not Borders(text).fit((start, end))


@given(st.text(st.sampled_from("aＢ ｃ１\n\u0301é甲"), min_size=1, max_size=40))
def test_a_normalized_value_copied_from_the_text_is_always_found(text: str) -> None:
    if text.strip() and "".join(text.split()) != "\u0301":
        outcome = grounded(a_prompt(a_chunk(f"前{text}后"), a_task(["a"], a=LOOSE)), {"a": text.strip()})
        assert isinstance(outcome, Extraction)


def test_long_lists_are_grounded_in_long_documents_in_reasonable_time() -> None:
    text = "张三，李四 12 2024年3月5日。" * 5000 + "王 五"
    answer = {"姓名": ["张三", "李四"] * 300, "数": [12] * 300, "日": "2024-03-05", "名": "王五"}
    task = a_task(姓名=STRINGS, 数={"type": "array", "items": INTEGER}, 日=DATE, 名=LOOSE)
    started = time.perf_counter()
    outcome = grounded(a_prompt(a_chunk(text), task), answer)
    assert isinstance(outcome, Extraction)
    assert len(outcome.spans) == 902
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    "piece", ["1,", "1,111", "一", "十", "2024年", "Mar ", "+", " ", "12:", "e\u0301", "1", "1万2千3", "壹元伍角"]
)
def test_garbage_is_searched_in_reasonable_time(piece: str) -> None:
    task = a_task(n=INTEGER, d=DATE, s=LOOSE)
    prompt = a_prompt(a_chunk(piece * (100_000 // len(piece))), task)
    outcome = parse(Completion(prompt, '{"n": 77, "d": "2024-01-02", "s": "甲乙"}'))
    assert isinstance(outcome, Extraction)
    started = time.perf_counter()
    assert isinstance(ground(outcome), Rejection)
    assert time.perf_counter() - started < 5
