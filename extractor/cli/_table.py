"""A short table of what was found, for people. Sensitive values are masked."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from extractor.redacting import redact
from extractor.tasks import Task
from extractor.types import Json, Record

_MOST_ROWS = 20
_WIDEST = 28


@dataclass
class Table:
    """The first rows of a run."""

    task: Task
    rows: list[list[str]] = field(default_factory=list)
    more: int = 0

    def add(self, record: Record) -> None:
        if len(self.rows) == _MOST_ROWS:
            self.more += 1
            return
        data = redact(record, self.task).data or {}
        values = [_cell(data.get(entity.name)) for entity in self.task.fields]
        self.rows.append([record.id, record.status, *values])

    def __str__(self) -> str:
        header = ["document", "status", *(entity.name for entity in self.task.fields)]
        lines = [header, *sorted(self.rows)]
        widths = [max(_width(_clip(line[column])) for line in lines) for column in range(len(header))]
        text = [_line(header, widths), "  ".join("-" * width for width in widths)]
        text += [_line(row, widths) for row in lines[1:]]
        return "\n".join([*text, f"... and {self.more} more"] if self.more else text)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    clipped = [_clip(cell) for cell in cells]
    return "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(clipped, widths, strict=True)).rstrip()


def _cell(value: Json) -> str:
    if value is None:
        return "-"
    text = "、".join(map(_cell, value)) if isinstance(value, list) else value
    text = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
    return "".join(character if character.isprintable() else " " for character in text)


def _clip(text: str) -> str:
    kept, width = "", 0
    for character in text:
        width += _width(character)
        if width > _WIDEST - 1:
            return kept + "…"
        kept += character
    return kept


def _width(text: str) -> int:
    """Columns on a terminal: a wide (East Asian) character takes two, a combining one none."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )
