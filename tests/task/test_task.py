"""Schemas are checked when they are loaded, and have the last word on data."""

import json
from pathlib import Path

import pytest

from extractor.data import Json
from extractor.errors import SchemaError, UsageError
from extractor.task.bundled import PROMPTS, SCHEMAS
from extractor.task.shorthand import schema_from_fields
from extractor.task.task import Schema, load_task, make_task
from tests.builders import INTEGER, NUMBER, STRING, STRINGS, a_task


@pytest.mark.parametrize("name", SCHEMAS.names())
@pytest.mark.parametrize("prompt", PROMPTS.names())
def test_every_bundled_schema_makes_a_task_with_every_bundled_prompt(name: str, prompt: str) -> None:
    task = load_task(name, prompt)
    assert (task.name, task.prompt) == (name, prompt)
    assert task.fields


def test_a_schema_can_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"properties": {"a": {"type": "string"}}}', "utf-8-sig")
    assert [field.name for field in load_task(str(path)).fields] == ["a"]


@pytest.mark.parametrize("name", ["no-such-schema", "./contact"])
def test_a_name_that_is_neither_bundled_nor_a_file_names_the_bundled_ones(name: str) -> None:
    with pytest.raises(UsageError, match="contact"):
        load_task(name)


def test_a_schema_that_is_no_json_is_a_schema_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text("{", "utf-8")
    with pytest.raises(SchemaError, match="is not JSON"):
        load_task(str(path))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ([], "describes an object"),
        ({"type": "object"}, "describes an object"),
        ({"type": "object", "properties": {}}, "describes an object"),
        ({"type": "array", "properties": {"a": {}}}, 'must be "object"'),
        ({"properties": {"a": {"type": "text"}}}, "Not a valid JSON Schema"),
        ({"properties": {"a": {"$ref": "https://example.org/s.json"}}}, "Remote reference"),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "points to nothing"),
        ({"properties": {"a": {"type": "string", "x-ground": "roughly"}}}, "x-ground"),
    ],
)
def test_unusable_schemas_are_refused_with_a_reason(schema: Json, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        make_task(schema)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "verbatim"),
        ({"type": "string", "pattern": "^1"}, "verbatim"),
        ({"type": "string", "format": "email"}, "verbatim"),
        ({"type": "string", "format": "date"}, "normalized"),
        ({"type": ["null", "integer"]}, "normalized"),
        ({"type": "number", "x-ground": "none"}, "none"),
        ({"enum": ["a"]}, "none"),
        ({"type": "boolean"}, "none"),
        ({}, "verbatim"),
    ],
)
def test_how_a_value_is_grounded_follows_from_its_schema(schema: Schema, expected: str) -> None:
    assert make_task({"properties": {"a": schema}}).fields[0].node.ground == expected


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": ["string", "null"]}, "string"),
        ({"type": ["string", "number"]}, "number or string"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string"),
        ({"anyOf": [{"enum": ["a"]}, {"type": "integer"}]}, "enum or integer"),
        ({"enum": [1]}, "enum"),
        ({"properties": {}}, "object"),
        ({}, "string"),
    ],
)
def test_the_type_that_is_asked_for(schema: Schema, expected: str) -> None:
    assert make_task({"properties": {"a": schema}}).fields[0].type == expected


def test_fields_on_the_spot() -> None:
    schema = schema_from_fields("姓名, 年龄：integer，标签:string[]、日期:date")
    assert schema["properties"] == {
        "姓名": {"type": "string"},
        "年龄": {"type": "integer"},
        "标签": {"type": "array", "items": {"type": "string"}},
        "日期": {"type": "string", "format": "date"},
    }


@pytest.mark.parametrize("spec", ["", "a:text", ":string", "a,a", "a:string[][]"])
def test_fields_that_are_none_are_refused(spec: str) -> None:
    with pytest.raises(SchemaError):
        schema_from_fields(spec)


@pytest.mark.parametrize(
    ("data", "messages"),
    [
        ({"a": "x", "n": 1}, ()),
        ({"a": "x", "n": None}, ()),
        ({"a": None}, ("/a: required, not found in the document",)),
        ({}, ("/a: required, not found in the document",)),
        ({"a": "secret", "n": "secret"}, ('/n: must be of type "integer"',)),
        ({"a": "x", "l": ["secret", 2]}, ('/l/1: must be of type "string"',)),
        ({"a": "x", "other": "secret"}, ("/other: is not known to the schema",)),
    ],
)
def test_messages_name_fields_and_rules_and_never_values(data: Json, messages: tuple[str, ...]) -> None:
    found = a_task(required=["a"], a=STRING, n=INTEGER, l=STRINGS).validate(data)
    assert found == messages
    assert "secret" not in " ".join(found)


def test_a_property_that_must_not_be_there_is_told_in_words() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": False}}}}
    assert make_task(schema).validate({"a": {"b": 1}}) == ("/a: has a value where the schema allows none",)


@pytest.mark.parametrize("rule", ["anyOf", "oneOf"])
@pytest.mark.parametrize("alternatives", [[False, INTEGER], [INTEGER, False, False]])
def test_an_alternative_that_allows_nothing_is_never_meant(rule: str, alternatives: list[Json]) -> None:
    task = make_task({"type": "object", "properties": {"a": {rule: alternatives}}})
    assert task.validate({"a": "a"}) == ('/a: must be of type "integer"',)


def test_a_reference_is_what_it_refers_to_but_for_what_stands_beside_it() -> None:
    schema = {
        "properties": {"a": {"$ref": "#/$defs/x", "title": "甲"}, "b": {"$ref": "#/$defs/x"}},
        "$defs": {"x": {"type": "string", "title": "乙"}},
    }
    assert [(field.type, field.title) for field in make_task(schema).fields] == [("string", "甲"), ("string", "乙")]


def test_leaves_are_pointers_in_order_with_their_schemas() -> None:
    person = {"type": "object", "properties": {"a/b": STRING, "n": {"anyOf": [INTEGER, {"type": "null"}]}}}
    task = a_task(人={"type": "array", "items": person}, s=STRING)
    leaves = list(task.leaves({"人": [{"a/b": "x", "n": 1}], "s": None}))
    assert [(leaf.pointer, leaf.value, leaf.ground) for leaf in leaves] == [
        ("/人/0/a~1b", "x", "verbatim"),
        ("/人/0/n", 1, "normalized"),
        ("/s", None, "verbatim"),
    ]


def test_settings_change_with_what_can_change_a_result() -> None:
    one, other = make_task({"properties": {"a": STRING}}), make_task({"properties": {"b": STRING}})
    assert one.settings["prompt"] == other.settings["prompt"]
    assert one.settings["schema"] != other.settings["schema"]
    assert one.settings == make_task(json.loads(json.dumps({"properties": {"a": STRING}}))).settings


def test_a_map_may_hold_null_for_what_was_withheld() -> None:
    task = make_task({"type": "object", "properties": {"费用": {"type": "object", "additionalProperties": NUMBER}}})
    assert task.validate({"费用": {"运费": None, "税费": 3}}) == ()
    assert task.validate({"费用": {"运费": "x"}}) == ('/费用/运费: must be of type "number"',)
