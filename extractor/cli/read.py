"""`extractor read`: the text of documents as the model will see it, and where in their files it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import click

from extractor import ingest
from extractor.cli import _options
from extractor.cli._completion import FILE
from extractor.cli._requests import command as request_command
from extractor.data import Document, FailedDocument, Json
from extractor.ingest import ReadOptions

EXAMPLES = (
    """\b
Examples:
  extractor read contract.pdf
  extractor read staff.xlsx --rows whole
  extractor read mail.eml --json | jq -c .segments[]     where each piece of the text comes from
"""
    + _options.FORMATS
)


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Which documents to print, and how."""

    file: str
    read: ReadOptions
    as_json: bool


@request_command(ReadRequest, epilog=EXAMPLES, short_help="Print the text of documents as a model sees it.")
@click.argument("file", type=FILE)
@_options.reading
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each document: text, source and segments.")
def command(request: ReadRequest) -> int:
    """Print the text of a file (a folder, - for stdin); exit code 1 when some of it could not be read.

    Several documents are separated by a blank line, and named on stderr.
    """
    found = ingest.read([request.file], request.read)
    return _print_json(found) if request.as_json else _print_text(found)


def _print_text(found: Iterator[Document | FailedDocument]) -> int:
    failed = 0
    for number, item in enumerate(found):
        if isinstance(item, FailedDocument):
            failed += 1
            click.echo(f"Failed: {item.id}: {item.problem.code}: {item.problem.message}", err=True)
            continue
        if number:
            click.echo()
            click.echo(f"{item.id}:", err=True)
        for note in item.source.notes:
            click.echo(f"Note: {item.id}: {note}", err=True)
        click.echo(item.text, nl=not item.text.endswith("\n"))
    return 1 if failed else 0


def _print_json(found: Iterator[Document | FailedDocument]) -> int:
    failed = 0
    for item in found:
        failed += isinstance(item, FailedDocument)
        click.echo(json.dumps(_as_json(item), ensure_ascii=False))
    return 1 if failed else 0


def _as_json(item: Document | FailedDocument) -> Json:
    described = {"id": item.id, "source": asdict(item.source)}
    if isinstance(item, FailedDocument):
        return described | {"error": asdict(item.problem)}
    return described | {"text": item.text, "segments": [asdict(segment) for segment in item.segments]}
