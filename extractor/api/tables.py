"""Records as a table of pandas, which is imported when somebody asks for one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from extractor.api.records import TypedRecord
from extractor.data import Json, Record
from extractor.errors import UsageError
from extractor.report.entries import lowest_confidence
from extractor.storage.flat_rows import flat_rows
from extractor.task.column_types import column_types

if TYPE_CHECKING:
    from pandas import DataFrame

BEFORE = ("id", "status", "code", "message")
AFTER = ("confidence", "path")

_DTYPES: Mapping[str, str] = {"integer": "Int64", "number": "Float64", "boolean": "boolean"}
"""How pandas holds a column that may have gaps without making floats of integers."""


def to_pandas(records: Iterable[Record], flatten: bool = False) -> DataFrame:
    """Return a DataFrame with a row for each record and a column for each field.

    Around the fields are the columns id, status, code and message (of what is wrong), confidence (the lowest of a
    value) and path; a field of such a name is in the column `data.NAME`. Lists and objects stay what they are. With
    `flatten` there is a row for each value, as `extractor run --flatten` writes them. Raise UsageError where pandas is
    not installed.
    """
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise UsageError("A DataFrame needs pandas: pip install pandas. `record.to_dict()` needs nothing.") from error
    if flatten:
        return pandas.DataFrame([row for record in records for row in flat_rows(record)])
    held = list(records)
    types = _types(held)
    columns = {name: [_facts(record)[name] for record in held] for name in BEFORE}
    columns |= {_column_name(name): [(record.data or {}).get(name) for record in held] for name in types}
    columns |= {name: [_facts(record)[name] for record in held] for name in AFTER}
    dtypes = dict.fromkeys(columns, "string") | {"confidence": "number"}
    dtypes |= {_column_name(name): type for name, type in types.items()}
    return pandas.DataFrame({name: _series(values, dtypes[name]) for name, values in columns.items()})


def _facts(record: Record) -> dict[str, Json]:
    return {
        "id": record.id,
        "status": record.status,
        "code": record.code,
        "message": record.errors[-1].problem.message if record.code else None,
        "confidence": lowest_confidence(record),
        "path": record.source.path or None,
    }


def _types(records: Sequence[Record]) -> dict[str, str]:
    """Return the fields and what values they have: those of the schema, then those that only the data has."""
    types: dict[str, str] = {}
    for record in records:
        if isinstance(record, TypedRecord) and record.view.task and not types:
            task = record.view.task
            types = {name: type.name for name, type in column_types(task).items()}
        for name in record.data or ():
            types.setdefault(name, "")
    return types


def _column_name(name: str) -> str:
    return f"data.{name}" if name in (*BEFORE, *AFTER) else name


def _series(values: Sequence[Json], type: str) -> Any:
    import pandas

    try:
        return pandas.Series(values, dtype=_DTYPES.get(type) or (None if type == "string" else object))
    except (OverflowError, TypeError, ValueError):  # an integer of many digits, a value that was redacted
        return pandas.Series(values, dtype=object)
