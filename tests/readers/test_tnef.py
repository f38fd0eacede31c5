"""`winmail.dat`: the text of the mail that is packed in it, and its attachments, which are documents."""

import struct

from tests.readers.conftest import Read, failure, only, texts
from tests.readers.making import mail, word

MAGIC = b"\x78\x9f\x3e\x22\x01\x00"
SUBJECT, PROPERTIES, CODE_PAGE, ATTACHMENT = 0x8004, 0x9003, 0x9007, 0x9002
DATA, NAME, ATTACHED_PROPERTIES = 0x800F, 0x8010, 0x9005
TEXT, TEXT8, BINARY, INTEGER, SEVERAL = 0x001F, 0x001E, 0x0102, 0x0003, 0x1000
GBK = struct.pack("<II", 936, 0)


def _attribute(number: int, data: bytes) -> bytes:
    return struct.pack("<BHHI", 1, number, 6, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def _property(kind: int, number: int, *values: bytes) -> bytes:
    """A property; with several values they are counted, as single ones are that have a length."""
    if kind & ~SEVERAL == INTEGER:
        return struct.pack("<HH", kind, number) + b"".join(values)
    padded = (struct.pack("<I", len(value)) + value + bytes(-len(value) % 4) for value in values)
    return struct.pack("<HHI", kind, number, len(values)) + b"".join(padded)


def _properties(*properties: bytes) -> bytes:
    return struct.pack("<I", len(properties)) + b"".join(properties)


def _wide(text: str) -> bytes:
    return text.encode("utf-16-le") + b"\0\0"


def _package(*attributes: tuple[int, bytes]) -> bytes:
    return MAGIC + b"".join(_attribute(*each) for each in attributes)


def test_the_text_and_the_attachments_of_a_package_are_read(read: Read) -> None:
    named = struct.pack("<HH", TEXT, 0x8001) + bytes(16) + struct.pack("<II", 1, 3) + b"abc\0" + struct.pack("<I", 1)
    message = _properties(
        _property(INTEGER, 0x0026, struct.pack("<I", 1)),
        named + struct.pack("<I", 4) + _wide("x"),
        _property(TEXT | SEVERAL, 0x0E04, _wide("李四"), _wide("王五")),
        _property(TEXT, 0x0C1A, _wide("张三")),
        _property(TEXT, 0x0C1F, _wide("zhang@example.com")),
        _property(TEXT, 0x1000, _wide("合同见附件")),
    )
    attached = _properties(_property(TEXT, 0x3707, _wide("合同 (终稿).docx")))
    data = _package(
        (CODE_PAGE, GBK), (SUBJECT, "后天".encode("gbk") + b"\0"), (PROPERTIES, message),
        (ATTACHMENT, b""), (NAME, b"HT.DOC\0"), (DATA, word("甲方")), (ATTACHED_PROPERTIES, attached),
        (ATTACHMENT, b""), (NAME, b"logo.png\0"), (DATA, b"\x89PNG"),
    )  # fmt: skip
    found = read("mail.eml", bytes(mail("x", "y", {"winmail.dat": data})), ocr="never")
    assert texts(found[1:]) == {
        "mail.eml/winmail.dat": "From: 张三 <zhang@example.com>\nTo: 李四\nSubject: 后天\n\n合同见附件\n\n"
        "Attachment: 合同 (终稿).docx\nAttachment: logo.png",
        "mail.eml/winmail.dat/合同 (终稿).docx": "甲方",
    }
    assert found[1].source.notes[0].startswith("left out: 1 picture (logo.png); OCR is off")


def test_html_in_a_package_is_read_as_it_looks(read: Read) -> None:
    html = '<i hidden>x</i>见<a href="https://a.cn/1">此</a>'.encode("gbk")
    message = _properties(_property(BINARY, 0x1013, html), _property(INTEGER, 0x3FDE, struct.pack("<I", 936)))
    document = only(read("winmail.dat", _package((PROPERTIES, message))))
    assert (document.text, document.source.notes) == ("见此 (https://a.cn/1)", ("left out: 1 hidden element",))


def test_a_package_of_nothing_but_files_is_those_files(read: Read) -> None:
    files = [((ATTACHMENT, b""), (NAME, b"a.txt\0"), (DATA, data)) for data in (b"one", b"two")]
    data = _package(*files[0], *files[1])
    assert texts(read("a.tnef", data)) == {"a.tnef/a.txt": "one", "a.tnef/a (2).txt": "two"}


def test_a_message_in_a_message_is_a_document(read: Read) -> None:
    inner = _package((SUBJECT, b"inner\0"))
    object = bytes.fromhex("0703020000000000c000000000000046") + inner
    attached = _properties(_property(0x000D, 0x3701, object))
    data = _package((SUBJECT, b"outer\0"), (ATTACHMENT, b""), (ATTACHED_PROPERTIES, attached))
    assert texts(read("a.tnef", data)) == {
        "a.tnef": "Subject: outer\n\nAttachment: message 1.tnef", "a.tnef/message 1.tnef": "Subject: inner",
    }  # fmt: skip


def test_lengths_and_counts_that_lie_cost_nothing(read: Read) -> None:
    endless = struct.pack("<I", 0xFFFFFFFF) + _property(TEXT, 0x1000, _wide("text"))
    many = struct.pack("<IHHI", 1, INTEGER | SEVERAL, 1, 0xFFFFFFFF)
    assert only(read("a.tnef", _package((PROPERTIES, endless), (PROPERTIES, many)))).text == "text"
    assert failure(read("a.tnef", MAGIC + struct.pack("<BHHI", 1, 1, 1, 0xFFFFFFFF) + b"x")).code == "damaged"
    assert failure(read("a.tnef", MAGIC)).code == "empty"
