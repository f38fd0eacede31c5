"""Word, within a paragraph: old form fields, content controls, link targets, and words that are hidden."""

from collections.abc import Mapping

import pytest
from docx.oxml.ns import nsdecls

from extractor.data import Document, FailedDocument
from tests.readers.conftest import Read, only
from tests.readers.making import zipped

W = nsdecls("w", "r")
RELATION = '<Relationship Id="{}" Type="http://x/{}" Target="{}"{}/>'


def _package(body: str, links: Mapping[str, str] | None = None, styles: str = "") -> bytes:
    """Return a document whose body is this XML."""
    more = "".join(RELATION.format(id, "hyperlink", to, ' TargetMode="External"') for id, to in (links or {}).items())
    main = RELATION.format("r", "officeDocument", "word/document.xml", "")
    used = RELATION.format("s", "styles", "styles.xml", "")
    parts = {
        "_rels/.rels": f"<Relationships>{main}</Relationships>",
        "word/_rels/document.xml.rels": f"<Relationships>{used}{more}</Relationships>",
        "word/styles.xml": f"<w:styles {W}>{styles}</w:styles>",
        "word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>",
    }
    return zipped({"[Content_Types].xml": b"<Types/>"} | {name: text.encode() for name, text in parts.items()})


def _run(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def _char(kind: str, inner: str = "") -> str:
    return f'<w:r><w:fldChar w:fldCharType="{kind}">{inner}</w:fldChar></w:r>'


def _field(instruction: str, result: str = "", data: str = "") -> str:
    begin = _char("begin", f"<w:ffData>{data}</w:ffData>" if data else "")
    code = f"<w:r><w:instrText>{instruction}</w:instrText></w:r>"
    return f"{begin}{code}{_char('separate')}{_run(result) if result else ''}{_char('end')}"


def _choice(settings: str) -> str:
    entries = "".join(f'<w:listEntry w:val="{each}"/>' for each in ("未婚", "已婚"))
    return f"<w:ddList>{settings}{entries}</w:ddList>"


FORM_FIELDS = {
    "a choice": (_field("FORMDROPDOWN", data=_choice('<w:result w:val="1"/>')), "已婚"),
    "the default choice": (_field("FORMDROPDOWN", data=_choice('<w:default w:val="1"/>')), "已婚"),
    "the first choice": (_field("FORMDROPDOWN", data=_choice("")), "未婚"),
    "a choice that its result repeats": (_field("FORMDROPDOWN", "已婚", _choice('<w:result w:val="1"/>')), "已婚"),
    "a choice of nothing": (_field("FORMDROPDOWN", data='<w:ddList><w:result w:val="7"/></w:ddList>'), ""),
    "a box that is ticked": (_field("FORMCHECKBOX", data="<w:checkBox><w:checked/></w:checkBox>"), "☑"),
    "a box that is not": (_field("FORMCHECKBOX", data='<w:checkBox><w:checked w:val="0"/></w:checkBox>'), "☐"),
    "a box left at its default": (_field("FORMCHECKBOX", data='<w:checkBox><w:default w:val="1"/></w:checkBox>'), "☑"),
    "a text": (_field("FORMTEXT", "张三", "<w:textInput><w:default w:val='姓名'/></w:textInput>"), "张三"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORM_FIELDS)
def test_an_old_form_field_says_what_is_filled_in(read: Read, name: str) -> None:
    field, expected = FORM_FIELDS[name]
    assert only(read("a.docx", _package(f"<w:p>{_run('前')}{field}{_run('后')}</w:p>"))).text == f"前{expected}后"


def _control(properties: str, content: str) -> str:
    return f"<w:sdt><w:sdtPr>{properties}</w:sdtPr><w:sdtContent>{content}</w:sdtContent></w:sdt>"


ITEMS = '<w:listItem w:displayText="男性" w:value="M"/><w:listItem w:displayText="女性" w:value="F"/>'
CONTROLS = {
    "what it shows": (_control(f'<w:dropDownList w:lastValue="M">{ITEMS}</w:dropDownList>', _run("女性")), "女性"),
    "its choice where it shows nothing": (
        _control(f'<w:dropDownList w:lastValue="F">{ITEMS}</w:dropDownList>', ""), "女性"),
    "its choice where it shows how to choose": (
        _control(f'<w:showingPlcHdr/><w:comboBox w:lastValue="M">{ITEMS}</w:comboBox>', _run("选择一项。")), "男性"),
    "what was typed into it": (_control('<w:comboBox w:lastValue="其他"/>', ""), "其他"),
    "a date": (_control('<w:date w:fullDate="2024-05-01T00:00:00Z"/>', ""), "2024-05-01"),
    "a box that is ticked": (_control('<w:checkbox><w:checked w:val="1"/></w:checkbox>', ""), "☑"),
    "how to choose where nothing is chosen": (_control("<w:showingPlcHdr/><w:text/>", _run("请填写")), "请填写"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTROLS)
def test_a_content_control_says_what_was_chosen(read: Read, name: str) -> None:
    control, expected = CONTROLS[name]
    assert only(read("a.docx", _package(f"<w:p>{_run('前')}{control}</w:p>"))).text == f"前{expected}"


def test_a_content_control_around_paragraphs_says_what_was_chosen(read: Read) -> None:
    control = _control('<w:date w:fullDate="2024-05-01T00:00:00Z"/>', "<w:p/>")
    assert only(read("a.docx", _package(f"<w:p>{_run('签于')}</w:p>{control}"))).text == "签于\n2024-05-01"


def test_the_target_of_a_link_is_beside_its_text(read: Read) -> None:
    targets = {"r1": "https://example.com/a.pdf", "r2": "mailto:a@example.com", "r3": "https://www.example.com/"}
    texts = {"r1": "合同全文", "r2": "a@example.com", "r3": "example.com"}
    body = "".join(f'<w:p><w:hyperlink r:id="{id}">{_run(text)}</w:hyperlink></w:p>' for id, text in texts.items())
    expected = "合同全文 (https://example.com/a.pdf)\na@example.com\nexample.com"
    assert only(read("a.docx", _package(body, targets))).text == expected


def test_the_target_of_a_field_is_beside_its_result(read: Read) -> None:
    tip = _field(" HYPERLINK &quot;https://b.cn/?q=1&quot; \\o &quot;提示&quot; ", "附件")
    inside = _field("HYPERLINK \\l &quot;_Toc1&quot;", "目录")
    simple = f'<w:fldSimple w:instr="HYPERLINK https://c.cn">{_run("官网")}</w:fldSimple>'
    assert only(read("a.docx", _package(f"<w:p>{tip}，{inside}，{simple}</w:p>"))).text == (
        "附件 (https://b.cn/?q=1)目录官网 (https://c.cn)"
    )


def test_a_field_that_is_never_ended_hides_nothing(read: Read) -> None:
    opened = _char("begin", f"<w:ffData>{_choice('')}</w:ffData>") + _char("separate")
    body = f"<w:p>{opened * 40}</w:p>" + f"<w:p>{_run('正文')}</w:p>"
    assert only(read("a.docx", _package(body))).text.splitlines()[-1] == "正文"


STYLES = (
    '<w:style w:type="paragraph" w:styleId="P"><w:rPr><w:vanish/></w:rPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="Q"><w:basedOn w:val="P"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Loop"><w:basedOn w:val="Loop"/></w:style>'
)
ROW = "<w:tr><w:trPr>{}</w:trPr><w:tc><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:tc></w:tr>"
HIDDEN = {
    "paragraphs of a hidden style": (
        f'<w:p>{_run("文")}</w:p><w:p><w:pPr><w:pStyle w:val="P"/></w:pPr>{_run("密密")}</w:p>', "2 hidden characters"),
    "paragraphs of a style based on one": (
        f'<w:p>{_run("文")}</w:p><w:p><w:pPr><w:pStyle w:val="Q"/></w:pPr>{_run("密")}</w:p>', "1 hidden character"),
    "rows of a table": (
        f'<w:tbl>{ROW.format("", "文")}{ROW.format("<w:hidden/>", "密")}</w:tbl>', "1 hidden row"),
}  # fmt: skip


@pytest.mark.parametrize("name", HIDDEN)
def test_what_is_hidden_is_left_out_and_counted(read: Read, name: str) -> None:
    body, note = HIDDEN[name]
    document = only(read("a.docx", _package(body, styles=STYLES)))
    assert (document.text, document.source.notes) == ("文", (f"left out: {note}",))
    assert _all(read("a.docx", _package(body, styles=STYLES), hidden=True)).startswith("文\n密")


def _all(found: list[Document | FailedDocument]) -> str:
    document = only(found)
    assert document.source.notes == ()
    return document.text
