"""`extractor run`: files in, rows out; the same line again resumes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace

import click

from extractor import ingest, sinks
from extractor.cli import INTERRUPTED, _distributed, _options, _prune, _settings
from extractor.cli._completion import FILE
from extractor.cli._console import set_logging
from extractor.cli._interrupts import Interrupts
from extractor.cli._pipelines import backend_maker, open_pipeline, sink_options
from extractor.cli._progress import RunDisplay
from extractor.cli._requests import command as request_command
from extractor.config import STREAM, RunRequest
from extractor.data import Document, FailedDocument, Record
from extractor.errors import ExtractorError
from extractor.failures import internal
from extractor.pipeline import Pipeline
from extractor.sinks import Sink
from extractor.storage.addresses import is_address
from extractor.storage.present import Present

EXAMPLES = (
    """\b
Examples:
  extractor run inbox -s contact -o results.jsonl          a folder; the same line again resumes it
  extractor run a.txt b.csv 'mail/*.md' -s order -o -      files and globs; rows on stdout
  cat docs.jsonl | extractor run - -s contact | jq .data   a stage in a pipe
  extractor run inbox --fields "姓名, 年龄:integer"          fields in shorthand
  extractor run staff.xlsx forms.zip -s person             a row of a workbook, a file of an archive is a document
  extractor run inbox -s contact -o values.csv --flatten   a row a value; .xlsx, .sqlite, .parquet, ... as well
  extractor run inbox -s contact --engine ray --workers 4 -o parts      a model in each of four workers
"""
    + _options.FORMATS
)


@request_command(RunRequest, epilog=EXAMPLES, short_help="Extract from many documents; a row for each.")
@click.argument("inputs", type=FILE, nargs=-1, required=True, metavar="INPUT...")
@_options.task
@_options.output
@_options.model
@_options.answers
@_options.reading
@_options.limit
@_options.allow_empty
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
    """Return the request with files of settings, the output and the files beside it left out of the folders that are
    read."""
    path, exclude = request.output.path, list(map(os.path.realpath, _settings.files()))
    if path != STREAM:
        written = path if is_address(path) else os.path.realpath(path)
        exclude += [*sinks.beside(path), *sinks.beside(written)]
    return replace(request, read=replace(request.read, exclude=tuple(exclude)))


def _local_records(
    request: RunRequest, pipeline: Pipeline, documents: Iterable[Document | FailedDocument], display: RunDisplay
) -> Iterator[Record]:
    """Yield the records of this process, each after it is written."""
    present = Present()
    with sinks.open_sink(request.output.path, sink_options(request, pipeline, display.stats)) as sink:
        _prune.check(sink, request)
        found = present.watch(itertools.islice(documents, request.limit))
        for record in _extracted(pipeline, display.stats.not_done(found, sink), display):
            yield _written(record, sink)
        if pipeline.stop.is_set():
            return
        display.check_found()
        if request.limit is None:
            display.stale = _prune.prune(sink, present, request)


def _written(record: Record, sink: Sink) -> Record:
    """Write a record. One that the sink cannot take for a bug becomes a failed one, which it can."""
    try:
        sink.write(record)
    except (ExtractorError, OSError):
        raise
    except Exception as error:  # the boundary: a bug over one document costs that document
        record = Record.failed(FailedDocument(record.id, record.source, internal(record.id, error)), record.run)
        sink.write(record)
    return record


def _extracted(
    pipeline: Pipeline, pending: Iterator[Document | FailedDocument], display: RunDisplay
) -> Iterator[Record]:
    """Run the pipeline. The model is loaded only if there is something to do."""
    first = next(pending, None)
    if first is not None:
        display.label(pipeline.backend.name)
        interrupts = Interrupts(pipeline.stop, lambda: display.finishing(pipeline.stop.in_flight))
        with pipeline.backend, interrupts, display.progress:
            yield from pipeline.run(itertools.chain([first], pending))
