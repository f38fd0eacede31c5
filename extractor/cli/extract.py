"""`extractor extract`: one document, its data on stdout."""

from __future__ import annotations

import json
from typing import Any

import click

from extractor import backends
from extractor.cli import _options, _single_document
from extractor.pipeline import Pipeline
from extractor.storage.rows import to_row

EXAMPLES = """\b
Examples:
  extractor extract letter.txt -s contact
  extractor extract - -s order < mail.txt
  extractor extract cv.md --fields "姓名, 年龄:integer" | jq -r .姓名
  extractor extract letter.txt -s contact --record     with spans, attempts and reasons
  extractor extract offer.pdf -s contact --password secret
"""


@click.command(epilog=EXAMPLES, short_help="Extract from one document; JSON on stdout.")
@click.argument("file")
@_options.task_options
@_options.model_options
@_options.server_options
@_options.ask_options
@_options.read_options
@click.option("--record", "whole", is_flag=True, help="Print the whole record instead of its data.")
@_options.talk_options
def command(file: str, **options: Any) -> int:
    """Extract from one document (- for stdin); pretty JSON on stdout, exit code 1 when it failed."""
    _options.set_logging(options["quiet"], options["verbose"])
    task = _options.make_task_from(options)
    read_options = _options.make_read_options(options, stdin="text")
    document = _single_document.only_one(file, read_options, f"Use: extractor run {file} ...")
    backend = backends.make(options["backend"], _options.model_config(options))
    pipeline = Pipeline(task, backend, _options.run_config(options))
    pipeline.check()
    if not options["quiet"]:
        _options.label_demo(pipeline.backend.name)
    with backend:
        record = next(pipeline.run([document]))
    shown = to_row(record) if options["whole"] else record.data
    if shown is not None:
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
    for failure in record.errors if record.status == "failed" else ():
        click.echo(f"Failed: {failure.problem.code}: {failure.problem.message}", err=True)
    return 0 if record.status == "ok" else 1
