"""What people have at hand becomes documents: texts, rows, bytes, paths, each with an id of its own or its number.

One item that is none of these is one failed document. What is no series of documents at all (a single text, a table) is
refused, with the call that was meant. pandas and polars are known by their names and never imported.
"""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from dataclasses import replace
from numbers import Number
from pathlib import Path
from typing import Any

from extractor.data import Document, FailedDocument, Source
from extractor.errors import Problem, UsageError
from extractor.ingest import File, ReadOptions, discovery
from extractor.ingest.memory import bytes_file
from extractor.readers._support.files import open_regular, sha256_of
from extractor.readers._support.rows import SURROGATE

Content = str | bytes | bytearray | memoryview | os.PathLike[str] | Mapping[str, Any] | Document | FailedDocument
Item = Content | tuple[object, Content]
"""One document: a text, bytes of a file, a path, a row, any of these with an id before it, or a Document itself."""

_Input = Document | FailedDocument | File | os.PathLike[str]

_EMPTY = Problem("empty", "there is no text here, or only white space")
_TABLES = ("pandas", "polars", "pyarrow")
_MOST_NAMES = 8


def inputs(documents: Iterable[object], options: ReadOptions) -> Iterator[_Input]:
    """Yield each item as what can be read. One without an id of its own has its number, or the label in its Series."""
    for number, item in _numbered(documents):
        try:
            yield _input(_id(number), item, options)
        except Exception as error:  # the boundary: an object of a user's fails as one document, whatever it does
            message = f"an item of type {type(item).__name__} cannot be looked at ({type(error).__name__})"
            yield _failed(str(number), Problem("malformed", message))


def check(documents: object) -> None:
    """Raise UsageError for what is not a series of documents, with the call that was meant."""
    if isinstance(documents, str):
        raise UsageError(
            "A single text is not a series of documents: extract(text) for one, run([text]) for several. The path of a "
            'file is Path("..."), in a list as well.'
        )
    if isinstance(documents, bytes | bytearray | memoryview | os.PathLike | Document | FailedDocument | Mapping):
        what = type(documents).__name__
        raise UsageError(f"A single {what} is not a series of documents: run([document]), or extract(document).")
    if _is_table(documents):
        raise UsageError(_advice(documents))
    if hasattr(documents, "read"):
        raise UsageError("An open file would be taken line by line: give its path, run([Path(file.name)]).")
    if isinstance(documents, AsyncIterable):
        raise UsageError("An asynchronous iterator is for `async for record in extractor.arun(documents)`.")
    if not isinstance(documents, Iterable) and not hasattr(documents, "__getitem__"):
        raise UsageError(
            f"An object of type {type(documents).__name__} is not a series of documents: give a list of texts or paths."
        )


def check_one(document: object) -> None:
    """Raise UsageError for what is several documents."""
    if _is_table(document):
        raise UsageError(_advice(document))
    if isinstance(document, list | set | Iterator):
        raise UsageError(f"A {type(document).__name__} is several documents: run(documents). extract takes one.")


def _numbered(documents: Any) -> Iterable[tuple[object, object]]:
    is_series = hasattr(documents, "iloc") and callable(getattr(documents, "items", None))  # of pandas
    return documents.items() if is_series else enumerate(documents)


def _is_table(documents: object) -> bool:
    kind = type(documents)
    return kind.__module__.partition(".")[0] in _TABLES and kind.__name__ in ("DataFrame", "LazyFrame", "Table")


def _advice(table: Any) -> str:
    names = [] if type(table).__name__ == "LazyFrame" else [repr(name) for name in getattr(table, "columns", ())]
    known = f" Its columns: {', '.join(names[:_MOST_NAMES])}." if names and type(table).__name__ == "DataFrame" else ""
    return (
        f"A {type(table).__name__} is not a series of documents: name the column of texts, run(table['text']), or with "
        f"ids run(zip(table['id'], table['text'])).{known}"
    )


def _input(id: str, item: object, options: ReadOptions) -> _Input:
    if isinstance(item, Document | FailedDocument):
        return item
    if isinstance(item, os.PathLike):
        return Path(os.fsdecode(item))
    if isinstance(item, tuple) and len(item) == 2:
        own, content = item
        if isinstance(content, Document | FailedDocument):
            return replace(content, id=_id(own) or content.id)
        return _named(_id(own) or id, content, options)
    return _named(id, item, options)


def _named(id: str, content: object, options: ReadOptions) -> _Input:
    """Return content under an id."""
    if isinstance(content, str):
        return _text(id, content)
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes_file(id, id, bytes(content))
    if isinstance(content, os.PathLike):
        path = os.fsdecode(content)
        return File(id, discovery.printable(path), functools.partial(open_regular, path), path)
    if isinstance(content, Mapping):
        return _row(id, content, options)
    if _is_missing(content):
        return _failed(id, _EMPTY)
    what = "a text, bytes, a path, a dict or one of these with an id before it, (id, text)"
    return _failed(id, Problem("malformed", f"an item of type {type(content).__name__} is not a document: give {what}"))


def _row(id: str, row: Mapping[Any, object], options: ReadOptions) -> _Input:
    own, field = _id(row.get(options.id_field)), options.text_field
    if field not in row:
        names = ", ".join(map(str, list(row)[:_MOST_NAMES]))
        how = "name the one that holds the text: read=ReadOptions(text_field=...)"
        return _failed(own or id, Problem("malformed", f"there is no field {field!r} but {names or 'none'}: {how}"))
    if isinstance(row[field], Mapping):
        return _failed(own or id, Problem("malformed", f"the field {field!r} holds a dict, not text"))
    return _named(own or id, row[field], options)


def _text(id: str, text: str) -> Document | FailedDocument:
    """Return a text as a document. A lone surrogate, which no model can read, becomes U+FFFD, one for one."""
    readable = SURROGATE.sub("\ufffd", text)
    encoding = None if readable == text else "lone surrogates read as U+FFFD"
    source = Source("", sha256_of(text), encoding, len(text))
    return Document(id, readable, source) if text.strip() else FailedDocument(id, source, _EMPTY)


def _failed(id: str, problem: Problem) -> FailedDocument:
    return FailedDocument(id, Source("", ""), problem)


def _id(value: object) -> str:
    """Return an id as text: empty for none."""
    return "" if _is_missing(value) or isinstance(value, bool) else SURROGATE.sub("\ufffd", str(value)).strip()


def _is_missing(value: object) -> bool:
    """Tell whether a value stands for none: None, NaN, and what pandas has for that."""
    if isinstance(value, Number):
        return value != value  # noqa: PLR0124  # NaN
    return value is None or type(value).__name__ in ("NAType", "NaTType")
