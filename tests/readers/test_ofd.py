"""OFD: the text of pages in the lines in which it is drawn."""

from pathlib import Path

import pytest

from tests.readers.conftest import Read, failure, locations, only
from tests.readers.making import recall, zipped
from tests.readers.texts import TEXTS

CASE = Path(__file__).resolve().parents[3] / "shared" / "cases" / "documents" / "invoice.ofd"
NS = 'xmlns:ofd="http://www.ofdspec.org/2016"'


def _text(x: float, y: float, text: str, delta: str = "", more: str = "") -> str:
    delta = delta or f"g {len(text) - 1} 4"
    code = f'<ofd:TextCode X="0" Y="4" DeltaX="{delta}">{text}</ofd:TextCode>'
    return f'<ofd:TextObject Boundary="{x} {y} 60 6" Size="4" {more}>{code}</ofd:TextObject>'


def _page(*objects: str, template: str = "") -> bytes:
    used = f'<ofd:Template TemplateID="{template}"/>' if template else ""
    layer = f"<ofd:Content><ofd:Layer>{''.join(objects)}</ofd:Layer></ofd:Content>"
    return f"<ofd:Page {NS}>{used}{layer}</ofd:Page>".encode()


def _document(*pages: bytes, common: str = "", more: str = "", members: dict[str, bytes] | None = None) -> bytes:
    listed = "".join(f'<ofd:Page ID="{n}" BaseLoc="Pages/{n}.xml"/>' for n in range(1, len(pages) + 1))
    inside = f"<ofd:CommonData>{common}</ofd:CommonData><ofd:Pages>{listed}</ofd:Pages>{more}"
    document = f"<ofd:Document {NS}>{inside}</ofd:Document>"
    root = f"<ofd:OFD {NS}><ofd:DocBody><ofd:DocRoot>Doc_0/Document.xml</ofd:DocRoot></ofd:DocBody></ofd:OFD>"
    parts = {f"Doc_0/Pages/{n}.xml": page for n, page in enumerate(pages, 1)}
    return zipped({"OFD.xml": root.encode(), "Doc_0/Document.xml": document.encode(), **parts, **(members or {})})


def test_text_comes_in_lines_however_it_is_drawn(read: Read) -> None:
    page = _page(
        _text(60, 20, "13800138000", "g 10 2"), _text(10, 40, "备注"), _text(10, 20.5, "电话："),
        _text(10, 20, "发票", more='CTM="2 0 0 2 0 -14"'), _text(10, 40, "备注"), _text(18, 40, "：无"),
    )  # fmt: skip
    found = only(read("a.ofd", _document(page)))
    assert found.text == "发票\n电话： 13800138000\n备注：无"
    assert locations(found)[1] == ("电话： 13800138000", {"page": 1, "box": [10.0, 20.0, 82.0, 24.5]})


def test_pages_follow_one_another_each_with_its_template(read: Read) -> None:
    common = '<ofd:TemplatePage ID="7" BaseLoc="Tpls/t.xml"/>'
    pages = (_page(_text(30, 10, "甲"), template="7"), _page(_text(30, 10, "乙"), template="7"))
    data = _document(*pages, common=common, members={"Doc_0/Tpls/t.xml": _page(_text(10, 10, "号码："))})
    found = only(read("a.ofd", data))
    assert found.text == "号码： 甲\n号码： 乙"
    assert found.location(len(found.text) - 1)["page"] == 2


def test_graphics_that_are_used_by_others_are_followed_and_not_for_ever(read: Read) -> None:
    content = f'<ofd:Content>{_text(0, 0, "章")}<ofd:CompositeObject ResourceID="5"/></ofd:Content>'
    unit = f'<ofd:CompositeGraphicUnit ID="5">{content}</ofd:CompositeGraphicUnit>'
    resources = f"<ofd:Res {NS}>{unit}</ofd:Res>".encode()
    page = _page('<ofd:CompositeObject Boundary="10 10 5 5" ResourceID="5"/>')
    data = _document(page, common="<ofd:PublicRes>r.xml</ofd:PublicRes>", members={"Doc_0/r.xml": resources})
    assert set(only(read("a.ofd", data)).text.split()) == {"章"}


def test_graphics_that_multiply_are_a_bomb(read: Read) -> None:
    """Each of a few uses the next a hundred times: 10^8 pieces of a file of kilobytes."""
    use = '<ofd:CompositeObject ResourceID="{}"/>'
    units = "".join(
        f'<ofd:CompositeGraphicUnit ID="{n}">{use.format(n + 1) * 100}{_text(0, 0, "章")}</ofd:CompositeGraphicUnit>'
        for n in range(1, 5)
    )
    resources = f"<ofd:Res {NS}>{units}</ofd:Res>".encode()
    data = _document(
        _page(use.format(1) * 100), common="<ofd:PublicRes>r.xml</ofd:PublicRes>", members={"Doc_0/r.xml": resources}
    )
    assert failure(read("a.ofd", data)).code == "bomb"


def test_annotations_are_read_and_watermarks_and_attachments_are_named(read: Read) -> None:
    listed = (
        f'<ofd:Annotations {NS}><ofd:Page PageID="1"><ofd:FileLoc>a1.xml</ofd:FileLoc></ofd:Page></ofd:Annotations>'
    )
    kinds = "".join(
        f'<ofd:Annot Type="{kind}"><ofd:Appearance>{_text(0, 0, kind)}</ofd:Appearance></ofd:Annot>'
        for kind in ("Stamp", "Watermark")
    )
    attached = f'<ofd:Attachments {NS}><ofd:Attachment ID="1" Name="original_invoice"/></ofd:Attachments>'
    data = _document(
        _page(_text(10, 10, "正文")),
        more="<ofd:Annotations>Annots/all.xml</ofd:Annotations><ofd:Attachments>Attachs/all.xml</ofd:Attachments>",
        members={
            "Doc_0/Annots/all.xml": listed.encode(),
            "Doc_0/Annots/a1.xml": f"<ofd:PageAnnot {NS}>{kinds}</ofd:PageAnnot>".encode(),
            "Doc_0/Attachs/all.xml": attached.encode(),
        },
    )
    found = only(read("a.ofd", data))
    assert found.text == "正文\nStamp"
    assert found.location(len("正文\n"))["annotation"] == "Stamp"
    assert found.source.notes == ("left out: 1 watermark, 1 attachment (original_invoice)",)


def test_a_document_holds_all_that_was_drawn(read: Read) -> None:
    lines = [line for language in TEXTS.values() for text in language for line in text.splitlines() if line.strip()]
    pages = [_page(*(_text(10, 10 + 8 * n, line.replace("<", "&lt;")) for n, line in enumerate(lines)))] * 3
    assert recall(only(read("a.ofd", _document(*pages))).text, "".join(lines * 3)) >= 0.99


def test_what_has_no_text_is_refused_with_what_to_do(read: Read) -> None:
    problem = failure(read("a.ofd", _document(_page())))
    assert (problem.code, "OCR" in problem.message) == ("no-text", True)
    assert failure(read("a.ofd", zipped({"OFD.xml": b"<OFD/>"}))).code == "damaged"


@pytest.mark.skipif(not CASE.is_file(), reason="the shared cases are not here")
def test_an_invoice_is_read(read: Read) -> None:
    assert only(read("a.ofd", CASE.read_bytes())).text == "发票号码：1234"
