"""Files to documents. A module of this folder with SUFFIXES and `read` is a format: adding the file adds the format.

N documents in, N out: what cannot be read comes out as an Unreadable with a reason, never as a gap and never as an
exception. Ids are unique within a run and the same in every run over the same input. Formats know nothing of each
other, and this module nothing of what is in a file.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import pkgutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Protocol, cast

from extractor.readers import stdin, text, walking
from extractor.readers.encoding import Undecodable, sniff
from extractor.readers.files import File, ReadOptions, io_message
from extractor.readers.walking import Place
from extractor.types import Document, Unreadable

__all__ = ["File", "ReadOptions", "Reader", "estimate", "formats", "read"]

HEAD_BYTES = 4096
DEFAULTS = ReadOptions()


class Reader(Protocol):
    """A format: the suffixes it is for (with the dot, in lower case) and how to read a file of it.

    `read` may raise OSError for a file that cannot be opened; heavy imports belong inside it. A module whose files
    hold many documents also has `count(file, options)`, about how many, for progress.
    """

    SUFFIXES: tuple[str, ...]

    def read(self, file: File, options: ReadOptions) -> Iterator[Document | Unreadable]: ...


@functools.cache
def formats() -> Mapping[str, Reader]:
    """All readers by suffix."""
    modules = (import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    readers = [cast(Reader, module) for module in modules if hasattr(module, "SUFFIXES")]
    return {suffix: reader for reader in readers for suffix in reader.SUFFIXES}


def read(inputs: Sequence[str], options: ReadOptions = DEFAULTS) -> Iterator[Document | Unreadable]:
    """The documents of files, folders, globs and `-` (standard input), one by one, in a stable order.

    Raises InputError at once for an argument that names nothing; whatever else goes wrong is an Unreadable.
    """
    return _with_unique_ids(_read_all(walking.places(inputs), options))


def estimate(inputs: Sequence[str], options: ReadOptions = DEFAULTS) -> int | None:
    """About how many documents `read` will give; None where that cannot be told before (standard input).

    It costs a walk over the folders, and one pass over files that hold many documents.
    """
    places = walking.places(inputs)
    if any(place.location == walking.STDIN for place in places):
        return None
    exclude = frozenset(os.path.abspath(path) for path in options.exclude)
    return sum(_count(file, options) for place in places for file in walking.files(place, exclude))


def _count(file: File | Unreadable, options: ReadOptions) -> int:
    counter = None if isinstance(file, Unreadable) else getattr(formats().get(file.suffix), "count", None)
    try:
        return int(counter(file, options)) if counter else 1
    except OSError:
        return 1


def _read_all(places: Iterable[Place], options: ReadOptions) -> Iterator[Document | Unreadable]:
    exclude = frozenset(os.path.abspath(path) for path in options.exclude)
    for place in places:
        if place.location == walking.STDIN:
            yield from stdin.read(options)
            continue
        for file in walking.files(place, exclude):
            yield from (file,) if isinstance(file, Unreadable) else _read_file(file, options)


def _read_file(file: File, options: ReadOptions) -> Iterator[Document | Unreadable]:
    reader = formats().get(file.suffix)
    try:
        yield from reader.read(file, options) if reader else _read_unknown(file, options)
    except OSError as error:
        yield file.unreadable("io", io_message(error))


def _read_unknown(file: File, options: ReadOptions) -> Iterator[Document | Unreadable]:
    """A file of no known suffix: read if it is text, else a failure that names what could be read."""
    with file.open() as stream:
        head = stream.read(HEAD_BYTES)
    verdict = sniff(head)
    if isinstance(verdict, Undecodable) and verdict.reason != "empty":
        known = " ".join(sorted(formats()))
        message = f"no reader for {file.suffix or 'files without a suffix'}, and it is not text; known: {known}"
        yield file.unreadable("unsupported", message)
    else:
        yield from text.read(file, options)


def _with_unique_ids(found: Iterable[Document | Unreadable]) -> Iterator[Document | Unreadable]:
    """The first document with an id keeps it; a later one is called by its place (`rows.jsonl#17`) instead."""
    seen: set[bytes] = set()
    for item in found:
        path = item.source.path
        wanted = itertools.chain((item.id, path), (f"{path}#{count}" for count in itertools.count(2)))
        chosen = next(name for name in wanted if _digest(name) not in seen)
        seen.add(_digest(chosen))
        yield item if chosen == item.id else replace(item, id=chosen)


def _digest(name: str) -> bytes:
    """Eight bytes stand for an id: a million ids take some 80 MB less than as text, and do not collide in practice."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
