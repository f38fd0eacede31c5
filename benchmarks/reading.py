"""How fast each format is read: megabytes and documents a second, with one and two processes that read.

    python -m benchmarks.reading [--files 40] [--kilobytes 64] [--only .docx] [--folder FOLDER]

Files are generated: each holds about so many kilobytes of text, Chinese and Latin mixed, in the constructs of its
format. Megabytes are those of the files on the disk. The first two files, which start the processes, are not timed.
"""

from __future__ import annotations

import csv
import io
import json
import random
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from html import escape
from pathlib import Path

import click

from benchmarks.machine import describe
from extractor import ingest
from extractor.data import Document, FailedDocument
from extractor.ingest import worker_pool

HAN = "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说"
LATIN = "invoice no. 2024-07/18 amount 1,280.50 EUR a.b@example.com +86 138-0013-8000".split()
LINE_BYTES = 100
COLUMNS = 5
FIRST = "0000"

Lines = Sequence[str]


def lines_of(seed: int, kilobytes: int) -> list[str]:
    """Return lines of text, about `LINE_BYTES` bytes of UTF-8 each."""
    source = random.Random(seed)
    count = kilobytes * 1024 // LINE_BYTES
    return ["".join(source.choices(HAN, k=22)) + " " + " ".join(source.choices(LATIN, k=3)) for _ in range(count)]


def rows_of(lines: Lines) -> list[list[str]]:
    """Return the lines as rows of cells."""
    return [list(lines[at : at + COLUMNS]) for at in range(0, len(lines), COLUMNS)]


def text(lines: Lines) -> bytes:
    return "\n".join(lines).encode()


def gbk_text(lines: Lines) -> bytes:
    return "\n".join(lines).encode("gb18030")


def comma_separated(lines: Lines) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([[f"column {number}" for number in range(COLUMNS)], *rows_of(lines)])
    return out.getvalue().encode()


def json_lines(lines: Lines) -> bytes:
    return b"".join(json.dumps({"text": line}, ensure_ascii=False).encode() + b"\n" for line in lines)


def page(lines: Lines) -> bytes:
    link = ' <a href="https://example.com/{}">x</a>'
    shown = "".join(f'<p class="a b">{escape(line)}{link.format(at)}' for at, line in enumerate(lines))
    return f"<!doctype html><meta charset=utf-8><style>.c, .a .d {{display:none}}</style>{shown}".encode()


def rich_text(lines: Lines) -> bytes:
    body = "\\par\n".join("".join(map(_escaped, line)) for line in lines)
    return f"{{\\rtf1\\ansi\\ansicpg936 {body}}}".encode("ascii")


def _escaped(character: str) -> str:
    """Return a character of RTF, by its signed 16-bit number unless it is ASCII."""
    number = ord(character)
    return character if number < 128 else f"\\u{number - 65536 if number > 32767 else number}?"


def mail(lines: Lines) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "张三 <a@example.com>", "b@example.com", lines[0]
    message.set_content("\n".join(lines), cte="base64")
    return bytes(message)


def word(lines: Lines) -> bytes:
    import docx

    document = docx.Document()
    for line in lines:
        document.add_paragraph(line)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def workbook(lines: Lines) -> bytes:
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in rows_of(lines):
        sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def pdf(lines: Lines) -> bytes:
    from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont  # type: ignore[import-untyped]
    from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    out = io.BytesIO()
    canvas = Canvas(out)
    for at in range(0, len(lines), 40):
        canvas.setFont("STSong-Light", 9)
        for number, line in enumerate(lines[at : at + 40]):
            canvas.drawString(40, 800 - 18 * number, line)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def slides(lines: Lines) -> bytes:
    import pptx

    presentation = pptx.Presentation()
    for at in range(0, len(lines), 20):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text, slide.placeholders[1].text = lines[at], "\n".join(lines[at + 1 : at + 20])
    out = io.BytesIO()
    presentation.save(out)
    return out.getvalue()


def open_text(lines: Lines) -> bytes:
    from odf.opendocument import OpenDocumentText  # type: ignore[import-untyped]
    from odf.text import P  # type: ignore[import-untyped]

    document = OpenDocumentText()
    for line in lines:
        document.text.addElement(P(text=line))
    out = io.BytesIO()
    document.write(out)
    return out.getvalue()


def open_sheet(lines: Lines) -> bytes:
    from odf.opendocument import OpenDocumentSpreadsheet
    from odf.table import Table, TableCell, TableRow  # type: ignore[import-untyped]
    from odf.text import P

    document, table = OpenDocumentSpreadsheet(), Table(name="S")
    document.spreadsheet.addElement(table)
    for cells in rows_of(lines):
        row = TableRow()
        table.addElement(row)
        for cell in cells:
            filled = TableCell(valuetype="string")
            filled.addElement(P(text=cell))
            row.addElement(filled)
    out = io.BytesIO()
    document.write(out)
    return out.getvalue()


def book(lines: Lines) -> bytes:
    chapters = [page(lines[at : at + 50]) for at in range(0, len(lines), 50)]
    items = "".join(
        f'<item id="{n}" href="{n}.xhtml" media-type="application/xhtml+xml"/>' for n in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="{n}"/>' for n in range(len(chapters)))
    return _zipped({
        "mimetype": b"application/epub+zip", "META-INF/container.xml": b'<c><rootfile full-path="b.opf"/></c>',
        "b.opf": f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>".encode(),
        **{f"{n}.xhtml": chapter for n, chapter in enumerate(chapters)},
    })  # fmt: skip


def invoice(lines: Lines) -> bytes:
    """Return an OFD whose pages have forty lines, each a text object."""
    pages = [lines[at : at + 40] for at in range(0, len(lines), 40)]
    listed = "".join(f'<Page ID="{n}" BaseLoc="p{n}.xml"/>' for n in range(len(pages)))
    parts = {f"p{n}.xml": "".join(map(_drawn, range(len(some)), some)) for n, some in enumerate(pages)}
    return _zipped({
        "OFD.xml": b"<OFD><DocBody><DocRoot>d.xml</DocRoot></DocBody></OFD>",
        "d.xml": f"<Document>{listed}</Document>".encode(),
        **{name: f"<Page>{drawn}</Page>".encode() for name, drawn in parts.items()},
    })  # fmt: skip


def _drawn(number: int, line: str) -> str:
    code = f'<TextCode X="0" Y="4" DeltaX="g {len(line) - 1} 2">{escape(line)}</TextCode>'
    return f'<TextObject Boundary="10 {6 * number} 190 6" Size="4">{code}</TextObject>'


def _zipped(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


FORMATS: Mapping[str, Callable[[Lines], bytes]] = {
    ".txt": text, " GBK.txt": gbk_text, ".csv": comma_separated, ".jsonl": json_lines, ".html": page, ".rtf": rich_text,
    ".eml": mail, ".docx": word, ".odt": open_text, ".xlsx": workbook, ".ods": open_sheet, ".pptx": slides,
    ".epub": book, ".ofd": invoice, ".pdf": pdf,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rate:
    """What reading the files of a folder took."""

    megabytes: float
    documents: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.megabytes / self.seconds:.1f} | {self.documents / self.seconds:,.0f}"


def measure(folder: Path, workers: int) -> Rate:
    """Read all files of a folder with so many processes. Raise ClickException for one that cannot be read."""
    documents, began = 0, 0.0
    for item in _read(folder, workers):
        if isinstance(item, FailedDocument):
            raise click.ClickException(f"{item.id}: {item.problem.message}")
        if not item.id.split("/")[1].startswith(FIRST):
            documents += 1
        else:
            began = time.perf_counter()
    seconds = time.perf_counter() - began
    size = sum(path.stat().st_size for path in folder.iterdir() if not path.name.startswith(FIRST))
    return Rate(size / 1e6, documents, seconds)


def _read(folder: Path, workers: int) -> Iterator[Document | FailedDocument]:
    usual, worker_pool.PROCESSES = worker_pool.PROCESSES, workers
    try:
        yield from ingest.read([str(folder)])
    finally:
        worker_pool.PROCESSES = usual


def fill(folder: Path, suffix: str, files: int, kilobytes: int) -> None:
    """Write the files of a format, and two before them that start the processes."""
    folder.mkdir(parents=True)
    for number in range(files + 2):
        name = f"{FIRST} {number}" if number < 2 else f"{number:04d}"
        (folder / f"{name}{suffix}").write_bytes(FORMATS[suffix](lines_of(number, kilobytes)))


@click.command()
@click.option("--files", default=40, show_default=True, help="Files of each format.")
@click.option("--kilobytes", default=64, show_default=True, help="Text in each file.")
@click.option("--only", multiple=True, type=click.Choice(list(FORMATS)), help="A format; may be given several times.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where the files go.  [default: a temporary folder]")
def command(files: int, kilobytes: int, only: tuple[str, ...], folder: Path | None) -> None:
    """Measure each format and print a table."""
    click.echo(f"{describe()}. {files} files of {kilobytes} KB of text each.\n")
    click.echo("| format | KB a file | documents | MB/s, 1 worker | documents/s | MB/s, 2 workers | documents/s |")
    click.echo("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        for number, suffix in enumerate(only or FORMATS):
            place = (folder or Path(temporary)) / str(number)
            fill(place, suffix, files, kilobytes)
            rates = [measure(place, workers) for workers in (1, 2)]
            first = rates[0]
            size = f"{1000 * first.megabytes / files:,.0f}"
            click.echo(f"| `{suffix.strip()}` | {size} | {first.documents:,} | {' | '.join(map(str, rates))} |")


if __name__ == "__main__":
    command()
