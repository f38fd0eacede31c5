"""Annotated documents of a file in whatever format, with their texts: those of results are read again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from extractor.annotation_formats import AnnotatedText, Notes, annotated_row, read_rows, source_of
from extractor.data import Source
from extractor.errors import CODES, Code, Problem
from extractor.ingest import ReadOptions
from extractor.ingest.reload import reload

HINTS: Mapping[Code, str] = {"gone": "; --root names the folder that the paths in the results start from"}


def texts(path: str, name: str | None, root: str, options: ReadOptions, notes: Notes) -> Iterator[AnnotatedText]:
    """Yield the documents of a file, of the format of a `name` where there is one.

    Rows without a text come last, the last one of each id, with the document read again: its path starts from `root`.
    """
    waiting: dict[str, tuple[AnnotatedText, Source]] = {}
    for where, row in read_rows(path, notes, name, options.max_bytes):
        item, source = annotated_row(row, where), source_of(row)
        if item.text is not None or source is None:
            yield item
        else:
            waiting[item.id] = item, source
    for id, text in reload({name: source for name, (_, source) in waiting.items()}, root, options):
        if isinstance(text, Problem):
            notes.add(f"documents whose text is missing ({CODES[text.code]}{HINTS.get(text.code, '')})")
        yield replace(waiting[id][0], text=None if isinstance(text, Problem) else text)
