"""SQLite: a table `records` with a row a document, upserted by its id, or `entities` with a row a value found.

Each document is one transaction; the write-ahead log keeps it whatever happens to this process, and is folded into the
file at a clean end. Other tables of the file are left alone. The columns are those of `_support.columns`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from extractor.data import Json, Record
from extractor.errors import InputError, OutputError
from extractor.sinks import Rows, Sink, SinkOptions
from extractor.sinks._support.cell_types import LARGEST
from extractor.sinks._support.columns import Columns
from extractor.sinks._support.stored_rows import stored_row
from extractor.storage.present import Present
from extractor.storage.resumable_file import ResumableSink
from extractor.storage.resume import ADVICE, ResumeState, RowSummary, foreign, other_version

SUFFIXES = (".sqlite", ".sqlite3", ".db")
TABLES = ("records", "entities")
BESIDE = ("-wal", "-shm", "-journal")
TYPES = {"string": "TEXT", "integer": "INTEGER", "number": "REAL", "boolean": "INTEGER"}
TYPES |= {"json": "TEXT", "decimal": "TEXT"}


def open_sink(path: str, options: SinkOptions) -> Sink:
    """Return a resumable table of a file."""
    return ResumableSink(path, options, SqliteTable(path, options))


def read_rows(path: str) -> Rows:
    """Yield the rows of the table of a file, of documents or else of values. Raises InputError."""
    if not os.path.isfile(path):
        raise InputError(f"{path} cannot be read: there is no such file.")
    uri = f"{Path(path).absolute().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
            found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            there = {name for (name,) in found}
            tables = [table for table in TABLES if table in there]
            if not tables:
                raise InputError(f"{path} has none of the tables {' and '.join(TABLES)}: no run has written it.")
            cursor = database.execute(f"SELECT * FROM {tables[0]} ORDER BY rowid")
            names = [name for name, *_ in cursor.description]
            for number, values in enumerate(cursor, 1):
                yield number, stored_row(dict(zip(names, values, strict=True)), f"{path} row {number}")
    except sqlite3.Error as error:
        raise InputError(f"{path} cannot be read as a SQLite database: {error}.") from error


@contextlib.contextmanager
def _as_os_error() -> Iterator[None]:
    """Raise what SQLite says of a disk as what the system would say."""
    try:
        yield
    except sqlite3.Error as error:
        number = errno.ENOSPC if _name(error) == "SQLITE_FULL" else errno.EIO
        raise OSError(number, str(error)) from error


class SqliteTable:
    """The table of a file."""

    def __init__(self, path: str, options: SinkOptions) -> None:
        self._path = path
        self._options = options
        self._columns = Columns.of(options)
        self._table = "entities" if options.flatten else "records"
        self._database: sqlite3.Connection | None = None
        self._begun = False

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = sqlite3.connect(self._path, isolation_level=None, timeout=30)
        return self._database

    def resume(self) -> ResumeState:
        state = ResumeState()
        if not os.path.exists(self._path):
            return state
        with _as_os_error():
            if self._exists():
                for row in self._rows():
                    state.load(self._path, row, self._options)
                self._check_columns(state)
        return state

    def _exists(self) -> bool:
        """Return whether the file has the table. Raises OutputError for a file that is not a database."""
        try:
            found = self._connection.execute(
                "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", [self._table]
            )
            return found.fetchone() is not None
        except sqlite3.DatabaseError as error:
            if _name(error) == "SQLITE_NOTADB":
                message = f"{self._path} is not a SQLite database; it was not changed. {ADVICE}"
                raise OutputError(message) from error
            raise

    def _column_names(self) -> list[str]:
        return [name for _, name, *_ in self._connection.execute(f"PRAGMA table_info({self._table})")]

    def rows(self) -> Iterator[RowSummary]:
        with _as_os_error():
            yield from self._rows()

    def _rows(self) -> Iterator[RowSummary]:
        """Yield what the table holds. Raises OutputError for one of other columns, OutputMismatch for one of 0.1."""
        names = self._column_names()
        if not {"id", "sha256", "status", "fingerprint", "prompt_tokens"} <= set(names):
            raise foreign(self._path, f"The table {self._table}")
        if "record" not in names:
            raise other_version(self._path, 1)
        first = "WHERE row = 1" if self._options.flatten else ""
        columns = "id, sha256, status, fingerprint, coalesce(code, ''), prompt_tokens, completion_tokens, record, path"
        for values in self._connection.execute(f"SELECT {columns} FROM {self._table} {first} ORDER BY rowid"):
            yield RowSummary(*values)

    def _check_columns(self, state: ResumeState) -> None:
        """Make way for columns of this run: a table without rows is dropped. Raises OutputError for one with rows."""
        if self._column_names() == list(self._columns.types):
            return
        if state.table:
            raise foreign(self._path, f"The table {self._table}")
        self._connection.execute(f"DROP TABLE {self._table}")

    def open(self) -> None:
        with _as_os_error():
            self._connection.execute("SELECT 1")

    def clear(self) -> None:
        with _as_os_error():
            try:
                self._connection.execute(f"DROP TABLE IF EXISTS {self._table}")
            except sqlite3.DatabaseError as error:
                if _name(error) != "SQLITE_NOTADB":
                    raise
                self.close()
                os.truncate(self._path, 0)

    def append(self, record: Record) -> None:
        rows = [[_storable(cell) for cell in row] for row in self._columns.rows(record)]
        marks = ", ".join("?" * len(self._columns.types))
        with _as_os_error():
            self._begin()
            with self._connection as database:
                database.execute("BEGIN IMMEDIATE")
                database.execute(f"DELETE FROM {self._table} WHERE id = ?", [rows[0][0]])
                database.executemany(f"INSERT INTO {self._table} VALUES ({marks})", rows)

    def _begin(self) -> None:
        """Make, before the first row, the log that every transaction goes to, and the table."""
        if not self._begun:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            columns = ", ".join(f"{_quoted(name)} {TYPES[type]}" for name, type in self._columns.types.items())
            key = "PRIMARY KEY (id, row)" if self._options.flatten else "PRIMARY KEY (id)"
            self._connection.execute(f"CREATE TABLE IF NOT EXISTS {self._table} ({columns}, {key})")
            self._begun = True

    def sync(self) -> None:
        with _as_os_error():
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def finish(self, state: ResumeState, present: Present | None) -> ResumeState:
        """Fold the log into the one file, which anybody can copy then."""
        with _as_os_error():
            if not self._exists():
                self._begin()
            if present is not None:
                self._prune(present)
            if self._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._connection.execute("PRAGMA journal_mode = DELETE")
            return self._recount() if state.stale or present else state

    def _prune(self, present: Present) -> None:
        """Delete the rows of documents that are not `present`, in one transaction."""
        gone = [row.id for row in self._rows() if not present.holds(row.id, row.path)]
        with self._connection as database:
            database.execute("BEGIN IMMEDIATE")
            database.executemany(f"DELETE FROM {self._table} WHERE id = ?", ([id] for id in gone))

    def _recount(self) -> ResumeState:
        state = ResumeState()
        for row in self._rows():
            state.add(row)
        return state

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def _storable(value: Json) -> Json:
    """Return a value; None for an integer beyond 64 bits, of which SQLite would keep the first digits only."""
    return None if isinstance(value, int) and not -LARGEST <= value < LARGEST else value


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _name(error: sqlite3.Error) -> str:
    """Return what SQLite calls an error; empty for one of the Python module."""
    return getattr(error, "sqlite_errorname", "")
