"""Rows as documents: their ids, hashes and failures, for all formats that hold many documents in one file.

A row's id is its own id where it has one (text or an integer), else `file#line` (`file#sheet!row` in a workbook). Its
source always says `file#line`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from extractor.data import Document, FailedDocument, Json, Segment, Source
from extractor.errors import Problem
from extractor.readers._support.files import File, sha256_of

SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class FileRow:
    """Row `number` (from 1) of a file, in an encoding, with its own id if it has one."""

    file: File
    number: int | str
    encoding: str | None
    own_id: Json = None

    @property
    def id(self) -> str:
        own = self.own_id
        if isinstance(own, bool) or not isinstance(own, str | int) or not str(own).strip():
            return f"{self.file.id}#{self.number}"
        return SURROGATE.sub("\ufffd", str(own))

    @property
    def path(self) -> str:
        return f"{self.file.path}#{self.number}"

    def document(
        self, text: str, segments: Sequence[Segment] = (), notes: Sequence[str] = ()
    ) -> Document | FailedDocument:
        """Return the row's text as a document, with notes on what it leaves out (`Source.notes`).

        A lone surrogate (JSON can escape one) is not a character and no model can read it: it becomes U+FFFD, one for
        one so that offsets hold, and the recorded encoding says so.
        """
        if not text.strip():
            return self.failed(Problem("empty", "no text: the row's text is empty or only white space"), text)
        readable = SURROGATE.sub("\ufffd", text)
        encoding = self.encoding if readable == text else f"{self.encoding} (lone surrogates read as U+FFFD)"
        source = Source(self.path, sha256_of(text), encoding, len(text), tuple(notes))
        return Document(self.id, readable, source, tuple(segments))

    def failed(self, problem: Problem, raw: str) -> FailedDocument:
        """Return the failure of the row, which is written `raw` in the file."""
        return FailedDocument(self.id, Source(self.path, sha256_of(raw), self.encoding), problem)
