"""A short table of what was found, for people. Sensitive values are masked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from extractor.data import Json, Record
from extractor.task.redaction import redact
from extractor.task.task import Task
from extractor.text.printable import one_line
from extractor.text.text_table import columns, width

_MOST_ROWS = 20
_WIDEST = 28


@dataclass
class ResultsTable:
    """The first rows of a run, whatever their status."""

    task: Task
    rows: list[list[str]] = field(default_factory=list)
    more: int = 0

    def add(self, record: Record) -> None:
        """Keep a record while there is room."""
        if len(self.rows) == _MOST_ROWS:
            self.more += 1
            return
        data = redact(record, self.task).data or {}
        values = [data.get(name) for name in self._names]
        if self.task.is_map:
            values.append({name: value for name, value in data.items() if name not in self._names} or None)
        self.rows.append([record.id, record.status, *map(_cell, values)])

    @property
    def _names(self) -> list[str]:
        return [entity.name for entity in self.task.fields]

    def __str__(self) -> str:
        header = ["document", "status", *self._names, *(["others"] if self.task.is_map else [])]
        lines = [header, *sorted(self.rows)]
        text = columns([[_clip(one_line(cell)) for cell in line] for line in lines])
        return f"{text}\n... and {self.more} more" if self.more else text


def _cell(value: Json) -> str:
    if value is None:
        return "-"
    text = "、".join(map(_cell, value)) if isinstance(value, list) else value
    text = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
    return "".join(character if character.isprintable() else " " for character in text)


def _clip(text: str) -> str:
    kept, used = "", 0
    for character in text:
        used += width(character)
        if used > _WIDEST - 1:
            return kept + "…"
        kept += character
    return kept
