"""Memory does not grow with the input: whatever is fed, a run and all that it starts stay below a bound each."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import command, environment, rows
from tests.readers.making import zipped

MIB = 1 << 20
BOUND = 400
"""MiB of one process. A run without a model takes about 80."""
MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Prints the exit code of a command, and the KiB of the largest process among it and those that it started."""


def _many_rows(folder: Path) -> None:
    line = json.dumps({"text": "手机号 13800000000，" + "备注" * 40}, ensure_ascii=False)
    (folder / "a.jsonl").write_text(f"{line}\n" * 4000, encoding="utf-8")


def _many_files(folder: Path) -> None:
    for number in range(1500):
        (folder / f"{number}.txt").write_bytes(b"text")


def _long_line(folder: Path) -> None:
    with (folder / "a.jsonl").open("wb") as file:
        file.write(b'{"text": "short"}\n{"text": "')
        for _ in range(300):
            file.write(b"x" * MIB)
        file.write(b'"}\n{"text": "short"}\n')


def _long_text(folder: Path) -> None:
    with (folder / "a.txt").open("wb") as file:
        file.truncate(1000 * MIB)


def _zeros(folder: Path) -> None:
    (folder / "a.zip").write_bytes(zipped({"a.txt": bytes(500 * MIB)}))


def _nested(folder: Path) -> None:
    data = zipped({"a.txt": bytes(100 * MIB)})
    for _ in range(6):
        data = zipped({"a.zip": data})
    (folder / "a.zip").write_bytes(data)


def _gzip(folder: Path) -> None:
    (folder / "a.txt.gz").write_bytes(gzip.compress(bytes(500 * MIB), 1))


def _word(folder: Path) -> None:
    body = b"<w:p><w:r><w:t>text</w:t></w:r></w:p>" * (4 * MIB)
    parts = {"[Content_Types].xml": b"<a/>", "word/document.xml": b'<w:document xmlns:w="w"><w:body>' + body}
    (folder / "a.docx").write_bytes(zipped(parts))


def _deep(folder: Path) -> None:
    (folder / "a.json").write_bytes(b'{"a":' * (6 * MIB))


def _wide_table(folder: Path) -> None:
    (folder / "a.csv").write_bytes(b"text" + b",x" * MIB + b"\n" + b"a" + b"," * MIB + b"\n")


INPUTS: dict[str, tuple[Callable[[Path], None], int]] = {
    "many rows": (_many_rows, 4000),
    "many files": (_many_files, 1500),
    "a long line": (_long_line, 3),
    "a long text": (_long_text, 1),
    "zeros in an archive": (_zeros, 1),
    "archives in archives": (_nested, 1),
    "zeros in gzip": (_gzip, 1),
    "a long document": (_word, 1),
    "deep JSON": (_deep, 1),
    "a wide table": (_wide_table, 1),
}
"""What lies in the folder that is read, and how many rows it gives."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", INPUTS)
def test_a_run_stays_below_its_bound(kind: str, tmp_path: Path) -> None:
    make, count = INPUTS[kind]
    (tmp_path / "in").mkdir()
    make(tmp_path / "in")
    line = command("run", "in", "-s", "contact", "--backend", "scripted", "-o", "rows.jsonl")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *line],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    code, kibibytes = map(int, done.stdout.split())
    assert code in (0, 1), done.stderr
    assert len(rows(tmp_path / "rows.jsonl")) == count, done.stderr
    assert kibibytes < BOUND * 1024
