"""Documents with records about them, as a run would leave them, for the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from extractor.data import Json, Record, Source
from extractor.storage.rows import to_row
from tests.sinks.records import record, sha

Row = dict[str, Json]


def found(name: str, text: str, data: dict[str, Json] | None, **changes: Any) -> Record:
    """A record about a text, each string of the data standing where it first does, if it does."""
    spans: dict[str, tuple[tuple[int, int], ...]] = {}
    for field, value in (data or {}).items():
        for number, item in enumerate(value if isinstance(value, list) else [value]):
            at = text.find(item) if isinstance(item, str) else -1
            if at >= 0:
                spans[f"/{field}/{number}" if isinstance(value, list) else f"/{field}"] = ((at, at + len(item)),)
    source = Source(name, sha(text), "utf-8", len(text))
    return record(name, data=data, source=source, **{"spans": spans, "confidence": {}, **changes})


def write(folder: Path, texts: dict[str, str], records: list[Record]) -> Path:
    """The documents as files of a folder, and the rows beside them."""
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode())
    path = folder / "results.jsonl"
    lines = [json.dumps(to_row(each), ensure_ascii=False) for each in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
