"""`extractor run`: files in, rows out; the same line again resumes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace

import click

from extractor import ingest, sinks
from extractor.cli import INTERRUPTED, _distributed, _options
from extractor.cli._console import set_logging
from extractor.cli._interrupts import Interrupts
from extractor.cli._pipelines import backend_maker, open_pipeline, sink_options
from extractor.cli._progress import RunDisplay
from extractor.cli._requests import command as request_command
from extractor.config import STREAM, RunRequest
from extractor.data import Document, FailedDocument, Record
from extractor.pipeline import Pipeline
from extractor.storage.addresses import is_address

EXAMPLES = """\b
Examples:
  extractor run inbox -s contact -o results.jsonl          a folder; the same line again resumes it
  extractor run a.txt b.csv 'mail/*.md' -s order -o -      files and globs; rows on stdout
  cat docs.jsonl | extractor run - -s contact | jq .data   a stage in a pipe
  extractor run inbox --fields "姓名, 年龄:integer"          fields in shorthand
  extractor run staff.xlsx forms.zip -s person             a row of a workbook, a file of an archive is a document
  extractor run inbox -s contact -o values.csv --flatten   a row a value; .sqlite, .parquet, .jsonl.gz as well
  extractor run inbox -s contact --engine ray --workers 4 -o parts      a model in each of four workers
"""


@request_command(RunRequest, epilog=EXAMPLES, short_help="Extract from many documents; a row for each.")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@_options.task
@_options.output
@_options.model
@_options.answers
@_options.reading
@_options.limit
@_options.distributed
@_options.display
def command(request: RunRequest) -> int:
    """Extract from files, folders, globs, or - for stdin; one row per document.

    Rows are appended to the output as they are done. The same line run again does only what is missing.
    """
    set_logging(request.display)
    request = _without_outputs(request)
    documents = ingest.read(request.inputs, request.read)
    pipeline = open_pipeline(request)
    display = RunDisplay(request, pipeline.task)
    if request.distributed:
        records = _distributed.records(request, pipeline, backend_maker(request), display)
    else:
        records = _local_records(request, pipeline, documents, display)
    for record in records:
        display.add(record)
    display.summarize()
    return INTERRUPTED if pipeline.stop.is_set() else display.stats.exit_code


def _without_outputs(request: RunRequest) -> RunRequest:
    """Return the request with the output, and the files beside it, left out of the folders that are read."""
    path = request.output.path
    if path == STREAM:
        return request
    written = path if is_address(path) else os.path.realpath(path)
    return replace(request, read=replace(request.read, exclude=(*sinks.beside(path), *sinks.beside(written))))


def _local_records(
    request: RunRequest, pipeline: Pipeline, documents: Iterable[Document | FailedDocument], display: RunDisplay
) -> Iterator[Record]:
    """Yield the records of this process, each after it is written."""
    with sinks.open_sink(request.output.path, sink_options(request, pipeline)) as sink:
        pending = display.stats.not_done(itertools.islice(documents, request.limit), sink)
        for record in _extracted(pipeline, pending, display):
            sink.write(record)
            yield record


def _extracted(
    pipeline: Pipeline, pending: Iterator[Document | FailedDocument], display: RunDisplay
) -> Iterator[Record]:
    """Run the pipeline. The model is loaded only if there is something to do."""
    first = next(pending, None)
    if first is not None:
        display.label(pipeline.backend.name)
        with pipeline.backend, Interrupts(pipeline.stop), display.progress:
            yield from pipeline.run(itertools.chain([first], pending))
