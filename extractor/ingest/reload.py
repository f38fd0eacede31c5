"""The documents behind records, read again: a record says where a value occurs, but does not hold the text.

A text counts only if its hash is the record's. What to do without one is decided elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

from extractor import ingest
from extractor.data import Document, FailedDocument, Source
from extractor.errors import Problem
from extractor.ingest import ReadOptions
from extractor.storage.addresses import is_address, is_file

SEPARATORS = "#!/"
"""What separates a file from the document inside it (`docs.jsonl#17`, `a.zip/b.txt`)."""


def reload(
    sources: Mapping[str, Source], root: str = "", options: ReadOptions = ingest.DEFAULTS
) -> Iterator[tuple[str, str | Problem]]:
    """Yield each id with the text of its source, or why there is none; every file is read once.

    Relative paths are those under `root`.
    """
    files: dict[str, None] = {}
    waiting: dict[str, list[str]] = {}
    for name, source in sources.items():
        path = source.path if is_address(source.path) else os.path.join(root, source.path)
        file = _file(path) if source.path else None
        if file is None:
            yield name, _not_there(source)
        else:
            files[file] = None
            shown = file if is_address(file) else os.path.normpath(file)
            waiting.setdefault(shown + path[len(file) :], []).append(name)
    for item in ingest.read(list(files), options) if files else ():
        for name in waiting.pop(item.source.path, ()):
            yield name, _checked(item, sources[name])
    for name in (name for names in waiting.values() for name in names):
        yield name, _not_there(sources[name])


def _checked(item: Document | FailedDocument, source: Source) -> str | Problem:
    if source.sha256 and item.source.sha256 and item.source.sha256 != source.sha256:
        return Problem("changed", f"{source.path} has changed since: its hash is another one")
    return item.text if isinstance(item, Document) else item.problem


def _not_there(source: Source) -> Problem:
    if not source.path:
        return Problem("gone", "the record names no file")
    return Problem("gone", f"{source.path} is not there: give the folder that paths start from with --root")


def _file(path: str) -> str | None:
    """Return the file that a path leads to or into; None where there is none."""
    exists = is_file if is_address(path) else os.path.isfile
    return next((part for part in _prefixes(path) if exists(part)), None)


def _prefixes(path: str) -> Iterable[str]:
    """Yield the path and, longest first, what is before each separator in it (but for that of `s3://`)."""
    yield path
    for at in range(len(path) - 1, 0, -1):
        if path[at] in SEPARATORS and not path[:at].endswith((":", ":/")):
            yield path[:at]
