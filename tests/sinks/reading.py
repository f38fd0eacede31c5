"""Outputs of every format as rows, read by libraries of others."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import zstandard
from openpyxl import load_workbook

Rows = list[dict[str, Any]]
FORMATS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".csv", ".csv.gz", ".sqlite", ".parquet", ".xlsx")


def read(path: Path, table: str = "records") -> Rows:
    """The rows of an output; JSON text in a column stays as it is."""
    return _READ["".join(path.suffixes[-2:]) if path.suffix in (".gz", ".zst") else path.suffix](path, table)


def ids(path: Path, table: str = "records") -> list[str]:
    return [row["id"] for row in read(path, table)]


def _lines(data: bytes) -> Rows:
    return [json.loads(line) for line in data.splitlines()]


def _csv(data: bytes) -> Rows:
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))


def _sqlite(path: Path, table: str) -> Rows:
    with closing(sqlite3.connect(path)) as database:
        found = database.execute(f"SELECT * FROM {table} ORDER BY rowid")
        names = [name for name, *_ in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]


def _xlsx(path: Path, table: str) -> Rows:
    """The rows of its sheets; a cell without text is None."""
    book = load_workbook(io.BytesIO(path.read_bytes()))
    sheets = [list(book[name].iter_rows(values_only=True)) for name in book.sheetnames if name.startswith(table)]
    return [dict(zip(header, row, strict=True)) for header, *rows in sheets for row in rows]


def _zst(path: Path, table: str) -> Rows:
    with (
        path.open("rb") as stream,
        zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True) as unpacked,
    ):
        return _lines(unpacked.read())


_READ = {
    ".jsonl": lambda path, table: _lines(path.read_bytes()),
    ".jsonl.gz": lambda path, table: _lines(gzip.decompress(path.read_bytes())),
    ".jsonl.zst": _zst,
    ".csv": lambda path, table: _csv(path.read_bytes()),
    ".csv.gz": lambda path, table: _csv(gzip.decompress(path.read_bytes())),
    ".sqlite": _sqlite,
    ".parquet": lambda path, table: pq.read_table(path).to_pylist(maps_as_pydicts="strict"),
    ".xlsx": _xlsx,
}
