"""What a sink has written is read back as the rows of JSON Lines, in every format, by document and by value."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from extractor import sinks
from extractor.annotation_formats import Notes, read_rows, rows
from extractor.data import Json, Record
from extractor.errors import InputError
from extractor.sinks import SinkOptions, open_sink
from extractor.sinks._support.stored_rows import field_names
from extractor.storage.rows import from_row, to_row
from tests.sinks.reading import FORMATS
from tests.sinks.records import failed, partial, record
from tests.sinks.test_formats import DATA, PROPERTIES, TASK

SPANS = {"/手机号": ((0, 11),), "/商品/0/名称": ((12, 13), (20, 21)), "/金额": ((30, 34),)}
WHOLE = {"手机号": "=1+2", "邮箱": None, "急": None, "其他": None, **{"ID": 7, "金额": 12.5, "商品": DATA["商品"]}}


def _written(path: Path, *records: Record, flatten: bool = False) -> str:
    options = SinkOptions(fingerprint="f1", settings={"model": "demo"}, task=TASK, flatten=flatten)
    with open_sink(str(path), options) as sink:
        for item in records:
            sink.write(item)
    return str(path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_records_come_back_whole(tmp_path: Path, suffix: str) -> None:
    """A table of text does not know numbers from text: there the schema says it."""
    written = [record("a", data=WHOLE, spans=SPANS), partial("=b"), failed("c")]
    path = _written(tmp_path / f"rows{suffix}", *written)
    back = [row for _, row in read_rows(path, Notes(), task=TASK)]
    assert [row["id"] for row in back] == ["a", "=b", "c"]
    assert back[0]["data"] == WHOLE
    assert from_row(back[0]) == from_row(to_row(written[0]))
    assert back[1]["data"]["手机号"] == "18888888888"
    assert back[2] == to_row(written[2])


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".csv.gz", ".sqlite", ".parquet"])
def test_rows_of_values_are_put_together_again(tmp_path: Path, suffix: str) -> None:
    path = _written(tmp_path / f"rows{suffix}", record("a", data=WHOLE, spans=SPANS), failed("c"), flatten=True)
    first, last = (row for _, row in read_rows(path, Notes(), task=TASK))
    assert first["data"]["商品"][0] == {"名称": "茶", "数量": "2"} or first["data"]["商品"][0] == {
        "名称": "茶",
        "数量": 2,
    }
    assert first["data"]["手机号"] == "=1+2"
    assert first["spans"] == {pointer: [list(span) for span in found] for pointer, found in SPANS.items()}
    assert first["source"]["path"] == "a"
    assert [from_row(row).status for row in (first, last)] == ["ok", "failed"]
    assert (last["status"], last["data"], last["errors"][0]["code"]) == ("failed", None, "schema")


def test_rows_that_a_killed_run_left_beside_a_parquet_file_are_read(tmp_path: Path) -> None:
    path = _written(tmp_path / "rows.parquet", record("a", data=WHOLE))
    _written(tmp_path / "more.jsonl", record("b", data=WHOLE))
    (tmp_path / "more.jsonl").rename(tmp_path / "rows.parquet.open.jsonl")
    assert [row["id"] for _, row in rows(path)] == ["a", "b"]
    (tmp_path / "rows.parquet").unlink()
    assert [row["id"] for _, row in rows(path)] == ["b"]


def test_a_torn_csv_record_does_not_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = _written(tmp_path / "rows.csv", record("a", data=WHOLE), record("b", data=WHOLE))
    data = (tmp_path / "rows.csv").read_bytes()
    (tmp_path / "rows.csv").write_bytes(data[:-9])
    assert [row["id"] for _, row in rows(path)] == ["a"]
    assert "is torn" in caplog.text


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.csv", b"a,b\r\n1,2\r\n", "record 2 is not a row of results"),
        ("x.csv.gz", b"a,b\r\n1,2\r\n", "is damaged, or not compressed"),
        ("x.sqlite", b"SQLite format 3\0 and no more", "cannot be read as a SQLite database"),
        ("x.db", b"", "has none of the tables records and entities"),
        ("x.parquet", b"PAR1 and no more", "is not a Parquet file of results"),
        ("x.pq", b"", "is not a Parquet file of results"),
    ],
)
def test_a_file_of_something_else_is_refused_by_name(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message) as raised:
        list(rows(str(tmp_path / name)))
    assert name in str(raised.value)


@pytest.mark.parametrize("name", ["none.csv", "none.sqlite", "none.parquet", "none.jsonl.gz"])
def test_a_file_that_is_not_there_is_refused_and_not_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        list(rows(str(tmp_path / name)))
    assert list(tmp_path.iterdir()) == []


def test_a_database_is_not_changed_by_reading_it(tmp_path: Path) -> None:
    path = _written(tmp_path / "rows.sqlite", record("a", data=WHOLE))
    before = Path(path).read_bytes()
    assert len(list(rows(path))) == 1
    assert Path(path).read_bytes() == before
    with sqlite3.connect(path) as database:
        database.execute("ALTER TABLE records DROP COLUMN spans")
    with pytest.raises(InputError, match="row 1 is not a row of results"):
        list(rows(path))


@pytest.mark.parametrize("fields", [["手机号"], ["id", "ID", "Path"], ["path", "data.path"], ["a", "A"], ["data.a"]])
def test_columns_find_back_to_their_fields(fields: list[str]) -> None:
    from extractor.sinks._support.columns import AFTER, BEFORE, Columns
    from extractor.task.task import make_task

    task = make_task({"type": "object", "properties": {name: {"type": "string"} for name in fields}})
    columns = Columns.of(SinkOptions(fingerprint="f", settings={}, task=task))
    found = field_names(columns.types)
    assert {found[column]: column for column in found} == dict(columns.fields)
    assert not set(found) & {*BEFORE, *AFTER}


def test_every_format_of_output_can_be_read_back() -> None:
    assert {suffix for suffix, module in sinks.formats().items() if module.read_rows is None} == set()


def test_a_property_that_the_schema_does_not_name_is_kept(tmp_path: Path) -> None:
    data: Json = {**dict.fromkeys(PROPERTIES), "多": "了"}
    path = _written(tmp_path / "rows.csv", record("a", data=data))
    assert [row["data"] for _, row in rows(path)] == [data]
