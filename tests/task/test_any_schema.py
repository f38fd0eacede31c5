"""Whatever a schema of strangers allows can be written under the constraint, and comes out as it was written."""

import json
from collections.abc import Mapping

import pytest

from extractor.backends.scripted import Backend
from extractor.cli._results_table import ResultsTable
from extractor.config import RunConfig
from extractor.data import Json, Record
from extractor.errors import SchemaError
from extractor.evaluation.evaluation import Scope
from extractor.pipeline import Pipeline
from extractor.stages.prompting import check
from extractor.task.answer_schema import answer_schema
from extractor.task.schema_report import report
from extractor.task.task import Schema, make_task
from tests.builders import INTEGER, STRING, STRINGS, a_document
from tests.task.test_schema_kinds import a_schema, takes

DRAFT_7 = {"$schema": "http://json-schema.org/draft-07/schema#"}
ANY: Json = {"description": "whatever it is"}
POINT = {"type": "object", "required": ["x"], "properties": {"x": INTEGER, "name": STRING}}


def opened(*names: str) -> Schema:
    """Return the schema of an object that needs these texts, and may have others."""
    return {"type": "object", "properties": dict.fromkeys(names, STRING), "required": list(names)}


def closed(*names: str) -> Schema:
    """Return the schema of an object that needs these texts, and has no others."""
    return {**opened(*names), "additionalProperties": False}


def a_record(schema: Schema, text: str, answer: Json, **config: Json) -> Record:
    """The record of a text that is always answered so."""
    backend = Backend(answer=lambda prompt: json.dumps(answer, ensure_ascii=False))
    (record,) = Pipeline(make_task(schema), backend, RunConfig(**config)).run([a_document(text)])
    return record


# ruff: noqa: E501
REACHED: list[tuple[str, Schema, str, Json]] = [
    ("a number of no type", a_schema(a=ANY), "甲 3.5", {"a": 3.5}),
    ("a boolean of no type", a_schema(a=ANY), "甲", {"a": True}),
    ("text of no type", a_schema(a=ANY), "甲 乙", {"a": "甲"}),
    ("a list of no type", a_schema(a={}), "甲 3", {"a": ["甲", 3, None, ["甲"]]}),
    ("an object of no type", a_schema(a={}), "甲 3", {"a": {"名": "甲", "内": {"数": 3, "表": ["甲"]}}}),
    ("items of which nothing is said", a_schema(a={"type": "array"}), "甲 3", {"a": ["甲", 3, {"k": "甲"}]}),
    ("an object of which nothing is said", a_schema(a={"type": "object"}), "甲 3", {"a": {"k": ["甲", 3, True]}}),
    ("a map of anything", a_schema(a={"type": "object", "additionalProperties": True}), "甲 3", {"a": {"k": ["甲", 3]}}),
    ("a map whose entry is empty", a_schema(a={"type": "object", "additionalProperties": STRING}), "甲", {"a": {"k": "甲"}}),
    ("a root that is a map", {"type": "object", "additionalProperties": STRING}, "姓名：甲", {"姓名": "甲"}),
    ("a root that is a map of objects", {"type": "object", "additionalProperties": POINT}, "p1 3 甲", {"p1": {"x": 3, "name": "甲"}}),
    ("a root that is a map by pattern", {"patternProperties": {"^[a-z]+$": INTEGER}}, "a 3", {"a": 3, "b": 3}),
    ("a root that is a map of anything", {"type": "object", "additionalProperties": True}, "甲 3", {"名": "甲", "表": [3]}),
    ("a root that may be no object", {**a_schema(a=STRING), "type": ["object", "boolean"]}, "甲", {"a": "甲"}),
    ("told apart by what is required", a_schema(a=STRING, b=STRING) | {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, "甲", {"b": "甲"}),
    ("told apart by a pattern",
     {"type": "object", "oneOf": [a_schema(s={"type": "string", "pattern": f"^{word}$"}, n={"type": "array", "items": a_schema(m=STRING, c=INTEGER)}) for word in ("好", "坏")]},
     "坏 甲 3 乙", {"s": "坏", "n": [{"m": "甲", "c": 3}, {"m": "乙", "c": None}]}),
    ("told apart by what is described", a_schema(a={"anyOf": [a_schema(x=INTEGER), a_schema(y=INTEGER)]}), "3,5", {"a": {"y": 3}}),
    ("an alternative that nothing can satisfy",
     a_schema(a={"type": "object", "required": ["k"], "properties": {"k": {"enum": ["甲"]}}, "oneOf": [{"properties": {"k": {"enum": ["乙"]}}}, {"properties": {"n": INTEGER}}]}),
     "3", {"a": {"k": "甲", "n": 3}}),
    ("an identifier of draft 4 inside", a_schema(a={"id": "/inner", **a_schema(b={"$ref": "#/definitions/S"})}) | {"definitions": {"S": STRING}},
     "甲", {"a": {"b": "甲"}}),
    ("an enum of which some have another type", a_schema(a={"type": "string", "enum": ["甲", 3]}), "x", {"a": "甲"}),
    ("what stands beside a reference in draft 7", a_schema(a={"$ref": "#/definitions/S", "maxLength": 1, "title": "名"}) | DRAFT_7 | {"definitions": {"S": STRING}},
     "甲乙", {"a": "甲乙"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "schema", "text", "data"), REACHED, ids=[kind for kind, *_ in REACHED])
def test_what_is_right_can_be_written_and_comes_out(kind: str, schema: Schema, text: str, data: Json) -> None:
    task = make_task(schema)
    assert takes(task, text, data)
    record = a_record(schema, text, task.completed(data))
    assert (record.status, _without_nulls(record.data)) == ("ok", _without_nulls(data)), record.errors
    served = make_task({**answer_schema(task), "title": kind})
    assert served.problems(task.completed(data)) == ()


def _without_nulls(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value if item is not None] if isinstance(value, list) else value


BEYOND: list[tuple[str, Schema, str, Json]] = [
    ("text that is not there", a_schema(a=ANY), "甲", {"a": "乙"}),
    ("text that is not there, in a list", a_schema(a={"type": "array"}), "甲", {"a": ["甲", "乙"]}),
    ("text that is not there, in an object", a_schema(a={"type": "object"}), "甲", {"a": {"k": {"l": "乙"}}}),
    ("a value of an enum that has another type", a_schema(a={"type": "string", "enum": ["甲", 3]}), "x", {"a": 3}),
    ("lists without an end", a_schema(a={}), "甲", {"a": [[[[[[[[[[[["甲"]]]]]]]]]]]]}),
    ("what stands beside a reference today", a_schema(a={"$ref": "#/$defs/S", "maxLength": 1}) | {"$defs": {"S": STRING}}, "甲乙", {"a": "甲乙"}),
    ("an alternative that nothing can satisfy", REACHED[-4][1], "3", {"a": {"k": "乙", "n": 3}}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "schema", "text", "data"), BEYOND, ids=[kind for kind, *_ in BEYOND])
def test_what_is_wrong_cannot_be_written(kind: str, schema: Schema, text: str, data: Json) -> None:
    assert not takes(make_task(schema), text, data)


def test_a_schema_whose_every_alternative_is_impossible_is_refused() -> None:
    schema = a_schema(a={"type": "string", "anyOf": [{"type": "integer"}, {"enum": []}]})
    with pytest.raises(SchemaError, match=r"/properties/a"):
        make_task(schema)


@pytest.mark.parametrize(
    ("schema", "answer", "data", "message"),
    [
        (a_schema(a=STRING) | {"required": ["b"], "additionalProperties": True}, {"a": "甲", "b": None}, {"a": "甲", "b": None}, "/b: required, not found in the document"),
        (a_schema(a=STRING, l={**STRINGS, "minItems": 2}), {"a": "甲", "l": ["乙"]}, {"a": "甲", "l": ["乙"]}, "/l: has fewer than 2 items"),
        (a_schema(a=STRING, l={**STRINGS, "minItems": 10**9}) | {"required": ["l"]}, {"a": "甲", "l": None}, {"a": "甲", "l": []}, "/l: has fewer than 1000000000 items"),
        (a_schema(a=STRING, b=STRING) | {"required": ["b"]}, {"a": "甲", "b": ""}, {"a": "甲", "b": None}, "/b: required, not found in the document"),
        (a_schema(t={"type": "array", "items": {"anyOf": [closed("f"), closed("c", "d")]}}), {"t": [{"c": "甲", "d": None}]}, {"t": [{"c": "甲", "d": None}]}, "/t/0/d: required, not found in the document"),
        (a_schema(t={"type": "array", "items": {"anyOf": [opened("f"), opened("c", "d")]}}), {"t": [{"c": "甲", "d": None}]}, {"t": [{"c": "甲", "d": None}]}, "/t/0/d: required, not found in the document"),
        (a_schema(t={"anyOf": [STRING, closed("f"), closed("c", "d")]}), {"t": {"c": None, "d": "甲"}}, {"t": {"c": None, "d": "甲"}}, "/t/c: required, not found in the document"),
        (a_schema(a=STRING, b=STRING) | {"minProperties": 2}, {"a": "甲"}, {"a": "甲", "b": None}, "/: has fewer than 2 members"),
    ],
)  # fmt: skip
def test_what_a_document_lacks_costs_nothing_of_the_rest(
    schema: Schema, answer: Json, data: Json, message: str
) -> None:
    record = a_record(schema, "甲 乙", answer)
    assert (record.status, record.data, record.attempts) == ("partial", data, 2)
    assert {error.problem.message for error in record.errors} == {message}


def test_what_is_empty_where_nothing_is_said_is_nothing() -> None:
    record = a_record(a_schema(a={}), "甲", {"a": [{"k": "甲", "l": ""}, ""]})
    assert (record.status, record.data) == ("ok", {"a": [{"k": "甲", "l": None}]})


TREE = {
    "type": "object",
    "properties": {"根": {"$ref": "#/$defs/E"}},
    "$defs": {
        "E": {
            "anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}, {"type": "array", "items": {"$ref": "#/$defs/E"}}]
        },
        "A": {"type": "object", "properties": {"数": INTEGER, "下": {"$ref": "#/$defs/E"}}},
        "B": {"type": "object", "properties": {"数": INTEGER, "下": {"$ref": "#/$defs/E"}}},
    },
}


@pytest.mark.parametrize(("wrong", "message"), [("甲", "/根/下/下/下: fits none"), (3, "")])
def test_alternatives_that_lead_to_one_another_are_tried_once_each(wrong: Json, message: str) -> None:
    """Each level used to double the time, and a value that fits nowhere was made a list of itself without an end."""
    value: Json = {"数": wrong}
    for _ in range(12):
        value = {"数": 3, "下": value}
    record = a_record(TREE, "甲 3", {"根": value}, max_attempts=1)
    assert record.status == ("failed" if message else "ok")
    assert all(error.problem.message.startswith(message) for error in record.errors)


def test_of_alternatives_the_one_that_describes_all_of_a_value_counts() -> None:
    loose, exact = a_schema(x=INTEGER), a_schema(x=INTEGER, y={"type": "number"})
    record = a_record(a_schema(a={"anyOf": [loose, exact]}), "3 和 八万", {"a": {"x": 3, "y": 80000}})
    assert (record.status, set(record.spans)) == ("ok", {"/a/x", "/a/y"})


def test_alternatives_of_a_part_are_told_apart_as_in_the_whole() -> None:
    first = {**a_schema(k=STRING, n=INTEGER), "required": ["n"], "additionalProperties": False}
    second = {**a_schema(k=STRING), "additionalProperties": False}
    schema = a_schema(a={"anyOf": [first, second]})
    record = a_record(schema, "甲。" * 6000, {"a": {"k": "甲", "n": None}})
    assert record.provenance.chunks > 1
    assert (record.status, record.errors) == ("ok", ())


def test_a_required_list_that_a_long_document_lacks_is_empty() -> None:
    record = a_record(a_schema(a=STRING, l=STRINGS) | {"required": ["l"]}, "甲。" * 6000, {"a": "甲", "l": None})
    assert record.provenance.chunks > 1
    assert (record.status, record.data) == ("ok", {"a": "甲", "l": []})


def test_an_empty_entry_of_a_map_is_no_entry() -> None:
    record = a_record(
        a_schema(a={"type": "object", "additionalProperties": STRING}), "甲 无", {"a": {"k": "", "l": "无"}}
    )
    assert (record.status, record.data) == ("ok", {"a": {"k": None, "l": "无"}})


def test_a_map_at_the_root_goes_all_the_way() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "string", "x-sensitive": True}}
    long = "。".join(f"项{number}：值{number}" for number in range(3000))
    backend = Backend(answer=lambda prompt: json.dumps(_entries(prompt.chunk.text), ensure_ascii=False))
    (record,) = Pipeline(make_task(schema), backend, RunConfig()).run([a_document(long)])
    assert record.status == "ok"
    assert record.data is not None
    assert record.data == {f"项{number}": f"值{number}" for number in range(3000)}
    (hidden,) = Pipeline(make_task(schema), backend, RunConfig(redact=True)).run([a_document("项1：值1")])
    assert hidden.data == {"项1": "***"}


def test_what_is_said_of_a_map_at_the_root() -> None:
    task = make_task(
        {"type": "object", "properties": {"a": STRING}, "additionalProperties": {"type": "string", "pattern": "^(?=x)"}}
    )
    assert (task.unconstrained, task.is_map, Scope.of(task).fields) == (("",), True, None)
    assert [(each.pointer, each.code) for each in report(task)] == [("", "unconstrained")]
    table = ResultsTable(task)
    table.add(a_record(task.schema, "甲 x", {"a": "甲", "k": "x"}))
    header, _, row = (line.split(maxsplit=3) for line in str(table).splitlines())
    assert (header, row) == (["document", "status", "a", "others"], ["d", "ok", "甲", '{"k": "x"}'])
    prompt = check(make_task({"type": "object", "additionalProperties": STRING, "description": "设备"}))
    assert "以其名称为键，以其值为值（设备）" in prompt.messages[-1].content


def _entries(text: str) -> dict[str, str]:
    return dict(
        each.split("：")
        for each in text.split("。")
        if each.count("：") == 1 and each.startswith("项") and "值" in each
    )
