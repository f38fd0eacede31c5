"""`extractor extract`: one document, its data on stdout."""

from __future__ import annotations

import itertools
import json
from typing import Any

import click

from extractor import backends, readers
from extractor.cli import _options
from extractor.pipeline import Pipeline
from extractor.readers import ReadOptions
from extractor.sinks.rows import to_row

EXAMPLES = """\b
Examples:
  extractor extract letter.txt -s contact
  extractor extract - -s order < mail.txt
  extractor extract cv.md --fields "姓名, 年龄:integer" | jq -r .姓名
  extractor extract letter.txt -s contact --record     with spans, attempts and reasons
"""


@click.command(epilog=EXAMPLES)
@click.argument("file")
@_options.task_options
@_options.model_options
@click.option("--backend", type=click.Choice(backends.names()), default="chatglm3", show_default=True)
@_options.ask_options
@click.option("--record", "whole", is_flag=True, help="Print the whole record instead of its data.")
@_options.talk_options
def command(file: str, **options: Any) -> int:
    """Extract from one document (- for stdin); pretty JSON on stdout, exit code 1 when it failed."""
    _options.set_logging(options["quiet"], options["verbose"])
    task = _options.make_task_from(options)
    documents = list(itertools.islice(readers.read([file], ReadOptions(stdin="text")), 2))
    if len(documents) != 1:
        raise click.UsageError(f"{file} holds several documents. Use: extractor run {file} ...")
    backend = backends.make(options["backend"], _options.model_config(options))
    pipeline = Pipeline(task, backend, _options.run_config(options))
    pipeline.check()
    if not options["quiet"]:
        _options.label_demo(pipeline.backend.name)
    with backend:
        record = next(pipeline.run(documents))
    shown = to_row(record) if options["whole"] else record.data
    if shown is not None:
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
    for failure in record.errors if record.status == "failed" else ():
        click.echo(f"Failed: {failure.reason}: {failure.message}", err=True)
    return 0 if record.status == "ok" else 1
