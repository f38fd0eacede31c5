"""Every format keeps the promises of a restartable output, and holds what the records say."""

import json
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from extractor.data import Conflict, Provenance, Record, RecordError, RunInfo
from extractor.errors import OutputError, OutputMismatch, Problem, UsageError
from extractor.sinks import Sink, SinkOptions, open_sink
from extractor.storage import manifest
from extractor.task.task import make_task
from tests.sinks.reading import FORMATS, ids, read
from tests.sinks.records import failed, partial, record, sha

SETTINGS = {"model": "demo", "precision": "half"}
PROPERTIES: dict[str, Any] = {
    "手机号": {"type": "string"},
    "邮箱": {"type": ["string", "null"]},
    "ID": {"type": "integer"},
    "金额": {"type": "number"},
    "急": {"type": "boolean"},
    "商品": {
        "type": "array",
        "items": {"type": "object", "properties": {"名称": {"type": "string"}, "数量": {"type": "integer"}}},
    },
    "其他": {},
}
TASK = make_task({"type": "object", "properties": PROPERTIES})
DATA = {
    "手机号": "18888888888",
    "邮箱": None,
    "ID": 7,
    "金额": 12.5,
    "急": True,
    "商品": [{"名称": "茶", "数量": 2}, {"名称": '杯\r\n"子"', "数量": None}],
    "其他": [1, "二"],
}


@pytest.fixture(name="out", params=FORMATS)
def _out(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return tmp_path / f"rows{request.param}"


def _sink(out: Path, **options: Any) -> Sink:
    return open_sink(str(out), SinkOptions(**({"fingerprint": "f1", "settings": SETTINGS, "task": TASK} | options)))


def _write(out: Path, *records: Record, **options: Any) -> None:
    with _sink(out, **options) as sink:
        for item in records:
            sink.write(item)


def _die(sink: Sink, records: Iterable[Record]) -> None:
    for item in records:
        sink.write(item)
    raise ValueError("killed")


def test_what_is_done_is_known_to_the_next_run_and_a_clean_end_leaves_two_files(out: Path) -> None:
    _write(out, record("a", data=DATA), failed("b"), partial("c"))
    assert {path.name for path in out.parent.iterdir()} == {out.name, Path(manifest.path_of(str(out))).name}
    with _sink(out) as sink:
        assert [sink.done(name, sha("文")) for name in "abcd"] == ["ok", "failed", "partial", None]
        assert sink.done("a", sha("changed")) is None
        sink.write(record("d"))
    assert ids(out) == ["a", "b", "c", "d"]


def test_no_digit_is_lost_of_a_number_that_is_too_long_for_its_column(out: Path) -> None:
    account, endless = 62262001234567890123, 10**400
    _write(out, record("a", data={"ID": account, "金额": endless}), record("b"))
    assert ids(out) == ["a", "b"]
    for number in (account, endless):
        assert str(number) in json.dumps(read(out)[0])


def test_a_run_that_has_nothing_to_do_changes_nothing(out: Path) -> None:
    _write(out, record("a"), failed("b"), partial("c"))
    before = {path.name: path.read_bytes() for path in out.parent.iterdir()}
    _write(out)
    assert {path.name: path.read_bytes() for path in out.parent.iterdir()} == before


def test_a_run_without_documents_leaves_an_output_without_rows(out: Path) -> None:
    _write(out)
    assert read(out) == []
    _write(out, record("a"))
    assert ids(out) == ["a"]


def test_a_changed_document_is_done_again_and_has_one_row(out: Path) -> None:
    _write(out, record("a", "old"), record("b"))
    _write(out, record("a", "new"))
    assert sorted(ids(out)) == ["a", "b"]
    with _sink(out) as sink:
        assert (sink.done("a", sha("old")), sink.done("a", sha("new"))) == (None, "ok")


def _statuses(out: Path) -> dict[str, str]:
    rows = read(out)
    found = {row["id"]: row["status"] for row in rows}
    assert len(found) == len(rows), "an id has two rows"
    return found


def test_rows_that_are_not_ok_are_asked_about_again_and_replaced(out: Path) -> None:
    _write(out, record("a"), failed("b"), record("c"), partial("d"))
    with _sink(out, retry_failed=True) as sink:
        assert [sink.done(name, sha("文")) for name in "abcd"] == ["ok", None, "ok", None]
        for item in (record("b"), partial("d")):
            sink.write(item)
            assert sink.done(item.id, sha("文")) == item.status
    assert ids(out) == ["a", "c", "b", "d"]
    assert _statuses(out) == {"a": "ok", "b": "ok", "c": "ok", "d": "partial"}
    noted = json.loads(Path(manifest.path_of(str(out))).read_text("utf-8"))
    assert noted["totals"] == {"documents": 4, "ok": 3, "partial": 1, "failed": 0}


def test_a_row_to_be_retried_stays_until_a_new_one_replaces_it_whatever_ends_the_run(out: Path) -> None:
    _write(out, partial("a"), failed("b"))
    before = read(out)
    with pytest.raises(ValueError), _sink(out, retry_failed=True):
        raise ValueError("the model could not be loaded")
    assert read(out) == before
    with pytest.raises(ValueError), _sink(out, retry_failed=True) as sink:
        _die(sink, [record("b")])
    with _sink(out, retry_failed=True) as sink:
        assert [sink.done(name, sha("文")) for name in "ab"] == [None, "ok"]
    assert _statuses(out) == {"a": "partial", "b": "ok"}


@pytest.mark.parametrize("flatten", [False, True])
def test_a_run_that_dies_loses_no_row_and_the_next_one_completes_it(out: Path, flatten: bool) -> None:
    whole = out.parent / "whole"
    whole.mkdir()
    records = [record(f"{number}", data=DATA) if number % 3 else failed(f"{number}") for number in range(30)]
    _write(whole / out.name, *records, flatten=flatten)
    with pytest.raises(ValueError), _sink(out, flatten=flatten) as sink:
        _die(sink, records[:17])
    with _sink(out, flatten=flatten) as sink:
        assert [sink.done(item.id, sha("文")) for item in records[:17]] == [item.status for item in records[:17]]
        for item in records[17:]:
            assert sink.done(item.id, sha("文")) is None
            sink.write(item)
    table = "entities" if flatten else "records"
    assert read(out, table) == read(whole / out.name, table)


@pytest.mark.parametrize("flatten", [False, True])
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".csv"])
def test_a_file_cut_off_anywhere_is_completed(tmp_path: Path, suffix: str, flatten: bool) -> None:
    out = tmp_path / f"rows{suffix}"
    records = [record("a", data=DATA), failed("b"), record("丙", data={"其他": "x\n,\"y'"}), record("d")]
    with pytest.raises(ValueError), _sink(out, flatten=flatten) as sink:
        _die(sink, records)
    torn = out.read_bytes()
    for end in range(len(torn), -1, -37):
        out.write_bytes(torn[:end])
        with _sink(out, flatten=flatten) as sink:
            for item in records:
                if sink.done(item.id, item.source.sha256) is None:
                    sink.write(item)
        assert list(dict.fromkeys(ids(out))) == ["a", "b", "丙", "d"], end
        if flatten:
            assert all(
                len([row for row in read(out) if row["id"] == each["id"]]) == int(each["rows"]) for each in read(out)
            )
        out.with_name(f"{out.name}.run.json").unlink(missing_ok=True)


def test_other_settings_are_refused_by_name_and_overwriting_starts_again(out: Path) -> None:
    _write(out, record("a"))
    before = out.read_bytes()
    changed = {"model": "demo", "precision": "int8"}
    with (
        pytest.raises(OutputMismatch, match="precision was half, is int8"),
        _sink(out, fingerprint="f2", settings=changed),
    ):
        pass
    with pytest.raises(ValueError), _sink(out, fingerprint="f2", overwrite=True):
        raise ValueError("the model could not be loaded")
    assert out.read_bytes() == before
    _write(out, record("b", run=RunInfo("f2", "demo", "contact", "zh")), fingerprint="f2", overwrite=True)
    assert ids(out) == ["b"]
    _write(out, fingerprint="f2")
    assert ids(out) == ["b"]


@pytest.mark.parametrize("content", [b"a diary\n", b"PAR1 a diary PAR1", b"\x1f\x8b\x08 a diary", b"id,name\n1,x\n"])
def test_a_file_of_somebody_else_is_refused_and_left_alone(out: Path, content: bytes) -> None:
    out.write_bytes(content)
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="Choose another -o"), _sink(out, overwrite=overwrite):
            pass
        assert out.read_bytes() == content


def test_an_output_that_is_damaged_is_overwritten(out: Path) -> None:
    _write(out, record("a"))
    out.write_bytes(b"PAR1 a diary PAR1\n")
    with pytest.raises(OutputError), _sink(out):
        pass
    _write(out, record("b"), overwrite=True)
    assert ids(out) == ["b"]


def test_rows_by_value_and_by_document_do_not_mix_in_a_file(out: Path) -> None:
    if out.suffix == ".sqlite":
        pytest.skip("they are in tables of their own")
    _write(out, record("a"))
    with pytest.raises(OutputMismatch, match="leave out --flatten"), _sink(out, flatten=True):
        pass
    _write(out, record("a"), flatten=True, overwrite=True)
    with pytest.raises(OutputMismatch, match="add --flatten"), _sink(out):
        pass


def test_what_the_rows_add_up_to_is_in_the_manifest(out: Path) -> None:
    _write(out, record("a"), failed("b"), failed("c"), partial("e"))
    _write(out, record("b", "new"), record("d"))
    noted = json.loads(Path(manifest.path_of(str(out))).read_text("utf-8"))
    assert noted["totals"] == {"documents": 5, "ok": 3, "partial": 1, "failed": 1}
    assert noted["problems"] == {"schema": 1, "required": 1}
    assert noted["tokens"] == {"prompt": 5 * 310, "completion": 5 * 41}
    assert (noted["fingerprint"], noted["settings"], noted["work"]["rows"]) == ("f1", SETTINGS, 6)
    assert noted["documents_per_second"] > 0
    assert {"extractor", "python", "torch", "transformers"} <= noted["versions"].keys()


def test_a_row_of_a_table_holds_the_record(tmp_path: Path) -> None:
    item = record("a", data=DATA, conflicts={"/ID": (Conflict(8),)}, provenance=Provenance(parsed=("strict",)))
    for suffix in (".csv", ".sqlite"):
        _write(tmp_path / f"rows{suffix}", item, failed("b"))
    (row, bad) = read(tmp_path / "rows.sqlite")
    assert [row[name] for name in ("id", "status", "手机号", "邮箱", "data.ID", "金额", "急")] == [
        *("a", "ok", "18888888888", None, 7, 12.5, 1)
    ]
    assert json.loads(row["商品"]) == DATA["商品"]
    assert json.loads(row["其他"]) == DATA["其他"]
    assert (row["data_json"], json.loads(row["spans"]), json.loads(row["locations"])) == (
        None,
        {"/手机号": [[86, 97]]},
        {"/手机号": [{"page": 2}]},
    )
    assert (row["sha256"], row["fingerprint"], row["record"], row["prompt_tokens"]) == (sha("文"), "f1", 2, 310)
    assert json.loads(row["provenance"]) == {"parsed": ["strict"], "grounded": {}}
    assert (bad["status"], bad["code"], json.loads(bad["errors"])[0]["message"]) == ("failed", "schema", "no value")
    cells, _ = read(tmp_path / "rows.csv")
    assert list(cells) == list(row)
    assert (cells["急"], cells["邮箱"], cells["金额"], cells["data.ID"]) == ("true", "", "12.5", "7")
    assert json.loads(cells["商品"]) == DATA["商品"]


def test_parquet_has_the_types_of_the_schema_and_keeps_what_does_not_fit(tmp_path: Path) -> None:
    out = tmp_path / "rows.parquet"
    odd = {"ID": "seven", "金额": 3, "more": [1]}
    _write(
        out,
        record("a", data=DATA),
        failed("b"),
        record("c", status="failed", data=odd, errors=(RecordError(Problem("parse", "y")),)),
    )
    types = {field.name: str(field.type) for field in pq.read_schema(out).field("data").type}
    assert types == {
        "手机号": "string",
        "邮箱": "string",
        "ID": "int64",
        "金额": "double",
        "急": "bool",
        "商品": "list<element: struct<名称: string, 数量: int64>>",
        "其他": "string",
    }
    first, second, third = read(out)
    assert first["data"] == DATA | {"其他": '[1, "二"]'}
    assert first["spans"] == {"/手机号": [{"start": 86, "end": 97}]}
    assert (first["confidence"], first["locations"]) == ({"/手机号": 0.98}, {"/手机号": ['{"page": 2}']})
    assert (second["status"], second["code"], second["data"]) == ("failed", "schema", None)
    assert second["errors"] == [{"code": "schema", "message": "no value", "chunk": 0, "attempt": 3}]
    assert first["run"]["record"] == 2
    assert (third["data"]["ID"], third["data"]["金额"], json.loads(third["data_json"])) == (None, 3.0, odd)
    assert first["data_json"] is None


@pytest.mark.parametrize("suffix", FORMATS)
def test_flattened_there_is_a_row_a_value_with_its_place_and_failures_stay(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"rows{suffix}"
    spans = {"/手机号": ((86, 97), (120, 131)), "/商品/1/名称": ((5, 6),)}
    locations = {"/手机号": ({"page": 2}, {"page": 3})}
    empty = dict.fromkeys(DATA)
    _write(
        out,
        record("a", data=DATA, spans=spans, locations=locations),
        failed("b"),
        record("c", data=empty),
        partial("d"),
        flatten=True,
    )
    rows = read(out, "entities")

    def column(*names: str) -> list[tuple[str, ...]]:
        return [tuple("" if row[name] is None else str(row[name]) for name in names) for row in rows]

    assert column("id", "row", "rows", "field", "start", "page")[:3] == [
        ("a", "1", "10", "手机号", "86", "2"),
        ("a", "2", "10", "手机号", "120", "3"),
        ("a", "3", "10", "ID", "", ""),
    ]
    assert column("field", "pointer", "start", "end")[7] == ("商品.名称", "/商品/1/名称", "5", "6")
    assert column("location")[1] == ('{"page": 3}',)
    assert column("id", "status", "code", "message", "field")[10:] == [
        ("b", "failed", "schema", "no value", ""),
        ("c", "ok", "", "", ""),
        ("d", "partial", "required", "no 邮箱", ""),
        ("d", "partial", "", "", "手机号"),
    ]
    assert sum(int(row["prompt_tokens"]) for row in rows) == 4 * 310


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("'=x", "''=x"),
        ("\tx", "'\tx"),
        ("+86 138-0000-0000", "+86 138-0000-0000"),
        ("-12.50", "-12.50"),
        ("'quoted'", "'quoted'"),
    ],
)
def test_no_cell_of_a_csv_file_is_a_formula_and_no_number_is_changed(tmp_path: Path, value: str, cell: str) -> None:
    out = tmp_path / "rows.csv"
    _write(out, record(value, data={"手机号": value}))
    (row,) = read(out)
    assert (row["id"], row["手机号"]) == (cell, cell)
    with _sink(out) as sink:
        assert sink.done(value, sha("文")) == "ok"


def test_no_name_of_a_csv_column_is_a_formula(tmp_path: Path) -> None:
    out, task = (
        tmp_path / "rows.csv",
        make_task({"properties": {name: {"type": "string"} for name in ("=1+1", "@甲", "乙")}}),
    )
    options = SinkOptions("f1", {}, task=task)
    with open_sink(str(out), options) as sink:
        sink.write(record("a", data={"=1+1": "x", "@甲": "y", "乙": "z"}))
    (row,) = read(out)
    assert (row["'=1+1"], row["'@甲"], row["乙"]) == ("x", "y", "z")
    with open_sink(str(out), options) as sink:
        assert sink.done("a", sha("文")) == "ok"
        sink.write(record("b", data={"=1+1": "x", "@甲": "y", "乙": "z"}))
    assert [row["id"] for row in read(out)] == ["a", "b"]


def test_other_tables_of_a_database_are_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "shop.db"
    with closing(sqlite3.connect(out)) as database:
        database.execute("CREATE TABLE mine (x)")
        database.execute("INSERT INTO mine VALUES (1)")
        database.commit()
    _write(out, record("a"))
    _write(out, record("a"), flatten=True)
    _write(out, record("b"), overwrite=True)
    with closing(sqlite3.connect(out)) as database:
        assert database.execute("SELECT x FROM mine").fetchall() == [(1,)]
        assert database.execute("SELECT id FROM records").fetchall() == [("b",)]
        assert database.execute("SELECT DISTINCT id FROM entities").fetchall() == [("a",)]


@pytest.mark.parametrize("value", ["\ud800", 2**70, -(2**70), float("nan"), "a\0b", "\r", "😀"])
def test_strange_values_stop_no_format(out: Path, value: Any) -> None:
    _write(out, record("a", data={"其他": value, "手机号": value, "ID": value}), record("b"))
    assert ids(out) == ["a", "b"]
    with _sink(out) as sink:
        assert sink.done("a", sha("文")) == "ok"


@pytest.mark.parametrize(
    ("suffix", "package"), [(".parquet", "pyarrow"), (".xlsx", "openpyxl"), (".jsonl.zst", "zstandard")]
)
def test_a_missing_package_is_named_with_the_line_that_installs_it(
    tmp_path: Path, suffix: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(UsageError, match=r"pip install 'chatglm3-extractor\[\w+\]'"):
        _sink(tmp_path / f"rows{suffix}")


def test_an_output_of_a_killed_run_can_be_copied_and_read_by_others(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl.gz"
    with pytest.raises(ValueError), _sink(out) as sink:
        _die(sink, [record("a"), record("b")])
    if shutil.which("zcat"):
        import subprocess

        done = subprocess.run(["zcat", out], capture_output=True, check=False)
        assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["a", "b"]
