"""An output that several machines write: a folder of part files, each of which is there whole or not at all.

A part holds the rows of one batch of documents and is named by the run that wrote it and by what is in it
(`part-00002-3f9c....jsonl`): names in order are runs in order, and a batch that is done twice writes one part. Of
several rows with one id the last counts, as in a file of rows. All machines must share the folder.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
import uuid
from collections.abc import Iterable, Iterator

from extractor.data import Record
from extractor.errors import OutputError
from extractor.storage import atomic_files, json_lines, manifest
from extractor.storage.compression import PLAIN
from extractor.storage.digest_table import DigestTable, digest
from extractor.storage.locks import locked
from extractor.storage.present import Present
from extractor.storage.resume import ResumeState, RowSummary, count_stale
from extractor.storage.rows import from_line, from_row, to_line
from extractor.storage.run_progress import ProgressNotes
from extractor.storage.sink import SinkOptions

PREFIX, SUFFIX = "part-", ".jsonl"


def parts(folder: str) -> list[str]:
    """Return the paths of the parts of a folder, those of earlier runs first. Raises OSError."""
    names = sorted(name for name in os.listdir(folder) if name.startswith(PREFIX) and name.endswith(SUFFIX))
    return [os.path.join(folder, name) for name in names]


def part_path(folder: str, run: int, key: str) -> str:
    """Return where the part of a run belongs whose documents are named by `key`."""
    return os.path.join(folder, f"{PREFIX}{run:05d}-{digest(key):016x}{SUFFIX}")


def commit(path: str, records: Iterable[Record]) -> None:
    """Put a part in its place in one step. Two workers may commit the same part at once. Raises OutputError."""
    folder, name = os.path.split(path)
    hidden = os.path.join(folder, f".{name}.{uuid.uuid4().hex}")
    try:
        atomic_files.replace(hidden, map(to_line, records))
        os.replace(hidden, path)
    except OSError as error:
        raise atomic_files.output_error(path, error, "the parts that are there are safe") from error
    atomic_files.sync_folder(path)


class PartsFolder:
    """The folder as the coordinator of a run sees it: what is in it already, and what has come in since.

    Entering takes it for this run, the `run`-th on it; leaving drops rows that are superseded and notes the totals.
    Nothing of an earlier run is dropped before this one has a part.
    """

    def __init__(self, path: str, options: SinkOptions) -> None:
        self.path = os.path.realpath(path)
        self.state = ResumeState()
        self.run = 1
        self._options = options
        self._notes = ProgressNotes(self.path, options)
        self._resources = contextlib.ExitStack()
        self._to_drop: list[str] = []
        self._added: set[str] = set()
        self._rows = 0
        self._begun = False
        self._present: Present | None = None
        self._opened = 0.0

    def __enter__(self) -> PartsFolder:
        if os.path.exists(self.path) and not os.path.isdir(self.path):
            raise OutputError(f"{self.path} is not a folder. Several workers write a folder of parts: name another -o.")
        with contextlib.ExitStack() as resources:
            try:
                self._open(resources)
            except OSError as error:
                raise self._error(error) from error
            self._resources = resources.pop_all()
        return self

    def _open(self, resources: contextlib.ExitStack) -> None:
        os.makedirs(self.path, exist_ok=True)
        resources.enter_context(locked(self.path))
        resources.callback(self._notes.stop)
        found = parts(self.path)
        self.run = 1 + max(map(_run_of, found), default=0)
        self._to_drop = found if self._options.overwrite else []
        for path in () if self._options.overwrite else found:
            for _, row in _rows(path):
                self.state.load(self.path, row, self._options)
        _sweep(self.path)
        self._opened = time.monotonic()

    def add(self, path: str, records: Iterable[Record]) -> None:
        """Take note of a part that a worker has committed. Raises OutputError where it cannot be seen from here."""
        if not os.path.exists(path):
            raise OutputError(
                f"A worker has written {path}, but it does not exist on this machine. The output must be in a "
                "folder that all machines share under one path: choose such a folder for -o."
            )
        try:
            self._begin()
        except OSError as error:
            raise self._error(error) from error
        self._notes.begin()
        self._added.add(path)
        for record in records:
            self.state.add(RowSummary.of(record))
            self._rows += 1

    def unnoticed(self) -> Iterator[tuple[str, list[Record]]]:
        """Yield the parts of this run whose commit was not reported, because the worker died just then."""
        for path in parts(self.path):
            if _run_of(path) == self.run and path not in self._added:
                yield path, list(records_of(path))

    def count_stale(self, present: Present) -> int:
        """Return of how many documents that the input no longer holds there are rows. Raises OutputError."""
        try:
            found = itertools.chain.from_iterable(map(_rows, parts(self.path)))
            return count_stale((row for _, row in found), present) if self.state.may_be_stale(present) else 0
        except OSError as error:
            raise self._error(error) from error

    def prune(self, present: Present) -> None:
        """Have the rows of documents that the input no longer holds removed on leaving: each part in one step."""
        self._present = present

    def _begin(self) -> None:
        """Note the settings, and drop the parts that are to be overwritten."""
        if not self._begun:
            options = self._options
            manifest.write(self.path, options.fingerprint, options.settings, restart=options.overwrite)
            for path in self._to_drop:
                os.unlink(path)
            self._begun = True

    def __exit__(self, *exc: object) -> None:
        """Drop superseded rows. After an exception that is left to the next clean end, so that stopping is quick."""
        with self._resources:
            if any(exc):
                return
            try:
                self._begin()
                _sweep(self.path)
                if self.state.stale or self._present:
                    self.state = _compact(self.path, self._present)
                if self._rows or self._present:
                    self._note()
            except OSError as error:
                raise self._error(error) from error

    def _note(self) -> None:
        """Note how long the rows took, and what the folder holds now."""
        work = manifest.Work(self._rows, time.monotonic() - self._opened if self._rows else 0.0)
        manifest.add_work(self.path, self._options.fingerprint, work, self.state.totals, self._notes.end("ended"))

    def _error(self, error: OSError) -> OutputError:
        return atomic_files.output_error(self.path, error, f"{len(self.state.table)} rows are safe")


def records_of(path: str) -> Iterator[Record]:
    """Return the records of a part. Raises OSError."""
    return (from_row(from_line(line)) for line, _ in _rows(path))


def _rows(path: str) -> Iterator[tuple[bytes, RowSummary]]:
    """Yield the lines of a part and what they say. Raises OutputError, OSError."""
    with PLAIN.open(path) as lines:
        yield from json_lines.documents(lines, path, flatten=False)


def _sweep(folder: str) -> None:
    """Remove what workers that were killed had not finished writing."""
    for name in os.listdir(folder):
        if name.startswith(f".{PREFIX}"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))


def _run_of(path: str) -> int:
    number = os.path.basename(path).removeprefix(PREFIX).partition("-")[0]
    return int(number) if number.isdecimal() else 0


def _compact(folder: str, present: Present | None = None) -> ResumeState:
    """Keep the last row of each id that is `present`; a part that has none left goes. Return what is left.

    Raises OSError.
    """
    last, state = DigestTable(), ResumeState()
    found = itertools.chain.from_iterable(map(_rows, parts(folder)))
    for place, (_, row) in enumerate(found):
        if present is None or present.holds(row.id, row.path):
            last.set(digest(row.id), place)
    place = 0
    for path in parts(folder):
        rows = list(_rows(path))
        kept = [(line, row) for at, (line, row) in enumerate(rows, place) if last.get(digest(row.id)) == at]
        place += len(rows)
        if not kept:
            os.unlink(path)
        elif len(kept) < len(rows):
            atomic_files.replace(path, [line for line, _ in kept])
        for _, row in kept:
            state.add(row)
    return state
