"""Word: everything that can be seen on its pages, in order, and in which paragraph or cell it is."""

from typing import Any

from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from tests.readers.conftest import Read, failure, locations, only
from tests.readers.making import locked_office, word, zipped

W = nsdecls("w")
RUN = '<w:r><w:t xml:space="preserve">{}</w:t></w:r>'
TEXT_BOX = (
    '<w:p {w} xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"><w:r><w:t>前</w:t></w:r><w:r>'
    "<mc:AlternateContent><mc:Choice Requires='wps'><w:drawing><w:txbxContent><w:p><w:r><w:t>框内</w:t></w:r></w:p>"
    "</w:txbxContent></w:drawing></mc:Choice><mc:Fallback><w:pict><w:txbxContent><w:p><w:r><w:t>框内</w:t></w:r></w:p>"
    "</w:txbxContent></w:pict></mc:Fallback></mc:AlternateContent></w:r><w:r><w:t>后</w:t></w:r></w:p>"
)


def _paragraph(document: Any, *inner: str) -> None:
    document.element.body.insert(0, parse_xml(f"<w:p {W}>{''.join(inner)}</w:p>"))


def test_paragraphs_and_tables_come_in_the_order_of_the_body(read: Read) -> None:
    def change(document: Any) -> None:
        table = document.add_table(2, 2)
        for index, text in enumerate(["姓名", "电话", "张三", "138"]):
            table.cell(index // 2, index % 2).text = text
        document.add_paragraph("最后")

    document = only(read("a.docx", word("第一段", "", "第二段", change=change)))
    assert document.text == "第一段\n第二段\n姓名\t电话\n张三\t138\n最后"
    assert locations(document) == [
        ("第一段", {"paragraph": 1}),
        ("第二段", {"paragraph": 3}),
        ("姓名", {"table": 1, "row": 1, "cell": 1}),
        ("电话", {"table": 1, "row": 1, "cell": 2}),
        ("张三", {"table": 1, "row": 2, "cell": 1}),
        ("138", {"table": 1, "row": 2, "cell": 2}),
        ("最后", {"paragraph": 4}),
    ]


def test_an_empty_cell_keeps_the_others_in_their_columns(read: Read) -> None:
    def change(document: Any) -> None:
        table = document.add_table(1, 3)
        table.cell(0, 1).text = "中"
        table.add_row().cells[2].text = "右"

    assert only(read("a.docx", word("题", change=change))).text == "题\n\t中\n\t\t右"


def test_a_nested_table_is_in_its_cell(read: Read) -> None:
    def change(document: Any) -> None:
        outer = document.add_table(1, 2)
        outer.cell(0, 0).text = "外"
        outer.cell(0, 0).add_table(1, 2).cell(0, 1).text = "内"
        outer.cell(0, 1).text = "旁"

    document = only(read("a.docx", word(change=change)))
    assert document.text.split() == ["外", "内", "旁"]
    found = dict(locations(document))
    assert found["内"] == {"table": 2, "row": 1, "cell": 2}
    assert found["旁"] == {"table": 1, "row": 1, "cell": 2}


def test_headers_come_first_and_footers_last_and_each_once(read: Read) -> None:
    def change(document: Any) -> None:
        document.sections[0].header.paragraphs[0].text = "页眉"
        document.sections[0].footer.paragraphs[0].text = "页脚"
        document.add_section().header.is_linked_to_previous = True

    document = only(read("a.docx", word("正文", change=change)))
    assert locations(document) == [("页眉", {"header": 1}), ("正文", {"paragraph": 1}), ("页脚", {"footer": 1})]


def test_a_text_box_follows_its_paragraph_once(read: Read) -> None:
    def change(document: Any) -> None:
        document.element.body.insert(0, parse_xml(TEXT_BOX.format(w=W)))

    document = only(read("a.docx", word(change=change)))
    assert locations(document) == [("前后", {"paragraph": 1}), ("框内", {"textbox": 1})]


def test_tracked_changes_count_as_accepted(read: Read) -> None:
    def change(document: Any) -> None:
        _paragraph(
            document,
            RUN.format("金额"),
            '<w:del w:id="1" w:author="x"><w:r><w:delText>100</w:delText></w:r></w:del>',
            f'<w:ins w:id="2" w:author="x">{RUN.format("200")}</w:ins>',
            RUN.format("元"),
        )

    assert only(read("a.docx", word(change=change))).text == "金额200元"


def test_links_fields_controls_tabs_and_ticked_boxes_are_text_and_field_codes_are_not(read: Read) -> None:
    def change(document: Any) -> None:
        _paragraph(
            document,
            f'<w:hyperlink w:anchor="x">{RUN.format("链接")}</w:hyperlink><w:r><w:tab/></w:r>',
            f"<w:sdt><w:sdtPr/><w:sdtContent>{RUN.format('控件')}</w:sdtContent></w:sdt><w:r><w:br/></w:r>",
            f'<w:r><w:instrText>PAGE</w:instrText></w:r><w:fldSimple w:instr="DATE">{RUN.format("日期")}</w:fldSimple>',
            '<w:r><w:sym w:font="Wingdings" w:char="F0FE"/></w:r><w:r><w:noBreakHyphen/></w:r>',
        )

    assert only(read("a.docx", word(change=change))).text == "链接\t控件\n日期☑-"


def test_a_locked_document_opens_with_its_password_only(read: Read) -> None:
    data = locked_office(word("机密"), "secret")
    assert only(read("a.docx", data, password="secret")).text == "机密"
    assert failure(read("a.docx", data)).code == "locked"
    assert "does not open" in failure(read("a.docx", data, password="wrong")).message
    assert failure(read("a.doc", data)).code == "locked"


def test_a_document_without_text_is_empty(read: Read) -> None:
    assert failure(read("a.docx", word(" "))).code == "empty"


def test_hidden_words_are_left_out_unless_they_are_asked_for(read: Read) -> None:
    runs = "".join(f"<w:r><w:rPr>{mark}</w:rPr><w:t>{text}</w:t></w:r>" for text, mark in (
        ("价", ""), ("9999", "<w:vanish/>"), ("8000", '<w:vanish w:val="0"/>'), ("密", '<w:rStyle w:val="H"/>'),
    ))  # fmt: skip
    style = '<w:style w:type="character" w:styleId="H"><w:rPr><w:vanish/></w:rPr></w:style>'
    relation = '<Relationship Id="{}" Type="http://x/{}" Target="{}"/>'
    members = {
        "_rels/.rels": f"<Relationships>{relation.format('r', 'officeDocument', 'word/document.xml')}</Relationships>",
        "word/_rels/document.xml.rels": f"<R>{relation.format('s', 'styles', 'styles.xml')}</R>",
        "word/styles.xml": f"<w:styles {W}>{style}</w:styles>",
        "word/document.xml": f"<w:document {W}><w:body><w:p>{runs}</w:p></w:body></w:document>",
    }
    data = zipped({"[Content_Types].xml": b"<Types/>"} | {name: text.encode() for name, text in members.items()})
    assert only(read("a.docx", data)).text == "价8000"
    assert only(read("a.docx", data, hidden=True)).text == "价99998000密"


def test_entities_are_refused(read: Read) -> None:
    laughs = '<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    body = f"{laughs}<w:document {W}><w:body><w:p><w:r><w:t>文&b;本</w:t></w:r></w:p></w:body></w:document>"
    relation = '<Relationship Id="r" Type="http://x/officeDocument" Target="word/document.xml"/>'
    members = {"_rels/.rels": f"<Relationships>{relation}</Relationships>", "word/document.xml": body}
    data = zipped({"[Content_Types].xml": b"<Types/>"} | {name: text.encode() for name, text in members.items()})
    assert failure(read("a.docx", data)).code == "bomb"  # the packaging standard forbids them
