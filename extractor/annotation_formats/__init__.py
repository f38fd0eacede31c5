"""Formats of annotated texts. A module of this folder with NAME, `recognises`, `read` and `write` is one.

So is one that another installed package names as an entry point of the group `extractor.annotation_formats`. What is
between formats is `AnnotatedText`, the row of our gold; a format that no other recognises in a file's content is that
of our rows (`gold`). Whatever a format does not hold goes into `Notes`, for the user to be told.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import BinaryIO

from extractor import plugins, sinks
from extractor.annotation_formats._support.annotated_text import AnnotatedText, Mention, Notes, annotated, mentions
from extractor.annotation_formats._support.files import AnnotationFile
from extractor.annotation_formats._support.options import Ask, WriteOptions
from extractor.annotation_formats._support.row_files import JsonRow, annotated_row, decided, rows, source_of
from extractor.annotation_formats._support.sft import right_answer
from extractor.annotation_formats._support.shaping import shaped
from extractor.errors import InputError, UsageError
from extractor.evaluation import Annotation, read_annotation
from extractor.readers._support.files import ReadOptions
from extractor.storage.addresses import as_os_errors, file_system, is_address
from extractor.storage.compression import with_codecs
from extractor.storage.stream import STDOUT, is_stream
from extractor.task import examples
from extractor.task.examples import Example, make_examples
from extractor.task.task import Task

__all__ = [
    "GOLD",
    "AnnotatedText",
    "AnnotationFile",
    "AnnotationFormat",
    "Ask",
    "JsonRow",
    "Mention",
    "Notes",
    "WriteOptions",
    "annotated",
    "annotated_row",
    "find_format",
    "format_of_output",
    "formats",
    "load_examples",
    "mentions",
    "read",
    "read_annotations",
    "read_rows",
    "recognised",
    "right_answer",
    "rows",
    "shaped",
    "source_of",
]

GOLD = "gold"
"""The format of our own rows, for whatever is of no other."""

MAX_BYTES = ReadOptions().max_bytes

NEEDS = ("text", "data")

Read = Callable[[AnnotationFile, Notes], Iterator[AnnotatedText]]


@dataclass(frozen=True, slots=True)
class AnnotationFormat:
    """A module that reads and writes a format.

    NAME: for `--from` and `--to`; TITLE: for the help. `recognises` tells by its content whether a file is of the
    format; `read` yields its documents and raises InputError; `write` yields bytes, or names and bytes of files where
    FOLDER (optional) is true. SUFFIXES (optional): of outputs that are written in the format unless `--to` says else.
    NEEDS (optional) is what a document must have to be written: `text` and `data` (an answer), unless it says less.
    Imports of optional packages belong inside of the functions.
    """

    name: str
    title: str
    recognises: Callable[[AnnotationFile], bool]
    read: Read
    write: Callable[[Iterable[AnnotatedText], WriteOptions], Iterator[bytes | tuple[str, bytes]]]
    suffixes: tuple[str, ...] = ()
    folder: bool = False
    needs: tuple[str, ...] = NEEDS

    @classmethod
    def of(cls, module: ModuleType) -> AnnotationFormat:
        """Return what a module says of itself. Raises UsageError where that is not enough."""
        try:
            needed = module.NAME, module.TITLE, module.recognises, module.read, module.write
        except AttributeError as error:
            message = f"The annotation format {module.__name__} is incomplete: {error}. Repair or remove it."
            raise UsageError(message) from error
        suffixes, folder = tuple(getattr(module, "SUFFIXES", ())), bool(getattr(module, "FOLDER", False))
        return cls(*needed, suffixes, folder, tuple(getattr(module, "NEEDS", NEEDS)))

    def takes(self, items: Iterable[AnnotatedText], notes: Notes) -> Iterator[AnnotatedText]:
        """Yield the documents that can be written in the format; others are noted."""
        for item in items:
            if "data" in self.needs and item.data is None:
                notes.add("documents without an answer, left out")
            elif "text" in self.needs and item.text is None:
                notes.add("documents without a text, left out")
            else:
                yield item


@functools.cache
def formats() -> Mapping[str, AnnotationFormat]:
    """Return all formats by name; those of this folder come before those of other packages."""
    found = map(AnnotationFormat.of, reversed(plugins.modules(__name__)))
    return {each.name: each for each in sorted(found, key=lambda each: each.name)}


def find_format(name: str) -> AnnotationFormat:
    """Return the format of a name. Raises UsageError for an unknown one."""
    if name not in formats():
        raise UsageError(f"unknown format {name!r}: choose one of {', '.join(formats())}")
    return formats()[name]


def format_of_output(path: str) -> AnnotationFormat:
    """Return the format that the suffix of an output names. Raises UsageError where it names none."""
    if found := _of_suffix(path):
        return found
    raise UsageError(f"The suffix of {path} says no format. Say which: --to {', '.join(formats())}.")


def _of_suffix(path: str) -> AnnotationFormat | None:
    found = (
        each for each in formats().values() if each.suffixes and path.lower().endswith(with_codecs(*each.suffixes))
    )
    return next(found, None)


def recognised(file: AnnotationFile) -> AnnotationFormat:
    """Return the format of a file by its content, else by its suffix. Raises InputError where it cannot be read."""
    if is_table(file):
        return formats()[GOLD]
    shown = next((each for each in formats().values() if each.recognises(file)), None)
    return shown or _of_suffix(file.path) or formats()[GOLD]


def is_table(file: AnnotationFile) -> bool:
    """Tell whether a file is of results, by its suffix, in a format of tables: CSV, Parquet, SQLite."""
    module = None if file.is_folder else sinks.module_of(file.path)
    return module is not None and module is not sinks.formats()[".jsonl"]


@contextlib.contextmanager
def opened(path: str, max_bytes: int = MAX_BYTES) -> Iterator[AnnotationFile]:
    """Provide a file, a folder, standard input (`-`) or what is at an address, on this machine. Raises InputError."""
    with contextlib.ExitStack() as held:
        local = path
        if is_stream(path) or is_address(path):  # a stream can be read once, and is looked at first
            folder = held.enter_context(tempfile.TemporaryDirectory(prefix="extractor-"))
            local = os.path.join(folder, os.path.basename(path.rstrip("/")) if is_address(path) else "stream")
            _copy(path, local)
        elif not os.path.exists(path) and not os.path.exists(f"{path}.open.jsonl"):  # where a killed run left its rows
            raise InputError(
                f"{path} does not exist. Give a file of results or of annotations, or - for standard input."
            )
        yield AnnotationFile(local, path, max_bytes)


def _copy(path: str, local: str) -> None:
    try:
        if is_address(path):
            system, there = file_system(path)
            with as_os_errors():
                system.get(there, local, recursive=bool(system.isdir(there)))
            return
        with open(local, "wb") as stream, open(path, "rb") if path != STDOUT else _stdin() as source:
            shutil.copyfileobj(source, stream)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error


@contextlib.contextmanager
def _stdin() -> Iterator[BinaryIO]:
    yield sys.stdin.buffer


def read(path: str, notes: Notes, name: str | None = None, max_bytes: int = MAX_BYTES) -> Iterator[AnnotatedText]:
    """Yield the documents of a file in whatever format, or in that of a `name`. Raises InputError."""
    with opened(path, max_bytes) as file:
        found = find_format(name) if name else recognised(file)
        yield from found.read(file, notes)


def read_rows(
    path: str, notes: Notes, name: str | None = None, max_bytes: int = MAX_BYTES, task: Task | None = None
) -> Iterator[tuple[str, JsonRow]]:
    """Yield rows as `read_annotation` takes them, each with its place for messages: JSON Lines of ours as they are, all
    else in the form of the task, if there is one. Raises InputError."""
    with opened(path, max_bytes) as file:
        found = find_format(name) if name else recognised(file)
        if found.name == GOLD:
            form = task if is_table(file) else None
            found_rows = decided(rows(file.path, name=file.name))
            yield from ((where, _in_form(row, where, form, notes)) for where, row in found_rows)
            return
        for item in found.read(file, notes):
            yield item.where or item.id, (shaped(item, task, notes) if task else item).as_row()


def _in_form(row: JsonRow, where: str, task: Task | None, notes: Notes) -> JsonRow:
    """Return a row of a table with its values in the types of the task, which a table does not keep."""
    if task is None or row.get("data") is None:
        return row
    item = shaped(annotated_row(row, where), task, notes)
    return {**row, **{key: value for key, value in item.as_row().items() if key in ("data", "spans")}}


def read_annotations(path: str, notes: Notes | None = None, name: str | None = None) -> Iterator[Annotation]:
    """Yield what a file in whatever format says about each of its documents. Raises InputError."""
    for where, row in read_rows(path, notes or Notes(), name):
        yield read_annotation(row, where)


def load_examples(path: str, task: Task, notes: Notes | None = None) -> tuple[Example, ...]:
    """Return worked examples from a file in whatever format, in the form of the task. Raises UsageError.

    Our own rows are taken as they are, so that one that is wrong is told as what it is.
    """
    if os.path.isfile(path):
        file = AnnotationFile(path, path, MAX_BYTES)
        if recognised(file).name == GOLD and "data" in file.first_object and "run" not in file.first_object:
            return examples.load_examples(path)
    elif not os.path.exists(path) and not is_address(path):
        return examples.load_examples(path)
    noted = notes or Notes()
    found = (shaped(item, task, noted) for item in read(path, noted))
    return make_examples((item.where or item.id, {"text": item.text, "data": item.data}) for item in found)
