"""OCR: pictures and scanned pages are read with the places of their lines; what is broken or hostile fails alone."""

import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from extractor.data import Document, FailedDocument
from extractor.errors import UsageError
from extractor.ingest import ReadOptions, dispatch
from extractor.readers._support import ocr
from extractor.readers._support.files import File
from tests.readers.conftest import Read, failed, failure, locations, only, texts
from tests.readers.making import mail, zipped

needs_ocr = pytest.mark.skipif(not ocr.is_installed(), reason="the extra ocr is not installed")
RECEIPT = Path(__file__).with_name("receipt.png").read_bytes()
TEXT = (
    "收款收据\n单号：SJ-2024-0315\t日期：2024-03-15\n付款人：张三\t手机号：18888888888\n"
    "金额（大写）\t壹仟贰佰叁拾肆元\nAmount\t1,234.50 CNY\n收款单位：北京某某科技有限公司"
)


def encoded(picture: Image.Image, format: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, format, **options)
    return out.getvalue()


def line(text: str, ink: object = "black", ground: object = "white", mode: str = "RGB") -> Image.Image:
    picture = Image.new(mode, (300, 50), ground)  # type: ignore[arg-type]
    ImageDraw.Draw(picture).text((15, 10), text, font=ImageFont.load_default(24), fill=ink)  # type: ignore[arg-type]
    return picture


def scan(*pages: tuple[str, bytes | None]) -> bytes:
    """A PDF with a page for each text and picture, which is drawn over half of the page."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(560, 660), invariant=True)
    for text, picture in pages:
        canvas.drawString(50, 600, text)
        if picture:
            canvas.drawImage(ImageReader(io.BytesIO(picture)), 0, 0, 560, 330)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


@needs_ocr
def test_a_picture_is_read_line_by_line_with_the_place_and_the_confidence_of_each(read: Read) -> None:
    document = only(read("receipt.png", RECEIPT))
    assert document.text == TEXT
    assert document.source.notes == ("read by OCR: page 1",)
    where = document.location(document.text.index("18888888888"))
    assert where["page"] == 1
    assert 0.9 < where["ocr"] <= 1
    left, top, right, bottom = where["box"]
    assert (320 < left < 340, 115 < top < 130, 500 < right < 560, 145 < bottom < 165) == (True,) * 4


@needs_ocr
@pytest.mark.parametrize("turn", [Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270])
def test_a_picture_that_lies_on_its_head_or_its_side_is_read_all_the_same(turn: Image.Transpose) -> None:
    turned = Image.open(io.BytesIO(RECEIPT)).convert("L").transpose(turn)
    document = only(_here("a.png", encoded(turned)))
    assert document.text == TEXT
    left, top, right, bottom = document.location(document.text.index("Amount"))["box"]
    inside = turned.crop((left, top, right, bottom))
    assert inside.getextrema()[0] < 50, "there is ink in the box"
    assert (right - left > bottom - top) == (turn == Image.Transpose.ROTATE_180)


@needs_ocr
def test_every_format_is_read_whatever_the_file_is_called() -> None:
    formats = ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF"]
    files = {f"{format} without suffix": encoded(line("ORDER 2024"), format) for format in formats}
    found = texts(_here("a.zip", zipped(files)))
    assert list(found.values()) == ["ORDER 2024"] * 6


@needs_ocr
@pytest.mark.parametrize(
    "picture",
    [
        line("ORDER 2024", "white", (0, 0, 0, 0), "RGBA"),
        line("ORDER 2024", "black", (255, 255, 255, 0), "RGBA"),
        line("ORDER 2024", 0, 60000, "I;16"),
        line("ORDER 2024").quantize(4),
        line("ORDER 2024", 0, 1, "1"),
    ],
    ids=["white on nothing", "black on nothing", "16 bits", "palette", "1 bit"],
)
def test_what_is_seen_is_read_however_its_pixels_are_stored(picture: Image.Image) -> None:
    assert [item.text for item in _here("a.png", encoded(picture)) if isinstance(item, Document)] == ["ORDER 2024"]


@needs_ocr
def test_the_pages_of_a_tiff_are_pages_and_an_empty_one_is_marked() -> None:
    pages = [line("FIRST"), Image.new("RGB", (300, 50), "white"), line("THIRD")]
    document = only(_here("a.tif", encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])))
    assert document.text == "FIRST\n\nTHIRD"
    assert [(text, where["page"]) for text, where in locations(document)] == [("FIRST", 1), ("", 2), ("THIRD", 3)]
    assert document.source.notes == ("read by OCR: pages 1, 3",)


@needs_ocr
def test_pages_of_a_pdf_without_text_are_read_and_the_others_keep_their_text() -> None:
    document = only(_here("a.pdf", scan(("typed 0O1l", None), ("", RECEIPT))))
    assert document.text == f"typed 0O1l\n{TEXT}"
    assert document.source.notes == ("read by OCR: page 2",)
    where = document.location(document.text.index("18888888888"))
    assert where["page"] == 2
    left, top, *_ = where["box"]  # in points: the picture begins 330 below the top of the page
    assert (320 < left < 340, 330 + 115 < top < 330 + 130) == (True, True)


@needs_ocr
def test_ocr_can_be_asked_for_on_all_pages_and_on_none() -> None:
    both = scan(("typed", encoded(line("PRINTED"))), ("", encoded(line("SECOND"))))
    assert only(_here("a.pdf", both, ocr="never")).text == "typed\n"
    always = only(_here("a.pdf", both, ocr="always"))
    assert always.text == "typed\nPRINTED\nSECOND"
    assert always.source.notes == ("read by OCR: pages 1-2",)


def test_without_ocr_a_picture_or_a_scan_says_which_option_is_in_the_way() -> None:
    for name, data in (("a.png", RECEIPT), ("a.pdf", scan(("", RECEIPT)))):
        problem = failure(_here(name, data, ocr="never"))
        assert problem.code == "no-text"
        assert "--ocr never" in problem.message


def test_another_word_than_the_three_is_refused() -> None:
    with pytest.raises(UsageError, match="use auto, never or always"):
        ReadOptions(ocr="sometimes")  # type: ignore[arg-type]


@pytest.fixture
def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    ocr._engine.cache_clear()
    monkeypatch.setattr(ocr, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)


@pytest.mark.usefixtures("without_the_extra")
@pytest.mark.parametrize(
    ("name", "data", "code"), [("a.png", RECEIPT, "extra"), ("a.pdf", scan(("", RECEIPT)), "no-text")]
)
def test_without_the_extra_the_line_that_installs_it_is_named(name: str, data: bytes, code: str) -> None:
    problem = failed(_here(name, data)).problem
    assert problem.code == code
    assert "pip install 'chatglm3-extractor[ocr]'" in problem.message


@pytest.mark.usefixtures("without_the_extra")
def test_without_the_extra_attached_pictures_are_one_note_and_no_failed_rows() -> None:
    document = only(_here("a.eml", _with_pictures("1.png", "2.png", "3.png", "4.png")))
    assert document.source.notes == (
        "left out: 4 pictures (1.png, 2.png, 3.png, 4.png); to read them: pip install 'chatglm3-extractor[ocr]'",
    )


@needs_ocr
def test_an_attached_picture_is_a_document() -> None:
    found = texts(_here("a.eml", _with_pictures("scan.png")))
    assert found["a.eml/scan.png"] == "ORDER 2024"


def _with_pictures(*names: str) -> bytes:
    message = mail("pictures", "see attached")
    for name in names:
        message.add_attachment(encoded(line("ORDER 2024")), maintype="image", subtype="png", filename=name)
    return bytes(message)


@pytest.mark.parametrize("ground", ["white", "black", "#888"])
@needs_ocr
def test_a_picture_without_text_says_what_to_do(ground: str) -> None:
    problem = failed(_here("a.png", encoded(Image.new("RGB", (200, 200), ground)))).problem
    assert problem.code == "no-text"
    assert "leave it out" in problem.message


@needs_ocr
def test_a_square_in_a_drawing_is_no_text() -> None:
    drawing = Image.new("RGB", (400, 400), "white")
    ImageDraw.Draw(drawing).rectangle((20, 340, 70, 390), fill="black")
    assert failed(_here("a.png", encoded(drawing))).problem.code == "no-text"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.png", RECEIPT[: len(RECEIPT) // 2]),
        ("a.png", RECEIPT[:8] + bytes(100)),
        ("a.png", RECEIPT[:200] + bytes(200) + RECEIPT[400:]),
        ("a.jpg", encoded(line("x"), "JPEG")[:300]),
        ("a.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF"),
        ("a.tif", encoded(line("x"), "TIFF")[:-100]),
        ("a.tif", b"II*\0\xff\xff\xff\xff"),
        ("a.gif", b"GIF89a\x01\x00"),
        ("a.webp", encoded(line("x"), "WEBP")[:60]),
        ("a.bmp", encoded(line("x"), "BMP")[:60]),
    ],
)
def test_a_broken_picture_is_damaged(name: str, data: bytes) -> None:
    assert failed(_here(name, data)).problem.code == "damaged"


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (9_001, 9_001), (80_000_001, 1)])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(width: int, height: int) -> None:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1 << 20))
    data = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")
    problem = failed(_here("a.png", data)).problem
    assert problem.code == "too-large"
    assert "80,000,000 pixels" in problem.message


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_text_that_begins_like_a_bitmap_stays_text(read: Read) -> None:
    assert only(read("letter", "BM Logistics\nOrder 2024-17, tel. 13800138000")).text.startswith("BM Logistics")


@needs_ocr
def test_nothing_is_downloaded_and_nothing_written() -> None:
    code = """if True:
        import sys

        def refuse(event, arguments):
            if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
                raise SystemExit(f"network: {event} {arguments}")
            if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
                raise SystemExit(f"written: {arguments}")

        from PIL import Image
        from extractor.readers._support import ocr
        picture = Image.open(sys.argv[1]).convert("RGB")
        sys.addaudithook(refuse)
        print(len(ocr.read(picture).lines))
    """
    receipt = str(Path(__file__).with_name("receipt.png"))
    line = [sys.executable, "-B", "-W", "ignore", "-c", code, receipt]
    done = subprocess.run(line, capture_output=True, text=True, env={**os.environ, "HOME": "/nonexistent"}, timeout=100)
    assert (done.stdout, done.returncode) == ("10\n", 0), done.stderr


def _here(name: str, data: bytes, **options: object) -> list[Document | FailedDocument]:
    """Read a file in this process, where one engine serves all tests."""
    open_data: Callable[[], io.BytesIO] = lambda: io.BytesIO(data)  # noqa: E731
    return list(dispatch.read(File(name, name, open_data), ReadOptions(**options)))  # type: ignore[arg-type]
