"""The gold file: a line of JSON for each decision, on the disk before the page says that it is saved.

Lines are only ever added. The last one of an id counts, so a decision is changed by another one, and who decided what
before stays. A torn end, which a crash leaves, is cut off at the next start. This module does not judge values.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from extractor.data import Json, Span
from extractor.errors import InputError
from extractor.storage import atomic_files
from extractor.storage.locks import locked
from extractor.storage.rows import from_line, json_line

Decision = Literal["accepted", "corrected", "skipped"]
"""What a person said of a row: as it is, with other values or places, or nothing: a skipped row is no gold."""

Spans = Mapping[str, tuple[Span, ...]]


@dataclass(frozen=True, slots=True)
class GoldRow:
    """One decision. `sha256` is the hash of the file that the text came from; `data` is None for a skipped row."""

    id: str
    text: str
    sha256: str
    decision: Decision
    decided_by: str
    data: Mapping[str, Json] | None = None
    spans: Spans | None = None
    decided_at: str = ""

    def as_json(self) -> dict[str, Json]:
        """Return the line's values."""
        return {
            "id": self.id,
            "text": self.text,
            "data": self.data,
            "spans": {pointer: [list(span) for span in spans] for pointer, spans in (self.spans or {}).items()},
            "decision": self.decision,
            "decided_by": self.decided_by,
            "decided_at": self.decided_at or datetime.now(UTC).isoformat(timespec="seconds"),
            "sha256": self.sha256,
        }


class GoldFile(AbstractContextManager["GoldFile"]):
    """A gold file that is being written; one review at a time holds it. `rows` has the last row of each id, without
    its text."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.rows: dict[str, dict[str, Json]] = {}
        self._stack = ExitStack()
        self._descriptor = -1

    def __enter__(self) -> GoldFile:
        self._stack.enter_context(locked(self.path, "--gold"))
        try:
            end = self._load() if os.path.exists(self.path) else 0
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | atomic_files.BINARY
            self._descriptor = os.open(self.path, flags, 0o644)
            os.ftruncate(self._descriptor, end)
        except OSError as error:
            self._stack.close()
            raise InputError(f"{self.path} cannot be used: {error.strerror}. Name another file with --gold.") from error
        except InputError:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._descriptor)
        if not self.rows and not os.path.getsize(self.path):
            os.unlink(self.path)  # nothing was decided
        self._stack.close()

    def append(self, row: GoldRow) -> None:
        """Add a decision; it is on the disk when this returns. Raise OSError; the file is then as it was."""
        values = row.as_json()
        atomic_files.append(self._descriptor, json_line(values))
        os.fsync(self._descriptor)
        self.rows[row.id] = _without_text(values)

    def _load(self) -> int:
        """Read the rows that are there; return where the last whole one ends."""
        end = 0
        with open(self.path, "rb") as stream:
            for number, line in enumerate(stream, 1):
                if not line.endswith(b"\n") and not _is_row(line):
                    break
                if line.strip():
                    row = self._row(line, number)
                    self.rows[str(row["id"])] = _without_text(row)
                end += len(line)
        return self._ended(end)

    def _ended(self, end: int) -> int:
        """End the last row with a line end, which an editor may have left out."""
        with open(self.path, "r+b") as stream:
            stream.truncate(end)
            stream.seek(max(0, end - 1))
            if end and stream.read(1) != b"\n":
                stream.write(b"\n")
                return end + 1
        return end

    def _row(self, line: bytes, number: int) -> dict[str, Json]:
        if not _is_row(line):
            raise InputError(
                f"{self.path} line {number} is no row of gold (JSON with an `id`): nothing was changed. "
                "Name another file with --gold."
            )
        row: dict[str, Json] = from_line(line)
        return row


def _is_row(line: bytes) -> bool:
    try:
        row = from_line(line)
    except ValueError:
        return False
    return isinstance(row, dict) and isinstance(row.get("id"), str | int)


def _without_text(row: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in row.items() if name != "text"}


def spans_of(row: Mapping[str, Json]) -> Iterator[tuple[str, tuple[Span, ...]]]:
    """Yield the places of a row of gold that are pairs of integers, by pointer."""
    spans = row.get("spans")
    for pointer, found in spans.items() if isinstance(spans, dict) else ():
        yield pointer, tuple((int(start), int(end)) for start, end in found)
