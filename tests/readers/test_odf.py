"""OpenDocument: texts and spreadsheets as their program shows them, compared with the library that writes them."""

import io
from typing import Any

from odf import teletype
from odf.draw import Frame, TextBox
from odf.office import Annotation
from odf.opendocument import OpenDocumentSpreadsheet, OpenDocumentText, load
from odf.style import Footer, Header, MasterPage, PageLayout, Style, TableProperties, TextProperties
from odf.table import CoveredTableCell, Table, TableCell, TableColumn, TableRow
from odf.text import (
    A,
    H,
    LineBreak,
    List,
    ListItem,
    Note,
    NoteBody,
    NoteCitation,
    P,
    S,
    Span,
    Tab,
)

from tests.readers.conftest import Read, failure, locations, only, texts
from tests.readers.making import recall, zipped
from tests.readers.texts import TEXTS


def _bytes(document: Any) -> bytes:
    out = io.BytesIO()
    document.write(out)
    return out.getvalue()


def _table(rows: list[list[str]], name: str = "T") -> Any:
    table = Table(name=name)
    for row in rows:
        line = TableRow()
        table.addElement(line)
        for text in row:
            cell = TableCell()
            line.addElement(cell)
            if text:
                cell.addElement(P(text=text))
    return table


def _text(*elements: Any) -> Any:
    document = OpenDocumentText()
    for element in elements:
        document.text.addElement(element)
    return document


def test_paragraphs_lists_and_tables_come_in_the_order_of_the_body(read: Read) -> None:
    item = ListItem()
    item.addElement(P(text="第一条"))
    listed = List()
    listed.addElement(item)
    document = _text(
        H(outlinelevel=1, text="标题"), P(text="正文"), listed, _table([["甲", ""], ["", "乙"]]), P(text="尾")
    )
    found = only(read("a.odt", _bytes(document)))
    assert found.text == "标题\n正文\n第一条\n甲\n\t乙\n尾"
    assert locations(found) == [
        ("标题", {"paragraph": 1}),
        ("正文", {"paragraph": 2}),
        ("第一条", {"paragraph": 3}),
        ("甲", {"table": 1, "row": 1, "cell": 1}),
        ("乙", {"table": 1, "row": 2, "cell": 2}),
        ("尾", {"paragraph": 4}),
    ]


def test_spaces_tabs_breaks_notes_boxes_and_comments(read: Read) -> None:
    paragraph = P(text="手机")
    for element in (S(c=2), Span(text="号"), Tab(), LineBreak()):
        paragraph.addElement(element)
    note = Note(noteclass="footnote")
    note.addElement(NoteCitation(text="1"))
    body = NoteBody()
    body.addElement(P(text="脚注"))
    note.addElement(body)
    comment = Annotation()
    comment.addElement(P(text="批注"))
    box = TextBox()
    box.addElement(P(text="框内"))
    frame = Frame()
    frame.addElement(box)
    for element in (note, comment, frame):
        paragraph.addElement(element)
    found = only(read("a.odt", _bytes(_text(paragraph, P(text="后")))))
    assert found.text == "手机  号\t\n\n框内\n后\n脚注"
    assert dict(locations(found))["脚注"] == {"footnote": 1}


def test_headers_come_first_and_footers_last(read: Read) -> None:
    document = _text(P(text="正文"))
    layout = PageLayout(name="L")
    document.automaticstyles.addElement(layout)
    page = MasterPage(name="Standard", pagelayoutname=layout)
    for kind, text in ((Header, "页眉"), (Footer, "页脚")):
        element = kind()
        element.addElement(P(text=text))
        page.addElement(element)
    document.masterstyles.addElement(page)
    assert locations(only(read("a.odt", _bytes(document)))) == [
        ("页眉", {"header": 1}), ("正文", {"paragraph": 1}), ("页脚", {"footer": 1})
    ]  # fmt: skip


def test_deleted_and_hidden_words_are_left_out(read: Read) -> None:
    hidden = Style(name="H", family="text")
    hidden.addElement(TextProperties(display="none"))
    paragraph = P(text="明")
    paragraph.addElement(Span(stylename=hidden, text="暗"))
    document = _text(paragraph)
    document.automaticstyles.addElement(hidden)
    data = _bytes(document)
    assert only(read("a.odt", data)).text == "明"
    assert only(read("a.odt", data)).source.notes == ("left out: 1 hidden passage",)
    assert only(read("a.odt", data, hidden=True)).text == "明暗"


def test_the_target_of_a_link_is_beside_its_text(read: Read) -> None:
    paragraph = P(text="见")
    paragraph.addElement(A(href="https://example.com/a.pdf", text="合同全文"))
    paragraph.addElement(A(href="#place", text="，下文"))
    assert only(read("a.odt", _bytes(_text(paragraph)))).text == "见合同全文 (https://example.com/a.pdf)，下文"
    changes = (
        b"<text:tracked-changes><text:changed-region><text:deletion><text:p>gone</text:p></text:deletion>"
        b"</text:changed-region></text:tracked-changes>"
    )
    body = b"<office:text>" + changes + b"<text:p>kept</text:p></office:text>"
    assert only(read("b.odt", package("text", body))).text == "kept"


def test_a_text_is_that_which_its_library_reads(read: Read) -> None:
    lines = [line for language in TEXTS.values() for text in language for line in text.splitlines()]
    data = _bytes(_text(*[P(text=line) for line in lines], _table([lines[:3], lines[3:6]])))
    reference = teletype.extractText(load(io.BytesIO(data)).body)
    assert recall(only(read("a.odt", data)).text, reference) >= 0.99


def package(kind: str, body: bytes, styles: bytes = b"") -> bytes:
    names = b"".join(
        b' xmlns:%s="urn:oasis:names:tc:opendocument:xmlns:%s:1.0"' % (name, name)
        for name in (b"office", b"text", b"table", b"style")
    )
    content = b"<office:document-content%s>%s<office:body>%s</office:body></office:document-content>"
    return zipped({
        "mimetype": f"application/vnd.oasis.opendocument.{kind}".encode(),
        "content.xml": content % (names, styles, body),
        "META-INF/manifest.xml": b"<manifest/>",
    })  # fmt: skip


# Spreadsheets


def _book(*tables: Any) -> Any:
    document = OpenDocumentSpreadsheet()
    for table in tables:
        document.spreadsheet.addElement(table)
    return document


def test_a_row_of_a_spreadsheet_is_a_document_with_cells_as_they_are_shown(read: Read) -> None:
    found = read(
        "a.ods", _bytes(_book(_table([["姓名", "金额", "日期"], ["张三", "¥1,234.50", "2024年1月5日"]], "员工")))
    )
    assert texts(found) == {"a.ods#员工!2": "姓名: 张三\n金额: ¥1,234.50\n日期: 2024年1月5日"}
    assert locations(only(found))[1] == ("¥1,234.50", {"sheet": "员工", "cell": "B2"})
    whole = read("a.ods", _bytes(_book(_table([["a", "", "c"], [], ["d"]], "S"))), rows="whole")
    assert texts(whole) == {"a.ods#S": "a\t\tc\nd"}


def test_cells_of_a_library_that_writes_no_text_show_their_value(read: Read) -> None:
    body = (
        b'<office:spreadsheet><table:table table:name="S"><table:table-row>'
        b'<table:table-cell office:value-type="float" office:value="1.5"/>'
        b'<table:table-cell office:value-type="date" office:date-value="2024-01-05"/>'
        b'<table:table-cell office:value-type="string" office:string-value="x"/>'
        b"</table:table-row></table:table></office:spreadsheet>"
    )
    assert only(read("a.ods", package("spreadsheet", body))).text == "1.5\t2024-01-05\tx"


def test_hidden_rows_columns_and_sheets_are_left_out_and_named(read: Read) -> None:
    style = Style(name="Hide", family="table")
    style.addElement(TableProperties(display="false"))
    sheet = _table([["姓名", "底价", "电话"], ["张三", "5", "138"], ["李四", "6", "139"], ["王五", "7", "137"]], "S")
    sheet.insertBefore(TableColumn(), sheet.firstChild)
    sheet.insertBefore(TableColumn(visibility="collapse"), sheet.childNodes[1])
    sheet.childNodes[4].setAttribute("visibility", "collapse")
    secret = _table([["甲", "乙"], ["1", "2"]], "工资")
    secret.setAttribute("stylename", style)
    document = _book(sheet, secret)
    document.automaticstyles.addElement(style)
    found = read("a.ods", _bytes(document))
    assert texts(found) == {"a.ods#S!2": "姓名: 张三\n电话: 138", "a.ods#S!4": "姓名: 王五\n电话: 137"}
    assert found[0].source.notes == ("left out: 1 hidden row, 1 hidden column, 1 hidden sheet (工资)",)
    assert len(read("a.ods", _bytes(document), hidden=True)) == 4


def test_merged_and_repeated_cells_reach_where_they_are_shown(read: Read) -> None:
    sheet = _table([["部门", "姓名"]], "S")
    for name in ("张三", "李四"):
        row = TableRow()
        first = TableCell(numberrowsspanned=2) if name == "张三" else CoveredTableCell()
        first.addElement(P(text="销售部"))
        second = TableCell()
        second.addElement(P(text=name))
        row.addElement(first)
        row.addElement(second)
        sheet.addElement(row)
    again = TableRow(numberrowsrepeated=2)
    cell = TableCell(numbercolumnsrepeated=2)
    cell.addElement(P(text="同"))
    again.addElement(cell)
    sheet.addElement(again)
    assert texts(read("a.ods", _bytes(_book(sheet)))) == {
        "a.ods#S!2": "部门: 销售部\n姓名: 张三",
        "a.ods#S!3": "部门: 销售部\n姓名: 李四",
        "a.ods#S!4": "部门: 同\n姓名: 同",
        "a.ods#S!5": "部门: 同\n姓名: 同",
    }


def test_declared_repetitions_do_not_fill_the_memory(read: Read) -> None:
    cell = b'<table:table-cell table:number-columns-repeated="%d"><text:p>x</text:p></table:table-cell>'
    row = b'<table:table-row table:number-rows-repeated="%d">%s</table:table-row>'
    empty = b'<table:table-row table:number-rows-repeated="1048500"><table:table-cell/></table:table-row>'
    table = b'<office:spreadsheet><table:table table:name="S">%s</table:table></office:spreadsheet>'
    bomb = failure(read("a.ods", package("spreadsheet", table % (row % (10**9, cell % 10**9)))))
    assert bomb.code == "bomb"
    data = package("spreadsheet", table % (empty + row % (1, cell % 1)))
    assert list(texts(read("b.ods", data, rows="whole")).values()) == ["x"]


def test_an_encrypted_document_says_so(read: Read) -> None:
    data = zipped({
        "mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": b"\x01\x02",
        "META-INF/manifest.xml": b"<manifest:encryption-data/>",
    })  # fmt: skip
    assert failure(read("a.odt", data)).code == "locked"


def test_a_spreadsheet_under_the_suffix_of_a_text_is_mislabelled(read: Read) -> None:
    assert "rename it to .ods" in failure(read("a.odt", _bytes(_book(_table([["a", "b"]]))))).message
    assert texts(read("unnamed", _bytes(_text(P(text="x"))))) == {"unnamed": "x"}
