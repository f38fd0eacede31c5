"""Archives: each file in one is a document, and a bomb is stopped."""

import gzip
import io
import struct
import time
import zipfile
from binascii import crc32

import pytest

from tests.readers.conftest import Read, failure, only, texts
from tests.readers.making import pdf, word, zipped


def test_each_file_of_an_archive_is_a_document(read: Read) -> None:
    members = {
        "夹/说明.txt": "说明".encode(),
        "合同.pdf": pdf(["甲方"]),
        "rows.jsonl": b'{"text": "a"}\n{"text": "b"}\n',
    }
    assert texts(read("a.zip", zipped(members | {"__MACOSX/x": b"", ".DS_Store": b"", "empty/": b""}))) == {
        "a.zip/夹/说明.txt": "说明",
        "a.zip/合同.pdf": "甲方",
        "a.zip/rows.jsonl#1": "a",
        "a.zip/rows.jsonl#2": "b",
    }


def test_archives_in_archives_are_read_and_bad_files_fail_alone(read: Read) -> None:
    inner = zipped({"a.docx": word("内"), "bad.pdf": b"%PDF-1.4 broken", "none.txt": b""})
    assert texts(read("o.zip", zipped({"i.zip": inner, "b.txt.gz": gzip.compress(b"packed")}))) == {
        "o.zip/i.zip/a.docx": "内",
        "o.zip/i.zip/bad.pdf": "!damaged",
        "o.zip/i.zip/none.txt": "!empty",
        "o.zip/b.txt.gz/b.txt": "packed",
    }


def test_names_from_before_unicode_are_read(read: Read) -> None:
    data = bytearray(zipped({"XXXXXXXX.txt": b"text"}))
    name = "合同说明".encode("gbk")
    assert "a.zip/合同说明.txt" in texts(read("a.zip", bytes(data).replace(b"XXXXXXXX", name)))


def test_names_stay_inside_the_archive_and_are_unique(read: Read) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in ("../../etc/passwd.txt", "/abs.txt", "a\\b.txt", "x.txt"):
            archive.writestr(name, name)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x.txt", "again")
    assert list(texts(read("a.zip", out.getvalue()))) == [
        *("a.zip/etc/passwd.txt", "a.zip/abs.txt", "a.zip/a/b.txt", "a.zip/x.txt", "a.zip/x (2).txt")
    ]


def test_a_compressed_file_is_read_by_its_name_inside(read: Read) -> None:
    assert texts(read("a.txt.gz", gzip.compress("文本".encode()))) == {"a.txt.gz/a.txt": "文本"}
    rows = b"".join(b'{"text": "row %d"}\n' % number for number in range(1000))
    assert len(read("r.jsonl.gz", gzip.compress(rows), max_bytes=1000)) == 1000
    assert only(read("page.gz", gzip.compress(b"<html><body>seen</body></html>"))).text == "seen"


def test_the_message_for_a_tar_archive_says_to_unpack_it(read: Read) -> None:
    data = gzip.compress(b"a.txt" + bytes(252) + b"ustar\x0000" + bytes(500))
    assert "a tar archive: unpack it" in failure(read("a.tar.gz", data)).message
    assert "a tar archive: unpack it" in failure(read("a.tgz", data)).message


@pytest.mark.parametrize("name", ["a.zip", "a.txt.gz"])
def test_a_bomb_is_stopped_by_its_ratio(read: Read, name: str) -> None:
    zeros = bytes(64 << 20)
    data = zipped({"a.txt": zeros, "b.txt": b"after"}) if name == "a.zip" else gzip.compress(zeros)
    began = time.monotonic()
    bomb = read(name, data)[-1]
    assert bomb.id == name
    assert failure([bomb]).code == "bomb"
    assert "200 times its size" in failure([bomb]).message
    assert time.monotonic() - began < 30


def test_a_bomb_is_stopped_by_the_bytes_that_it_unpacks_to(read: Read) -> None:
    noise = b"".join(struct.pack("<I", number * 2654435761 % 2**32) for number in range(4096)).hex().encode()
    data = zipped({f"{number}.txt": noise for number in range(100)})
    found = read("a.zip", data, max_bytes=40_000)
    assert failure(found[-1:]).code == "bomb"
    assert "--max-bytes" in failure(found[-1:]).message
    assert len(found) == 64 * 40_000 // len(noise) + 1


def test_a_bomb_of_archives_in_archives_is_stopped_with_the_whole_file(read: Read) -> None:
    data = zipped({f"{number}.txt": bytes(1 << 20) for number in range(16)})
    for _ in range(2):
        data = zipped({f"{number}.zip": data for number in range(16)})
    assert failure(read("a.zip", data, max_bytes=1 << 20)[-1:]).code == "bomb"


def test_archives_that_are_nested_too_deep_are_a_bomb(read: Read) -> None:
    data = b"text"
    for _ in range(8):
        data = zipped({"x.zip" if data != b"text" else "a.txt": data})
    assert failure(read("a.zip", data)).code == "bomb"


def test_an_archive_of_too_many_files_is_a_bomb(read: Read) -> None:
    data = zipped({f"{number}.txt": b"" for number in range(10_001)}, zipfile.ZIP_STORED)
    assert "more than 10,000 files" in failure(read("a.zip", data)).message


def test_an_archive_whose_files_lie_over_one_another_is_a_bomb(read: Read) -> None:
    data = zipped({"a.txt": b"x" * 100_000})
    at = data.index(b"PK\x01\x02")
    entry, end = data[at : data.index(b"PK\x05\x06")], data[data.index(b"PK\x05\x06") :]
    copies = b"".join(entry.replace(b"a.txt", b"%05d" % number) for number in range(500))
    end = end[:8] + struct.pack("<HHLL", 500, 500, len(copies), at) + end[20:]
    assert "over one another" in failure(read("a.zip", data[:at] + copies + end)).message


def test_files_of_archives_inside_an_archive_count_as_well(read: Read) -> None:
    inner = zipped({f"{number}.txt": b"x" for number in range(4_000)}, zipfile.ZIP_STORED)
    found = read("a.zip", zipped({f"{number}.zip": inner for number in range(3)}))
    assert len(found) == 8_001
    assert failure(found[-1:]).code == "bomb"


@pytest.mark.parametrize("name", ["a.docx", "a.xlsx"])
def test_an_office_file_with_entities_says_what_it_is(read: Read, name: str) -> None:
    part = "word/document.xml" if name == "a.docx" else "xl/workbook.xml"
    entities = b'<?xml version="1.0"?>\n<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>'
    problem = failure(read(name, zipped({"[Content_Types].xml": b"<Types/>", part: entities})))
    assert (problem.code, part in problem.message, "entities" in problem.message) == ("bomb", True, True)


@pytest.mark.parametrize("name", ["a.docx", "a.xlsx"])
def test_an_office_file_can_be_a_bomb_too(read: Read, name: str) -> None:
    part = "word/document.xml" if name == "a.docx" else "xl/workbook.xml"
    data = zipped({"[Content_Types].xml": b"<Types/>", part: b"<x>" + b" " * (64 << 20) + b"</x>"})
    assert failure(read(name, data)).code == "bomb"


def test_a_locked_member_opens_with_its_password_only(read: Read) -> None:
    data = locked_zip("a.txt", b"secret text", b"secret")
    assert failure(read("a.zip", data)).code == "locked"
    assert failure(read("a.zip", data, password="wrong")).code in ("locked", "damaged")
    assert texts(read("a.zip", data, password="secret")) == {"a.zip/a.txt": "secret text"}


def locked_zip(name: str, content: bytes, password: bytes) -> bytes:
    """The encryption of section 6.1 of PKWARE's APPNOTE, which the standard library reads and does not write."""
    crc = crc32(content)
    keys = [0x12345678, 0x23456789, 0x34567890]

    def step(byte: int) -> None:
        keys[0] = crc32(bytes([byte]), keys[0] ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = crc32(bytes([keys[1] >> 24]), keys[2] ^ 0xFFFFFFFF) ^ 0xFFFFFFFF

    def encrypt(byte: int) -> int:
        mixed = (keys[2] | 2) & 0xFFFF
        out = byte ^ ((mixed * (mixed ^ 1)) >> 8 & 0xFF)
        step(byte)
        return out

    for byte in password:
        step(byte)
    data = bytes(map(encrypt, bytes(11) + bytes([crc >> 24]) + content))
    plain = zipped({name: content}, zipfile.ZIP_STORED)
    plain = plain.replace(content, data, 1)
    for signature, flags, size in ((b"PK\x03\x04", 6, 18), (b"PK\x01\x02", 8, 20)):
        at = plain.index(signature)
        plain = plain[: at + flags] + b"\x01\x00" + plain[at + flags + 2 :]
        plain = plain[: at + size] + struct.pack("<I", len(data)) + plain[at + size + 4 :]
    end = plain.index(b"PK\x05\x06")
    return plain[: end + 16] + struct.pack("<I", plain.index(b"PK\x01\x02")) + plain[end + 20 :]


def test_an_empty_archive_is_empty_and_a_cut_one_is_damaged(read: Read) -> None:
    assert failure(read("a.zip", zipped({}))).code == "empty"
    assert failure(read("a.zip", zipped({"a.txt": b"text" * 100})[:80])).code == "damaged"
    assert failure(read("a.gz", gzip.compress(b"text" * 1000)[:30])).code == "damaged"


def test_an_archive_that_begins_with_a_stored_document_is_still_an_archive(read: Read) -> None:
    data = zipped({"a.pdf": pdf(["甲方"]), "b.rtf": b"{\\rtf1 text}"}, zipfile.ZIP_STORED)
    assert texts(read("a.zip", data)) == {"a.zip/a.pdf": "甲方", "a.zip/b.rtf": "text"}
    assert texts(read("unnamed", data)) == {"unnamed/a.pdf": "甲方", "unnamed/b.rtf": "text"}


def test_files_around_a_damaged_one_are_kept(read: Read) -> None:
    data = bytearray(zipped({"a.txt": b"first", "b.txt": b"second", "c.txt": b"third"}, zipfile.ZIP_STORED))
    data[data.index(b"second")] ^= 1
    assert list(texts(read("a.zip", bytes(data))).values()) == ["first", "!damaged", "third"]
