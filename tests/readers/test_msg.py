"""Outlook messages: as in mail, compared with what another library reads of them."""

import struct
from collections.abc import Mapping

import oxmsg

from extractor.data import Document
from extractor.readers._support.limits import Budget
from extractor.readers._support.rtf_compression import FIRST_WINDOW, decompressed
from tests.readers.compound import compound
from tests.readers.conftest import Read, failure, locations, only, texts
from tests.readers.making import recall, word
from tests.readers.texts import TEXTS

Value = str | bytes | int
PEOPLE = {"__recip_version1.0_#00000000": {0x3001: "李四", 0x39FE: "li@example.com", 0x0C15: 1}}
KINDS = {str: 0x001F, bytes: 0x0102}
SENT = 133485408000000000  # 2024-01-01 00:00:00 UTC, in steps of 100 ns since 1601


def _storage(path: str, properties: Mapping[int, Value], header: int) -> dict[str, bytes]:
    """The streams of a storage: text in UTF-16, bytes, and numbers in the list of properties."""
    streams, listed = {}, b""
    for number, value in properties.items():
        kind = (
            0x001F if isinstance(value, str) else 0x0102 if isinstance(value, bytes) else 0x0040 if value > 2**32 else 3
        )
        if not isinstance(value, int):
            data = value.encode("utf-16-le") if isinstance(value, str) else value
            streams[f"{path}__substg1.0_{number:04X}{kind:04X}"] = data
            value = len(data)
        listed += struct.pack("<HHIQ", kind, number, 6, value)
    return {**streams, f"{path}__properties_version1.0": bytes(header) + listed}


def _message(properties: Mapping[int, Value], branches: Mapping[str, Mapping[int, Value]] | None = None) -> bytes:
    streams = _storage("", properties, 32)
    for name, inside in (branches or {}).items():
        streams |= _storage(f"{name}/", inside, 24 if name.endswith("000D") else 8)
    return compound(streams)


def test_a_message_is_its_headers_and_its_text_each_with_its_location(read: Read) -> None:
    sender = {0x0C1A: "张三", 0x0C1F: "zhang@example.com", 0x0037: "合同确认", 0x0039: SENT}
    found = only(read("a.msg", _message({**sender, 0x1000: "您好：\r\n手机号18888888888"}, PEOPLE)))
    assert found.text == (
        "From: 张三 <zhang@example.com>\nTo: 李四 <li@example.com>\nDate: Mon, 01 Jan 2024 00:00:00 +0000\n"
        "Subject: 合同确认\n\n您好：\n手机号18888888888"
    )
    assert locations(found)[3:] == [
        ("合同确认", {"part": "header", "header": "Subject"}),
        ("您好：\n手机号18888888888", {"part": "body", "type": "text/plain"}),
    ]


def test_the_date_is_that_of_the_header_where_there_is_one(read: Read) -> None:
    headers = "Received: x\r\nDate: Mon, 01 Jan 2024 08:00:00 +0800\r\nTo: x\r\n"
    found = only(read("a.msg", _message({0x007D: headers, 0x0039: SENT, 0x1000: "文"})))
    assert found.text == "Date: Mon, 01 Jan 2024 08:00:00 +0800\n\n文"


def test_html_and_rtf_are_read_where_there_is_no_plain_text(read: Read) -> None:
    html = "<html><meta charset=gb2312><p>第一<b>段</b><p>第二段<script>x</script></html>".encode("gbk")
    assert only(read("a.msg", _message({0x1013: html}))).text == "第一段\n第二段"
    rtf = rb"{\rtf1\ansi\ansicpg936 \'d6\'d0\'b9\'fa}"
    packed = struct.pack("<IIII", len(rtf) + 12, len(rtf), 0x414C454D, 0) + rtf
    assert only(read("b.msg", _message({0x1009: packed}))).text == "中国"


def test_what_html_hides_is_named_and_read_where_that_is_asked_for(read: Read) -> None:
    data = _message({0x1013: "<p>明<i hidden>暗</i>".encode(), 0x3FDE: 65001})
    found = only(read("a.msg", data))
    assert (found.text, found.source.notes) == ("明", ("left out: 1 hidden element",))
    assert only(read("a.msg", data, hidden=True)).text == "明暗"


def test_rtf_is_unpacked_as_the_specification_shows() -> None:
    packed = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
    )
    assert decompressed(packed, Budget(1000)) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    overlapping = bytes.fromhex("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0")
    assert decompressed(overlapping, Budget(1000)) == b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"
    assert len(FIRST_WINDOW) == 207


def test_attachments_are_named_and_read_and_a_message_in_one_is_a_document(read: Read) -> None:
    inner = {0x0037: "内", 0x1000: "内文"}
    branches: dict[str, Mapping[int, Value]] = {
        "__attach_version1.0_#00000000": {0x3707: "说明.docx", 0x3701: word("乙方"), 0x3705: 1},
        "__attach_version1.0_#00000001": {0x3001: "转发", 0x3705: 5},
        "__attach_version1.0_#00000001/__substg1.0_3701000D": inner,
        "__attach_version1.0_#00000002": {0x3707: "logo.png", 0x370E: "image/png", 0x3712: "logo", 0x3701: b"\x89PNG"},
    }
    found = texts(read("m.msg", _message({0x0037: "外", 0x1000: "见附件"}, branches)))
    assert list(found) == ["m.msg", "m.msg/说明.docx", "m.msg/转发.msg"]
    assert found["m.msg"].endswith("Attachment: 说明.docx\nAttachment: 转发.msg\nAttachment: logo.png")
    assert found["m.msg/说明.docx"] == "乙方"
    assert found["m.msg/转发.msg"] == "Subject: 内\n\n内文"


def test_text_in_a_code_page_is_read(read: Read) -> None:
    streams = _storage("", {0x3FFD: 936}, 32)
    streams["__substg1.0_1000001E"] = "联系人：张三，电话 13800138000，镕".encode("gbk")
    assert only(read("a.msg", compound(streams))).text == "联系人：张三，电话 13800138000，镕"


def test_a_message_holds_what_another_library_reads(read: Read) -> None:
    body = "\r\n".join(text for language in TEXTS.values() for text in language)
    data = _message({0x0037: "主题", 0x0C1A: "张三", 0x1000: body}, PEOPLE)
    reference = oxmsg.Message.load(data)
    wanted = [
        reference.subject,
        reference.sender or "",
        reference.body or "",
        *(it.name for it in reference.recipients),
    ]
    assert recall(only(read("a.msg", data)).text, "".join(wanted)) >= 0.99


def test_a_message_without_text_is_empty_and_its_attachments_are_read(read: Read) -> None:
    branches = {"__attach_version1.0_#00000000": {0x3707: "a.txt", 0x3701: "丙方".encode()}}
    first, *rest = read("m.msg", _message({0x0E07: 1}, branches))
    assert isinstance(first, Document)
    assert texts(rest) == {"m.msg/a.txt": "丙方"}
    assert failure(read("n.msg", _message({0x0E07: 1}))).code == "empty"
