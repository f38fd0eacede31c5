"""PDF: Chinese text on its pages, forms, passwords, and scans that are reported as such."""

import ctypes
import io
from pathlib import Path

import pytest
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from extractor.readers._support.pdf_fonts import is_nonsense
from tests.readers.conftest import Read, failed, failure, locations, only
from tests.readers.making import pdf

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "samples-public" / "documents" / "pdf"
CONTRACT = (["合同编号：HT-2024-001", "甲方：北京某某科技有限公司"], ["手机号18888888888", "金额 1,234.50 元"])


def test_chinese_text_is_read_page_by_page(read: Read) -> None:
    document = only(read("a.pdf", pdf(*CONTRACT)))
    assert document.text == "合同编号：HT-2024-001\n甲方：北京某某科技有限公司\n手机号18888888888\n金额 1,234.50 元"
    assert locations(document) == [
        ("合同编号：HT-2024-001\n甲方：北京某某科技有限公司", {"page": 1}),
        ("手机号18888888888\n金额 1,234.50 元", {"page": 2}),
    ]
    assert document.location(document.text.index("18888888888")) == {"page": 2}


def test_a_word_hyphenated_at_the_end_of_a_line_is_whole_and_a_number_keeps_its_hyphen(read: Read) -> None:
    document = only(read("a.pdf", pdf(["a hyphen-", "ated word", "tel 010-", "12345678"])))
    assert "hyphenated word" in document.text
    assert "010-" in document.text


def test_what_was_typed_into_a_form_is_text(read: Read) -> None:
    def form(canvas: Canvas) -> None:
        canvas.acroForm.textfield(name="name", value="Zhang San", x=120, y=500, width=200, height=20)

    assert "Zhang San" in only(read("a.pdf", pdf(["Name:"], draw=form))).text


def typed(text: str, flags: int = 4, picture: str = "") -> bytes:
    """A page on which text was typed, as with a typewriter tool; `picture` is what the annotation shows."""
    import pypdfium2
    import pypdfium2.raw as pdfium

    document = pypdfium2.PdfDocument(pdf(["Name:"]))
    page = document[0]
    annotation = pdfium.FPDFPage_CreateAnnot(page, pdfium.FPDF_ANNOT_FREETEXT)
    pdfium.FPDFAnnot_SetRect(annotation, pdfium.FS_RECTF(left=150, bottom=797, right=400, top=812))
    pdfium.FPDFAnnot_SetFlags(annotation, flags)
    for setter, key, value in (
        (pdfium.FPDFAnnot_SetStringValue, b"Contents", text),
        (pdfium.FPDFAnnot_SetAP, 0, picture),
    ):
        if value:
            buffer = ctypes.create_string_buffer(f"{value}\0".encode("utf-16-le"))
            setter(annotation, key, ctypes.cast(buffer, pdfium.FPDF_WIDESTRING))
    pdfium.FPDFPage_CloseAnnot(annotation)
    out = io.BytesIO()
    document.save(out)
    document.close()
    return out.getvalue()


SHOWN = "BT /F1 12 Tf 1 0 0 1 152 800 Tm (Li Si 13800000000) Tj ET"


def test_text_that_was_typed_onto_a_page_stands_where_it_was_typed(read: Read) -> None:
    assert only(read("a.pdf", typed("", picture=SHOWN))).text == "Name:\tLi Si 13800000000"
    assert only(read("a.pdf", typed("李四 13800000000"))).text == "Name:\t李四 13800000000"
    assert only(read("a.pdf", typed("李四\n138"))).text.split() == ["Name:", "李四", "138"]


@pytest.mark.parametrize("flags", [1 << 1, 1 << 5])
def test_typed_text_that_is_hidden_is_not_read(read: Read, flags: int) -> None:
    assert only(read("a.pdf", typed("hidden 110", flags))).text == "Name:"
    assert only(read("a.pdf", typed("", flags, SHOWN))).text == "Name:"


def test_a_comment_is_not_the_text_of_a_page(read: Read) -> None:
    def comment(canvas: Canvas) -> None:
        canvas.textAnnotation("call 13800000000?", Rect=[150, 700, 170, 720])

    assert only(read("a.pdf", pdf(["Name:"], draw=comment))).text == "Name:"


@pytest.mark.parametrize("password", ["secret", "密码", "owner"])
def test_a_locked_file_opens_with_its_password(read: Read, password: str) -> None:
    data = pdf(["secret text"], password="secret" if password == "owner" else password)
    assert only(read("a.pdf", data, password=password)).text == "secret text"


def test_a_chinese_password_that_was_written_in_gbk_opens_the_file(read: Read) -> None:
    data = pdf(["secret text"], password="密码".encode("gbk").decode("latin-1"))
    assert only(read("a.pdf", data, password="密码")).text == "secret text"
    assert failure(read("a.pdf", data, password="密文")).code == "locked"


@pytest.mark.parametrize(("password", "words"), [(None, "a password is needed"), ("wrong", "does not open it")])
def test_a_locked_file_without_the_password_says_so(read: Read, password: str | None, words: str) -> None:
    locked = failed(read("a.pdf", pdf(["text"], password="secret"), password=password))
    assert locked.problem.code == "locked"
    assert words in locked.problem.message
    assert "--password" in locked.problem.message
    assert len(locked.source.sha256) == 64


def test_a_scan_has_no_text_layer_and_says_so(read: Read) -> None:
    scan = failure(read("a.pdf", pdf([], [])))
    assert scan.code == "no-text"
    assert "no text layer: 2 pages" in scan.message


def test_a_scanned_page_among_others_is_marked(read: Read) -> None:
    document = only(read("a.pdf", pdf(["one"], [], ["three"]), ocr="never"))
    assert document.text == "one\n\nthree"
    assert locations(document) == [("one", {"page": 1}), ("", {"page": 2, "text": False}), ("three", {"page": 3})]
    assert document.location(document.text.index("three")) == {"page": 3}
    assert document.source.notes == (f"no text on page 2 (a scan or a drawing): {OFF}",)


def test_pages_without_text_are_named_together(read: Read) -> None:
    document = only(read("a.pdf", pdf(["one"], [], [], ["four"], []), ocr="never"))
    assert document.source.notes == (f"no text on pages 2-3, 5 (scans or drawings): {OFF}",)
    scattered = only(read("a.pdf", pdf(*[["text"], []] * 30), ocr="never"))
    (note,) = scattered.source.notes
    assert note.startswith("no text on pages 2, 4, 6, ")
    assert "40 and 10 more (scans" in note


def test_an_empty_page_is_not_worth_a_note(read: Read) -> None:
    out = io.BytesIO()
    canvas = Canvas(out, invariant=True)
    canvas.drawString(72, 700, "one")
    canvas.showPage()
    canvas.showPage()
    canvas.save()
    assert only(read("a.pdf", out.getvalue())).source.notes == ()


def nameless(*pages: list[tuple[str, bool]]) -> bytes:
    """Pages of lines, some of them in a font that does not say what its glyphs mean."""
    pdfmetrics.registerFont(TTFont("Nameless", "Vera.ttf", asciiReadable=False))
    out = io.BytesIO()
    canvas = Canvas(out, pageCompression=0, invariant=True)
    for lines in pages:
        for number, (line, named) in enumerate(lines):
            canvas.setFont("Helvetica" if named else "Nameless", 12)
            canvas.drawString(72, 700 - 20 * number, line)
        canvas.showPage()
    canvas.save()
    return out.getvalue().replace(b"/ToUnicode", b"/NoUnicode")


OFF = "OCR is off: leave out --ocr never to have them read"
WORDS = "The quick brown fox jumps over the lazy dog"


def test_a_font_that_does_not_name_its_characters_is_no_text(read: Read) -> None:
    problem = failure(read("a.pdf", nameless([(WORDS, False)]), ocr="never"))
    assert problem.code == "no-text"
    assert f"do not name their characters; {OFF}" in problem.message


def test_a_garbled_page_among_others_is_named(read: Read) -> None:
    fine = [(WORDS, True)] * 3
    data = nameless(fine, [(WORDS, False)], fine, [(WORDS, True), (WORDS[:12], False)])
    document = only(read("a.pdf", data, ocr="never"))
    garbled = "garbled text on pages 2, 4 (fonts that do not name their characters)"
    assert document.source.notes == (f"{garbled}: {OFF}",)
    assert document.text.startswith("\n".join([WORDS] * 3) + "\n")


@pytest.mark.parametrize(
    ("text", "nonsense"),
    [
        ("The quick brown fox jumps over the lazy dog", False),
        ("Faktura nr FV 123/2021 z dnia 26.04.2021", False),
        ("0246802468 1.51.00.5", False),
        ("中国饮料有限公司北京市朝阳区建国路八十八号院内", False),
        ("臺灣積體電路製造股份有限公司新竹科學園區力行六路", False),
        ("WKLV DJUHHPHQW LV PDGH EHWZHHQ WKH SDUWLHV QDPHG EHORZ", True),
        ("\x03\x04\x05\x06", True),
        ("!\"#$%&'()*+,-./0123456", True),
        ("\ue001\ue002\ue003", True),
        ("犲犾犲犮狋狉狅狀犻犮狊犲犪犾犱犪狋犪犵狀犲狉", True),
    ],
)
def test_text_is_told_from_the_numbers_of_glyphs(text: str, nonsense: bool) -> None:
    assert is_nonsense(text) is nonsense


@pytest.mark.parametrize("data", [b"%PDF-1.7\n", b"%PDF-1.4\n" + b"\xff\x00" * 500, pdf(["text"])[:700]])
def test_a_broken_file_is_damaged(read: Read, data: bytes) -> None:
    assert failure(read("a.pdf", data)).code == "damaged"


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the shared samples are not here")
def test_a_file_that_an_office_program_locked_opens(read: Read) -> None:
    data = (SAMPLES / "sample-files__libreoffice-writer-password.pdf").read_bytes()
    assert "takimata sanctus est" in only(read("a.pdf", data, password="openpassword")).text
    assert failure(read("a.pdf", data)).code == "locked"
