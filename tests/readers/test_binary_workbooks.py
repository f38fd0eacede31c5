"""Excel's binary workbooks: a row reads exactly as that of an `.xlsx`, with what is shown and what is hidden."""

import datetime
import io
import struct
import zipfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import pytest

from extractor.data import Document
from tests.readers.binary_workbooks import BinarySheet, xls, xlsb
from tests.readers.conftest import Read, failure, locations, only, texts
from tests.readers.making import locked_office, workbook, zipped

Write = Callable[[Mapping[str, BinarySheet]], bytes]
BOTH = pytest.mark.parametrize(("suffix", "write"), [(".xls", xls), (".xlsb", xlsb), (".et", xls)])
DAY = datetime.datetime(2024, 1, 5)
SERIAL = (DAY - datetime.datetime(1899, 12, 30)).days
ROWS: list[list[Any]] = [
    ["姓名", "电话", "占比", "金额", "日期", "在职", "备注", "编号"],
    ["张三", 13800138000, (0.256, "0.0%"), (1234.5, "#,##0.00"), (SERIAL, "yyyy/m/d"), True, "两\n行", 12345678901234],
    ["李四", 139, (1, "0%"), (-5.0, '"¥"0.00'), (SERIAL, "mm-dd-yy"), False, "#N/A", 0.1],
    ["王五", None, None, (7, '0"号"'), (SERIAL + 0.5, "yyyy-mm-dd hh:mm"), None, " x ", 1e15],
]


def _as_xlsx(rows: list[list[Any]]) -> bytes:
    """The same rows in a workbook of today."""
    plain = [[cell[0] if isinstance(cell, tuple) else cell for cell in row] for row in rows]

    def change(book: Any) -> None:
        for r, row in enumerate(rows, 1):
            for c, cell in enumerate(row, 1):
                if isinstance(cell, tuple):
                    book["表"].cell(r, c).number_format = cell[1]

    return workbook({"表": plain}, change)


@BOTH
@pytest.mark.parametrize("rows", ["split", "whole"])
def test_a_row_reads_exactly_as_in_a_workbook_of_today(read: Read, suffix: str, write: Write, rows: str) -> None:
    old = read(f"a{suffix}", write({"表": BinarySheet(ROWS)}), rows=rows)
    new = read("a.xlsx", _as_xlsx(ROWS), rows=rows)
    assert [item.text for item in old if isinstance(item, Document)] == [
        item.text for item in new if isinstance(item, Document)
    ]
    assert [item.id.replace(suffix, ".xlsx") for item in old] == [item.id for item in new]
    assert locations(only(old[:1])) == locations(only(new[:1]))
    assert "2024/1/5" in only(old[:1]).text


@BOTH
def test_what_is_hidden_is_left_out_and_named_once(read: Read, suffix: str, write: Write) -> None:
    rows = [["姓名", "底价", "电话"], ["张三", 5, 138], ["李四", 6, 139], ["王五", 7, 137]]
    sheet = BinarySheet(rows, hidden_rows=[2, 40], hidden_columns=[1, 9])
    data = write({"S": sheet, "工资": BinarySheet([["甲", "乙"], [1, 2]], state=1)})
    found = read(f"a{suffix}", data)
    assert texts(found) == {f"a{suffix}#S!2": "姓名: 张三\n电话: 138", f"a{suffix}#S!4": "姓名: 王五\n电话: 137"}
    assert [item.source.notes for item in found] == [
        ("left out: 1 hidden row, 1 hidden column, 1 hidden sheet (工资)",), ()
    ]  # fmt: skip
    shown = read(f"a{suffix}", data, hidden=True)
    assert len(shown) == 4
    assert {item.source.notes for item in shown} == {()}


@BOTH
def test_a_merged_cell_reaches_each_of_its_rows(read: Read, suffix: str, write: Write) -> None:
    rows = [["部门", "姓名"], ["销售部", "张三"], [None, "李四"], [None, "王五"]]
    found = read(f"a{suffix}", write({"S": BinarySheet(rows, merged=[(1, 2, 0, 0)])}))
    assert list(texts(found).values()) == ["部门: 销售部\n姓名: 张三", "部门: 销售部\n姓名: 李四", "姓名: 王五"]


@BOTH
def test_a_sheet_that_spans_too_many_cells_is_refused_before_it_is_laid_out(
    read: Read, suffix: str, write: Write
) -> None:
    corner = (65_535, 255) if write is xls else (1_048_575, 16_383)
    wide = BinarySheet([["a"]], at={corner: "b"})
    sheets = {f"S{number}": wide for number in range(5 if write is xls else 1)}
    assert failure(read(f"a{suffix}", write(sheets))).code == "bomb"


def test_a_built_in_format_of_chinese_excel_is_a_date(read: Read) -> None:
    data = bytearray(xls({"S": BinarySheet([["日期", "x"], [(45356, "#"), 1]])}))
    number = data.index(struct.pack("<HHHH", 0x00E0, 20, 0, 165)) + 6
    data[number : number + 2] = struct.pack("<H", 31)
    assert only(read("a.xls", bytes(data))).text == "日期: 2024年3月5日\nx: 1"


def test_a_locked_workbook_says_so_and_opens_with_its_password(read: Read) -> None:
    locked = xls({"S": BinarySheet(ROWS)}, struct.pack("<HHHHH", 0x002F, 6, 0, 0x1234, 0x5678))
    problem = failure(read("a.xls", locked))
    assert (problem.code, "--password" in problem.message) == ("locked", True)
    many = [["编号", "散列"], *([n, sha256(bytes([n % 256])).hexdigest()] for n in range(300))]
    data = locked_office(xlsb({"S": BinarySheet(many)}), "secret")
    assert failure(read("a.xlsb", data)).code == "locked"
    assert len(read("a.xlsb", data, password="secret")) == 300


def test_a_web_page_or_a_text_that_calls_itself_xls_is_read_as_what_it_is(read: Read) -> None:
    assert only(read("a.xls", "<html><table><tr><td>甲<td>乙</table></html>")).text == "甲\t乙"
    assert only(read("a.xls", "姓名\t电话\n张三\t138\n")).text == "姓名\t电话\n张三\t138\n"
    assert failure(read("a.xls", b"gimp xcf v011\0\0\0")).code == "mislabelled"


def test_a_workbook_without_a_filled_cell_is_empty(read: Read) -> None:
    assert failure(read("a.xls", xls({"S": BinarySheet([])}))).code == "empty"


def test_a_strict_workbook_reads_as_any_other(read: Read) -> None:
    with zipfile.ZipFile(io.BytesIO(_as_xlsx(ROWS))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    usual = b"http://schemas.openxmlformats.org/"
    for kind in (b"spreadsheetml", b"officeDocument", b"drawingml"):
        for name, data in members.items():
            members[name] = data.replace(usual + kind + b"/2006/", b"http://purl.oclc.org/ooxml/" + kind + b"/")
    strict = read("a.xlsx", zipped(members))
    assert texts(strict) == texts(read("a.xlsx", _as_xlsx(ROWS)))
