"""Our own rows: gold, and the results of a run in every format of output that can be read back.

The format that takes a file which no other recognises. Gold is written, as JSON Lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from extractor.annotation_formats._support.annotated_text import AnnotatedText, Notes
from extractor.annotation_formats._support.files import AnnotationFile
from extractor.annotation_formats._support.options import WriteOptions
from extractor.annotation_formats._support.row_files import annotated_row, decided, rows
from extractor.storage.rows import json_line

NAME = "gold"
TITLE = "our gold and results: JSON Lines, and read from CSV, Parquet and SQLite"
SUFFIXES = (".jsonl", ".ndjson")
NEEDS = ("data",)


def recognises(file: AnnotationFile) -> bool:
    """Tell nothing: what no other format recognises is read as rows of ours."""
    return False


def read(file: AnnotationFile, notes: Notes) -> Iterator[AnnotatedText]:
    """Yield the rows; of several with one id, as when a run resumes, each, but of decisions the last one alone."""
    for where, row in decided(rows(file.path, name=file.name)):
        yield annotated_row(row, where)


def write(items: Iterable[AnnotatedText], options: WriteOptions) -> Iterator[bytes]:
    """Yield a line for each text."""
    for item in items:
        yield json_line(item.as_row())
