"""Files to documents: arguments are resolved, walked and read, each file by the reader of its format.

N documents in, N out: what cannot be read comes out as a FailedDocument with a Problem, never as a gap and never as an
exception; a list or table that is empty holds no document, which the log tells. Ids are unique within a run and the
same in every run over the same input. This module knows nothing of formats, nor of what is in a file.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from extractor.data import Document, FailedDocument, Source
from extractor.errors import InputError, Problem
from extractor.ingest import discovery, dispatch, stdin
from extractor.ingest.discovery import Excluded, InputPath
from extractor.ingest.memory import SharedFile
from extractor.ingest.registry import formats
from extractor.ingest.watch import TooLate, Watch
from extractor.ingest.worker_pool import WorkerPool
from extractor.readers._support.files import OCR, File, ReadOptions
from extractor.readers._support.protocol import Reader

__all__ = ["OCR", "File", "ReadOptions", "Reader", "estimate", "formats", "read", "read_items"]

log = logging.getLogger(__name__)

DEFAULTS = ReadOptions()
LOOK_AHEAD = 64
"""Files that are listed before they are read, so that slow ones are begun early."""

Found = Document | FailedDocument


def read(inputs: Sequence[str], options: ReadOptions = DEFAULTS) -> Iterator[Found]:
    """Yield the documents of files, folders, globs and `-` (standard input), one by one, in a stable order.

    Raises InputError at once for an argument that names nothing; whatever else goes wrong is a FailedDocument.
    """
    return _read_all(discovery.resolve(inputs), options)


def read_items(
    items: Iterable[Found | File | os.PathLike[str]], options: ReadOptions = DEFAULTS, ahead: int = LOOK_AHEAD
) -> Iterator[Found]:
    """Yield documents that are at hand, as they are, and those of files in memory and of paths (files, folders, globs).

    A path that names nothing is a FailedDocument. At most `ahead` items are taken before their turn: none of an input
    that may be waiting for what it yields next.
    """
    return _read_all(itertools.chain.from_iterable(map(_inputs, items)), options, ahead)


def _inputs(item: Found | File | os.PathLike[str]) -> Sequence[Found | File | InputPath]:
    if isinstance(item, Document | FailedDocument | File):
        return (item,)
    path = os.fspath(item)
    try:
        return discovery.resolve([os.path.join(os.curdir, path) if path == discovery.STDIN else path])
    except InputError:
        shown = discovery.printable(path)
        problem = Problem("io", "there is no file or folder of this name: check the path")
        return (FailedDocument(shown, Source(shown, ""), problem),)


def estimate(inputs: Sequence[str], options: ReadOptions = DEFAULTS) -> int | None:
    """Estimate how many documents `read` will yield; None where that cannot be known before (standard input).

    It costs a walk over the folders, and one pass over files that hold many documents.
    """
    paths = discovery.resolve(inputs)
    if any(path.location == discovery.STDIN for path in paths):
        return None
    exclude = Excluded(options.exclude)
    return sum(_count(file, options) for path in paths for file in discovery.files(path, exclude))


def _count(file: File | FailedDocument, options: ReadOptions) -> int:
    if isinstance(file, FailedDocument) or (format := formats().get(file.suffix)) is None:
        return 1
    try:
        return format.count(file, options)
    except (OSError, ModuleNotFoundError):  # reading the file will say why
        return 1


def _read_all(
    items: Iterable[Found | File | InputPath], options: ReadOptions, ahead: int = LOOK_AHEAD
) -> Iterator[Found]:
    """Yield documents in the order of the files. Small texts are read when their turn comes, all else ahead of it."""
    with WorkerPool(options) as pool, Watch(options) as watch:
        begun: deque[Iterator[Found]] = deque()
        for documents in _begin(items, pool, watch, options):
            begun.append(documents)
            while begun and (pool.is_full or len(begun) > ahead):
                yield from begun.popleft()
        while begun:
            yield from begun.popleft()


def _begin(
    items: Iterable[Found | File | InputPath], pool: WorkerPool, watch: Watch, options: ReadOptions
) -> Iterator[Iterator[Found]]:
    """Yield the documents of each file, those of an isolated one as soon as it is submitted to the pool."""
    exclude = Excluded(options.exclude)
    seen: set[bytes] = set()
    for item in items:
        if isinstance(item, Document | FailedDocument):
            yield iter((item,))
            continue
        for file in _files(item, exclude):
            yield _with_unique_ids(_telling(file, _read(file, pool, watch, options)), seen)


def _files(item: File | InputPath, exclude: Excluded) -> Iterator[File | FailedDocument | InputPath]:
    """Yield the files of an input; standard input is one of its own kind."""
    if isinstance(item, File) or item.location == discovery.STDIN:
        yield item
    else:
        yield from discovery.files(item, exclude)


def _read(
    file: File | FailedDocument | InputPath, pool: WorkerPool, watch: Watch, options: ReadOptions
) -> Iterator[Found]:
    if isinstance(file, FailedDocument):
        return iter((file,))
    if isinstance(file, InputPath):
        return _stdin(watch, options)
    if not _is_isolated(file, watch):
        return watch.documents(file, dispatch.read_here(file, options))
    if file.location:
        return pool.submit(file)
    shared = SharedFile(file)
    return _keeping(shared, pool.submit(shared.file))


def _telling(file: File | FailedDocument | InputPath, documents: Iterator[Found]) -> Iterator[Found]:
    """Yield the documents of a file; one without any is told."""
    first = next(documents, None)
    if first is not None:
        yield first
        yield from documents
    elif isinstance(file, File):
        log.warning("%s holds no document: its list or table is empty", discovery.printable(file.id))


def _keeping(shared: SharedFile, documents: Iterator[Found]) -> Iterator[Found]:
    """Yield what is read of a shared file, which exists until then."""
    yield from documents


def _is_isolated(file: File, watch: Watch) -> bool:
    try:
        return watch.limited(lambda: dispatch.is_isolated(file))
    except TooLate:  # where it is read, there is a limit as well
        return True


def _stdin(watch: Watch, options: ReadOptions) -> Iterator[Found]:
    for item in stdin.read(options, watch):
        if isinstance(item, File):
            with WorkerPool(options) as pool:
                yield from pool.submit(item)
        else:
            yield item


def _with_unique_ids(found: Iterable[Found], seen: set[bytes]) -> Iterator[Found]:
    """Yield documents, those with an id that was seen before under the path of their source (`rows.jsonl#17`)."""
    for item in found:
        path = item.source.path
        wanted = itertools.chain((item.id, path), (f"{path}#{count}" for count in itertools.count(2)))
        chosen = next(name for name in wanted if _digest(name) not in seen)
        seen.add(_digest(chosen))
        yield item if chosen == item.id else replace(item, id=chosen)


def _digest(name: str) -> bytes:
    """Return eight bytes for an id: a million ids take some 80 MB less than as text, and do not collide in practice."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
