"""`extractor report`: results as one HTML page."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

from extractor.cli import _options
from extractor.cli._completion import FILE
from extractor.cli._console import set_logging
from extractor.cli._last_records import last_records
from extractor.cli._requests import command as request_command
from extractor.config import STREAM, DisplayConfig
from extractor.data import Record
from extractor.errors import CODES, Code, InputError, OutputError, Problem, UsageError
from extractor.ingest import ReadOptions
from extractor.ingest.reload import reload
from extractor.report import Collected, View, collect, page
from extractor.storage import atomic_files, manifest
from extractor.task.task import load_task

EXAMPLES = """\b
Examples:
  extractor report results.jsonl                            writes report.html
  extractor report results.jsonl -s contact --redact        sensitive values masked, in the texts as well
  extractor report results.jsonl --root /data -o page.html  where the documents have moved to /data
"""

HINTS: Mapping[Code, str] = {"gone": "; --root names the folder that the paths in the results start from"}


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """All of `extractor report`."""

    results: str
    output: str
    schema: str | None
    redact: bool
    root: str
    read: ReadOptions
    limit: int
    title: str | None

    def __post_init__(self) -> None:
        if self.redact and not self.schema:
            raise UsageError("--redact needs the schema, which says what is sensitive: add -s contact, say.")


@request_command(ReportRequest, epilog=EXAMPLES, short_help="Make one HTML page of results.")
@click.argument("results", type=FILE)
@click.option("-o", "--output", default="report.html", show_default=True, metavar="FILE", help="- for stdout.")
@click.option("-s", "--schema", help="The schema of the run: what is sensitive, and what needs a place in the text.")
@click.option("--redact", is_flag=True, help="Mask the values of x-sensitive fields, in the texts as well (needs -s).")
@click.option("--root", default="", help="Folder that the paths in the results start from, to read documents again.")
@_options.reading
@click.option("--limit", type=click.IntRange(min=0), default=10_000, show_default=True, help="Documents in the page.")
@click.option("--title", help="Heading of the page.  [default: the name of the results]")
def command(request: ReportRequest) -> None:
    """Write one HTML page with a summary and the documents, values highlighted, failed, partial and odd ones first.

    The page needs no network and no other file. The documents are read again; one that has changed since or is gone
    is shown without its text, and says so.
    """
    set_logging(DisplayConfig())
    task = load_task(request.schema) if request.schema else None
    collected = collect(last_records(request.results, "A report is made of"), task, request.limit)
    if not collected.summary.status:
        raise InputError(f"{request.results} holds no rows: there is nothing to report.")
    texts = _texts(collected.records, request)
    title = request.title or os.path.basename(request.results)
    html = page(collected, texts, View(task, request.redact), title, _throughput(request.results, collected))
    _write(request.output, html)
    click.echo(_done(request.output, collected, texts, len(html.encode())), err=True)


def _texts(records: Sequence[Record], request: ReportRequest) -> dict[str, str | Problem]:
    """Return the documents, or why they are not available; one that the run could not read has none to show."""
    sources = {record.id: record.source for record in records if record.attempts or record.data is not None}
    found = reload(sources, request.root, request.read)
    texts = {name: text if isinstance(text, str) else Problem(text.code, f"{text.message}.") for name, text in found}
    unread = Problem("unread", "The run could not read this document.")
    return {record.id: texts.get(record.id, unread) for record in records}


def _throughput(path: str, collected: Collected) -> float | None:
    """Return documents per second over all runs of the output that ended cleanly; None where that is unknown."""
    work = [manifest.read_work(path, run.fingerprint) for run in collected.summary.runs]
    seconds = sum(each.seconds for each in work)
    return sum(each.rows for each in work) / seconds if seconds else None


def _write(output: str, html: str) -> None:
    if output == STREAM:
        sys.stdout.write(html)
        return
    try:
        atomic_files.replace(output, [html.encode()])
    except OSError as error:
        raise OutputError(f"{output} cannot be written: {error.strerror or error}.") from error


def _done(output: str, collected: Collected, texts: Mapping[str, str | Problem], size: int) -> str:
    shown, total = len(collected.records), collected.summary.status.total()
    lines = [f"{total} documents, {size / 1e6:.2f} MB." + ("" if output == STREAM else f" Page: {output}")]
    if shown < total:
        lines.append(f"The page holds the {shown} to look at first; --limit {total} shows all.")
    codes = Counter(text.code for text in texts.values() if isinstance(text, Problem))
    lines += [f"{count} without text: {CODES[code]}{HINTS.get(code, '')}." for code, count in codes.most_common()]
    return "\n".join(lines)
