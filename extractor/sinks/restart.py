"""What an earlier run left behind: which documents are done, what must go, and whether it is ours to go on with.

A row counts when it is a whole line. A torn last line (the run was killed while it wrote) is cut off. Where several
rows have one id, because its document changed, the last one counts; compacting drops the others, and failed rows when
they are to be tried again. A file that holds anything but such rows is refused, never changed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from extractor.errors import OutputError, OutputMismatch
from extractor.sinks import SinkOptions, Status, disk, runfile
from extractor.sinks.digests import DigestTable, digest
from extractor.sinks.rows import from_line
from extractor.types import Json

OPENING = b'{"id":'
ADVICE = "Choose another -o, move the file away, or use --overwrite to begin it anew."


@dataclass(slots=True)
class Done:
    """The rows of an output: for each id the hash of its document and its status. `stale` says that rows are
    superseded. Documents are looked up by the thread that reads ahead while another adds rows."""

    table: DigestTable = field(default_factory=DigestTable)
    stale: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def status(self, id: str, sha256: str) -> Status | None:
        """The status of a document's row; None where there is none or the document has changed since."""
        with self.lock:
            value = self.table.get(digest(id))
        if value is None or value | 1 != digest(sha256) | 1:
            return None
        return "ok" if value & 1 else "failed"

    def add(self, id: str, sha256: str, status: str) -> None:
        key, value = digest(id), digest(sha256) | 1 if status == "ok" else digest(sha256) & ~1
        with self.lock:
            self.stale = self.stale or self.table.get(key) is not None
            self.table.set(key, value)


@dataclass(frozen=True, slots=True)
class Row:
    """The little of a row that restarting needs, and where its line ends."""

    id: str
    sha256: str
    status: str
    fingerprint: str
    end: int


def resume(path: str, fingerprint: str, settings: dict[str, str], retry_failed: bool) -> Done:
    """Make an output ready to be appended to and say what it holds.

    Raises OutputMismatch for rows of another fingerprint, OutputError for a file that is not ours: both leave it
    untouched. Raises OSError where it cannot be read or rewritten.
    """
    if not os.path.exists(path):
        return Done()
    done, end, failed = Done(), 0, False
    with open(path, "rb") as stream:
        for _, row in _rows(stream, path):
            _check(path, row, fingerprint, settings)
            done.add(row.id, row.sha256, row.status)
            failed = failed or row.status == "failed"
            end = row.end
    if end < os.path.getsize(path):
        os.truncate(path, end)
    if done.stale or (retry_failed and failed):
        return compact(path, drop_failed=retry_failed)
    return done


def compact(path: str, *, drop_failed: bool = False) -> Done:
    """Keep the last row of each id, in the order of the file, in one step. Raises OSError."""
    last = DigestTable()
    with open(path, "rb") as stream:
        for _, row in _rows(stream, path):
            last.set(digest(row.id), row.end)
    done = Done()
    disk.replace(path, _kept(path, last, done, drop_failed))
    return done


def _kept(path: str, last: DigestTable, done: Done, drop_failed: bool) -> Iterator[bytes]:
    with open(path, "rb") as stream:
        for line, row in _rows(stream, path):
            if last.get(digest(row.id)) == row.end and not (drop_failed and row.status == "failed"):
                done.add(row.id, row.sha256, row.status)
                yield line


def _rows(stream: BinaryIO, path: str) -> Iterator[tuple[bytes, Row]]:
    """The whole lines of a file, each checked to be a row of ours. A torn one at the end is left out, unless it is all
    there is and reads as JSON: then it is somebody's."""
    start = stream.read(len(OPENING))
    if not (OPENING.startswith(start) if len(start) < len(OPENING) else start == OPENING):
        raise _foreign(path, 1)
    stream.seek(0)
    end = 0
    for number, line in enumerate(stream, 1):
        end += len(line)
        if not line.endswith(b"\n"):
            if number == 1 and _is_json(line):
                _row(path, number, line, end)
            return
        if line.strip():
            yield line, _row(path, number, line, end)


def rows(path: str) -> Iterator[tuple[bytes, Row]]:
    """The whole lines of a file with what restarting needs of them. Raises OutputError, OSError."""
    with open(path, "rb") as stream:
        yield from _rows(stream, path)


def add_part(done: Done, path: str, output: str, options: SinkOptions) -> None:
    """Add the rows of a part of an output to what is done; failed ones that are to be asked again are not. Raises
    OutputMismatch, OutputError, OSError."""
    for _, row in rows(path):
        _check(output, row, options.fingerprint, dict(options.settings))
        if row.status == "failed" and options.retry_failed:
            done.stale = True
        else:
            done.add(row.id, row.sha256, row.status)


def _is_json(line: bytes) -> bool:
    try:
        from_line(line)
    except ValueError:
        return False
    return True


def _row(path: str, number: int, line: bytes, end: int) -> Row:
    try:
        row: Json = from_line(line)
        fields = (row["id"], row["source"]["sha256"], row["status"], row["run"]["fingerprint"])
    except (ValueError, KeyError, TypeError) as error:
        raise _foreign(path, number) from error
    if not all(isinstance(value, str) for value in fields):
        raise _foreign(path, number)
    return Row(*fields, end)


def _foreign(path: str, number: int) -> OutputError:
    return OutputError(f"Line {number} of {path} is no row of this program; the file was not changed. {ADVICE}")


def _check(path: str, row: Row, fingerprint: str, settings: dict[str, str]) -> None:
    if row.fingerprint == fingerprint:
        return
    old = runfile.read(path, row.fingerprint)
    changed = runfile.difference(old, settings) if old is not None else ""
    what = changed or f"fingerprint {row.fingerprint}, now {fingerprint}"
    raise OutputMismatch(f"{path} holds rows made with other settings: {what}. {ADVICE}")
