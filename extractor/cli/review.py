"""`extractor review`: a person goes through results, and what is decided becomes gold."""

from __future__ import annotations

import getpass
import os
import threading
import webbrowser
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain

import click

from extractor.cli import _options
from extractor.cli._console import set_logging
from extractor.cli._last_records import last_records
from extractor.cli._requests import command as request_command
from extractor.config import STREAM, DisplayConfig
from extractor.data import STATUSES, Record, Status
from extractor.errors import CODES, Code, InputError, UsageError
from extractor.ingest import ReadOptions
from extractor.ingest.reload import reload
from extractor.review import GoldFile, Selection, Session, Wanted, rows_to_review, serve
from extractor.review.desk import Desk
from extractor.review.session import ReviewRow
from extractor.storage.addresses import is_address
from extractor.storage.compression import codec_of
from extractor.task.bundled import SCHEMAS
from extractor.task.task import load_task

EXAMPLES = """\b
Examples:
  extractor review results.jsonl                             opens a page in the browser; Ctrl-C ends
  extractor review results.jsonl -s my.json --status failed  only what failed, of a schema of one's own
  extractor review results.jsonl --by Li --all               a second person, what is decided once more
  extractor evaluate results.jsonl results.gold.jsonl -s contact
"""

NAMED = 5
"""Documents without a text that are named in one line."""

HINTS: Mapping[Code, str] = {"gone": "; --root names the folder that the paths in the results start from"}


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """All of `extractor review`."""

    results: str
    schema: str | None
    gold: str | None
    by: str | None
    all: bool
    status: tuple[Status, ...]
    limit: int
    root: str
    read: ReadOptions
    port: int
    open: bool
    lang: str | None

    @property
    def gold_path(self) -> str:
        """Where decisions go. Raise UsageError for a place that cannot be written line by line."""
        if self.gold is None and self.results == STREAM:
            raise UsageError("Results from standard input have no name: say where the gold goes with --gold FILE.")
        path = self.gold or _default_gold(self.results)
        if is_address(path) or path == STREAM or codec_of(path) is not codec_of("plain.jsonl"):
            raise UsageError(f"{path}: gold is a plain file of JSON lines on this machine. Name one with --gold.")
        if os.path.exists(path) and os.path.exists(self.results) and os.path.samefile(path, self.results):
            raise UsageError(f"{path} holds the results. Name another file for the gold with --gold.")
        return path

    @property
    def reviewer(self) -> str:
        """Who decides: as given, or the login name. Raise UsageError where there is neither."""
        try:
            return self.by or getpass.getuser()
        except (OSError, KeyError, ImportError) as error:
            raise UsageError("This account has no name: say who decides with --by NAME.") from error


@request_command(ReviewRequest, epilog=EXAMPLES, short_help="Correct results in a page; they become gold.")
@click.argument("results")
@click.option(
    "-s", "--schema", help="The schema of the run: bundled name, or path.  [default: the bundled one that results name]"
)
@click.option("--gold", metavar="FILE", help="Where decisions go.  [default: the name of the results, .gold.jsonl]")
@click.option("--by", metavar="NAME", help="Who decides.  [default: the login name]")
@click.option("--all", is_flag=True, help="Ask about decided rows as well, to look at them once more.")
@click.option("--status", type=click.Choice(STATUSES), multiple=True, help="Only rows of this status (repeatable).")
@click.option("--limit", type=click.IntRange(min=1), default=1_000, show_default=True, help="Rows to go through.")
@click.option("--root", default="", help="Folder that the paths in the results start from, to read documents again.")
@_options.reading
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1.  [default: a free one]")
@click.option("--open/--no-open", default=True, help="Open the page in the browser.  [default: open]")
@click.option("--lang", type=click.Choice(("en", "zh")), help="Language of the page.  [default: the browser's]")
def command(request: ReviewRequest) -> None:
    """Go through results in a local page, doubtful rows first, and write what is decided to a gold file.

    Each decision is saved at once, so a stop or a crash loses none, and the same line goes on where it was. Only this
    machine is answered, and only with the address that is printed.
    """
    set_logging(DisplayConfig())
    path, reviewer = request.gold_path, request.reviewer
    records = last_records(request.results, "A review goes through")
    first = next(records, None)
    if first is None:
        raise InputError(f"{request.results} holds no rows: there is nothing to review.")
    request = replace(request, schema=request.schema or _schema_of(first))
    task = load_task(str(request.schema))
    with GoldFile(path) as gold:
        wanted = Wanted(request.status, request.all, request.limit)
        selection = rows_to_review(chain([first], records), task, gold, wanted)
        rows = _with_texts(selection.records, request)
        _say(_opening(selection, len(rows), request))
        if rows:
            session = Session(rows, task, gold, reviewer)
            _serve(Desk(session, request.lang or ""), request)
            _say(_closing(session, len(rows) + selection.wanted - len(selection.records), request))


def _schema_of(record: Record) -> str:
    """Return the name of the bundled schema that made a record. Raise UsageError where there is none."""
    name, known = record.run.schema, record.run.schema_hash
    if name in SCHEMAS.names() and known in ("", load_task(name).settings["schema"]):
        return name
    raise UsageError(f"The results name the schema {name!r}; no bundled one is the same: say -s and its file.")


def _default_gold(results: str) -> str:
    """Return the name of the results with another ending: `out/results.jsonl.gz` gives `out/results.gold.jsonl`."""
    folder, name = os.path.split(os.path.normpath(results))
    stem = name.removesuffix(".gz").removesuffix(".zst")
    return os.path.join(folder, f"{os.path.splitext(stem)[0]}.gold.jsonl")


def _with_texts(records: Sequence[Record], request: ReviewRequest) -> list[ReviewRow]:
    """Return the rows whose documents are as they were; say which are not."""
    texts = dict(reload({record.id: record.source for record in records}, request.root, request.read))
    missing: dict[Code, list[str]] = {}
    rows = []
    for record in records:
        text = texts[record.id]
        if isinstance(text, str):
            rows.append(ReviewRow(record, text))
        else:
            missing.setdefault(text.code, []).append(record.id)
    for code, names in missing.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        shown = ", ".join(names[:NAMED])
        _say([f"{len(names)} left out: {CODES[code]} ({shown}{more}){HINTS.get(code, '')}."])
    return rows


def _serve(desk: Desk, request: ReviewRequest) -> None:
    """Answer the page until an interrupt."""
    with serve(desk, request.port) as server:
        click.echo(f"Open {server.address}", err=True)
        click.echo("Ctrl-C ends; what is decided is saved.", err=True)
        if request.open:
            threading.Thread(target=_open, args=(server.address,), daemon=True).start()
        with suppress(KeyboardInterrupt):
            server.serve_forever()
        desk.session.settle()


def _open(address: str) -> None:
    """Open a browser that has a window; one of the terminal would take the terminal."""
    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return
    if type(found) is not webbrowser.GenericBrowser:
        found.open(address)


def _opening(selection: Selection, shown: int, request: ReviewRequest) -> Iterator[str]:
    yield f"{shown} of {selection.total} rows to review; {selection.decided} decided in {request.gold_path}."
    if selection.unread:
        yield f"{selection.unread} left out: {CODES['unread']}."
    if selection.wanted > request.limit:
        yield (
            f"These are the {request.limit} to look at first; the same line goes on with others, or --limit "
            f"{selection.wanted} asks about all."
        )
    if not selection.wanted:
        yield "Nothing is left to decide. --all goes through decided rows once more."
        yield _next(request)


def _closing(session: Session, asked: int, request: ReviewRequest) -> Iterator[str]:
    count = Counter(session.decided.values())
    parts = ", ".join(f"{number} {decision}" for decision, number in sorted(count.items()))
    yield f"\n{count.total()} rows decided{f' ({parts})' if parts else ''}, saved in {session.gold.path}."
    if asked > count.total():
        yield f"{asked - count.total()} are left: the same line goes on."
    if session.gold.rows:
        yield _next(request)


def _next(request: ReviewRequest) -> str:
    return f"Next: extractor evaluate {request.results} {request.gold_path} -s {request.schema}"


def _say(lines: Iterator[str] | Sequence[str]) -> None:
    for line in lines:
        click.echo(line, err=True)
