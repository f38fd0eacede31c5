"""Files to documents. A module of this folder with SUFFIXES and `read` is a format: adding the file adds the format.
So does an entry point of the group `extractor.readers` in another installed package.

N documents in, N out: what cannot be read comes out as an FailedDocument with a reason, never as a gap and never as an
exception. Ids are unique within a run and the same in every run over the same input. Formats know nothing of each
other, and this module nothing of what is in a file.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from extractor.data import Document, FailedDocument
from extractor.ingest import discovery, dispatch, stdin
from extractor.ingest.discovery import Place
from extractor.ingest.dispatch import Reader, formats
from extractor.ingest.worker_pool import Ahead
from extractor.readers._support.files import File, ReadOptions

__all__ = ["File", "ReadOptions", "Reader", "estimate", "formats", "read"]

DEFAULTS = ReadOptions()
LOOK_AHEAD = 64
"""Files that are named before they are read, so that those that take long are begun early."""


def read(inputs: Sequence[str], options: ReadOptions = DEFAULTS) -> Iterator[Document | FailedDocument]:
    """The documents of files, folders, globs and `-` (standard input), one by one, in a stable order.

    Raises InputError at once for an argument that names nothing; whatever else goes wrong is an FailedDocument.
    """
    return _with_unique_ids(_read_all(discovery.places(inputs), options))


def estimate(inputs: Sequence[str], options: ReadOptions = DEFAULTS) -> int | None:
    """About how many documents `read` will give; None where that cannot be told before (standard input).

    It costs a walk over the folders, and one pass over files that hold many documents.
    """
    places = discovery.places(inputs)
    if any(place.location == discovery.STDIN for place in places):
        return None
    exclude = frozenset(os.path.abspath(path) for path in options.exclude)
    return sum(_count(file, options) for place in places for file in discovery.files(place, exclude))


def _count(file: File | FailedDocument, options: ReadOptions) -> int:
    counter = None if isinstance(file, FailedDocument) else getattr(formats().get(file.suffix), "count", None)
    try:
        return int(counter(file, options)) if counter else 1
    except OSError:
        return 1


def _read_all(places: Iterable[Place], options: ReadOptions) -> Iterator[Document | FailedDocument]:
    """In the order of the files. Text is read when its turn comes; what takes a parser is begun ahead of it."""
    with Ahead(options) as ahead:
        begun: deque[Iterator[Document | FailedDocument]] = deque()
        for documents in _begin(places, ahead, options):
            begun.append(documents)
            while begun and (ahead.is_full or len(begun) > LOOK_AHEAD):
                yield from begun.popleft()
        while begun:
            yield from begun.popleft()


def _begin(
    places: Iterable[Place], ahead: Ahead, options: ReadOptions
) -> Iterator[Iterator[Document | FailedDocument]]:
    """The documents of each file."""
    exclude = frozenset(os.path.abspath(path) for path in options.exclude)
    for place in places:
        if place.location == discovery.STDIN:
            yield _stdin(options)
            continue
        for file in discovery.files(place, exclude):
            if isinstance(file, FailedDocument):
                yield iter((file,))
            else:
                yield ahead.read(file) if dispatch.is_isolated(file) else dispatch.read(file, options)


def _stdin(options: ReadOptions) -> Iterator[Document | FailedDocument]:
    for item in stdin.read(options):
        if isinstance(item, File):
            with Ahead(options) as ahead:
                yield from ahead.read(item)
        else:
            yield item


def _with_unique_ids(found: Iterable[Document | FailedDocument]) -> Iterator[Document | FailedDocument]:
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
