"""`extractor report`: results as one HTML page."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from extractor.cli import _options
from extractor.cli._row_files import rows
from extractor.data import Record
from extractor.errors import InputError, OutputError, Problem
from extractor.ingest.discovery import STDIN
from extractor.ingest.reload import reload
from extractor.report import Collected, View, collect, page
from extractor.storage import atomic_files, manifest
from extractor.storage.rows import from_row
from extractor.task.task import load_task

EXAMPLES = """\b
Examples:
  extractor report results.jsonl                            writes report.html
  extractor report results.jsonl -s contact --redact        sensitive values masked, in the texts as well
  extractor report results.jsonl --root /data -o page.html  where the documents have moved to /data
"""

REASONS = {
    "missing": "not where the results say; --root names the folder that their paths start from",
    "changed": "changed since the run",
    "unreadable": "cannot be read any more",
    "unread": "could not be read in the run either",
}


@click.command(epilog=EXAMPLES, short_help="Make one HTML page of results.")
@click.argument("results")
@click.option("-o", "--output", default="report.html", show_default=True, metavar="FILE", help="- for stdout.")
@click.option("-s", "--schema", help="The schema of the run: what is sensitive, and what needs a place in the text.")
@click.option("--redact", is_flag=True, help="Mask the values of x-sensitive fields, in the texts as well (wants -s).")
@click.option("--root", default="", help="Folder that the paths in the results start from, to read documents again.")
@_options.read_options
@click.option("--limit", type=click.IntRange(min=0), default=10_000, show_default=True, help="Documents in the page.")
@click.option("--title", help="Heading of the page.  [default: the name of the results]")
def command(results: str, **options: Any) -> None:
    """Write one HTML page with a summary and the documents, values highlighted, failed and odd ones first.

    The page needs no network and no other file. The documents are read again; one that has changed since or is gone
    is shown without its text, and says so.
    """
    _options.set_logging(quiet=False, verbose=False)
    if options["redact"] and not options["schema"]:
        raise click.UsageError("--redact wants the schema, which says what is sensitive: -s contact, say.")
    task = load_task(options["schema"]) if options["schema"] else None
    collected = collect(_records(results), task, options["limit"])
    if not collected.summary.status:
        raise InputError(f"{results} holds no rows: there is nothing to report.")
    texts = _texts(collected.records, options)
    title = options["title"] or os.path.basename(results)
    html = page(collected, texts, View(task, options["redact"]), title, _per_second(results, collected))
    _write(options["output"], html)
    click.echo(_done(options["output"], collected, texts, len(html.encode())), err=True)


def _records(path: str) -> Iterator[Record]:
    """The records of a file, the last one of each document. The file is gone through twice, so that it may be large;
    standard input is held."""
    held = [*rows(path)] if path == STDIN else []
    last = {str(row["id"]): where for where, row in held or rows(path)}
    for where, row in held or rows(path, again=True):
        if last[str(row["id"])] == where:
            try:
                yield from_row(row)
            except ValueError as error:
                raise InputError(f"{where} is {error}. A report is made of what `extractor run` wrote.") from error


def _texts(records: Sequence[Record], options: Mapping[str, Any]) -> dict[str, str | Problem]:
    """The documents, or why they are not at hand; of one that could not be read in the run, there is none to show."""
    sources = {record.id: record.source for record in records if record.attempts or record.data is not None}
    found = reload(sources, options["root"], _options.make_read_options(options))
    texts = {name: text if isinstance(text, str) else Problem(text.code, f"{text.message}.") for name, text in found}
    unread = Problem("unread", "The run could not read this document.")
    return {record.id: texts.get(record.id, unread) for record in records}


def _per_second(path: str, collected: Collected) -> float | None:
    """Documents in a second, over all the runs of the output that ended cleanly; None where that is not known."""
    work = [manifest.read_work(path, run.fingerprint) for run in collected.summary.runs]
    seconds = sum(each.seconds for each in work)
    return sum(each.rows for each in work) / seconds if seconds else None


def _write(output: str, html: str) -> None:
    if output == "-":
        sys.stdout.write(html)
        return
    try:
        atomic_files.replace(output, [html.encode()])
    except OSError as error:
        raise OutputError(f"{output} cannot be written: {error.strerror or error}.") from error


def _done(output: str, collected: Collected, texts: Mapping[str, str | Problem], size: int) -> str:
    shown, total = len(collected.records), collected.summary.status.total()
    lines = [f"{total} documents, {size / 1e6:.2f} MB." + ("" if output == "-" else f" Page: {output}")]
    if shown < total:
        lines.append(f"The page holds the {shown} that need to be looked at first; --limit {total} holds all.")
    reasons = Counter(text.code for text in texts.values() if isinstance(text, Problem))
    lines += [f"{count} without text: {REASONS[reason]}." for reason, count in reasons.most_common()]
    return "\n".join(lines)
