"""An output that several machines write: a folder of part files, each of which is there whole or not at all.

A part holds the rows of one parcel of documents and is named by the run that wrote it and by what is in it
(`part-00002-3f9c....jsonl`): names in order are runs in order, and a parcel that is done twice writes one part. Of
several rows with one id the last counts, as in a file of rows. Where the folder lies must be shared by all machines.
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
from extractor.sinks import SinkOptions
from extractor.sinks._support.json_text import JsonText
from extractor.storage import atomic_files, manifest, resume
from extractor.storage.compression import Plain
from extractor.storage.digest_table import DigestTable, digest
from extractor.storage.locks import locked
from extractor.storage.resume import Done, Row
from extractor.storage.rows import from_line, from_row, to_line

PREFIX, SUFFIX = "part-", ".jsonl"


def parts(folder: str) -> list[str]:
    """The paths of the parts of a folder, those of earlier runs first. Raises OSError."""
    names = sorted(name for name in os.listdir(folder) if name.startswith(PREFIX) and name.endswith(SUFFIX))
    return [os.path.join(folder, name) for name in names]


def part_path(folder: str, run: int, key: str) -> str:
    """Where the part of a run belongs whose documents are named by `key`."""
    return os.path.join(folder, f"{PREFIX}{run:05d}-{digest(key):016x}{SUFFIX}")


def commit(path: str, records: Iterable[Record]) -> None:
    """Put a part in its place in one step. Two that commit the same part at once do not meet. Raises OutputError."""
    folder, name = os.path.split(path)
    hidden = os.path.join(folder, f".{name}.{uuid.uuid4().hex}")
    try:
        atomic_files.replace(hidden, map(to_line, records))
        os.replace(hidden, path)
    except OSError as error:
        raise atomic_files.output_error(path, error, "the parts that are there are safe") from error
    atomic_files.sync_folder(path)


class PartsFolder:
    """The folder as the machine sees it that leads the run: what is in it already, and what has come in since.

    Entering takes it for this run, the `run`-th on it; leaving drops rows that are superseded and notes the totals.
    Nothing of an earlier run is given up before a part of this one is there.
    """

    def __init__(self, path: str, options: SinkOptions) -> None:
        self.path = os.path.realpath(path)
        self.done = Done()
        self.run = 1
        self._options = options
        self._resources = contextlib.ExitStack()
        self._given_up: list[str] = []
        self._added: set[str] = set()
        self._rows = 0
        self._begun = False
        self._opened = 0.0

    def __enter__(self) -> PartsFolder:
        if os.path.exists(self.path) and not os.path.isdir(self.path):
            raise OutputError(f"{self.path} is no folder. Several workers write a folder of parts: name another -o.")
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
        _sweep(self.path)
        there = parts(self.path)
        self.run = 1 + max(map(_run_of, there), default=0)
        self._given_up = there if self._options.overwrite else []
        for path in () if self._options.overwrite else there:
            for _, row in _rows(path):
                resume.check(self.path, row.fingerprint, self._options)
                self._know(row)
        self._opened = time.monotonic()

    def _know(self, row: Row) -> None:
        """A failed row that is to be asked again is missing from the start."""
        if row.status == "failed" and self._options.retry_failed:
            self.done.stale = True
        else:
            self.done.add(row)

    def add(self, path: str, records: Iterable[Record]) -> None:
        """Take note of a part that a worker has committed. Raises OutputError where it cannot be seen from here."""
        if not os.path.exists(path):
            raise OutputError(
                f"A worker has written {path}, but on this machine it is not there. The output must lie in a folder "
                "that all machines share under one path: choose such a folder for -o."
            )
        try:
            self._begin()
        except OSError as error:
            raise self._error(error) from error
        self._added.add(path)
        for record in records:
            self.done.add(Row.of(record))
            self._rows += 1

    def unnoticed(self) -> Iterator[tuple[str, list[Record]]]:
        """Parts of this run of whose commit nobody was told, because the worker died just then."""
        for path in parts(self.path):
            if _run_of(path) == self.run and path not in self._added:
                yield path, list(records_of(path))

    def _begin(self) -> None:
        """Write down the settings, and give up the parts that are to be overwritten."""
        if not self._begun:
            options = self._options
            manifest.write(self.path, options.fingerprint, options.settings, anew=options.overwrite)
            for path in self._given_up:
                os.unlink(path)
            self._begun = True

    def __exit__(self, *exc: object) -> None:
        """After an exception the folder is left as it is, so that stopping is quick; the next clean end tidies up."""
        with self._resources:
            if any(exc):
                return
            try:
                self._begin()
                if self.done.stale:
                    self.done = _compact(self.path)
                if self._rows:
                    self._note()
            except OSError as error:
                raise self._error(error) from error

    def _note(self) -> None:
        """Write down how long the rows took, and what the folder holds now."""
        work = manifest.Work(self._rows, time.monotonic() - self._opened)
        manifest.add_work(self.path, self._options.fingerprint, work, self.done.totals)

    def _error(self, error: OSError) -> OutputError:
        return atomic_files.output_error(self.path, error, f"{len(self.done.table)} rows are safe")


def records_of(path: str) -> Iterator[Record]:
    """The records of a part. Raises OSError."""
    return (from_row(from_line(line)) for line, _ in _rows(path))


def _rows(path: str) -> Iterator[tuple[bytes, Row]]:
    """The lines of a part with what restarting needs of them. Raises OutputError, OSError."""
    with Plain().open(path) as reading:
        yield from JsonText(flatten=False).documents(reading, path)


def _sweep(folder: str) -> None:
    """Take away what workers of a run that was killed had not finished writing."""
    for name in os.listdir(folder):
        if name.startswith(f".{PREFIX}"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))


def _run_of(path: str) -> int:
    number = os.path.basename(path).removeprefix(PREFIX).partition("-")[0]
    return int(number) if number.isdecimal() else 0


def _compact(folder: str) -> Done:
    """Keep the last row of each id; a part that has none left goes. Returns what is left. Raises OSError."""
    last, done = DigestTable(), Done()
    found = itertools.chain.from_iterable(map(_rows, parts(folder)))
    for place, (_, row) in enumerate(found):
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
            done.add(row)
    return done
