"""Which documents the input of a run holds: rows of all others are of documents that are gone.

What could not be read may hold documents still, so the rows under it stay; a folder that could not be listed may hold
any. Ids are kept as digests, eight bytes each.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from extractor.data import Document, FailedDocument
from extractor.storage.digest_table import DigestTable, digest

SEPARATORS = "#!/"
"""What separates a file from the document inside it (`docs.jsonl#17`, `a.zip/b.txt`)."""


@dataclass(slots=True)
class Present:
    """The documents of an input so far. `unread` are the ids and paths of files that could not be read, `unlisted` the
    folders that could not be listed."""

    ids: DigestTable = field(default_factory=DigestTable)
    unread: set[str] = field(default_factory=set)
    unlisted: list[str] = field(default_factory=list)

    def watch(self, documents: Iterable[Document | FailedDocument]) -> Iterator[Document | FailedDocument]:
        """Yield documents, and take note of them."""
        for item in documents:
            self.add(item)
            yield item

    def add(self, item: Document | FailedDocument) -> None:
        """Take note of one document."""
        self.ids.set(digest(item.id), 1)
        if isinstance(item, FailedDocument):
            if item.id.endswith("/"):
                self.unlisted.append(item.id)
            self.unread |= {item.id.rstrip("/"), item.source.path.rstrip("/")} - {""}

    def holds(self, id: str, path: str) -> bool:
        """Tell whether the input holds a document, or may hold it: it would be in what could not be read."""
        if self.ids.get(digest(id)) is not None:
            return True
        return bool(self.unread) and any(each in self.unread for name in (id, path) for each in _around(name))

    def why_not_whole(self) -> str:
        """Return why nothing follows from what is missing; empty where all of the input is known."""
        if self.unlisted:
            return f"{self.unlisted[0]} could not be listed"
        return "" if self.ids else "the input holds no document"

    def to_bytes(self) -> bytes:
        """Return what `from_bytes` makes the same of, in another process."""
        others = json.dumps([sorted(self.unread), self.unlisted]).encode("ascii")
        return others + b"\n" + array("Q", self.ids).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Present:
        """Return the documents that another process has noted."""
        others, _, numbers = data.partition(b"\n")
        unread, unlisted = json.loads(others)
        found, ids = cls(unread=set(unread), unlisted=unlisted), array("Q")
        ids.frombytes(numbers)
        for id in ids:
            found.ids.set(id, 1)
        return found


def _around(name: str) -> Iterator[str]:
    """Yield the files and folders that a document is in, by its id or path."""
    for at, character in enumerate(name):
        if character in SEPARATORS:
            yield name[:at]
