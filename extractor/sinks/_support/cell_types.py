"""Whether a column of some kind holds a value, and as what."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping

from extractor.data import Json
from extractor.task.column_types import ColumnType

LARGEST = 2**63
SURROGATE = re.compile("[\ud800-\udfff]")


def fitted(kind: ColumnType, value: Json) -> tuple[Json, bool]:
    """The value for a column of that kind, and whether it is all of it."""
    if value is None:
        return None, True
    if kind.name == "json":
        return text_of(value), True
    if kind.name == "list" and isinstance(value, list) and kind.items:
        items = [fitted(kind.items, item) for item in value]
        return [item for item, _ in items], all(exact for _, exact in items)
    if kind.name == "object" and isinstance(value, Mapping):
        found = {name: fitted(member, value.get(name)) for name, member in kind.members.items()}
        exact = value.keys() <= found.keys() and all(exact for _, exact in found.values())
        return {name: item for name, (item, _) in found.items()}, exact
    return _scalar(kind.name, value)


def _scalar(name: str, value: Json) -> tuple[Json, bool]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if name == "string" and isinstance(value, str):
        clean = text_of(value, quoted=False)
        return clean, clean == value
    if name == "boolean" and isinstance(value, bool):
        return value, True
    if name == "number" and (isinstance(value, float) or (is_number and abs(value) <= sys.float_info.max)):
        return float(value), isinstance(value, float) or float(value) == value
    if name == "integer" and is_number and -LARGEST <= value < LARGEST and value == int(value):
        return int(value), True
    return None, False


def text_of(value: Json, *, quoted: bool = True) -> str:
    """A value as JSON text, or a text as it is; a lone surrogate, which no table can hold, becomes U+FFFD."""
    return SURROGATE.sub("\ufffd", json.dumps(value, ensure_ascii=False) if quoted else value)
