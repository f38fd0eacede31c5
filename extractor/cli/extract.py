"""`extractor extract`: one document, its data on stdout."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import click

from extractor.cli import _options, _single_document
from extractor.cli._completion import FILE
from extractor.cli._console import label_demo, set_logging
from extractor.cli._pipelines import open_pipeline
from extractor.cli._requests import command as request_command
from extractor.config import ExtractionRequest
from extractor.data import Document, FailedDocument, Record
from extractor.storage.rows import to_row

EXAMPLES = """\b
Examples:
  extractor extract letter.txt -s contact
  extractor extract - -s order < mail.txt
  extractor extract cv.md --fields "姓名, 年龄:integer" | jq -r .姓名
  extractor extract letter.txt -s contact --record     with spans, attempts and problems
  extractor extract offer.pdf -s contact --password secret
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractRequest(ExtractionRequest):
    """All of `extractor extract`."""

    file: str
    whole_record: bool


@request_command(ExtractRequest, epilog=EXAMPLES, short_help="Extract from one document; JSON on stdout.")
@click.argument("file", type=FILE)
@_options.task
@_options.model
@_options.answers
@_options.reading
@click.option("--record", "whole_record", is_flag=True, help="Print the whole record instead of its data.")
@_options.display
def command(request: ExtractRequest) -> int:
    """Extract from one document (- for stdin); pretty JSON on stdout, exit code 1 unless it is ok."""
    set_logging(request.display)
    reading = replace(request.read, stdin="text")
    document = _single_document.only_one(request.file, reading, f"Use: extractor run {request.file} ...")
    record = _extract(request, document)
    shown = to_row(record) if request.whole_record else record.data
    if shown is not None:
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
    problems = dict.fromkeys(error.problem for error in record.errors)  # of several attempts one line
    for problem in problems if record.status != "ok" else ():
        click.echo(f"{record.status.capitalize()}: {problem.code}: {problem.message}", err=True)
    return 0 if record.status == "ok" else 1


def _extract(request: ExtractionRequest, document: Document | FailedDocument) -> Record:
    pipeline = open_pipeline(request)
    if not request.display.quiet:
        label_demo(pipeline.backend.name)
    with pipeline.backend:
        return next(pipeline.run([document]))
