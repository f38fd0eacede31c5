"""Values that the schema wants in one notation have it beside them, from the text and never from the model."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from extractor.annotation_formats import Notes, read_rows
from extractor.backends.scripted import Backend
from extractor.config import RunConfig
from extractor.data import Json, Record
from extractor.errors import OutputMismatch, SchemaError
from extractor.pipeline import Pipeline
from extractor.sinks import SinkOptions, open_sink
from extractor.storage.rows import from_row, to_row
from extractor.task.redaction import MASK
from extractor.task.schema_report import report
from extractor.task.task import make_task
from tests.builders import a_document
from tests.sinks.reading import read

TEXT = "签订日期：二〇二四年三月五日，总价12.5万元，押金300。电话138-0013-8000，备用3/4/2024。明细：茶 ¥12，杯 8元。"
ITEM = {"type": "object", "properties": {"名": {"type": "string"}, "价": {"type": "string", "x-normalize": "money"}}}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "日期": {"type": "string", "x-normalize": "date"},
        "总价": {"anyOf": [{"type": "string"}, {"type": "null"}], "x-normalize": "money"},
        "押金": {"type": "string", "x-normalize": "money"},
        "电话": {"type": "string", "x-normalize": "phone", "x-sensitive": True},
        "备用": {"type": "string", "x-normalize": "date"},
        "数": {"type": "number", "x-normalize": "number"},
        "明细": {"type": "array", "items": ITEM},
    },
}
DATA = {
    "日期": "二〇二四年三月五日",
    "总价": "12.5",
    "押金": "300",
    "电话": "138-0013-8000",
    "备用": "3/4/2024",
    "数": 125000,
    "明细": [{"名": "茶", "价": "12"}, {"名": "杯", "价": "8元"}],
}
FORMS = {
    "/日期": "2024-03-05",
    "/总价": "125000",
    "/电话": "+8613800138000",
    "/数": "125000",
    "/明细/0/价": "12",
    "/明细/1/价": "8",
}
TASK = make_task(SCHEMA)


def _record(data: Json = DATA, schema: Json = SCHEMA, **config: Any) -> Record:
    backend = Backend(answer=lambda _: json.dumps(data, ensure_ascii=False))
    (record,) = Pipeline(make_task(schema), backend, RunConfig(**config)).run([a_document(TEXT)])
    return record


def test_each_value_that_leaves_no_doubt_has_its_form_and_the_verbatim_value_stays() -> None:
    record = _record()
    assert (record.status, record.data) == ("ok", DATA)
    assert record.normalized == FORMS
    assert from_row(to_row(record)) == record


def test_a_value_without_a_place_has_no_form() -> None:
    schema = {
        "type": "object",
        "properties": {"日期": {"type": "string", "x-normalize": "date", "x-ungrounded": "keep"}},
    }
    record = _record({"日期": "2031年1月1日"}, schema)
    assert (record.data, record.normalized) == ({"日期": "2031年1月1日"}, {})


def test_places_that_disagree_give_no_form() -> None:
    schema = {"type": "object", "properties": {"价": {"type": "string", "x-normalize": "money"}}}
    backend = Backend(answer=lambda _: '{"价": "12"}')
    for text, form in (("共12元，¥12", "12"), ("共12元，12万元", None), ("共12元，12人", "12")):
        pipeline = Pipeline(make_task(schema), backend, RunConfig(all_occurrences=True))
        (record,) = pipeline.run([a_document(text)])
        assert record.normalized.get("/价") == form, text


def test_the_form_of_a_sensitive_value_is_masked_with_it() -> None:
    record = _record(redact=True)
    assert record.normalized == FORMS | {"/电话": MASK}
    assert "138" not in json.dumps([record.data, dict(record.normalized)])


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".sqlite", ".parquet", ".xlsx"])
def test_every_format_has_the_forms_in_columns_of_their_own_and_gives_them_back(tmp_path: Path, suffix: str) -> None:
    out, record = tmp_path / f"rows{suffix}", _record()
    for changed in (record, Record("e", "ok", record.source, record.run, DATA)):
        with open_sink(str(out), SinkOptions(record.run.fingerprint, task=TASK)) as sink:
            sink.write(changed)
    if suffix != ".jsonl":
        row, empty = read(out)
        names = ("日期", "总价", "押金", "电话", "备用")
        texts = ["" if row[f"{name}.normalized"] is None else str(row[f"{name}.normalized"]) for name in names]
        assert texts == ["2024-03-05", "125000", "", "+8613800138000", ""]
        assert not empty["日期.normalized"]
        assert "明细.normalized" not in row
    first, second = (row for _, row in read_rows(str(out), Notes(), task=TASK))
    assert (first["normalized"], second["normalized"]) == (FORMS, {})
    assert first["data"] == DATA


def test_an_amount_is_a_number_in_a_workbook_and_text_elsewhere(tmp_path: Path) -> None:
    record = _record()
    for suffix in (".xlsx", ".sqlite", ".parquet"):
        with open_sink(str(tmp_path / f"rows{suffix}"), SinkOptions(record.run.fingerprint, task=TASK)) as sink:
            sink.write(record)
    assert read(tmp_path / "rows.xlsx")[0]["总价.normalized"] == 125000
    assert pq.read_table(tmp_path / "rows.parquet")["总价.normalized"].to_pylist() == ["125000"]
    with closing(sqlite3.connect(tmp_path / "rows.sqlite")) as database:
        assert database.execute('SELECT "总价.normalized", sum("总价.normalized") FROM records').fetchall() == [
            ("125000", 125000)
        ]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".sqlite", ".parquet", ".xlsx"])
def test_rows_of_values_have_the_form_beside_the_value(tmp_path: Path, suffix: str) -> None:
    out, record = tmp_path / f"rows{suffix}", _record()
    with open_sink(str(out), SinkOptions(record.run.fingerprint, task=TASK, flatten=True)) as sink:
        sink.write(record)
    rows = {row["pointer"]: row["normalized"] or None for row in read(out, "entities")}
    assert {pointer: form for pointer, form in rows.items() if form} == FORMS
    ((_, whole),) = read_rows(str(out), Notes(), task=TASK)
    assert whole["normalized"] == FORMS


def test_a_field_that_is_called_like_the_column_of_a_form_is_a_field(tmp_path: Path) -> None:
    properties = {name: {"type": "string"} for name in ("甲", "甲.normalized", "ID", "ID.normalized")}
    task, data = make_task({"properties": properties}), dict.fromkeys(properties, "x")
    out = tmp_path / "rows.csv"
    record = _record({}, {"properties": properties})
    with open_sink(str(out), SinkOptions(record.run.fingerprint, task=task)) as sink:
        sink.write(Record("a", "ok", record.source, record.run, data))
    ((_, row),) = read_rows(str(out), Notes(), task=task)
    assert row["data"] == data


def test_a_csv_file_of_other_columns_is_not_added_to(tmp_path: Path) -> None:
    out, record = tmp_path / "rows.csv", _record()
    with open_sink(str(out), SinkOptions(record.run.fingerprint, task=TASK)) as sink:
        sink.write(record)
    rows = list(csv.reader(out.read_text("utf-8").splitlines()))
    at = rows[0].index("normalized")
    with out.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([row[:at] + row[at + 1 :] for row in rows])
    before = out.read_bytes()
    with (
        pytest.raises(OutputMismatch, match=r"has other columns \(normalized\)"),
        open_sink(str(out), SinkOptions(record.run.fingerprint, task=TASK)),
    ):
        pass
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"type": "string", "x-normalize": "day"}, r"/properties/a.*x-normalize is 'day'.*date, number, money, phone"),
        ({"type": "string", "x-normalize": ["date"]}, r"x-normalize is \['date'\]"),
        ({"type": "array", "items": {}, "x-normalize": "date"}, r"/properties/a.*say it of the items"),
        ({"type": "boolean", "x-normalize": "number"}, r"is for text and numbers"),
    ],
)
def test_a_keyword_that_says_nothing_sensible_is_refused_at_load(field: Json, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        make_task({"type": "object", "properties": {"a": field}})


def test_the_check_of_a_schema_shows_what_is_normalized() -> None:
    found = [(each.pointer, each.message) for each in report(TASK) if each.code == "normalized"]
    assert [pointer for pointer, _ in found] == ["/日期", "/总价", "/押金", "/电话", "/备用", "/数", "/明细"]
    assert found[1][1] == "`normalized` has its values as amounts in yuan as well, where the text leaves no doubt"
    never = make_task({"properties": {"a": {"type": "string", "x-ground": "none", "x-normalize": "date"}}})
    assert any("are never normalized" in each.message for each in report(never))
