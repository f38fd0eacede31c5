"""A workbook holds every value whole, as text or as the number that it is, and nothing in it is ever computed."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook
from python_calamine import load_workbook as calamine

from extractor.data import Record
from extractor.errors import OutputError, UsageError
from extractor.sinks import SinkOptions, open_sink, xlsx
from extractor.sinks.xlsx import escape, unescape
from extractor.task.task import make_task
from tests.sinks.reading import ids, read
from tests.sinks.records import failed, record, sha

PROPERTIES: dict[str, Any] = {"值": {}, "数": {"type": "integer"}, "量": {"type": "number"}, "是": {"type": "boolean"}}
TASK = make_task({"type": "object", "properties": {"文": {"type": "string"}, **PROPERTIES}})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "rows.xlsx"


def _write(out: Path, *records: Record, **options: Any) -> None:
    with open_sink(str(out), SinkOptions("f1", task=TASK, **options)) as sink:
        for each in records:
            sink.write(each)


def _texts(out: Path) -> dict[str, str]:
    """The field `文` of each document, as the commands that read results have it."""
    return {row["id"]: row["data"]["文"] for _, row in xlsx.read_rows(str(out)) if row}


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|'/C calc'!A0", "#N/A", "123", "1e5", "2024-03-05"]
)
def test_text_is_text_whatever_it_looks_like(out: Path, text: str) -> None:
    _write(out, record(text, data={"文": text}))
    sheet = load_workbook(io.BytesIO(out.read_bytes()))["records"]
    cells = {str(sheet.cell(1, column).value): sheet.cell(2, column) for column in range(1, sheet.max_column + 1)}
    assert [(cells[name].value, cells[name].data_type, cells[name].number_format) for name in ("id", "文")] == [
        (text, "s", "@")
    ] * 2
    assert "<f>" not in zipfile.ZipFile(out).read("xl/worksheets/sheet1.xml").decode()
    row = calamine(str(out)).get_sheet_by_name("records").to_python()[1]
    assert row[0] == text


def test_no_name_of_a_column_is_a_formula(out: Path) -> None:
    task = make_task({"properties": {"=1+1": {"type": "string"}}})
    with open_sink(str(out), SinkOptions("f1", task=task)) as sink:
        sink.write(record("a", data={"=1+1": "x"}))
    sheet = load_workbook(io.BytesIO(out.read_bytes()))["records"]
    (cell,) = (cell for cell in sheet[1] if cell.value == "=1+1")
    assert cell.data_type == "s"


def test_numbers_and_truth_values_are_what_they_are_as_far_as_excel_keeps_every_digit(out: Path) -> None:
    kept, long = 999_999_999_999_999, 62262001234567890
    _write(out, record("a", data={"数": kept, "量": 12.5, "是": True}), record("b", data={"数": long, "量": 1e300}))
    first, second = read(out)
    assert [first[name] for name in ("数", "量", "是", "record", "seconds")] == [kept, 12.5, True, 2, 0.123]
    assert (second["数"], second["量"]) == (str(long), 1e300)


@pytest.mark.parametrize(
    "text", ["a\0b", "\x0b", "a\r\nb\rc", "\ufffe", "_x0041_", "_x005F_x", "\t\n tail ", "😀", "_x_"]
)
def test_characters_that_xml_does_not_have_come_back(out: Path, text: str) -> None:
    assert unescape(escape(text)) == text
    _write(out, record("a", data={"文": text}), record("b", data={"文": "x"}))
    assert _texts(out) == {"a": text, "b": "x"}


@pytest.mark.parametrize("length", [32_767, 32_768, 100_000])
@pytest.mark.parametrize("piece", ["文", "😀", "\x01", "_x0041_"])
def test_no_text_is_cut_off(out: Path, length: int, piece: str) -> None:
    text = (piece * length)[:length]
    _write(out, record("a", data={"文": "x"}), record("b", data={"文": text}), record("c", data={"文": text}))
    _write(out, record("d", data={"文": "y"}))
    book = load_workbook(io.BytesIO(out.read_bytes()))
    texts = [cell.value for sheet in book for row in sheet for cell in row if isinstance(cell.value, str)]
    assert max(len(each.encode("utf-16-le")) // 2 for each in texts) <= xlsx.LONGEST_CELL
    assert ("long" in book.sheetnames) == (length > 32_767 or piece != "文")
    assert _texts(out) == {"a": "x", "b": text, "c": text, "d": "y"}


@pytest.mark.parametrize("flatten", [False, True])
def test_rows_beyond_those_of_a_sheet_go_on_in_another(
    out: Path, flatten: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx, "MOST_ROWS", 3)
    _write(out, *(record(name, data={"文": name, "数": 1}) for name in "abc"), failed("d"), flatten=flatten)
    _write(out, record("e", data={"文": "e"}), flatten=flatten)
    name, count = ("entities", 8) if flatten else ("records", 5)
    wanted = [name, *(f"{name} {number}" for number in range(2, 1 + -(-count // 2)))]
    assert load_workbook(io.BytesIO(out.read_bytes())).sheetnames == wanted
    assert list(dict.fromkeys(ids(out, name))) == ["a", "b", "c", "d", "e"]
    with open_sink(str(out), SinkOptions("f1", task=TASK, flatten=flatten)) as sink:
        assert [sink.done(each, sha("文")) for each in "acdf"] == ["ok", "ok", "failed", None]


def test_what_a_killed_run_left_beside_the_file_is_read_and_folded_in(out: Path) -> None:
    _write(out, record("a", data={"文": "一"}))
    _write(out.with_name("left.jsonl"), record("b", data={"文": "二"}))
    out.with_name("left.jsonl").rename(f"{out}.open.jsonl")
    assert ids(out) == ["a"]
    assert _texts(out) == {"a": "一", "b": "二"}
    _write(out)
    assert ids(out) == ["a", "b"]
    assert not Path(f"{out}.open.jsonl").exists()


def test_a_workbook_with_a_sheet_of_somebody_is_refused_and_left_alone(out: Path) -> None:
    _write(out, record("a", data={"文": "一"}))
    book = load_workbook(io.BytesIO(out.read_bytes()))
    book.create_sheet("Totals")
    book.save(out)
    before = out.read_bytes()
    with pytest.raises(OutputError, match=r"the sheet 'Totals' is not of a run.*Choose another -o"):
        _write(out, record("b"))
    assert out.read_bytes() == before
    book = Workbook()
    book.active.title = "records"
    book.active.append(["name", "phone"])
    book.save(out)
    out.with_name("rows.xlsx.run.json").unlink()
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="does not name the columns of a run"):
            _write(out, record("b"), overwrite=overwrite)


def test_a_workbook_that_was_saved_by_somebody_is_resumed(out: Path) -> None:
    _write(out, record("a", data={"文": "007", "值": [1], "数": 7, "是": True}))
    load_workbook(io.BytesIO(out.read_bytes())).save(out)
    _write(out, record("b", data={"文": "008"}))
    first, second = read(out)
    assert (first["文"], json.loads(first["值"]), first["数"], first["是"]) == ("007", [1], 7, True)
    assert (second["id"], second["文"]) == ("b", "008")


def test_more_fields_than_a_sheet_has_columns_are_refused_before_the_run(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx, "MOST_COLUMNS", 20)
    with pytest.raises(UsageError, match=r"A sheet has 20 columns.*\.jsonl or \.parquet"):
        open_sink(str(out), SinkOptions("f1", task=TASK))
    assert not out.exists()


def test_fields_that_are_called_like_columns_of_rows_of_values_are_fields(out: Path) -> None:
    task = make_task({"properties": {name: {"type": "string"} for name in ("row", "rows", "data", "source")}})
    data = {"row": "1", "rows": "1", "data": "d", "source": "s"}
    for name in "ab":
        with open_sink(str(out), SinkOptions("f1", task=task)) as sink:
            sink.write(record(name, data=data))
    assert [{name: row[name] for name in data} for row in read(out)] == [data, data]
