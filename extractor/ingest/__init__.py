"""Files to documents: arguments are resolved, walked and read, each file by the reader of its format.

N documents in, N out: what cannot be read comes out as a FailedDocument with a Problem, never as a gap and never as an
exception. Ids are unique within a run and the same in every run over the same input. This module knows nothing of
formats, nor of what is in a file.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from extractor.data import Document, FailedDocument
from extractor.ingest import discovery, dispatch, stdin
from extractor.ingest.discovery import Excluded, InputPath
from extractor.ingest.registry import formats
from extractor.ingest.watch import TooLate, Watch
from extractor.ingest.worker_pool import WorkerPool
from extractor.readers._support.files import OCR, File, ReadOptions
from extractor.readers._support.protocol import Reader

__all__ = ["OCR", "File", "ReadOptions", "Reader", "estimate", "formats", "read"]

DEFAULTS = ReadOptions()
LOOK_AHEAD = 64
"""Files that are listed before they are read, so that slow ones are begun early."""


def read(inputs: Sequence[str], options: ReadOptions = DEFAULTS) -> Iterator[Document | FailedDocument]:
    """Yield the documents of files, folders, globs and `-` (standard input), one by one, in a stable order.

    Raises InputError at once for an argument that names nothing; whatever else goes wrong is a FailedDocument.
    """
    return _with_unique_ids(_read_all(discovery.resolve(inputs), options))


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


def _read_all(paths: Iterable[InputPath], options: ReadOptions) -> Iterator[Document | FailedDocument]:
    """Yield documents in the order of the files. Small texts are read when their turn comes, all else ahead of it."""
    with WorkerPool(options) as pool, Watch(options) as watch:
        begun: deque[Iterator[Document | FailedDocument]] = deque()
        for documents in _begin(paths, pool, watch, options):
            begun.append(documents)
            while begun and (pool.is_full or len(begun) > LOOK_AHEAD):
                yield from begun.popleft()
        while begun:
            yield from begun.popleft()


def _begin(
    paths: Iterable[InputPath], pool: WorkerPool, watch: Watch, options: ReadOptions
) -> Iterator[Iterator[Document | FailedDocument]]:
    """Yield the documents of each file, those of an isolated one as soon as it is submitted to the pool."""
    exclude = Excluded(options.exclude)
    for path in paths:
        if path.location == discovery.STDIN:
            yield _stdin(watch, options)
            continue
        for file in discovery.files(path, exclude):
            if isinstance(file, FailedDocument):
                yield iter((file,))
            else:
                yield pool.submit(file) if _is_isolated(file, watch) else _read_here(file, watch, options)


def _is_isolated(file: File, watch: Watch) -> bool:
    try:
        return watch.limited(lambda: dispatch.is_isolated(file))
    except TooLate:  # where it is read, there is a limit as well
        return True


def _read_here(file: File, watch: Watch, options: ReadOptions) -> Iterator[Document | FailedDocument]:
    return watch.documents(file, dispatch.read_here(file, options))


def _stdin(watch: Watch, options: ReadOptions) -> Iterator[Document | FailedDocument]:
    for item in stdin.read(options, watch):
        if isinstance(item, File):
            with WorkerPool(options) as pool:
                yield from pool.submit(item)
        else:
            yield item


def _with_unique_ids(found: Iterable[Document | FailedDocument]) -> Iterator[Document | FailedDocument]:
    """Yield documents, those with an id that has occurred before under the path of their source (`rows.jsonl#17`)."""
    seen: set[bytes] = set()
    for item in found:
        path = item.source.path
        wanted = itertools.chain((item.id, path), (f"{path}#{count}" for count in itertools.count(2)))
        chosen = next(name for name in wanted if _digest(name) not in seen)
        seen.add(_digest(chosen))
        yield item if chosen == item.id else replace(item, id=chosen)


def _digest(name: str) -> bytes:
    """Return eight bytes for an id: a million ids take some 80 MB less than as text, and do not collide in practice."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
