"""A column has the type of the values that its part of the schema accepts; where there are several it holds JSON."""

from typing import Any

import pytest

from extractor.task.column_types import JSON, ColumnType, column_type
from extractor.task.task import make_task

TEXT, WHOLE = ColumnType("string"), ColumnType("integer")


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, TEXT),
        ({"type": ["integer", "null"]}, WHOLE),
        ({"type": ["integer", "string"]}, JSON),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, ColumnType("number")),
        ({"oneOf": [{"type": "number"}, {"type": "string"}]}, JSON),
        ({"enum": ["a", "b", None]}, TEXT),
        ({"enum": ["a", 1]}, JSON),
        ({"const": "a"}, TEXT),
        ({"type": "array", "items": {"type": "string"}}, ColumnType("list", TEXT)),
        ({"type": "array"}, JSON),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, ColumnType("object", members={"a": WHOLE})),
        ({"type": "object"}, JSON),
        ({}, JSON),
    ],
    ids=str,
)
def test_the_type_of_a_column_is_that_of_its_values(schema: Any, expected: ColumnType) -> None:
    task = make_task({"type": "object", "properties": {"x": schema}})
    assert column_type(task.compiled, task.fields[0].node.name) == expected


def test_a_schema_that_refers_to_itself_ends_in_a_column_of_json() -> None:
    tree = {"type": "object", "properties": {"below": {"$ref": "#/$defs/tree"}}}
    task = make_task({"type": "object", "properties": {"tree": {"$ref": "#/$defs/tree"}}, "$defs": {"tree": tree}})
    column, depth = column_type(task.compiled, task.fields[0].node.name), 0
    while column.members:
        column, depth = column.members["below"], depth + 1
    assert column == JSON
    assert depth > 1
