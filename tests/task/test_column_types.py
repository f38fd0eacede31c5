"""A column has the type of the values that its part of the schema accepts; where there are several it holds JSON."""

from typing import Any

import pytest

from extractor.task.column_types import JSON, MOST_SCALARS, ColumnType, column_types
from extractor.task.task import make_task
from tests.builders import levels

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
    assert column_types(task) == {"x": expected}


def test_a_schema_that_refers_to_itself_ends_in_a_column_of_json() -> None:
    tree = {"type": "object", "properties": {"below": {"$ref": "#/$defs/tree"}}}
    task = make_task({"type": "object", "properties": {"tree": {"$ref": "#/$defs/tree"}}, "$defs": {"tree": tree}})
    column, depth = column_types(task)["tree"], 0
    while column.members:
        column, depth = column.members["below"], depth + 1
    assert column == JSON
    assert depth > 1


def scalars(column: ColumnType) -> int:
    return sum(map(scalars, column.members.values())) if column.members else 1


def test_definitions_that_name_one_another_end_in_columns_of_json() -> None:
    """Written out, these levels of forty members each would be trillions of columns."""
    assert scalars(column_types(make_task(levels(8, 40)))["x"]) <= MOST_SCALARS
