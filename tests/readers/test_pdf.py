"""PDF: Chinese text on its pages, forms, passwords, and scans that are reported as such."""

from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas

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


@pytest.mark.parametrize("password", ["secret", "密码", "owner"])
def test_a_locked_file_opens_with_its_password(read: Read, password: str) -> None:
    data = pdf(["secret text"], password="secret" if password == "owner" else password)
    assert only(read("a.pdf", data, password=password)).text == "secret text"


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
    document = only(read("a.pdf", pdf(["one"], [], ["three"])))
    assert document.text == "one\n\nthree"
    assert locations(document) == [("one", {"page": 1}), ("", {"page": 2, "text": False}), ("three", {"page": 3})]
    assert document.location(document.text.index("three")) == {"page": 3}


@pytest.mark.parametrize("data", [b"%PDF-1.7\n", b"%PDF-1.4\n" + b"\xff\x00" * 500, pdf(["text"])[:700]])
def test_a_broken_file_is_damaged(read: Read, data: bytes) -> None:
    assert failure(read("a.pdf", data)).code == "damaged"


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the shared samples are not here")
def test_a_file_that_an_office_program_locked_opens(read: Read) -> None:
    data = (SAMPLES / "sample-files__libreoffice-writer-password.pdf").read_bytes()
    assert "takimata sanctus est" in only(read("a.pdf", data, password="openpassword")).text
    assert failure(read("a.pdf", data)).code == "locked"
