"""Files that are damaged or mislabelled give a text or a problem, never a crash or a hang."""

import gzip
import json
import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from extractor import ingest
from extractor.data import Document, FailedDocument
from extractor.errors import Code
from extractor.ingest import ReadOptions
from tests.readers.conftest import Read, failure
from tests.readers.making import locked_office, mail, pdf, word, workbook, zipped
from tests.readers.texts import TEXTS, USUAL

LONG = ["合同编号：HT-2024-001", "甲方：北京某某科技有限公司", "手机号18888888888"] * 10
FORMATS: Mapping[str, bytes] = {
    ".pdf": pdf(LONG, LONG),
    ".docx": word(*LONG),
    ".xlsx": workbook({"表": [["姓名", "电话"], *[[name, 138] for name in LONG]]}),
    ".html": ("<!doctype html><meta charset=utf-8>" + "".join(f"<p>{line}</p>" for line in LONG)).encode(),
    ".rtf": b"{\\rtf1\\ansi\\ansicpg936 " + "\\par\n".join(LONG).encode("gbk") + b"}",
    ".eml": bytes(mail("合同", "\n".join(LONG), {"a.pdf": pdf(LONG), "b.zip": zipped({"c.txt": b"text"})})),
    ".zip": zipped({"a.txt": "\n".join(LONG).encode(), "b.docx": word(*LONG), "c.csv": b"a,b\n1,2\n"}),
    ".gz": gzip.compress("\n".join(LONG).encode()),
    ".json": json.dumps([{"text": line} for line in LONG]).encode(),
    ".jsonl": b"".join(json.dumps({"text": line}).encode() + b"\n" for line in LONG),
    ".csv": ("姓名,电话\n" + "".join(f"{line},138\n" for line in LONG)).encode("gb18030"),
    ".txt": "\n".join(LONG).encode("gb18030"),
    ".md": ("# 题\n\n" + "\n".join(LONG)).encode(),
}
LOCKED = {".pdf": pdf(LONG, password="x"), ".docx": locked_office(word("a"), "x")}
EXPECTED: set[Code] = {
    *("empty", "binary", "encoding", "malformed", "too-large", "locked", "damaged", "no-text", "mislabelled"),
    *("unsupported", "bomb"),
}


def _read_all(folder: Path, contents: Mapping[str, bytes]) -> dict[str, list[Document | FailedDocument]]:
    """Return what each file gives; all of them are read in one go."""
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    found: dict[str, list[Document | FailedDocument]] = {name: [] for name in contents}
    for item in ingest.read([str(folder)], ReadOptions(timeout=30.0)):
        name = item.source.path.removeprefix(f"{folder}/").split("#")[0].split("/")[0]
        found[name].append(item)
    return found


def _check(found: Mapping[str, list[Document | FailedDocument]]) -> None:
    for name, items in found.items():
        assert items, f"{name} gave nothing"
        for item in items:
            if isinstance(item, FailedDocument):
                assert item.problem.code in EXPECTED, (name, item)
                assert item.problem.message
            else:
                assert item.text.strip(), name


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_that_is_cut_off_gives_a_text_or_a_problem(tmp_path: Path, suffix: str) -> None:
    data, chance = FORMATS[suffix], random.Random(suffix)
    cuts = {0, 1, 2, 3, 4, 5, 8, 100, len(data) - 1, len(data) - 2, *(chance.randrange(len(data)) for _ in range(40))}
    found = _read_all(tmp_path, {f"{cut:06d}{suffix}": data[:cut] for cut in sorted(cuts) if cut < len(data)})
    _check(found)
    assert failure(found[f"000000{suffix}"]).code == "empty"


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_that_is_damaged_gives_a_text_or_a_problem(tmp_path: Path, suffix: str) -> None:
    chance = random.Random(suffix)
    contents = {}
    for number in range(40):
        data = bytearray(FORMATS[suffix])
        for _ in range(chance.choice((1, 4, 40))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        contents[f"{number:02d}{suffix}"] = bytes(data)
    _check(_read_all(tmp_path, contents))


@pytest.mark.parametrize("suffix", LOCKED)
def test_a_locked_file_that_is_cut_off_gives_a_problem(tmp_path: Path, suffix: str) -> None:
    data = LOCKED[suffix]
    found = _read_all(tmp_path, {f"{cut:06d}{suffix}": data[:cut] for cut in range(1, len(data), len(data) // 20)})
    items = [item for items in found.values() for item in items]
    assert all(isinstance(item, FailedDocument) and item.problem.code in EXPECTED for item in items)


def test_every_format_under_every_other_suffix_gives_a_text_or_a_problem(tmp_path: Path) -> None:
    contents = {
        f"{format[1:]} as {suffix[1:]}{suffix}": data
        for format, data in FORMATS.items()
        for suffix in (*FORMATS, ".doc", ".xls", ".bin")
        if format != suffix
    }
    found = _read_all(tmp_path, contents)
    _check(found)
    for name, items in found.items():
        format, suffix = f".{name.split()[0]}", Path(name).suffix
        if suffix in (".pdf", ".docx", ".xlsx", ".rtf", ".zip", ".gz"):
            assert failure(items).code == "mislabelled", name
        elif suffix in (".doc", ".xls", ".bin") or format == suffix:
            assert any(isinstance(item, Document) for item in items), name
        elif format in (".pdf", ".docx", ".xlsx", ".zip", ".gz", ".rtf"):
            assert failure(items).code in ("binary", "mislabelled"), name


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.pdf", FORMATS[".html"], "an HTML page by its content: rename it to .html"),
        ("a.docx", FORMATS[".zip"], "a ZIP archive by its content: rename it to .zip"),
        ("a.xlsx", FORMATS[".docx"], "a Word document by its content: rename it to .docx"),
        ("a.xlsx", FORMATS[".csv"], "plain text by its content"),
        ("a.zip", FORMATS[".xlsx"], "an Excel workbook by its content: rename it to .xlsx"),
        ("a.csv", FORMATS[".html"], "an HTML page by its content"),
        ("a.txt", FORMATS[".gz"], "not text but a gzip archive"),
        ("a.txt", FORMATS[".rtf"], "not text but an RTF document"),
        ("a.html", FORMATS[".pdf"], "not text but a PDF document"),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "WordDocument\0".encode("utf-16-le"), "an old Word document"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "Workbook\0".encode("utf-16-le"), "the workbook is damaged"),
        ("a.msg", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "__properties_version1.0\0".encode("utf-16-le"), "is damaged"),
        ("a.pptx", zipped({"[Content_Types].xml": b"", "ppt/presentation.xml": b""}), "presentation is damaged"),
        ("a.odt", zipped({"mimetype": b"application/vnd.oasis", "content.xml": b""}), "an OpenDocument file"),
        ("a.odg", zipped({"mimetype": b"application/vnd.oasis", "content.xml": b""}), "save it as .pdf"),
        ("a.pdf", b"", "the file is empty (0 bytes)"),
        ("a.docx", b"", "the file is empty (0 bytes)"),
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0", "the picture is damaged"),
    ],
)
def test_the_message_says_what_is_wrong_with_a_file(read: Read, name: str, content: bytes, words: str) -> None:
    assert words in failure(read(name, content)).message


def test_a_table_is_read_in_every_encoding(tmp_path: Path) -> None:
    contents, expected = {}, {}
    for language, encodings in USUAL.items():
        for encoding in encodings:
            fitting = [text for text in TEXTS[language] if text.encode(encoding, "replace").decode(encoding) == text]
            if fitting:
                text = max(fitting, key=len).replace("\r", " ").replace("\n", " ").replace('"', "")
                name = f"{language} {encoding}.csv"
                contents[name] = f'id,text\r\n"{encoding}","{text}"\r\n'.encode(encoding)
                expected[name] = text
    found = _read_all(tmp_path, contents)
    assert {name: getattr(items[0], "text", items[0]) for name, items in found.items()} == expected
    assert len({name.split()[1] for name in expected}) > 25
