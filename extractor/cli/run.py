"""`extractor run`: files in, rows out, restartable."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import click

from extractor import backends, readers, sinks
from extractor.cli import INTERRUPTED, _options, _table
from extractor.cli._interrupts import Interrupts
from extractor.cli._progress import Progress, Tally
from extractor.pipeline import Pipeline
from extractor.readers import ReadOptions
from extractor.redacting import redact
from extractor.sinks import runfile
from extractor.tasks import Task
from extractor.types import Document, Record, Unreadable

log = logging.getLogger(__name__)

EXAMPLES = """\b
Examples:
  extractor run inbox -s contact -o results.jsonl          a folder; run it again to go on after a stop
  extractor run a.txt b.csv 'mail/*.md' -s order -o -      files and globs; rows on stdout
  cat docs.jsonl | extractor run - -s contact | jq .data   a stage in a pipe
  extractor run inbox --fields "姓名, 年龄:integer"          entity types on the spot
  extractor run staff.xlsx forms.zip -s person             a row of a workbook, a file of an archive is a document
"""


@click.command(epilog=EXAMPLES)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@_options.task_options
@click.option("-o", "--output", default="-", metavar="FILE", help="A .jsonl file to go on with, or - for stdout.")
@_options.model_options
@_options.server_options
@_options.ask_options
@_options.read_options
@click.option("--limit", type=click.IntRange(min=0), help="Stop after so many documents.")
@click.option("--overwrite", is_flag=True, help="Begin the output anew.")
@click.option("--retry-failed", is_flag=True, help="Ask again about documents that failed in an earlier run.")
@click.option("--ordered", is_flag=True, help="Write rows in the order of the input.")
@click.option("--table", is_flag=True, help="Show a short table of what was found on stderr.")
@_options.talk_options
def command(inputs: tuple[str, ...], **options: Any) -> int:
    """Extract from files, folders, globs, or - for stdin; one row per document.

    Rows are appended to the output as they are done. The same line run again does only what is missing.
    """
    _options.set_logging(options["quiet"], options["verbose"])
    task = _options.make_task_from(options)
    read_options = _read_options(options)
    documents = readers.read(inputs, read_options)
    backend = backends.make(options["backend"], _options.model_config(options))
    pipeline = Pipeline(task, backend, _options.run_config(options))
    pipeline.check()
    tally, table = Tally(), _table.Table(task)
    with _open(options, pipeline) as sink:
        pending = tally.not_done(itertools.islice(documents, options["limit"]), sink)
        progress = Progress(lambda: readers.estimate(inputs, read_options), options, tally)
        for record in _records(pipeline, pending, progress, options):
            sink.write(record)
            tally.add(record)
            table.add(record)
    if options["table"]:
        click.echo(str(table), err=True)
    if not options["quiet"]:
        click.echo(tally.summary(options["output"]), err=True)
    return INTERRUPTED if pipeline.stop.is_set() else tally.exit_code


def _read_options(options: Mapping[str, Any]) -> ReadOptions:
    """The output and what stands beside it are not documents, should they lie in a folder that is read."""
    output = options["output"]
    beside = (output, f"{output}.lock", f"{output}.tmp", runfile.path_of(output))
    return _options.make_read_options(options, exclude=() if output == sinks.STDOUT else beside)


def _open(options: Mapping[str, Any], pipeline: Pipeline) -> sinks.Sink:
    return sinks.open_sink(
        options["output"],
        sinks.SinkOptions(
            fingerprint=pipeline.info.fingerprint,
            settings=pipeline.settings,
            overwrite=options["overwrite"],
            retry_failed=options["retry_failed"],
        ),
    )


def _records(
    pipeline: Pipeline, pending: Iterator[Document | Unreadable], progress: Progress, options: Mapping[str, Any]
) -> Iterator[Record]:
    """Run the pipeline under a progress bar. The model is loaded only if there is something to do."""
    first = next(pending, None)
    if first is None:
        return
    if not options["quiet"]:
        _options.label_demo(pipeline.backend.name)
    with pipeline.backend, Interrupts(pipeline.stop), progress:
        for record in pipeline.run(itertools.chain([first], pending)):
            yield record
            progress.add(record)
            _log(record, pipeline.task)


def _log(record: Record, task: Task) -> None:
    """One line per document with -v: what was found, sensitive values masked."""
    if log.isEnabledFor(logging.INFO):
        data = json.dumps(redact(record, task).data, ensure_ascii=False)
        errors = "; ".join(f"attempt {error.attempt or 0}: {error.reason}: {error.message}" for error in record.errors)
        log.info("%s %s %s %s", record.id, record.status, data, errors)
