"""What every reader is given, a file and options, and what it returns when it fails. Knows no formats."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Literal, get_args

from extractor.data import Document, FailedDocument, Segment, Source
from extractor.errors import Problem, UsageError
from extractor.readers._support.limits import Budget, ReadError
from extractor.storage import addresses

BLOCK_BYTES = 1 << 18

Ocr = Literal["auto", "never", "always"]
OCR: tuple[Ocr, ...] = get_args(Ocr)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How inputs become documents.

    `text_field` and `id_field` name the fields (columns) of rows that hold text and id. `rows` makes each row of a
    table or JSON file a document (`split`) or the whole sheet or file, as it is (`whole`). `stdin` says what comes
    through `-`: `auto` is JSONL where the first line that is not blank is a JSON object, else one document. One above
    `max_bytes` is not read. `exclude` names files to leave out of folders: the output of the run itself, above all.
    `hidden` reads what the program of a document does not show: hidden sheets, rows, columns and words.
    `ocr` reads pictures and scans: `auto` what has no text, if the extra is installed; `always` every page.
    `password` opens locked files; a file that is read in a process of its own may take `timeout` seconds a document,
    and as many for each page that goes through OCR.
    """

    text_field: str = "text"
    id_field: str = "id"
    rows: Literal["split", "whole"] = "split"
    stdin: Literal["auto", "text", "jsonl"] = "auto"
    max_bytes: int = 64 * 1024 * 1024
    exclude: tuple[str, ...] = ()
    hidden: bool = False
    ocr: Ocr = "auto"
    password: str | None = field(default=None, repr=False)
    timeout: float = 60.0

    def __post_init__(self) -> None:
        if self.rows not in ("split", "whole"):
            raise UsageError(f"The rows option is {self.rows!r}; use split or whole.")
        if self.stdin not in ("auto", "text", "jsonl"):
            raise UsageError(f"The stdin format is {self.stdin!r}; use auto, text or jsonl.")
        if self.ocr not in OCR:
            raise UsageError(f"The OCR option is {self.ocr!r}; use {', '.join(OCR[:-1])} or {OCR[-1]}.")
        if self.max_bytes < 1:
            raise UsageError(f"Max bytes is {self.max_bytes}; it must be at least 1.")
        if not self.timeout > 0:
            raise UsageError(f"The read timeout is {self.timeout}; it must be above 0 seconds.")

    def are_columns(self, names: Container[str]) -> bool:
        """Tell whether a row is surely a header: it names the text or the id."""
        return self.text_field in names or self.id_field in names


@dataclass(frozen=True, slots=True)
class File:
    """One file to read: the id that its document gets, its path for people, and how to open it (each call afresh).

    `location` is its path on the disk or its address, empty for what is inside another file: at `depth`, and sharing
    the `budget` of the archive that it came from.
    """

    id: str
    path: str
    open: Callable[[], BinaryIO]
    location: str = ""
    depth: int = 0
    budget: Budget | None = None

    @property
    def suffix(self) -> str:
        return os.path.splitext(self.path)[1].lower()

    def inside(self, name: str, open: Callable[[], BinaryIO], budget: Budget | None = None) -> File:
        """Return a file inside this one; it can be opened as long as this one is being read."""
        return File(f"{self.id}/{name}", f"{self.path}/{name}", open, "", self.depth + 1, budget or self.budget)

    def document(
        self,
        text: str,
        sha256: str,
        encoding: str | None = None,
        segments: Sequence[Segment] = (),
        notes: Sequence[str] = (),
    ) -> Document:
        """Return the whole file as one document, with notes on what its text leaves out (`Source.notes`)."""
        return Document(self.id, text, Source(self.path, sha256, encoding, len(text), tuple(notes)), tuple(segments))

    def failed(self, problem: Problem, sha256: str = "") -> FailedDocument:
        """Return the failure of the whole file. Without a hash (it could not be read) a later run tries it again."""
        return FailedDocument(self.id, Source(self.path, sha256), problem)


def open_regular(location: str) -> BinaryIO:
    """Open a file, or what is at an address, for reading, without ever waiting for the other end of a pipe.

    Raises OSError for what is not a regular file.
    """
    if addresses.is_address(location):
        return addresses.open_file(location)
    descriptor = os.open(location, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("not a regular file but a folder, a pipe or a device; to read a pipe, use -")
    return os.fdopen(descriptor, "rb")


def read_bytes(file: File, limit: int) -> bytes:
    """Return all bytes of a file. Raises ReadError where there are more than `limit`."""
    with file.open() as stream:
        data = read_up_to(stream, limit + 1)
    if len(data) > limit:
        raise ReadError("too-large", too_large("the document", limit))
    return data


def hash_of(file: File, limit: int) -> str:
    """Return the SHA-256 of a file's bytes; empty where they cannot be read or are more than `limit`."""
    try:
        return hashlib.sha256(read_bytes(file, limit)).hexdigest()
    except (ReadError, OSError):
        return ""


def read_up_to(stream: BinaryIO, limit: int) -> bytes:
    """Return at most `limit` bytes; unlike a single read, take no more memory than there is to read."""
    blocks = []
    while limit > 0 and (block := stream.read(min(limit, BLOCK_BYTES))):
        blocks.append(block)
        limit -= len(block)
    return b"".join(blocks)


def too_large(what: str, limit: int) -> str:
    """Return one line that says what to do about a document above the limit."""
    return f"{what} has more than {limit:,} bytes: raise --max-bytes, or split it"


def io_message(error: OSError) -> str:
    """Return one line that says what to do about a file that cannot be read."""
    if isinstance(error, PermissionError):
        return "permission denied: make the file readable and run again"
    if isinstance(error, FileNotFoundError):
        return "not there: it was removed during the run, or it is a link to nothing"
    return error.strerror or str(error)


def sha256_of(text: str) -> str:
    """Return the SHA-256 of a row's text, which identifies the row: its other fields may change freely."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
