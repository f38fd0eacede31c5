"""A sink is one file: in the folder, or in another package that names it as an entry point."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from extractor import sinks
from extractor.errors import UsageError
from extractor.sinks import SinkOptions, open_sink
from tests.cli.conftest import command, environment
from tests.sinks.records import record, sha

SINK = '''
"""Tab-separated values: what a document is called, what became of it, and its data."""

from extractor.plugins import AppendLog, ResumableSink, RowSummary, from_line, to_line

SUFFIXES = (".tsv",)


def open_sink(path, options):
    return ResumableSink(path, options, Tsv(path, options))


class Tsv(AppendLog):
    header = b"id\\tstatus\\trow\\n"

    def encode(self, record):
        return f"{record.id}\\t{record.status}\\t".encode() + to_line(record)

    def documents(self, lines):
        for line in lines:
            if line != self.header and line.endswith(b"\\n"):
                yield line, RowSummary.from_row(from_line(line.split(b"\\t", 2)[2]))
'''


def _ids(out: Path) -> list[str]:
    return [line.split("\t")[0] for line in out.read_text("utf-8").splitlines()]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules are sinks as if they lay in `extractor/sinks`."""
    monkeypatch.setattr(sinks, "__path__", [*sinks.__path__, str(tmp_path / "more")])
    sinks.formats.cache_clear()
    yield tmp_path / "more"
    sinks.formats.cache_clear()
    sys.modules.pop("extractor.sinks.tsv", None)


def _add(folder: Path, source: str) -> None:
    folder.mkdir()
    (folder / "tsv.py").write_text(source, encoding="utf-8")
    importlib.invalidate_caches()


def test_a_file_in_the_folder_is_a_format_that_resumes_a_killed_run(folder: Path, tmp_path: Path) -> None:
    _add(folder, SINK)
    out = tmp_path / "rows.tsv"
    with open_sink(str(out), SinkOptions("f1")) as sink:
        sink.write(record("a"))
        sink.write(record("b"))
    out.write_bytes(out.read_bytes()[:-5])
    with open_sink(str(out), SinkOptions("f1")) as sink:
        assert [sink.done(name, sha("文")) for name in "ab"] == ["ok", None]
        sink.write(record("b"))
    assert _ids(out) == ["id", "a", "b"]
    beside = ("", ".lock", ".tmp", ".run.json", ".run.json.tmp")
    assert sinks.beside(str(out)) == tuple(f"{out}{more}" for more in beside)
    assert ".tsv" not in sinks.readable()


def test_a_file_that_is_not_a_sink_is_told_by_its_name(folder: Path) -> None:
    _add(folder, "SUFFIXES = ('.tsv',)\n")
    with pytest.raises(UsageError, match=r"sinks\.tsv is incomplete.*open_sink"):
        sinks.formats()


def test_an_entry_point_of_another_package_is_a_format_of_the_command_line(tmp_path: Path) -> None:
    site, out = tmp_path / "site", tmp_path / "rows.tsv"
    points = site / "tables-1.0.dist-info"
    points.mkdir(parents=True)
    (points / "METADATA").write_text("Metadata-Version: 2.1\nName: tables\nVersion: 1.0\n", encoding="utf-8")
    (points / "entry_points.txt").write_text("[extractor.sinks]\ntsv = tables_tsv\n", encoding="utf-8")
    (site / "tables_tsv.py").write_text(SINK, encoding="utf-8")
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("无", encoding="utf-8")

    def run(*inputs: str) -> str:
        path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
        line = command("run", *inputs, "-s", "contact", "--backend", "scripted", "-o", out)
        done = subprocess.run(
            line, capture_output=True, text=True, cwd=tmp_path, env={**environment(), "PYTHONPATH": path}, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    assert "1 document in" in run("a.txt")
    assert "1 done before" in run("a.txt", "b.txt")
    assert _ids(out) == ["id", "a.txt", "b.txt"]
    assert json.loads((tmp_path / "rows.tsv.run.json").read_text("utf-8"))["totals"]["documents"] == 2


@pytest.mark.parametrize("path", ["rows.jsonl", "rows.ndjson.zst", "ROWS.JSONL.GZ", "rows.csv.gz", "x.db", "x.pq"])
def test_the_rows_of_each_format_can_be_read_back(path: str) -> None:
    module = sinks.module_of(path)
    assert module is not None
    assert module.read_rows is not None


def test_a_path_of_no_format_has_no_module() -> None:
    assert [sinks.module_of(path) for path in ("rows", "rows.gz", "rows.parquet.gz", "-")] == [None] * 4
