"""Stage 12: values of a record in one notation, beside the verbatim ones, where the schema asks for it (`x-normalize`).

What is normalized is the text at the place of a value, never what a model made of it: a value without a place has no
normalized form, and so has one that can be read in several ways (`text.normalized`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from extractor.data import Document, FailedDocument, Normalization, Record, Span
from extractor.task.task import Task
from extractor.text.normalized import Passage, normalized


def normalize(record: Record, document: Document | FailedDocument, task: Task) -> Record:
    """Return the record with the normalized forms of its values, by pointer."""
    if isinstance(document, FailedDocument) or record.data is None or not task.normalizes:
        return record
    forms: dict[str, str] = {}
    for leaf in task.leaves(record.data):
        kind, spans = leaf.node.annotations.normalize, record.spans.get(leaf.pointer, ())
        if kind and (form := _form(kind, document.text, spans)):
            forms[leaf.pointer] = form
    return replace(record, normalized=forms)


def _form(kind: Normalization, text: str, spans: Iterable[Span]) -> str | None:
    """Return the form that the places of a value agree on, those apart that say nothing."""
    found = {normalized(kind, Passage.at(text, span)) for span in spans} - {None}
    return found.pop() if len(found) == 1 else None
