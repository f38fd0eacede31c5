"""A JSON list, written item by item."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from extractor.data import Json


def json_list(items: Iterable[Json]) -> Iterator[bytes]:
    """Yield the bytes of a list, an item a line."""
    opening = "[\n"
    for item in items:
        yield f"{opening}{dump(item)}".encode()
        opening = ",\n"
    yield b"\n]\n" if opening == ",\n" else b"[]\n"


def dump(item: Json) -> str:
    """Return JSON text; a lone surrogate, which UTF-8 does not have, is escaped."""
    text = json.dumps(item, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(item)
    return text
