"""A Markdown table, for people. It knows nothing of earlier runs: every run writes the whole of it."""

from __future__ import annotations

from typing import IO

from extractor.plugins import Json, Record, Sink, SinkOptions

SUFFIXES = (".md",)


def open_sink(path: str, options: SinkOptions) -> Sink:
    """Return the sink of a file with a column for each field of the schema."""
    return MarkdownSink(path, [field.name for field in options.task.fields] if options.task else [])


class MarkdownSink:
    """A table that is written row by row."""

    _file: IO[str]

    def __init__(self, path: str, fields: list[str]) -> None:
        self._path = path
        self._fields = fields

    def __enter__(self) -> MarkdownSink:
        self._file = open(self._path, "w", encoding="utf-8")  # noqa: SIM115
        self._row("document", "status", *self._fields)
        self._row(*["---"] * (2 + len(self._fields)))
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def done(self, id: str, sha256: str) -> None:
        """Return None: no row of an earlier run is left."""
        return None

    def write(self, record: Record) -> None:
        """Write one row."""
        data = record.data or {}
        self._row(record.id, record.status, *(data.get(name) for name in self._fields))

    def _row(self, *cells: Json) -> None:
        shown = ("" if cell is None else str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
        self._file.write(f"| {' | '.join(shown)} |\n")
        self._file.flush()
