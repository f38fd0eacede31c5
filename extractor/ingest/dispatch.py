"""One file to its documents: which format it is, and what becomes of a file that is not what it says.

The suffix of a trusted format (plain text) is believed; a format with a signature must show it; a file of no known
suffix is read by its content. Files inside a file are read in turn, in its place. This module names no format.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from extractor.data import Document, FailedDocument
from extractor.errors import ExtractorError, Problem
from extractor.failures import internal
from extractor.ingest.registry import InputFormat, formats
from extractor.ingest.sniffing import EMPTY, HEAD_BYTES, Content, by_head, identify
from extractor.readers._support.files import File, ReadOptions, hash_of, io_message
from extractor.readers._support.limits import NESTING, Bomb, ReadError

SMALL_BYTES = 1 << 20
"""Size up to which text, rows and JSON are read in the run itself: their readers take a time linear in the size."""


def is_isolated(file: File) -> bool:
    """Return whether a file is to be read in a process of its own: its size, its format or its content says so."""
    by_suffix = formats().get(file.suffix)
    if by_suffix and by_suffix.is_isolated:
        return True
    try:
        with file.open() as stream:
            if _size(stream) > SMALL_BYTES:
                return True
            if by_suffix and by_suffix.is_trusted:
                return False
            return by_head(stream.read(HEAD_BYTES), file.suffix).is_isolated
    except OSError:
        return False


def _size(stream: BinaryIO) -> int:
    """Return the size of a stream, at its beginning before and after; that of a large one where it cannot seek."""
    if not stream.seekable():
        return SMALL_BYTES + 1
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    return size


def read_here(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument]:
    """Yield the documents of a file, and a failure for what its reader does not expect."""
    try:
        yield from read(file, options)
    except ExtractorError:
        raise
    except Exception as error:  # the boundary: a bug over one file costs that file
        yield file.failed(internal(file.id, error), hash_of(file, options.max_bytes))


def read(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument]:
    """Yield the documents of a file, and of the files in it."""
    try:
        for item in _items(file, options):
            if isinstance(item, File):
                yield from read(item, options)
            else:
                yield item
    except Bomb as bomb:
        if file.depth:  # it ends the reading of the whole file on the disk
            raise
        yield file.failed(bomb.problem, hash_of(file, options.max_bytes))
    except ReadError as failed:
        yield file.failed(failed.problem, hash_of(file, options.max_bytes))
    except OSError as error:
        yield file.failed(Problem("io", io_message(error)))


def _items(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument | File]:
    if file.depth > NESTING:
        raise ReadError("bomb", f"packed more than {NESTING} deep: unpack the archive yourself and give the folder")
    format = _format_of(file)
    try:
        yield from format.read(file, options)
    except ModuleNotFoundError as error:
        package = f"'chatglm3-extractor[{format.extra}]'" if format.extra else error.name
        raise ReadError("extra", f"reading it needs the package {error.name}: pip install {package}") from error


def _format_of(file: File) -> InputFormat:
    """Return the format as which a file is read. Raises ReadError where its content and its suffix contradict."""
    by_suffix = formats().get(file.suffix)
    if by_suffix and by_suffix.is_trusted:
        return by_suffix
    content = identify(file)
    if content is EMPTY:
        raise ReadError("empty", "no text: the file is empty (0 bytes)")
    found = by_suffix or content.format
    if by_suffix and by_suffix.is_by_content and (content.format or content.code != "unsupported"):
        found = content.format
    if found is None:
        raise _no_reader(file, content)
    # A format without a signature (rows, JSON) reports itself what is wrong with a file of its suffix.
    if found is not content.format and (found.is_signed or content.is_exclusive):
        message = f"{file.suffix} by its name, but {content.name} by its content: {_advice(content)}"
        raise ReadError("mislabelled", message)
    return found


def _advice(content: Content) -> str:
    return f"rename it to {content.format.suffixes[0]}" if content.format else content.advice


def _no_reader(file: File, content: Content) -> ReadError:
    if content.code != "unsupported":
        return ReadError(content.code, f"{content.name}: {content.advice}")
    what = f"no reader for {file.suffix or 'files without a suffix'}, and it is not text but {content.name}"
    return ReadError("unsupported", f"{what}: {content.advice}")
