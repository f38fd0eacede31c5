"""Files of rows of ours, results and gold, in every format of results that can be read back."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from extractor import sinks
from extractor.annotation_formats._support.annotated_text import AnnotatedText, Mention, annotated
from extractor.data import RECORD_VERSION, Json, Source, Span
from extractor.errors import InputError
from extractor.evaluation import Annotation, read_annotation
from extractor.evaluation.annotations import entities_of
from extractor.storage import flat_rows, json_lines
from extractor.storage.parts_folder import parts
from extractor.text.json_pointer import scalars
from extractor.text.places import written

log = logging.getLogger(__name__)

JsonRow = dict[str, Json]


def rows(path: str, *, again: bool = False, name: str = "") -> Iterator[tuple[str, JsonRow]]:
    """Yield the rows of a file (`-` for standard input) or of a folder of part files, each with its place for messages,
    in which a file goes by `name` where it is a copy.

    A row without an id is called `file#line`, as readers do; flat rows are put together to one for each document. A
    torn last line, which a killed run leaves, is skipped with a warning, unless the file is read `again`. Raise
    InputError for a file that cannot be read, a line that is not a JSON object, and a record of another version.
    """
    folder = os.path.isdir(path)
    for file in parts(path) if folder else [path]:
        for where, row in _rows_of(file, again, file if folder else name or file):
            _check_version(row, where)
            yield where, row


def decided(found: Iterable[tuple[str, JsonRow]]) -> Iterator[tuple[str, JsonRow]]:
    """Yield the rows that count, each with its place: of what people have decided about a document (`review`) the last,
    after all other rows, and nothing where that is to skip it."""
    last: dict[str, tuple[str, JsonRow]] = {}
    for where, row in found:
        if "decision" in row:
            last[str(row["id"])] = where, row
        else:
            yield where, row
    yield from ((where, row) for where, row in last.values() if row["decision"] != "skipped")


def _rows_of(path: str, again: bool, name: str) -> Iterator[tuple[str, JsonRow]]:
    for number, row in _whole(path, name):
        where = f"{name} line {number}"
        if row is not None:
            yield where, {"id": f"{os.path.basename(name)}#{number}", **row}
        elif not again:
            log.warning("%s is torn: the run that wrote it was stopped; it does not count", where)


def _whole(path: str, name: str) -> sinks.Rows:
    try:
        yield from flat_rows.whole_rows(_read(path, name))
    except (KeyError, TypeError, AttributeError) as error:
        message = f"{name} holds rows of values that are not whole ({type(error).__name__}: {error})."
        raise InputError(f"{message} Have the same run write them again.") from error


def _read(path: str, name: str) -> sinks.Rows:
    """Return the rows of a file by its suffix; one of another suffix is read as JSON Lines."""
    if path == sinks.STDOUT:
        return json_lines.read_rows(sys.stdin.buffer, path)
    module = sinks.module_of(path)
    if module is None and name != path:
        return _copied_lines(path, name)
    if module is None:
        module = sinks.formats()[".jsonl"]
    if module.read_rows is None:
        raise InputError(
            f"{path}: rows are read from {', '.join(sinks.readable())}, not from {os.path.splitext(path)[1]}. "
            f"Have the same run write them: `extractor run ... -o results.jsonl`."
        )
    return module.read_rows(path)


def _copied_lines(path: str, name: str) -> sinks.Rows:
    with open(path, "rb") as lines:
        yield from json_lines.read_rows(lines, name)


def _check_version(row: JsonRow, where: str) -> None:
    """Raise InputError for a record of another version. Rows that are not records of ours have none."""
    run = row.get("run")
    if not isinstance(run, dict) or "fingerprint" not in run or run.get("record") == RECORD_VERSION:
        return
    version = run.get("record")
    writer = "extractor 0.1.0 (record 1)" if version is None else f"another version of extractor (record {version})"
    raise InputError(
        f"{where} was written by {writer}; this version reads record {RECORD_VERSION}. Run the documents again into "
        "another output, or use the version that wrote it."
    )


def source_of(row: JsonRow) -> Source | None:
    """Return where the document of a record came from; None for a row that does not say."""
    source = row.get("source")
    if not isinstance(source, dict) or not isinstance(source.get("path"), str):
        return None
    return Source(source["path"], str(source.get("sha256", "")), source.get("encoding"), source.get("chars"))


def annotated_row(row: JsonRow, where: str) -> AnnotatedText:
    """Return what a row says. Raises InputError for a row that is not an answer."""
    found = read_annotation(row, where)
    entities = entities_of(row, found.text, where)
    if entities is not None:
        marked = [Mention(each.type, each.span, None, each.value) for each in entities]
        item = annotated(found.id, found.text, marked, None, where)
        return item if row.get("data") is None else _with_data(item, found)
    spans = {pointer: tuple(map(_span, each)) for pointer, each in (row.get("spans") or {}).items()}
    return AnnotatedText(found.id, found.text, found.data, spans, found.confidence, _model(row), where)


def _with_data(item: AnnotatedText, found: Annotation) -> AnnotatedText:
    """Return the data that a row gives beside its entities; a value has the places of those that say the same."""
    marked = {(each.field, each.value): each.pointer for each in scalars(dict(item.data or {}))}
    same = {each.pointer: marked.get((each.field, written(each.value))) for each in scalars(dict(found.data or {}))}
    spans = {pointer: item.spans[other] for pointer, other in same.items() if other}
    return replace(item, data=found.data, spans=spans)


def _span(pair: Json) -> Span:
    return int(pair[0]), int(pair[1])


def _model(row: Mapping[str, Json]) -> str:
    """Return what gave an answer, empty for people; flat rows do not name the model."""
    run = row.get("run")
    return str(run.get("model") or "unknown") if isinstance(run, dict) else ""
