"""Bytes become text in the encoding they were written in, or there is a Problem: never silent nonsense."""

import codecs
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.encodings.detect import Decoded, Undecodable, decode, sniff
from tests.readers.texts import TEXTS, USUAL

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "samples-public" / "documents"


def _encoded() -> Iterator[tuple[str, str, bytes]]:
    for language, encodings in USUAL.items():
        for encoding in encodings:
            for text in TEXTS[language]:
                try:
                    yield encoding, text, text.encode(encoding)
                except UnicodeEncodeError:
                    continue


CASES = list(_encoded())


@pytest.mark.parametrize(("encoding", "text", "data"), CASES, ids=[f"{e}-{t[:8]!a}" for e, t, _ in CASES])
def test_a_text_is_read_in_the_encoding_it_was_written_in(encoding: str, text: str, data: bytes) -> None:
    decoded = decode(data)
    assert isinstance(decoded, Decoded), decoded
    assert decoded.text == text


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("gb18030", {"gb18030"}),
        ("gb2312", {"gb18030"}),
        ("utf-8", {"utf-8"}),
        ("utf-8-sig", {"utf-8-sig"}),
        ("utf-16", {"utf-16"}),
        ("utf-16-le", {"utf-16-le"}),
        ("utf-16-be", {"utf-16-be"}),
    ],
)
def test_the_encoding_is_recorded_by_its_python_name(encoding: str, names: set[str]) -> None:
    text = TEXTS["simplified"][-1]
    decoded = decode(text.encode(encoding))
    assert isinstance(decoded, Decoded)
    assert decoded.encoding in names
    assert codecs.lookup(decoded.encoding).name == decoded.encoding


@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        ("traditional", "big5"),
        ("japanese", "shift_jis"),
        ("japanese", "euc_jp"),
        ("korean", "euc_kr"),
        ("russian", "cp1251"),
        ("russian", "koi8-r"),
        ("french", "cp1252"),
        ("polish", "cp1250"),
        ("turkish", "cp1254"),
    ],
)
def test_legacy_encodings_keep_their_names(language: str, encoding: str) -> None:
    decoded = decode(TEXTS[language][-1].encode(encoding))
    assert isinstance(decoded, Decoded)
    assert decoded.encoding == encoding


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "shift_jis", "euc_jp", "euc_kr", "cp1251"])
def test_any_ten_characters_of_a_text_are_enough(encoding: str) -> None:
    language = next(language for language, encodings in USUAL.items() if encoding in encodings)
    text, wrong = "".join(TEXTS[language]), []
    for start in range(0, len(text) - 10, 3):
        part = text[start : start + 10]
        if sum(character > "\x7f" and character.isalpha() for character in part) >= 6:
            decoded = decode(part.encode(encoding))
            wrong += [] if isinstance(decoded, Decoded) and decoded.text == part else [(part, decoded)]
    assert wrong == []


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16-le", "utf-8"])
def test_a_long_text_after_a_long_ascii_head_is_read(encoding: str) -> None:
    text = "header line of plain ASCII\n" * 5000 + TEXTS["simplified"][-1] * 200
    decoded = decode(text.encode(encoding))
    assert isinstance(decoded, Decoded)
    assert decoded.text == text
    assert decoded.encoding == encoding


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1))
@settings(max_examples=200, deadline=None)
def test_whatever_is_decoded_is_what_python_decodes(text: str) -> None:
    data = text.encode("gb18030")
    decoded = decode(data)
    if isinstance(decoded, Decoded):
        assert data.decode(decoded.encoding) == decoded.text


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_a_true_text_or_a_problem(data: bytes) -> None:
    decoded = decode(data)
    if isinstance(decoded, Decoded):
        assert data.decode(decoded.encoding) == decoded.text
        assert decoded.text.strip()
        decoded.text.encode("utf-8")
    else:
        assert decoded.code in ("empty", "binary", "encoding")
        assert decoded.message


@given(st.text(st.sampled_from("的一是手机号码：，。abc 0123\r\n"), min_size=1).filter(str.strip))
@settings(max_examples=200, deadline=None)
def test_utf8_is_always_read_as_utf8(text: str) -> None:
    assert decode(text.encode()) == Decoded(text, "utf-8")


@pytest.mark.parametrize("data", [b"", b" \r\n\t", "\u3000\u3000".encode(), codecs.BOM_UTF8, codecs.BOM_UTF16_LE])
def test_nothing_but_white_space_is_empty(data: bytes) -> None:
    decoded = decode(data)
    assert isinstance(decoded, Undecodable)
    assert decoded.code == "empty"


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "PDF"),
        (b"PK\x03\x04\x14\x00\x06\x00", "ZIP"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "PNG"),
        (b"\x7fELF\x02\x01\x01\x00", "program"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (bytes(range(256)) * 4, "control"),
        (random.Random(3).randbytes(5000), "control"),
        (b"\x00" * 100, "control"),
    ],
)
def test_binary_files_are_told_from_text(data: bytes, word: str) -> None:
    decoded = decode(data)
    assert isinstance(decoded, Undecodable)
    assert decoded.code == "binary"
    assert word in decoded.message


def test_a_stray_nul_does_not_make_a_text_binary() -> None:
    text = "手机号18888888888\x00，邮箱a@b.cn"
    assert decode(text.encode()) == Decoded(text, "utf-8")


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "big5"])
def test_a_broken_byte_is_reported_and_not_replaced(encoding: str) -> None:
    text = TEXTS["traditional"][-1]
    data = text[:50].encode(encoding) + b"\xff" + text[50:].encode(encoding)
    decoded = decode(data)
    assert isinstance(decoded, Undecodable)
    assert decoded.code == "encoding"
    assert decoded.nearly == encoding
    assert "byte" in decoded.message


def test_bytes_that_are_text_in_no_language_are_refused() -> None:
    noise = random.Random(5)
    data = bytes(noise.randrange(0x80, 0x100) for _ in range(400))
    decoded = decode(data)
    assert isinstance(decoded, Undecodable)
    assert decoded.code == "encoding"


def test_line_ends_stay_as_they_are() -> None:
    text = "第一行\r\n第二行\r第三行\n"
    assert decode(text.encode("gb18030")) == Decoded(text, "gb18030")


@pytest.mark.parametrize("cut", range(1, 5))
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_the_head_of_a_file_may_end_inside_a_character(encoding: str, cut: int) -> None:
    decoded = sniff(TEXTS["simplified"][-1].encode(encoding)[:-cut])
    assert isinstance(decoded, Decoded)
    assert decoded.encoding == encoding


def _manifest() -> list[dict[str, object]]:
    path = SAMPLES / "manifest.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    return [row for row in rows if row["format"] in ("txt", "csv", "md", "jsonl")]


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the public samples are not here")
@pytest.mark.parametrize("row", _manifest(), ids=lambda row: str(row["file"]))
def test_the_public_samples_read_right(row: dict[str, object]) -> None:
    decoded = decode((SAMPLES / str(row["file"])).read_bytes())
    assert isinstance(decoded, Decoded)
    assert decoded.encoding == row["encoding"]
    flat = re.sub(r"\s", "", decoded.text)
    expected = row["expected_substrings"]
    assert isinstance(expected, list)
    assert [it for it in expected if re.sub(r"\s", "", it) not in flat] == []
