"""Values as they are selected and typed, for every kind of field: text, numbers, dates, lists, objects, maps."""

from __future__ import annotations

from typing import Any

import pytest

from extractor.data import Json, Span
from extractor.review.draft import Draft, Placed
from extractor.review.form import Form
from extractor.review.offsets import Utf16
from extractor.review.values import Refusal, Values
from extractor.task.task import Task, make_task

TEXT = "订单A-17于2024年5月4日由王芳下单，金额1,200.50元，共三台，已付款，加急。客户王芳，ABC Ltd。Abc，用时两个半小时"
SECOND = (TEXT.rindex("王芳"), TEXT.rindex("王芳") + 2)
SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {
        "客户": {"type": "string"},
        "日期": {"type": "string", "format": "date"},
        "金额": {"type": "number"},
        "台数": {"type": "integer"},
        "付款": {"type": "boolean"},
        "级别": {"enum": ["加急", "普通"]},
        "代码": {"type": "string", "pattern": "^[A-Z]+$", "maxLength": 5},
        "片段": {"type": "string", "x-border": "any"},
        "摘要": {"type": "string", "x-ground": "none"},
        "备注": {"type": "string", "x-ungrounded": "keep"},
        "时长": {"type": "string", "format": "duration"},
        "时间": {"anyOf": [{"type": "null"}, {"type": "string", "format": "time"}]},
    },
}


@pytest.fixture(scope="module")
def task() -> Task:
    return make_task(SCHEMA)


def _selected(task: Task, field: str, part: str, text: str = TEXT) -> Placed | Refusal:
    start = text.index(part)
    return Values(task, text).selected(Form(task).node({}, f"/{field}"), (start, start + len(part)))


def _span(part: str, text: str = TEXT) -> tuple[Span, ...]:
    return ((text.index(part), text.index(part) + len(part)),)


@pytest.mark.parametrize(
    ("field", "part", "value", "place"),
    [
        ("客户", "王芳", "王芳", "王芳"),
        ("客户", " Ltd", "Ltd", "Ltd"),
        ("客户", "BC L", "ABC Ltd", "ABC Ltd"),
        ("片段", "BC L", "BC L", "BC L"),
        ("日期", "2024年5月4日", "2024-05-04", "2024年5月4日"),
        ("金额", "1,200.50元", 1200.5, "1,200.50"),
        ("金额", "200", 1200.5, "1,200.50"),
        ("台数", "三台", 3, "三"),
        ("时长", "两个半小时", "PT2H30M", "两个半小时"),
        ("付款", "已付款", None, None),
        ("级别", "，加急", "加急", ""),
        ("摘要", "已付款", "已付款", ""),
    ],
)
def test_a_selection_becomes_the_value_of_the_field(
    task: Task, field: str, part: str, value: Json, place: str | None
) -> None:
    found = _selected(task, field, part)
    if place is None:
        assert isinstance(found, Refusal)
    else:
        assert found == Placed(value, _span(place) if place else ())


@pytest.mark.parametrize(
    ("field", "typed", "span", "expected"),
    [
        ("客户", "王芳", SECOND, Placed("王芳", (SECOND,))),
        ("客户", "王芳", None, Placed("王芳", _span("王芳"))),
        ("客户", "王芳", (0, 2), Refusal("other-text")),
        ("客户", "李四", None, Refusal("not-in-text")),
        ("备注", "李四", None, Placed("李四")),
        ("日期", "2024-05-04", None, Placed("2024-05-04", _span("2024年5月4日"))),
        ("金额", "1200.5", None, Placed(1200.5, _span("1,200.50"))),
        ("台数", "3.5", None, Refusal("not-in-text")),
        ("付款", True, None, Placed(True)),
        ("付款", "是", None, Placed(True)),
        ("级别", "普通", None, Placed("普通")),
        ("级别", "很急", None, Refusal("schema", 'must be one of ["加急", "普通"]')),
        ("代码", "ABC", None, Placed("ABC", _span("ABC"))),
        ("代码", "Ltd", None, Refusal("schema", 'must match the pattern "^[A-Z]+$"')),
        ("时间", "12:00", None, Refusal("not-in-text")),
    ],
)
def test_what_is_typed_becomes_a_value_at_a_place(
    task: Task, field: str, typed: Json, span: Span | None, expected: Placed | Refusal
) -> None:
    assert Values(task, TEXT).typed(Form(task).node({}, f"/{field}"), typed, span) == expected


def test_places_are_of_the_text_itself_of_another_notation_or_of_more(task: Task) -> None:
    values, node = Values(task, TEXT), Form(task).node({}, "/客户")
    assert [placed.value for placed in values.places(node, "王芳")] == ["王芳", "王芳"]
    assert [placed.value for placed in values.places(node, "ａｂｃ")] == ["ABC", "Abc"]
    assert [placed.value for placed in values.places(node, "Lt")] == ["Ltd"]
    assert values.places(node, "  ") == []


def test_a_draft_may_lack_what_is_required_but_not_say_what_the_text_does_not() -> None:
    task = make_task({**SCHEMA, "required": ["客户", "台数"]})
    values = Values(task, TEXT)
    draft = Draft({"客户": "王", "金额": 7, "台数": None, "日期": "2024-05-04"}, {"/金额": ((0, 2),)})
    assert {pointer: each.code for pointer, each in values.refusals(draft).items()} == {
        "/客户": "no-place",
        "/金额": "other-text",
        "/日期": "no-place",
    }
    inside = Draft({"客户": "AB"}, {"/客户": ((TEXT.index("ABC"), TEXT.index("ABC") + 2),)})
    assert {pointer: each.code for pointer, each in values.refusals(inside).items()} == {"/客户": "border"}
    assert values.refusals(inside, [("AB", inside.spans["/客户"][0])]) == {}
    wrong = Draft({"代码": "Abc", "台数": "many"}, {"/代码": _span("Abc")})
    assert {pointer: each.code for pointer, each in values.refusals(wrong).items()} == {
        "/代码": "schema",
        "/台数": "schema",
    }


NESTED: dict[str, Json] = {
    "type": "object",
    "properties": {
        "行": {
            "type": "array",
            "items": {"type": "object", "properties": {"品名": {"type": "string"}, "数量": {"type": "integer"}}},
            "maxItems": 3,
        },
        "标签": {"type": "array", "items": {"type": "string"}},
        "地址": {"type": "object", "properties": {"市": {"type": "string"}}, "required": ["市"]},
        "其他": {"type": "object", "additionalProperties": {"type": "string"}},
        "格": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
    },
}


def _lines(task: Task, draft: Draft) -> list[tuple[str, str, int]]:
    return [(line.pointer, line.kind, line.depth) for line in Form(task).lines(draft)]


def _added(task: Task, draft: Draft, pointer: str, name: str | None = None) -> tuple[Draft, str]:
    return draft.adding(pointer, Form(task).blank(draft.data, pointer, name), name)


def test_lists_objects_and_maps_grow_and_shrink_and_their_places_move_along() -> None:
    task = make_task(NESTED)
    draft = Draft(task.completed({}))
    draft, first = _added(task, draft, "/行")
    draft, second = _added(task, draft, "/行")
    draft, tag = _added(task, draft, "/标签")
    draft, entry = _added(task, draft, "/其他", "a/b")
    draft, home = _added(task, draft, "/地址")
    draft, grid = _added(task, draft, "/格")
    assert [first, second, tag, entry, home, grid] == ["/行/0", "/行/1", "/标签/0", "/其他/a~1b", "/地址", "/格/0"]
    draft = draft.placing("/行/1/品名", Placed("键盘", ((5, 7),), {"confidence": 0.5})).placing(
        "/其他/a~1b", Placed("x")
    )
    assert draft.data == {
        "行": [{}, {"品名": "键盘"}],
        "标签": [None],
        "地址": {},
        "其他": {"a/b": "x"},
        "格": [[]],
    }
    assert _lines(task, draft) == [
        ("/行", "list", 0),
        ("/行/0", "object", 1),
        ("/行/0/品名", "value", 2),
        ("/行/0/数量", "value", 2),
        ("/行/1", "object", 1),
        ("/行/1/品名", "value", 2),
        ("/行/1/数量", "value", 2),
        ("/标签", "list", 0),
        ("/标签/0", "value", 1),
        ("/地址", "object", 0),
        ("/地址/市", "value", 1),
        ("/其他", "object", 0),
        ("/其他/a~1b", "value", 1),
        ("/格", "list", 0),
        ("/格/0", "list", 1),
    ]
    left = draft.without("/行/0")
    assert (left.spans, left.about) == ({"/行/0/品名": ((5, 7),)}, {"/行/0/品名": {"confidence": 0.5}})
    tidy = draft.tidied()
    assert tidy.data == {"行": [{"品名": "键盘"}], "标签": [], "地址": {}, "其他": {"a/b": "x"}, "格": []}
    assert tidy.spans == {"/行/0/品名": ((5, 7),)}


def test_a_form_says_what_can_be_added_removed_and_chosen(task: Task) -> None:
    nested = make_task(NESTED)
    draft = Draft({"行": [{}, {}, {}], "标签": None, "地址": None, "其他": {"k": "v"}, "格": None})
    lines = {line.pointer: line for line in Form(nested).lines(draft)}
    assert {pointer for pointer, line in lines.items() if line.addable} == {"/标签", "/地址", "/其他", "/格"}
    assert {pointer for pointer, line in lines.items() if line.removable} == {"/行/0", "/行/1", "/行/2", "/其他/k"}
    assert {pointer for pointer, line in lines.items() if line.named} == {"/其他"}
    flat = {line.pointer: line.options for line in Form(task).lines(Draft(task.completed({})))}
    assert (flat["/付款"], flat["/级别"], flat["/客户"]) == ([True, False], ["加急", "普通"], None)


def test_an_alternative_is_the_one_that_the_value_answers_to() -> None:
    shape: dict[str, Any] = {
        "anyOf": [
            {"type": "object", "properties": {"kind": {"const": "person"}, "name": {"type": "string"}}},
            {"type": "object", "properties": {"kind": {"const": "firm"}, "tax": {"type": "string"}}},
            {"type": "null"},
        ]
    }
    task = make_task({"type": "object", "properties": {"who": shape}})
    assert _lines(task, Draft({"who": {"kind": "firm"}})) == [
        ("/who", "object", 0),
        ("/who/kind", "value", 1),
        ("/who/tax", "value", 1),
    ]
    assert _lines(task, Draft({"who": None})) == [("/who", "object", 0)]


@pytest.mark.parametrize("text", ["", "abc", "😀", "a😀b😀😀c", "\ud83d\ude00x", "شركة 😀 ABC"])
def test_places_in_utf16_and_in_code_points_are_those_of_the_same_characters(text: str) -> None:
    places = Utf16(text)
    for start in range(len(text) + 1):
        for end in range(start, len(text) + 1):
            units = places.to_units((start, end))
            assert units == tuple(len(text[:at].encode("utf-16-le", "surrogatepass")) // 2 for at in (start, end))
            assert places.to_characters(units) == (start, end)
