"""Excel: cells as people see them, rows or sheets as documents, and the location of each cell."""

import collections
import datetime
import io
import itertools
import zipfile
from typing import Any

import pytest

from extractor.readers._support import sheets
from extractor.readers._support.limits import Bomb
from extractor.readers._support.number_formats import shown
from tests.readers.conftest import Read, failure, locations, only, texts
from tests.readers.making import locked_office, workbook, zipped

STAFF = {"员工": [["姓名", "电话", "备注"], ["张三", 13800138000, None], [], ["李四", "139", "急"]]}
MOMENT = datetime.datetime(2024, 1, 5, 14, 3, 9)


def test_a_row_below_the_header_is_a_document(read: Read) -> None:
    first, second = read("a.xlsx", workbook(STAFF))
    assert texts([first, second]) == {
        "a.xlsx#员工!2": "姓名: 张三\n电话: 13800138000",
        "a.xlsx#员工!4": "姓名: 李四\n电话: 139\n备注: 急",
    }
    assert first.source.path == "a.xlsx#员工!2"
    assert locations(only([first])) == [
        ("张三", {"sheet": "员工", "cell": "A2"}),
        ("13800138000", {"sheet": "员工", "cell": "B2"}),
    ]


def test_a_sheet_can_be_one_document(read: Read) -> None:
    document = only(read("a.xlsx", workbook(STAFF | {"空": []}), rows="whole"))
    assert document.id == "a.xlsx#员工"
    assert document.text == "姓名\t电话\t备注\n张三\t13800138000\n李四\t139\t急"
    assert document.location(document.text.index("急")) == {"sheet": "员工", "cell": "C4"}


def test_each_sheet_has_its_own_header(read: Read) -> None:
    data = workbook({"一": [["甲", "乙"], [1, 2]], "二": [["丙", "丁"], [3, 4]]})
    assert texts(read("a.xlsx", data)) == {"a.xlsx#一!2": "甲: 1\n乙: 2", "a.xlsx#二!2": "丙: 3\n丁: 4"}


def test_a_title_above_the_header_begins_the_text_of_every_row(read: Read) -> None:
    data = workbook({"S": [["2024年通讯录"], ["姓名", "电话"], ["张三", 1], ["李四", 2]]})
    assert texts(read("a.xlsx", data)) == {
        "a.xlsx#S!3": "2024年通讯录\n姓名: 张三\n电话: 1",
        "a.xlsx#S!4": "2024年通讯录\n姓名: 李四\n电话: 2",
    }


def test_a_sheet_of_one_row_is_not_lost(read: Read) -> None:
    assert texts(read("a.xlsx", workbook({"S": [["只有", "一行"]]}))) == {"a.xlsx#S": "只有\t一行"}


@pytest.mark.parametrize("title", [[], [["2026年客户"]]])
def test_a_header_alone_that_names_the_text_or_the_id_is_no_document(read: Read, title: list[list[str]]) -> None:
    assert read("a.xlsx", workbook({"S": [*title, ["id", "姓名"]], "T": []})) == []
    assert read("a.xlsx", workbook({"S": [*title, ["正文", "姓名"]]}), text_field="正文") == []
    both = workbook({"S": [*title, ["id", "姓名"]], "T": [["id", "姓名"], ["7", "张三"]]})
    assert texts(read("a.xlsx", both)) == {"7": "id: 7\n姓名: 张三"}
    assert len(read("a.xlsx", workbook({"S": [["id", "姓名"]]}), rows="whole")) == 1


def test_columns_can_hold_text_and_id(read: Read) -> None:
    data = workbook({"S": [["编号", "内容"], ["k1", "正文"], ["k2", None]]})
    assert texts(read("a.xlsx", data, id_field="编号", text_field="内容")) == {"k1": "正文", "k2": "!empty"}


def test_a_row_keeps_its_id_when_others_change(read: Read) -> None:
    before = read("a.xlsx", workbook(STAFF))
    after = read("a.xlsx", workbook({"员工": [["姓名", "电话", "备注"], ["王五", 1, 2], [], ["李四", "139", "急"]]}))
    assert [item.id for item in before] == [item.id for item in after]
    assert before[1].source.sha256 == after[1].source.sha256
    assert before[0].source.sha256 != after[0].source.sha256


SHOWN = [
    (1234.5, "General", "1234.5"),
    (0.1 + 0.2, "General", "0.3"),
    (13800138000.0, "General", "13800138000"),
    (330106199001011234, "0", "330106199001011234"),
    (1234.5, "#,##0.00", "1,234.50"),
    (-1234.5, "¥#,##0.00;¥-#,##0.00", "¥-1,234.50"),
    (1234567, "#,##0,", "1,235"),
    (1.005, "0.00", "1.01"),
    (0.256, "0.0%", "25.6%"),
    (5, "000000", "000005"),
    (13800138000, "000-0000-0000", "138-0013-8000"),
    (1234.5, "[$¥-804]#,##0.00", "¥1,234.50"),
    (99, '"第"0"号;"', "第99号;"),
    (12345, "0.00E+00", "1.23E+04"),
    (-5, "0;(0)", "(5)"),
    (-3, "0.0;[Red]-0.0", "-3.0"),
    (0, '0;-0;"零"', "零"),
    (0, "0.00;-0.00;;@", ""),
    (50, '[>=100]"高"0;"低"0', "低50"),
    (True, "General", "TRUE"),
    (MOMENT, "yyyy-mm-dd hh:mm:ss", "2024-01-05 14:03:09"),
    (MOMENT, "mm-dd-yy", "2024-01-05 14:03:09"),
    (datetime.datetime(2024, 1, 5), "mm-dd-yy", "2024-01-05"),
    (MOMENT, 'yyyy"年"m"月"d"日"', "2024年1月5日"),
    (MOMENT, "[$-409]d\\-mmm\\-yy;@", "5-Jan-24"),
    (MOMENT, "m/d/yyyy h:mm AM/PM", "1/5/2024 2:03 PM"),
    (MOMENT, "yyyy/m/d aaaa", "2024/1/5 星期五"),
    (MOMENT, '上午/下午h"时"mm"分"', "下午2时03分"),
    (MOMENT, "mm:ss.0", "03:09.0"),
    (datetime.time(9, 5), "h:mm", "9:05"),
    (datetime.timedelta(hours=30, minutes=2), "[h]:mm:ss", "30:02:00"),
    ("文本", "0.00", "文本"),
    (1234567, '0.0,,"M"', "1.2M"),
    (1234567, '#,##0.0,"千"', "1,234.6千"),
    (1234567, '0!.0,"万"', "123.5万"),
    (45356, "[$-804]aaaa;@", "星期二"),
    (45356.5, "aaa", "二"),
    (110101199001011234.0, "0", "110101199001011000"),
]


@pytest.mark.parametrize(("value", "code", "expected"), SHOWN)
def test_a_value_is_shown_as_its_format_says(value: object, code: str, expected: str) -> None:
    assert shown(value, code) == expected


def test_formats_and_long_numbers_survive_the_file(read: Read) -> None:
    def change(book: Any) -> None:
        book["S"]["A1"].number_format = "yyyy/m/d"
        book["S"]["B1"].number_format = '"¥"#,##0.00'

    data = workbook({"S": [[datetime.date(2024, 1, 5), 1234.5, "007", True, "两\n行"]]}, change)
    assert only(read("a.xlsx", data, rows="whole")).text == "2024/1/5\t¥1,234.50\t007\tTRUE\t两\n行"


def test_what_excel_hides_is_left_out_unless_it_is_asked_for(read: Read) -> None:
    def change(book: Any) -> None:
        book["S"].row_dimensions[3].hidden = True
        book["S"].column_dimensions["B"].hidden = True
        book["T"].sheet_state = "hidden"

    rows = [["姓名", "底价", "电话"], ["张三", 5, 138], ["李四", 6, 139], ["王五", 7, 137]]
    data = workbook({"S": rows, "T": [["甲", "乙"], [1, 2]]}, change)
    assert texts(read("a.xlsx", data)) == {"a.xlsx#S!2": "姓名: 张三\n电话: 138", "a.xlsx#S!4": "姓名: 王五\n电话: 137"}
    assert len(read("a.xlsx", data, hidden=True)) == 4
    assert "底价: 6" in texts(read("a.xlsx", data, hidden=True))["a.xlsx#S!3"]


def test_a_merged_cell_reaches_each_of_its_rows(read: Read) -> None:
    def change(book: Any) -> None:
        book["S"].merge_cells("A2:A3")

    data = workbook({"S": [["部门", "姓名"], ["销售部", "张三"], [None, "李四"], [None, "王五"]]}, change)
    assert list(texts(read("a.xlsx", data)).values()) == [
        "部门: 销售部\n姓名: 张三", "部门: 销售部\n姓名: 李四", "姓名: 王五",
    ]  # fmt: skip
    assert only(read("a.xlsx", data, rows="whole")).text == "部门\t姓名\n销售部\t张三\n\t李四\n\t王五"


def test_merged_cells_do_not_multiply_a_sheet_without_a_limit() -> None:
    marks = sheets.SheetMarks(frozenset(), frozenset(), {(1, column): 10**6 for column in range(1, 1001)})
    first = sheets.SheetRow(1, [sheets.Cell("A1", column, "x") for column in range(1, 1001)])
    rows = itertools.chain([first], (sheets.SheetRow(n, [sheets.Cell("ZZ", 2000, "y")]) for n in itertools.count(2)))
    with pytest.raises(Bomb):
        collections.deque(marks.spread(rows), maxlen=0)


def test_a_formula_that_was_never_calculated_is_shown_as_the_formula(read: Read) -> None:
    data = workbook({"S": [["单价", "数量", "合计"], [2, 3, "=A2*B2"]]})
    assert only(read("a.xlsx", data)).text == "单价: 2\n数量: 3\n合计: =A2*B2"


def test_a_formula_is_shown_as_its_value(read: Read) -> None:
    data = workbook({"S": [["单价", "合计"], [2, "=A2*3"]]})
    members = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            members[name] = (
                archive.read(name).replace(b"</f><v></v>", b"</f><v>6</v>").replace(b"</f><v/>", b"</f><v>6</v>")
            )
    assert only(read("a.xlsx", zipped(members))).text == "单价: 2\n合计: 6"


def test_a_locked_workbook_opens_with_its_password_only(read: Read) -> None:
    data = locked_office(workbook(STAFF), "secret")
    assert len(read("a.xlsx", data, password="secret")) == 2
    assert failure(read("a.xlsx", data)).code == "locked"


def test_rows_that_hide_and_never_end_take_a_time_linear_in_their_number(read: Read) -> None:
    """A search for the value of each that went on to the end of the sheet took minutes."""
    data = workbook({"表": [["甲", "乙"], ["1", "2"]]})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    sheet = next(name for name in members if name.startswith("xl/worksheets/"))
    rows = b'<row r="1" hidden="1">' * 200_000
    members[sheet] = members[sheet].replace(b"<sheetData>", b"<sheetData>" + rows)
    assert failure(read("a.xlsx", zipped(members), timeout=60.0)).code == "damaged"


def test_an_empty_workbook_is_empty(read: Read) -> None:
    assert failure(read("a.xlsx", workbook({"S": [], "T": [[" "]]}))).code == "empty"


def test_a_sheet_above_the_limit_is_too_large(read: Read) -> None:
    data = workbook({"S": [["长" * 10, "字" * 10]] * 2000})
    assert failure(read("a.xlsx", data, rows="whole", max_bytes=len(data) + 10)).code == "too-large"
