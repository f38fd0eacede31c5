"""What says what to extract: a class whose instances rows come back as, or a schema that has none.

A class is a pydantic model (of version 1 or 2), a dataclass of pydantic or a plain one. pydantic is not imported before
somebody has brought a class of it: models are known by what they can do.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from importlib import import_module
from typing import Any, Generic, TypeVar

import orjson

from extractor.api import dataclass_types
from extractor.data import Json
from extractor.errors import Problem, SchemaError
from extractor.task.examples import Example
from extractor.task.shorthand import schema_from_names
from extractor.task.task import Task, load_task, make_task

T = TypeVar("T")

_WAYS = (
    'a bundled name ("contact"), a path, a schema as a dict, a list of fields (["姓名", "年龄:integer"]), a pydantic '
    "model or a dataclass"
)


@dataclasses.dataclass(frozen=True, slots=True)
class RowType(Generic[T]):
    """A class of rows: its name, its schema, and what makes an instance of data or raises whatever it likes."""

    name: str
    schema: Mapping[str, Json]
    make: Callable[[Json], T]

    def instance(self, data: Json) -> T | Problem:
        """Return the instance of some data, or the problem that the class has with it, which holds no values."""
        try:
            return self.make(data)
        except Exception as error:  # the boundary: the class is a user's, and one row may cost that row only
            return Problem("schema", f"the class {self.name} refuses the data: {_what(error)}")


def row_type(schema: object) -> RowType[Any] | None:
    """Return the class that a schema is given as; None for other ways. Raise SchemaError for one that has no schema."""
    if not isinstance(schema, type):
        return None
    kind: Any = schema
    if _can(kind, "model_json_schema", "model_validate_json"):
        return RowType(kind.__name__, _schema_of(kind.model_json_schema), _from_json(kind.model_validate_json))
    if hasattr(kind, "__pydantic_validator__"):
        adapter = import_module("pydantic").TypeAdapter(kind)
        return RowType(kind.__name__, _schema_of(adapter.json_schema), _from_json(adapter.validate_json))
    if _can(kind, "schema", "parse_obj"):
        return RowType(kind.__name__, _schema_of(kind.schema), kind.parse_obj)
    if dataclasses.is_dataclass(schema):
        found = dataclass_types.convert(schema)
        return RowType(schema.__name__, found.schema, found.make)
    raise SchemaError(f"The class {schema.__name__} is neither a pydantic model nor a dataclass. Give {_WAYS}.")


def make_task_of(schema: object, kind: RowType[Any] | None, prompt: str, examples: Sequence[Example] = ()) -> Task:
    """Return the task of a schema in whatever form; `kind` is its class. Raise UsageError for what is none."""
    if kind is not None:
        return make_task(kind.schema, prompt, kind.name, examples)
    if isinstance(schema, str):
        _check_name(schema)
        return load_task(schema, prompt, examples)
    if isinstance(schema, os.PathLike):
        return load_task(os.path.join(os.curdir, schema), prompt, examples)  # never a bundled name
    if isinstance(schema, Mapping):
        return make_task(schema, prompt, examples=examples)
    if dataclasses.is_dataclass(schema) or _can(schema, "model_json_schema") or _can(schema, "schema", "parse_obj"):
        raise SchemaError(f"The schema is an instance of {type(schema).__name__}. Give the class itself.")
    if isinstance(schema, Iterable) and not isinstance(schema, bytes | bytearray):
        return make_task(schema_from_names(_names(schema)), prompt, "fields", examples)
    raise SchemaError(f"The schema is a {type(schema).__name__}. Give {_WAYS}.")


def as_data(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row of an example or of gold with its `data` as JSON values, where it is an instance of a class."""
    data = row.get("data")
    if isinstance(data, type) or not (dataclasses.is_dataclass(data) or _can(data, "model_dump")):
        return row
    written = orjson.dumps(data, default=_plain, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    return {**row, "data": orjson.loads(written)}


def _plain(value: Any) -> Json:
    """Return what orjson does not know as what it does. Raise TypeError, which it reports."""
    if _can(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    if dataclasses.is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value) if each.init}
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _check_name(schema: str) -> None:
    """Raise SchemaError for fields in one text, as the command line takes them."""
    if re.search("[,，、]", schema) and not os.path.exists(schema):
        raise SchemaError(f'{schema!r} is no name of a schema. Fields are a list: ["姓名", "年龄:integer"].')


def _names(schema: Iterable[object]) -> list[str]:
    names = list(schema)
    if odd := [each for each in names if not isinstance(each, str)]:
        raise SchemaError(f'A field of the list is a {type(odd[0]).__name__}. Write ["姓名", "年龄:integer"].')
    if not names:
        raise SchemaError('The list names no field. Write ["姓名", "年龄:integer"].')
    return [str(name) for name in names]


def _can(schema: object, *methods: str) -> bool:
    return all(callable(getattr(schema, method, None)) for method in methods)


def _from_json(validate: Callable[[str], T]) -> Callable[[Json], T]:
    """Return a validator of data: as JSON, of which even a strict model takes dates that are text."""
    return lambda data: validate(json.dumps(data))


def _schema_of(make: Callable[[], Mapping[str, Json]]) -> Mapping[str, Json]:
    """Return the schema of a class. One with parts that JSON Schema lacks raises an error of its own package."""
    try:
        return make()
    except Exception as error:
        raise SchemaError(f"The class gives no JSON Schema: {error}") from error


def _what(error: Exception) -> str:
    """Return what is wrong without the values that are: where and by which rule, as pydantic has it."""
    try:
        found = [("/".join(map(str, each["loc"])), each["type"]) for each in error.errors()]  # type: ignore[attr-defined]
    except (AttributeError, KeyError, TypeError):
        return type(error).__name__
    return "; ".join(f"{where}: {rule}" if where else str(rule) for where, rule in found)
