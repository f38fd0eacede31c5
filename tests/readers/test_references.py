"""Our text of generated files against what readers by others find in them: hardly a character may be missing.

The files are made at random from a seed, with the constructs of each format in any order.
"""

import csv
import email
import email.policy
import io
import random
import re
from collections import Counter
from collections.abc import Callable
from email.message import EmailMessage
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import docx
import pytest

from extractor import ingest
from extractor.data import Document
from tests.readers.making import mail, word

RECALL = 0.99
FILES = 6
HAN = "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说"
LATIN = "invoice no. 2024-07/18 amount 1,280.50 EUR a.b@example.com +86 138-0013-8000 Straße naïve".split()


class Words:
    """Words from a seed: Chinese, Latin, numbers, signs that formats must escape."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def sentence(self) -> str:
        parts = ["".join(self.random.choices(HAN, k=self.random.randint(1, 20)))]
        parts += self.random.choices(LATIN, k=self.random.randint(0, 4))
        parts += self.random.choices(["<b>", "&amp;", '"x"', "{y}", "\\z", "50%", "a;b", "（注）", "😀"], k=2)
        self.random.shuffle(parts)
        return " ".join(parts)

    def rows(self) -> list[list[str]]:
        width = self.random.randint(1, 5)
        return [[self.sentence() for _ in range(width)] for _ in range(self.random.randint(1, 6))]

    def pick(self, *makers: Callable[[], str]) -> str:
        return self.random.choice(makers)()


def _word(words: Words) -> bytes:
    def change(document: object) -> None:
        for _ in range(20):
            if words.random.random() < 0.3:
                _add_table(document, words.rows())
            else:
                paragraph = document.add_paragraph()  # type: ignore[attr-defined]
                for _ in range(3):
                    paragraph.add_run(words.sentence()).bold = words.random.random() < 0.5

    return word(words.sentence(), change=change)


def _add_table(document: object, rows: list[list[str]]) -> None:
    table = document.add_table(len(rows), len(rows[0]))  # type: ignore[attr-defined]
    for row, texts in zip(table.rows, rows, strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text


def _read_word(data: bytes) -> str:
    document = docx.Document(io.BytesIO(data))
    cells = (cell.text for table in document.tables for row in table.rows for cell in row.cells)
    return "\n".join([*(paragraph.text for paragraph in document.paragraphs), *cells])


def _html(words: Words) -> bytes:
    def block() -> str:
        tag = words.random.choice(["p", "div", "h2", "li", "pre", "blockquote"])
        return (
            f"<{tag}>{escape(words.sentence())} <b>{escape(words.sentence())}</b><br>{escape(words.sentence())}</{tag}>"
        )

    def table() -> str:
        return f"<table>{''.join(f'<tr>{_cells(row)}' for row in words.rows())}</table>"

    def noise() -> str:
        return f"<script>var a = '{words.random.random()}'</script><style>p{{color:red}}</style><!-- no text -->"

    body = "".join(words.pick(block, block, table, noise) for _ in range(40))
    return f"<!doctype html><meta charset=utf-8><title>{escape(words.sentence())}</title>{body}".encode()


def _cells(row: list[str]) -> str:
    return "".join(f"<td>{escape(cell)}</td>" for cell in row)


class _Shown(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []

    def handle_data(self, data: str) -> None:
        if self.lasttag not in ("script", "style"):
            self.shown.append(data)


def _read_html(data: bytes) -> str:
    parser = _Shown()
    parser.feed(data.decode())
    return "".join(parser.shown)


def _rtf(words: Words) -> bytes:
    def plain() -> str:
        return "".join(map(_escaped, words.sentence()))

    def footnote() -> str:
        return rf"\b {plain()}\b0{{\super\chftn{{\footnote\pard\plain {plain()}}}}}"

    def table() -> str:
        rows = ("".join(f"{plain()}\\cell " for _ in row) for row in words.rows())
        return "".join(f"\\trowd {row}\\row " for row in rows)

    body = "\\par\n".join(words.pick(plain, plain, footnote, table) for _ in range(40))
    head = r"{\rtf1\ansi\ansicpg936\deff0{\fonttbl{\f0\fcharset134 SimSun;}}{\header\pard "
    return f"{head}{plain()}\\par}}\\pard {body}}}".encode("ascii")


def _escaped(character: str) -> str:
    """A character by its units of UTF-16, or by its bytes in GBK where it has some."""
    if character in "\\{}":
        return f"\\{character}"
    if character.isascii():
        return character
    if character in HAN[::2]:
        return "".join(f"\\'{byte:02x}" for byte in character.encode("gbk"))
    units = character.encode("utf-16-le")
    return "".join(f"\\u{int.from_bytes(units[at : at + 2], 'little', signed=True)}?" for at in range(0, len(units), 2))


RTF_PIECE = re.compile(r"\\u(-?\d+)\?|((?:\\'[0-9a-f]{2})+)|\\([\\{}])|\\[a-z]+-?\d* ?|[{}\n]|([^\\{}\n]+)")


def _read_rtf(data: bytes) -> str:
    text = data.decode("ascii").replace("{\\fonttbl{\\f0\\fcharset134 SimSun;}}", "")
    shown = bytearray()
    for unit, octets, sign, plain in RTF_PIECE.findall(text):
        shown += (int(unit) % 65536).to_bytes(2, "little") if unit else b""
        shown += bytes.fromhex(octets.replace("\\'", "")).decode("gbk").encode("utf-16-le")
        shown += (sign + plain).encode("utf-16-le")
    return shown.decode("utf-16-le")


def _mail(words: Words) -> bytes:
    text = "\n".join(words.sentence() for _ in range(30))
    message = mail(words.sentence(), text, charset=words.random.choice(["utf-8", "utf-8", "utf-16"]))
    message["Cc"] = "王五 <wang@example.com>"
    return bytes(message)


def _read_mail(data: bytes) -> str:
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    headers = [str(message[name]) for name in ("From", "To", "Cc", "Date", "Subject")]
    return "\n".join([*headers, str(message.get_content())])


def _csv(words: Words) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([[f"列{number}" for number in range(4)]] + [_row(words) for _ in range(30)])
    return out.getvalue().encode()


def _row(words: Words) -> list[str]:
    return [words.sentence().replace(" ", words.random.choice([" ", "\n", ","])) for _ in range(4)]


def _read_csv(data: bytes) -> str:
    return "\n".join(cell for row in list(csv.reader(io.StringIO(data.decode(), newline="")))[1:] for cell in row)


FORMATS = {
    ".docx": (_word, _read_word),
    ".html": (_html, _read_html),
    ".rtf": (_rtf, _read_rtf),
    ".eml": (_mail, _read_mail),
    ".csv": (_csv, _read_csv),
}


def _characters(text: str) -> Counter[str]:
    return Counter("".join(text.split()))


@pytest.mark.parametrize("suffix", FORMATS)
def test_hardly_a_character_is_missing_that_another_reader_finds(tmp_path: Path, suffix: str) -> None:
    make, read_otherwise = FORMATS[suffix]
    files = {f"{seed}{suffix}": make(Words(seed)) for seed in range(FILES)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    found = dict.fromkeys(files, "")
    for item in ingest.read([str(tmp_path)]):
        assert isinstance(item, Document), item
        found[item.id.split("/")[1].partition("#")[0]] += item.text
    for name, data in files.items():
        expected = _characters(read_otherwise(data))
        missing = expected - _characters(found[name])
        assert expected.total() > 500
        assert missing.total() <= (1 - RECALL) * expected.total(), missing


def test_a_missing_sentence_is_noticed() -> None:
    text = "".join(Words(0).sentence() for _ in range(40))
    assert (_characters(text) & _characters(text[40:])).total() < RECALL * _characters(text).total()
