"""The schema that other engines are given asks for what the local engine's grammar allows."""

import json
from collections.abc import Iterator

import pytest
from jsonschema import Draft202012Validator

from extractor.data import Json
from extractor.task.answer_schema import answer_schema
from extractor.task.bundled import SCHEMAS
from extractor.task.schema_node import SchemaNode, children
from extractor.task.task import Task, load_task, make_task
from tests.builders import DATE, INTEGER, STRING, STRINGS, a_task, ring


def _accepts(task: Task, answer: Json) -> bool:
    return Draft202012Validator(answer_schema(task)).is_valid(answer)


@pytest.mark.parametrize("name", SCHEMAS.names())
def test_every_bundled_schema_asks_for_all_properties_in_order_and_null_may_stand_for_each(name: str) -> None:
    task = load_task(name)
    wanted = answer_schema(task)
    Draft202012Validator.check_schema(wanted)
    nothing = {field.name: None for field in task.fields}
    assert list(wanted["properties"]) == wanted["required"] == list(nothing)
    assert _accepts(task, nothing)
    assert not _accepts(task, {**nothing, "other": None})
    assert not _accepts(task, dict(list(nothing.items())[1:]))
    assert "x-" not in json.dumps(wanted)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (INTEGER, 3, "3"),
        (STRINGS, ["a"], "a"),
        (STRINGS, [], [None]),
        (DATE, "2024-05-01", 5),
        ({"enum": ["高", "低"]}, "高", "中"),
        ({"type": "string", "pattern": "^\\d+$"}, "12", "x"),
        ({"type": "string", "pattern": "^(?!x)"}, "x", 1),
        ({"anyOf": [INTEGER, {"type": "boolean"}], "title": "t"}, True, "x"),
        ({"$ref": "#/$defs/pair"}, {"a": None, "b": "x"}, {"a": None}),
        ({"type": "array", "items": {"$ref": "#/$defs/pair"}}, [{"a": 1, "b": None}], [{"b": "x"}]),
        ({"type": ["integer", "null"], "minimum": 2}, 2, 1),
    ],
)
def test_a_value_is_asked_for_as_its_schema_says(schema: Json, good: Json, bad: Json) -> None:
    definitions = {"pair": {"type": "object", "properties": {"a": INTEGER, "b": STRING}}}
    task = Task("t", {"type": "object", "properties": {"f": schema}, "$defs": definitions}, "zh", "")
    assert _accepts(task, {"f": good})
    assert _accepts(task, {"f": None})
    assert not _accepts(task, {"f": bad})


def test_a_schema_that_holds_itself_ends_somewhere() -> None:
    node = {"type": "object", "properties": {"name": STRING, "inner": {"$ref": "#/$defs/node"}}}
    task = Task(
        "t", {"type": "object", "properties": {"f": {"$ref": "#/$defs/node"}}, "$defs": {"node": node}}, "zh", ""
    )
    assert _accepts(task, {"f": {"name": "a", "inner": {"name": None, "inner": None}}})
    assert not _accepts(task, {"f": {"name": "a"}})
    assert not _accepts(a_task(f=STRING), {})


def test_each_node_is_asked_a_few_times_for_what_it_leads_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """It took the square of the nodes to find those that lead back to themselves: minutes for a schema of FHIR."""
    asked: list[str] = []

    def counting(node: SchemaNode) -> Iterator[str]:
        asked.append(node.name)
        return children(node)

    monkeypatch.setattr("extractor.task.answer_schema.children", counting)
    task = make_task(ring(300))
    written = answer_schema(task)
    assert len(asked) <= 3 * len(task.compiled.nodes)
    assert len(written["$defs"]) >= 300
