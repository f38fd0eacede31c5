"""SQLite: a table `records` with a row a document, upserted by its id, or `entities` with a row a value found.

Each document is one transaction; the write-ahead log keeps it whatever happens to this process, and is folded into the
file at a clean end. Other tables of the file are left alone. The columns are those of `columns`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator

from extractor.data import Json, Record
from extractor.errors import OutputError
from extractor.sinks import Sink, SinkOptions
from extractor.sinks._support.cell_types import LARGEST
from extractor.sinks._support.columns import Columns
from extractor.storage.resumable_file import FileSink
from extractor.storage.resume import ADVICE, Done, Row, check, foreign

SUFFIXES = (".sqlite", ".sqlite3", ".db")
TYPES = {"string": "TEXT", "integer": "INTEGER", "number": "REAL", "boolean": "INTEGER", "json": "TEXT"}


def open_sink(path: str, options: SinkOptions) -> Sink:
    """A restartable table of a file."""
    path = os.path.realpath(path)
    return FileSink(path, options, SqliteTable(path, options))


@contextlib.contextmanager
def _as_os_error() -> Iterator[None]:
    """What SQLite says of a disk, as what the system would say."""
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

    def resume(self) -> Done:
        if not os.path.exists(self._path):
            return Done()
        with _as_os_error():
            if not self._is_there():
                return Done()
            done = self._read()
            if self._options.retry_failed and done.failed:
                self._connection.execute(f"DELETE FROM {self._table} WHERE status = 'failed'")
                done = self._read()
        return done

    def _is_there(self) -> bool:
        """Whether the file has the table. Raises OutputError for a file that is no database."""
        try:
            found = self._connection.execute(
                "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", [self._table]
            )
            return found.fetchone() is not None
        except sqlite3.DatabaseError as error:
            if _name(error) == "SQLITE_NOTADB":
                raise OutputError(f"{self._path} is no SQLite database; it was not changed. {ADVICE}") from error
            raise

    def _read(self) -> Done:
        """What the table holds. Raises OutputError for one of other columns."""
        there = [name for _, name, *_ in self._connection.execute(f"PRAGMA table_info({self._table})")]
        if not {"id", "sha256", "status", "fingerprint", "reason", "prompt_tokens"} <= set(there):
            raise foreign(self._path, f"The table {self._table}")
        first = "WHERE row = 1" if self._options.flatten else ""
        columns = "id, sha256, status, fingerprint, coalesce(reason, ''), prompt_tokens, completion_tokens"
        done = Done()
        for values in self._connection.execute(f"SELECT {columns} FROM {self._table} {first} ORDER BY rowid"):
            row = Row(*values)
            check(self._path, row.fingerprint, self._options)
            done.add(row)
        if there != list(self._columns.types) and done.table:
            raise foreign(self._path, f"The table {self._table}")
        return done

    def open(self) -> None:
        """An empty file is a database without tables."""
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
        """Before the first row: the log that every transaction goes to, and the table."""
        if not self._begun:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            columns = ", ".join(f"{_quoted(name)} {TYPES[kind]}" for name, kind in self._columns.types.items())
            key = "PRIMARY KEY (id, row)" if self._options.flatten else "PRIMARY KEY (id)"
            self._connection.execute(f"CREATE TABLE IF NOT EXISTS {self._table} ({columns}, {key})")
            self._begun = True

    def sync(self) -> None:
        with _as_os_error():
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def finish(self, done: Done) -> Done:
        """One file, as anybody can copy it: the log is folded in."""
        with _as_os_error():
            if not self._is_there():
                self._begin()
            if self._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._connection.execute("PRAGMA journal_mode = DELETE")
            return self._read() if done.stale else done

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def _storable(value: Json) -> Json:
    """SQLite's integers have 64 bits, and of longer ones it keeps the first digits, even of their text."""
    return None if isinstance(value, int) and not -LARGEST <= value < LARGEST else value


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""').replace("\0", "") + '"'


def _name(error: sqlite3.Error) -> str:
    """What SQLite calls an error; empty for one of the Python module."""
    return getattr(error, "sqlite_errorname", "")
