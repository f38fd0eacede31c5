"""`extractor run`: files in, rows out, restartable."""

from __future__ import annotations

import functools
import itertools
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import click

from extractor import backends, ingest, sinks
from extractor.cli import INTERRUPTED, _options, _ray, _results_table
from extractor.cli._interrupts import Interrupts
from extractor.cli._progress import Progress, Tally
from extractor.data import Document, FailedDocument, Record
from extractor.ingest import ReadOptions
from extractor.pipeline import Pipeline
from extractor.task.redaction import redact
from extractor.task.task import Task

log = logging.getLogger(__name__)

EXAMPLES = """\b
Examples:
  extractor run inbox -s contact -o results.jsonl          a folder; run it again to go on after a stop
  extractor run a.txt b.csv 'mail/*.md' -s order -o -      files and globs; rows on stdout
  cat docs.jsonl | extractor run - -s contact | jq .data   a stage in a pipe
  extractor run inbox --fields "姓名, 年龄:integer"          entity types on the spot
  extractor run staff.xlsx forms.zip -s person             a row of a workbook, a file of an archive is a document
  extractor run inbox -s contact -o values.csv --flatten   a row a value; .sqlite, .parquet, .jsonl.gz as well
  extractor run inbox -s contact --engine ray --workers 4 -o parts      a model in each of four workers
"""


@click.command(epilog=EXAMPLES, short_help="Extract from many documents; a row for each.")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@_options.task_options
@click.option(
    "-o", "--output", default="-", metavar="FILE", help="A file to go on with, its format by its suffix; - for stdout."
)
@_options.model_options
@_options.server_options
@_options.ask_options
@_options.read_options
@click.option("--flatten", is_flag=True, help="A row for each value found, with its place, instead of each document.")
@click.option("--limit", type=click.IntRange(min=0), help="Stop after so many documents.")
@click.option("--overwrite", is_flag=True, help="Begin the output anew.")
@click.option("--retry-failed", is_flag=True, help="Ask again about documents that failed in an earlier run.")
@click.option("--ordered", is_flag=True, help="Write rows in the order of the input.")
@click.option("--table", is_flag=True, help="Show a short table of what was found on stderr.")
@_ray.options
@_options.talk_options
def command(inputs: tuple[str, ...], **options: Any) -> int:
    """Extract from files, folders, globs, or - for stdin; one row per document.

    Rows are appended to the output as they are done. The same line run again does only what is missing.
    """
    _ray.check(options, inputs)
    _options.set_logging(options["quiet"], options["verbose"])
    task = _options.make_task_from(options)
    read_options = _read_options(options)
    documents = ingest.read(inputs, read_options)
    make_backend = functools.partial(backends.make, options["backend"], _options.model_config(options))
    pipeline = Pipeline(task, make_backend(), _options.run_config(options))
    pipeline.check()
    tally, table = Tally(), _results_table.Table(task)
    progress = Progress(lambda: ingest.estimate(inputs, read_options), options, tally)
    if options["engine"] == "ray":
        found = _ray.records(_ray.Source(pipeline, make_backend, inputs, read_options), progress, options, tally)
    else:
        found = _written(pipeline, documents, progress, options, tally)
    for record in found:
        tally.add(record)
        table.add(record)
        progress.add(record)
        _log(record, task)
    if options["table"]:
        click.echo(str(table), err=True)
    if not options["quiet"]:
        click.echo(tally.summary(options["output"]), err=True)
    return INTERRUPTED if pipeline.stop.is_set() else tally.exit_code


def _read_options(options: Mapping[str, Any]) -> ReadOptions:
    """The output and what stands beside it are not documents, should they lie in a folder that is read."""
    output = options["output"]
    return _options.make_read_options(options, exclude=() if output == sinks.STDOUT else sinks.beside(output))


def _open(options: Mapping[str, Any], pipeline: Pipeline) -> sinks.Sink:
    return sinks.open_sink(options["output"], _options.sink_options(pipeline, options))


def _written(
    pipeline: Pipeline,
    documents: Iterator[Document | FailedDocument],
    progress: Progress,
    options: Mapping[str, Any],
    tally: Tally,
) -> Iterator[Record]:
    """The records of this process, each written when it is handed on."""
    with _open(options, pipeline) as sink:
        pending = tally.not_done(itertools.islice(documents, options["limit"]), sink)
        for record in _records(pipeline, pending, progress, options):
            sink.write(record)
            yield record


def _records(
    pipeline: Pipeline, pending: Iterator[Document | FailedDocument], progress: Progress, options: Mapping[str, Any]
) -> Iterator[Record]:
    """Run the pipeline under a progress bar. The model is loaded only if there is something to do."""
    first = next(pending, None)
    if first is None:
        return
    if not options["quiet"]:
        _options.label_demo(pipeline.backend.name)
    with pipeline.backend, Interrupts(pipeline.stop), progress:
        yield from pipeline.run(itertools.chain([first], pending))


def _log(record: Record, task: Task) -> None:
    """One line per document with -v: what was found, sensitive values masked."""
    if log.isEnabledFor(logging.INFO):
        data = json.dumps(redact(record, task).data, ensure_ascii=False)
        told = ((error.attempt or 0, error.problem) for error in record.errors)
        errors = "; ".join(f"attempt {attempt}: {each.code}: {each.message}" for attempt, each in told)
        log.info("%s %s %s %s", record.id, record.status, data, errors)
