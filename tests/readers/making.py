"""Files of all formats for tests, made with the libraries that are usual for each."""

import io
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from email.message import EmailMessage
from typing import Any

import docx
import msoffcrypto
import openpyxl
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))


def pdf(*pages: Sequence[str], password: str | None = None, draw: Callable[[Canvas], None] | None = None) -> bytes:
    """A page for each list of lines; one without lines is a drawing, as a scan is."""
    out = io.BytesIO()
    canvas = Canvas(out, encrypt=StandardEncryption(password, "owner") if password else None, invariant=True)
    for lines in pages:
        canvas.setFont("STSong-Light", 12)
        canvas.rect(10, 10, 50, 50, fill=1)
        for number, line in enumerate(lines):
            canvas.drawString(72, 800 - 20 * number, line)
        if draw:
            draw(canvas)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def word(*paragraphs: str, change: Callable[[Any], None] | None = None) -> bytes:
    document = docx.Document()
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    if change:
        change(document)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def workbook(sheets: Mapping[str, Sequence[Sequence[object]]], change: Callable[[Any], None] | None = None) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    if change:
        change(book)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def locked_office(data: bytes, password: str) -> bytes:
    out = io.BytesIO()
    msoffcrypto.OfficeFile(io.BytesIO(data)).encrypt(password, out)
    return out.getvalue()


def mail(subject: str, text: str, attached: Mapping[str, bytes] | None = None, charset: str = "utf-8") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "张三 <zhang@example.com>"
    message["To"] = "li@example.com"
    message["Date"] = "Mon, 01 Jan 2024 08:00:00 +0800"
    message["Message-ID"] = "<1@example.com>"
    message["Subject"] = subject
    message.set_content(text, charset=charset, cte="base64")
    for name, data in (attached or {}).items():
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return message


def zipped(members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def recall(text: str, reference: str) -> float:
    """The share of the characters of a reference, white space apart, that a text has, each as often."""
    wanted, found = (Counter("".join(each.split())) for each in (reference, text))
    return (wanted & found).total() / wanted.total()
