"""JSON Pointers (RFC 6901), and the scalars of data with theirs, where no schema is at hand to say more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from extractor.data import Json

ANY_ITEM = "*"
"""In a pointer to several values: any item of a list."""


class Scalar(NamedTuple):
    """A value that is neither object nor array. Its field has no places in lists: `条目/名称` of `/条目/0/名称`."""

    field: str
    pointer: str
    value: Json


def scalars(data: Json, pointer: str = "", field: str = "") -> Iterator[Scalar]:
    """Every scalar of some data, in order; null, an empty object and an empty list count as one null."""
    if isinstance(data, dict) and data:
        for name, item in data.items():
            part = escape_pointer(str(name))
            yield from scalars(item, f"{pointer}/{part}", f"{field}/{part}" if field else part)
    elif isinstance(data, list) and data:
        for index, item in enumerate(data):
            yield from scalars(item, f"{pointer}/{index}", field)
    else:
        yield Scalar(field, pointer, None if isinstance(data, dict | list) else data)


def escape_pointer(name: str) -> str:
    """Return a name as one reference token of a JSON Pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def unescape_pointer(part: str) -> str:
    """Return the name that a reference token stands for."""
    return part.replace("~1", "/").replace("~0", "~")


def steps(pointer: str) -> list[str]:
    """Return the names and indices that a pointer leads through."""
    return [unescape_pointer(part) for part in pointer.split("/")[1:]]
