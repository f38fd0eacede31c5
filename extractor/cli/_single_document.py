"""The one document that a command looks at."""

from __future__ import annotations

import itertools

import click

from extractor import ingest
from extractor.data import Document, FailedDocument
from extractor.ingest import ReadOptions


def only_one(file: str, options: ReadOptions, advice: str) -> Document | FailedDocument:
    """Return the document of a file. Raise UsageError where there is none, or where there are several, with advice."""
    found = list(itertools.islice(ingest.read([file], options), 2))
    if not found:
        raise click.UsageError(f"{file} holds no document: name a file that has one.")
    if len(found) > 1:
        raise click.UsageError(f"{file} holds several documents. {advice}")
    return found[0]
