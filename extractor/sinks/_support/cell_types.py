"""Whether a column of some type holds a value, and as what."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping

from extractor.data import Json
from extractor.task.column_types import ColumnType

LARGEST = 2**63
SURROGATE = re.compile("[\ud800-\udfff]")


def fit(column: ColumnType, value: Json) -> tuple[Json, bool]:
    """Return the value for a column of that type, and whether it is all of it."""
    if value is None:
        return None, True
    if column.name == "json":
        return as_text(value), True
    if column.name == "list" and isinstance(value, list) and column.items:
        items = [fit(column.items, item) for item in value]
        return [item for item, _ in items], all(exact for _, exact in items)
    if column.name == "object" and isinstance(value, Mapping):
        found = {name: fit(member, value.get(name)) for name, member in column.members.items()}
        exact = value.keys() <= found.keys() and all(exact for _, exact in found.values())
        return {name: item for name, (item, _) in found.items()}, exact
    return _scalar(column.name, value)


def _scalar(name: str, value: Json) -> tuple[Json, bool]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if name == "string" and isinstance(value, str):
        clean = as_text(value, quoted=False)
        return clean, clean == value
    if name == "boolean" and isinstance(value, bool):
        return value, True
    if name == "number" and (isinstance(value, float) or (is_number and abs(value) <= sys.float_info.max)):
        return float(value), isinstance(value, float) or float(value) == value
    if name == "integer" and is_number and -LARGEST <= value < LARGEST and value == int(value):
        return int(value), True
    return None, False


def as_text(value: Json, *, quoted: bool = True) -> str:
    """Return a value as JSON text, or a text as it is.

    A lone surrogate, which no table can hold, is escaped in JSON, so that names stay apart, and U+FFFD elsewhere.
    """
    return escape_surrogates(json.dumps(value, ensure_ascii=False)) if quoted else SURROGATE.sub("\ufffd", value)


def escape_surrogates(text: str) -> str:
    """Return a text with `\\ud800` for a lone surrogate."""
    return SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def without_surrogates(value: Json) -> Json:
    """Return a value with the surrogates of all texts and names in it escaped."""
    if isinstance(value, str):
        return escape_surrogates(value)
    if isinstance(value, dict):
        return {escape_surrogates(name): without_surrogates(item) for name, item in value.items()}
    return [without_surrogates(item) for item in value] if isinstance(value, list) else value
